//! Checks queues: places in order, granted in order, nobody passed over, and shown as they are.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::load::history::waiting::{ShownPlace, Waiting};
use crate::load::history::{PhaseRefusal, Step, TapHistory};
use crate::plan::selection::Choice;
use crate::proof::ledger::{Change, Kind, WaitingLine, WaitingStep};
use crate::proof::reconcile::item_stock::Intervals;
use crate::proof::reconcile::phases::{self, was_closed};
use crate::proof::reconcile::refusals::reached_no_limit;
use crate::proof::reconcile::waiting::READ_MODEL_MS;
use crate::proof::reconcile::{Facts, ReconcileInput};
use crate::proof::rules::{Rule, Violation, of};

/// A buyer's place.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    number: u64,
    /// What was wanted there, one after the other: always of one model.
    choices: Vec<&'a Choice>,
    joined: (u64, i64),
    /// The position at first.
    position: u64,
    pub(crate) end: PlaceEnd<'a>,
    /// When it ended; the largest number as long as it waits.
    ended_ms: i64,
}

/// What became of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceEnd<'a> {
    Waits,
    /// With this reservation.
    Granted(&'a str),
    Skipped,
    Left,
}

/// All queues as the journal leaves them, and how they came to that.
#[derive(Debug, Default)]
pub(crate) struct Queues<'a> {
    /// In the order in which a buyer took them.
    places: HashMap<&'a str, Vec<Place<'a>>>,
    by_model: HashMap<&'a str, Queue<'a>>,
    last_number: u64,
}

#[derive(Debug, Default)]
struct Queue<'a> {
    /// Who waits, by the numbers of the places.
    waiting: BTreeMap<u64, &'a str>,
    /// Sequences and times at which places ended, with their numbers.
    ends: Vec<(u64, i64, u64)>,
    /// The grant to the place of the highest number, and its time.
    granted_last: Option<(u64, i64)>,
    /// While somebody waits.
    busy: Intervals,
}

/// What happened at a sequence.
#[derive(Clone, Copy)]
enum Event<'a> {
    Change(&'a Change),
    Line(&'a WaitingLine),
}

impl<'a> Place<'a> {
    pub(crate) fn model(&self) -> &'a str {
        self.choices[0].model.as_str()
    }
}

