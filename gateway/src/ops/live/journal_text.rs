//! The journal as text: operator actions, and the changes by buyers in each second.

use crate::domain::catalogue::Catalogue;
use crate::domain::rfc3339::rfc3339;
use crate::ops::live::frame::JournalLine;
use crate::projection::tail::{Second, Tail};
use crate::store::journal::Entry;

/// Lines in the list.
const LINES: usize = 12;
/// Of these, the least that is reserved for operator actions: buyers change something each second.
const ACTS: usize = 4;

/// The latest changes, the newest first.
pub(super) fn journal(tail: &Tail, catalogue: &Catalogue) -> Vec<JournalLine> {
    let acts: Vec<JournalLine> =
        tail.acts().rev().take(LINES).map(|act| line_of_act(act, catalogue)).collect();
    let seconds = tail.seconds().rev().take(LINES - acts.len().min(ACTS)).map(line_of_second);
    let mut lines: Vec<JournalLine> = seconds.collect();
    let room = LINES - lines.len();
    lines.extend(acts.into_iter().take(room));
    lines.sort_by_key(|line| std::cmp::Reverse(line.sequence));
    lines
}

fn line_of_second(second: &Second) -> JournalLine {
    let counts = [
        (second.reserved, "reserved"),
        (second.confirmed, "confirmed"),
        (second.amended, "changed"),
        (second.cancelled, "cancelled"),
        (second.expired, "expired"),
        (second.signed_up, "signed up"),
        (second.withdrawn, "withdrawn"),
        (second.joined, "joined a standby queue"),
        (second.left, "left a standby queue"),
        (second.granted, "granted from a standby queue"),
        (second.skipped, "skipped in a standby queue"),
    ];
    let texts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    JournalLine { sequence: second.sequence, at: rfc3339(second.at), ops: false, text: texts.join(", ") }
}

fn line_of_act(act: &Entry, catalogue: &Catalogue) -> JournalLine {
    let actor = act.field("who").filter(|who| !who.is_empty()).unwrap_or("an operator");
    let number = |name: &str| act.field(name).and_then(|number| number.parse::<u64>().ok());
    let mut text = match act.kind.as_str() {
        "define" => match number("revision") {
            Some(1) => format!("{actor} defined the sale"),
            Some(revision) => format!("{actor} changed the definition (revision {revision})"),
            None => format!("{actor} changed the definition"),
        },
        "restock" => {
            let item = act.field("item").unwrap_or("an item");
            let name = catalogue.name_of(item).unwrap_or(item);
            let [was, total] = ["was", "total"].map(|name| act.field(name).unwrap_or("?"));
            format!("{actor} restocked {name} from {was} to {total}")
        }
        "pause" => format!("{actor} paused the sale"),
        "resume" => format!("{actor} resumed the sale"),
        "freeze" => format!("{actor} froze the sale clock"),
        "unfreeze" => format!("{actor} unfroze the sale clock"),
        "close" => format!("{actor} closed the sale"),
        "standby-suspend" => format!("{actor} suspended grants to the standby queues"),
        "standby-resume" => format!("{actor} resumed grants to the standby queues"),
        "entrants" => {
            let entrants = number("entrants").unwrap_or_default();
            format!("sign-up is over: the gateways fixed {entrants} entrants of the draw")
        }
        "draw" => format!("{actor} drew: the order of all entrants is fixed"),
        "allocate" => {
            let allocated = number("allocated").unwrap_or_default();
            format!("the allocation of the draw is over: all {allocated} entrants had their turn")
        }
        "adopt" => match number("replayed") {
            None => "the gateways adopted a new epoch after a restart of Redis".to_owned(),
            Some(changes) => format!(
                "the gateways replayed {changes} changes that Redis had lost, and adopted a new epoch"
            ),
        },
        "lost" => "a change is lost".to_owned(),
        other => format!("{actor}: {other}"),
    };
    if let Some(reason) = act.field("reason") {
        text.push_str(": ");
        text.push_str(reason);
    }
    JournalLine {
        sequence: act.sequence,
        at: rfc3339(act.at),
        ops: !matches!(act.kind.as_str(), "adopt" | "lost" | "entrants" | "allocate"),
        text,
    }
}
