//! Checks places: each was shown as the ledger has it, and began and ended with a cause.

use jiff::Timestamp;

use crate::load::history::waiting::{ShownPlace, Waiting};
use crate::load::history::{PhaseRefusal, Step, TapHistory};
use crate::plan::selection::Choice;
use crate::proof::reconcile::phases::{self, READ_MODEL_MS, was_closed};
use crate::proof::reconcile::refusals::reached_no_limit;
use crate::proof::reconcile::waiting::queues::{Place, PlaceEnd, Queues};
use crate::proof::reconcile::{Facts, ReconcileInput};
use crate::proof::rules::{Rule, Violation, of};

/// Checks what a buyer was shown of places.
pub(crate) fn check(facts: &Facts<'_>, history: &TapHistory, waiting: &Waiting, found: &mut Vec<Violation>) {
    let Facts { input, queues, .. } = facts;
    let own = queues.of(&history.buyer);
    let mut console = |what| found.push(of(&history.buyer, Rule::PlaceAsShown, None, what));
    for join in &waiting.joins {
        match (&join.step, &join.wants, &join.shown) {
            // A buyer who is at the purchase limit with a hold of the queue is shown that.
            (Step::Done, Some(wants), Some(shown)) if shown.state == "waiting" => {
                let is_it = |choice: &&Choice| choice.in_a_word() == wants.in_a_word();
                if !own.iter().flat_map(|place| &place.choices).any(is_it) {
                    console(format!("joined for {}, and the ledger has no such place", wants.in_a_word()));
                }
            }
            (Step::Refused(why), Some(wants), _) => {
                if let Some(what) = untrue_refusal(facts, &history.buyer, why, wants, join.exchanged) {
                    console(format!("refused as {why}, {what}"));
                }
            }
            _ => {}
        }
    }
    if history.log.lost == 0 {
        check_causes(facts, history, waiting, own, &mut console);
    }
    let answers = waiting.joins.iter().filter_map(|join| join.shown.as_ref());
    for shown in answers.chain(&waiting.places) {
        if let Some(what) = differs(queues, input, own, shown) {
            console(format!("{shown:?} was shown, {what}"));
        }
    }
}

/// Checks that no place of this run began or ended without a request of the buyer, or a cause in the ledger.
fn check_causes(
    facts: &Facts<'_>,
    history: &TapHistory,
    waiting: &Waiting,
    own: &[Place<'_>],
    console: &mut impl FnMut(String),
) {
    let Facts { input, book, queues, .. } = facts;
    let of_the_run = || own.iter().filter(|place| place.joined.0 > input.started_after);
    let asked = waiting.joins.iter().filter(|join| join.step == Step::Done && join.wants.is_some()).count();
    let is_drawn = |place: &&Place<'_>| queues.are_all_aside(place.joined.1);
    let made = of_the_run().filter(|place| input.draw.is_none() || !is_drawn(place)).count();
    if made > asked {
        console(format!("the ledger has {made} places, and {asked} were asked for"));
    }
    let has_left = waiting.joins.last().is_some_and(|join| join.wants.is_none() && join.step == Step::Done);
    match own.last().map(|place| (place.end, place.joined.0 > input.started_after)) {
        Some((PlaceEnd::Waits, _)) if has_left => {
            console("left the queue, and the ledger still has the place".to_owned());
        }
        Some((PlaceEnd::Left, true)) if !has_left => {
            console("the place ended as if the buyer had left, who did not".to_owned());
        }
        Some((PlaceEnd::Skipped, true)) => {
            let why = reached_no_limit(input, book, &history.buyer);
            why.into_iter()
                .for_each(|why| console(format!("passed over as if at the purchase limit: {why}")));
        }
        _ => {}
    }
}

/// In words why a buyer could have joined.
fn untrue_refusal(
    facts: &Facts<'_>,
    buyer: &str,
    why: &str,
    wants: &Choice,
    exchanged: Option<(Timestamp, Timestamp)>,
) -> Option<String> {
    let Facts { input, book, times, .. } = facts;
    let (asked, answered) = exchanged?;
    match why {
        "not-sold-out" => {
            let (from, to) = (asked.as_millisecond(), answered.as_millisecond());
            let (from, to) = (from - input.doubt_ms() - READ_MODEL_MS, to + input.doubt_ms());
            let item = format!("model:{}", wants.model);
            times.was_taken(&item, from, to).then(|| format!("and {item} was sold out"))
        }
        _ if input.may_have_other_terms() => None,
        "standby-full" if input.terms.standby_max.is_none() => Some("and the queue has no limit".to_owned()),
        "unknown-item" => Some("and the sale has all of it".to_owned()),
        "purchase-limit" => reached_no_limit(input, book, buyer),
        "sale-not-open" | "sale-paused" | "sale-closed" => {
            let phase = why.trim_start_matches("sale-").to_owned();
            phases::untrue(input, &PhaseRefusal { phase, asked, answered })
        }
        _ => None,
    }
}

/// In words how a place was shown otherwise than the ledger has it.
fn differs(
    queues: &Queues<'_>,
    input: &ReconcileInput<'_>,
    own: &[Place<'_>],
    shown: &ShownPlace,
) -> Option<String> {
    let (asked, answered) = shown.exchanged?;
    let (from, to) =
        (asked.as_millisecond() - input.doubt_ms(), answered.as_millisecond() + input.doubt_ms());
    let mut all = own.iter().filter(|place| place.model() == shown.model);
    let in_words = || own.iter().map(Place::in_words).collect::<Vec<_>>().join("; ");
    if shown.odds.is_some_and(|odds| !(0.0..=1.0).contains(&odds)) {
        return Some("and odds are 0 to 1".to_owned());
    }
    let is_right = match shown.state.as_str() {
        "granted" => {
            all.any(|place| place.end == PlaceEnd::Granted(shown.reservation.as_deref().unwrap_or_default()))
        }
        "skipped" => all.any(|place| place.end == PlaceEnd::Skipped),
        "ended" => {
            let closes = input.terms.closes_at.map_or(i64::MAX, |at| at.as_millisecond());
            !own.is_empty() && (to >= closes || was_closed(input, to) || input.may_have_other_terms())
        }
        "waiting" => {
            let since = from - READ_MODEL_MS;
            let then = all.filter(|place| place.joined.1 <= to && place.ended_ms >= since);
            let bounds: Vec<_> =
                then.map(|place| queues.position(place, to)..=queues.position(place, since)).collect();
            if bounds.is_empty() {
                return Some(format!("and the ledger has: {}", in_words()));
            }
            let is_there = |position| bounds.iter().any(|bounds| bounds.contains(&position));
            // A recovery may repeat joins late.
            if input.is_recovered() || shown.position.is_some_and(is_there) {
                return None;
            }
            return Some(format!("and by the ledger the position was {bounds:?}"));
        }
        _ => false,
    };
    (!is_right).then(|| format!("and the ledger has: {}", in_words()))
}