impl<'a> Queues<'a> {
    pub(crate) fn replay(input: &ReconcileInput<'a>, found: &mut Vec<Violation>) -> Queues<'a> {
        let mut queues = Queues::default();
        // Which model each reservation has.
        let mut models: HashMap<&str, &str> = HashMap::new();
        let mut broken = Vec::new();
        for event in in_order(input) {
            match event {
                Event::Line(line) => queues.follow(line, &mut broken),
                Event::Change(change) => {
                    let model = change.selected.model.as_str();
                    let before = match change.kind {
                        Kind::Reserve | Kind::Draw | Kind::Grant | Kind::Amend => {
                            models.insert(change.reservation(), model)
                        }
                        _ => continue,
                    };
                    match change.kind {
                        Kind::Grant => queues.grant(change, &mut broken),
                        _ if before != Some(model) => queues.check_taken(change, &mut broken),
                        _ => {}
                    }
                }
            }
        }
        // What a recovery repeats is in the order of the gateways' reports.
        let is_recovered = input.actions_of_the_run().any(|action| matches!(&*action.kind, "adopt" | "lost"));
        if !is_recovered {
            found.append(&mut broken);
        }
        queues
    }

    fn follow(&mut self, line: &'a WaitingLine, broken: &mut Vec<Violation>) {
        let WaitingLine { sequence, at, step } = line;
        let at_ms = at.as_millisecond();
        match step {
            WaitingStep::Join { buyer, number, choice } => {
                let own = self.places.entry(buyer).or_default();
                let last = own.last_mut().filter(|place| place.end == PlaceEnd::Waits);
                if let Some(place) = last.filter(|place| place.number == *number) {
                    if place.model() != choice.model {
                        let what = format!("place {number} went from {} to {}", place.model(), choice.model);
                        broken.push(of(buyer, Rule::QueueInOrder, None, what));
                    }
                    place.choices.push(choice);
                    return;
                }
                // A place in another queue is given up.
                self.end(buyer, PlaceEnd::Left, (*sequence, at_ms));
                if *number != self.last_number + 1 {
                    let what = format!("place {number} follows place {}", self.last_number);
                    broken.push(of(buyer, Rule::QueueInOrder, None, what));
                }
                self.last_number = *number;
                let queue = self.by_model.entry(&choice.model).or_default();
                queue.waiting.insert(*number, buyer);
                queue.busy.note(at_ms, true);
                let place = Place {
                    number: *number,
                    choices: vec![choice],
                    joined: (*sequence, at_ms),
                    position: queue.waiting.len() as u64,
                    end: PlaceEnd::Waits,
                    ended_ms: i64::MAX,
                };
                self.places.entry(buyer).or_default().push(place);
            }
            WaitingStep::Leave { buyer } => _ = self.end(buyer, PlaceEnd::Left, (*sequence, at_ms)),
            WaitingStep::Skip { buyer } => {
                self.check_first(buyer, "was passed over", broken);
                self.end(buyer, PlaceEnd::Skipped, (*sequence, at_ms));
            }
            _ => {}
        }
    }

    fn grant(&mut self, change: &'a Change, broken: &mut Vec<Violation>) {
        let what = format!("got {} (journal {}-0)", change.selected.model, change.sequence);
        self.check_first(change.buyer(), &what, broken);
        let when = (change.sequence, change.at.as_millisecond());
        let model = self.end(change.buyer(), PlaceEnd::Granted(change.reservation()), when);
        if model != Some(&change.selected.model) {
            let what = format!("{what}, and waited for {}", model.unwrap_or("nothing"));
            broken.push(of(change.buyer(), Rule::QueueInOrder, Some(change.reservation()), what));
        }
    }

    /// Whether this buyer is the first of the queue.
    fn check_first(&self, buyer: &str, what: &str, broken: &mut Vec<Violation>) {
        let place = self.last_place(buyer).filter(|place| place.end == PlaceEnd::Waits);
        let first = place.and_then(|place| self.by_model.get(place.model())?.waiting.first_key_value());
        if let Some((number, other)) = first.filter(|(_, other)| **other != buyer) {
            let what = format!("{what}, and {other} waited before, at place {number}");
            broken.push(of(buyer, Rule::QueueInOrder, None, what));
        }
    }

    /// Nobody takes a model from the stock while somebody waits for it.
    fn check_taken(&self, change: &Change, broken: &mut Vec<Violation>) {
        let queue = self.by_model.get(change.selected.model.as_str());
        if let Some((number, first)) = queue.and_then(|queue| queue.waiting.first_key_value()) {
            let what = format!(
                "took {} (journal {}-0) while {first} waited for it, at place {number}",
                change.selected.model, change.sequence
            );
            broken.push(of(change.buyer(), Rule::NotPassedOver, Some(change.reservation()), what));
        }
    }

    /// Ends the place of a buyer who waits; which model it was for.
    fn end(&mut self, buyer: &str, end: PlaceEnd<'a>, (sequence, at_ms): (u64, i64)) -> Option<&'a str> {
        let place = self.places.get_mut(buyer)?.last_mut()?;
        if place.end != PlaceEnd::Waits {
            return None;
        }
        (place.end, place.ended_ms) = (end, at_ms);
        let (number, model) = (place.number, place.model());
        let queue = self.by_model.entry(model).or_default();
        queue.waiting.remove(&number);
        queue.ends.push((sequence, at_ms, number));
        if matches!(end, PlaceEnd::Granted(_)) && queue.granted_last.is_none_or(|(last, _)| last < number) {
            queue.granted_last = Some((number, at_ms));
        }
        queue.busy.note(at_ms, !queue.waiting.is_empty());
        Some(model)
    }

    /// The latest place of a buyer.
    pub(crate) fn last_place(&self, buyer: &str) -> Option<&Place<'a>> {
        self.places.get(buyer)?.last()
    }

    /// Whether one who came later was granted after this place was left.
    pub(crate) fn would_be_granted(&self, place: &Place<'_>) -> bool {
        let granted = self.by_model.get(place.model()).and_then(|queue| queue.granted_last);
        granted.is_some_and(|(number, at_ms)| number > place.number && at_ms >= place.ended_ms)
    }

    /// Whether units of this item may have been set aside for buyers who waited, and so were neither free nor taken.
    pub(crate) fn may_set_aside(&self, item: &str, from_ms: i64, to_ms: i64) -> bool {
        let queue = item.strip_prefix("model:").and_then(|model| self.by_model.get(model));
        queue.is_some_and(|queue| queue.busy.touch(from_ms, to_ms))
    }

    /// In words how a place was shown otherwise than the ledger has it.
    fn differs(&self, input: &ReconcileInput<'_>, own: &[Place<'_>], shown: &ShownPlace) -> Option<String> {
        let (asked, answered) = shown.exchanged?;
        let (from, to) =
            (asked.as_millisecond() - input.doubt_ms(), answered.as_millisecond() + input.doubt_ms());
        let mut all = own.iter().filter(|place| place.model() == shown.model);
        if shown.odds.is_some_and(|odds| !(0.0..=1.0).contains(&odds)) {
            return Some("and odds are 0 to 1".to_owned());
        }
        let is_right = match shown.state.as_str() {
            "granted" => all.any(|place| {
                place.end == PlaceEnd::Granted(shown.reservation.as_deref().unwrap_or_default())
            }),
            "skipped" => all.any(|place| place.end == PlaceEnd::Skipped),
            "ended" => {
                let closes = input.terms.closes_at.map_or(i64::MAX, |at| at.as_millisecond());
                !own.is_empty() && (to >= closes || was_closed(input, to))
            }
            "waiting" => {
                let since = from - READ_MODEL_MS;
                let then = all.find(|place| place.joined.1 <= to && place.ended_ms >= since);
                let Some(place) = then else {
                    return Some(format!("and the ledger has {own:?}"));
                };
                let (nearest, farthest) = (self.position(place, to), self.position(place, since));
                if shown.position.is_some_and(|position| (nearest..=farthest).contains(&position)) {
                    return None;
                }
                return Some(format!("and by the ledger the position was {nearest} to {farthest}"));
            }
            _ => false,
        };
        (!is_right).then(|| format!("and the ledger has {own:?}"))
    }

