//! The journal in words: what ops did, and what buyers did in each second.

use crate::domain::catalogue::Catalogue;
use crate::domain::rfc3339::rfc3339;
use crate::ops::live::frame::JournalLine;
use crate::projection::tail::{Act, Second, Tail};

/// Lines that are told.
const LINES: usize = 12;
/// Of these, at least so many are kept for what ops did: buyers do something each second.
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
    let told = [
        (second.reserved, "reserved"),
        (second.confirmed, "confirmed"),
        (second.amended, "changed"),
        (second.cancelled, "cancelled"),
        (second.expired, "expired"),
    ];
    let told: Vec<String> =
        told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    JournalLine { sequence: second.sequence, at: rfc3339(second.at), ops: false, text: told.join(", ") }
}

fn line_of_act(act: &Act, catalogue: &Catalogue) -> JournalLine {
    let who = if act.who.is_empty() { "somebody" } else { &act.who };
    let mut text = match act.kind.as_str() {
        "define" => match act.revision {
            Some(1) => format!("{who} defined the sale"),
            Some(revision) => format!("{who} changed the definition (revision {revision})"),
            None => format!("{who} changed the definition"),
        },
        "restock" => {
            let item = act.item.as_deref().unwrap_or("an item");
            let name = catalogue.name_of(item).unwrap_or(item);
            let number = |n: Option<i64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
            format!("{who} restocked {name} from {} to {}", number(act.was), number(act.total))
        }
        "pause" => format!("{who} paused the sale"),
        "resume" => format!("{who} resumed the sale"),
        "freeze" => format!("{who} froze the sale clock"),
        "unfreeze" => format!("{who} let the sale clock go on"),
        "close" => format!("{who} closed the sale"),
        "adopt" => match act.replayed {
            None => "Redis was restarted, and its ledger was taken in".to_owned(),
            Some(changes) => format!(
                "Redis was restarted and had lost {changes} changes; they were appended again, and its ledger was taken in"
            ),
        },
        "lost" => "a change is lost".to_owned(),
        other => format!("{who}: {other}"),
    };
    if let Some(reason) = &act.reason {
        text.push_str(": ");
        text.push_str(reason);
    }
    JournalLine {
        sequence: act.sequence,
        at: rfc3339(act.at),
        ops: !matches!(act.kind.as_str(), "adopt" | "lost"),
        text,
    }
}