    /// The position of a place at an instant, as if it still waited then.
    fn position(&self, place: &Place<'_>, at_ms: i64) -> u64 {
        let ends = self.by_model.get(place.model()).map_or(&[][..], |queue| queue.ends.as_slice());
        let since = ends.partition_point(|(sequence, ..)| *sequence <= place.joined.0);
        let gone = ends[since..].iter().take_while(|(_, at, _)| *at <= at_ms);
        let before = gone.filter(|(.., number)| *number < place.number).count() as u64;
        place.position.saturating_sub(before).max(1)
    }
}

/// Checks what a buyer was shown of places.
pub(crate) fn check(facts: &Facts<'_>, history: &TapHistory, waiting: &Waiting, found: &mut Vec<Violation>) {
    let Facts { input, queues, .. } = facts;
    let own = queues.places.get(history.buyer.as_str()).map_or(&[][..], Vec::as_slice);
    let mut console = |what| found.push(of(&history.buyer, Rule::PlaceAsShown, None, what));
    for join in &waiting.joins {
        match (&join.step, &join.wants) {
            (Step::Done, Some(wants)) => {
                let is_it = |choice: &&Choice| choice.in_a_word() == wants.in_a_word();
                if !own.iter().flat_map(|place| &place.choices).any(is_it) {
                    console(format!("joined for {}, and the ledger has no such place", wants.in_a_word()));
                }
            }
            (Step::Done, None) => {
                let waits = own.last().is_some_and(|place| place.end == PlaceEnd::Waits);
                if waits && history.log.lost == 0 {
                    console("left the queue, and the ledger still has the place".to_owned());
                }
            }
            (Step::Refused(why), Some(wants)) => {
                if let Some(what) = untrue_refusal(facts, &history.buyer, why, wants, join.exchanged) {
                    console(format!("refused as {why}, {what}"));
                }
            }
            _ => {}
        }
    }
    for shown in &waiting.places {
        if let Some(what) = queues.differs(input, own, shown) {
            console(format!("{shown:?} was shown, {what}"));
        }
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
        "standby-full" if input.terms.standby_max.is_none() => Some("and the queue has no limit".to_owned()),
        "purchase-limit" => reached_no_limit(input, book, buyer),
        "sale-not-open" | "sale-paused" | "sale-closed" => {
            let phase = why.trim_start_matches("sale-").to_owned();
            phases::untrue(input, &PhaseRefusal { phase, asked, answered })
        }
        _ => None,
    }
}

/// Changes and lines about buyers who wait, in the journal's order.
fn in_order<'a>(input: &ReconcileInput<'a>) -> impl Iterator<Item = Event<'a>> + use<'a> {
    let (mut changes, mut lines) = (input.changes.iter().peekable(), input.waiting.iter().peekable());
    std::iter::from_fn(move || match (changes.peek(), lines.peek()) {
        (Some(change), Some(line)) if line.sequence < change.sequence => lines.next().map(Event::Line),
        (Some(_), _) => changes.next().map(Event::Change),
        (None, _) => lines.next().map(Event::Line),
    })
}
