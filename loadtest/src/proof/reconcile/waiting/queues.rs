//! Follows queues: places in order, granted in order, and nobody passed over. `places.rs` has what buyers were shown.

use std::collections::{BTreeMap, HashMap};

use crate::plan::selection::Choice;
use crate::proof::ledger::{Change, Kind, WaitingLine, WaitingStep};
use crate::proof::reconcile::item_stock::Intervals;
use crate::proof::reconcile::phases::{READ_MODEL_MS, was_closed};
use crate::proof::reconcile::{Facts, ReconcileInput};
use crate::proof::rules::{Rule, Violation, of};

/// Units that come back are granted within a second or two; a machine may be slow.
const IDLE_MS_MAX: i64 = 15_000;

/// A buyer's place.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    number: u64,
    /// What was wanted there, one after the other: always of one model.
    pub(super) choices: Vec<&'a Choice>,
    /// The sequence and the time of joining.
    pub(super) joined: (u64, i64),
    /// The position at first, and how many places of the queue had ended by then.
    position: u64,
    ends_before: usize,
    pub(crate) end: PlaceEnd<'a>,
    /// When it ended; the largest number as long as it waits.
    pub(super) ended_ms: i64,
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
    /// Skips of the entry that is followed: who was passed over, at which place.
    skipped: Vec<(&'a str, &'a str, u64)>,
    /// While grants are suspended, or a draw allocates: units are set aside although nobody waits.
    all_aside: Intervals,
}

#[derive(Debug, Default)]
struct Queue<'a> {
    /// Who waits, by the numbers of the places.
    waiting: BTreeMap<u64, &'a str>,
    /// When places ended, in ms, and their numbers.
    ends: Vec<(i64, u64)>,
    /// When places were granted, in ms.
    grants: Vec<i64>,
    /// While somebody waits.
    busy: Intervals,
}

/// What happened at a sequence.
#[derive(Clone, Copy)]
enum Event<'a> {
    Change(&'a Change),
    Line(&'a WaitingLine),
}

impl Event<'_> {
    fn sequence(&self) -> u64 {
        match self {
            Event::Change(change) => change.sequence,
            Event::Line(line) => line.sequence,
        }
    }
}

impl<'a> Place<'a> {
    pub(super) fn in_words(&self) -> String {
        let end = match self.end {
            PlaceEnd::Waits => "waiting".to_owned(),
            PlaceEnd::Granted(id) => format!("granted {id}"),
            PlaceEnd::Skipped => "skipped".to_owned(),
            PlaceEnd::Left => "left".to_owned(),
        };
        format!("place {} for {}, {end} (journal {}-0)", self.number, self.model(), self.joined.0)
    }

    pub(crate) fn model(&self) -> &'a str {
        self.choices[0].model.as_str()
    }
}

impl<'a> Queues<'a> {
    pub(crate) fn replay(input: &ReconcileInput<'a>, found: &mut Vec<Violation>) -> Queues<'a> {
        let mut queues = Queues { all_aside: all_aside(input), ..Queues::default() };
        let mut sequence = 0;
        // Which model each reservation has.
        let mut models: HashMap<&str, &str> = HashMap::new();
        let mut broken = Vec::new();
        for event in in_order(input) {
            if event.sequence() != sequence {
                sequence = event.sequence();
                queues.check_skipped(&mut broken);
            }
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
        queues.check_skipped(&mut broken);
        if !input.is_recovered() {
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
                self.end(buyer, PlaceEnd::Left, at_ms);
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
                    ends_before: queue.ends.len(),
                    end: PlaceEnd::Waits,
                    ended_ms: i64::MAX,
                };
                self.places.entry(buyer).or_default().push(place);
            }
            WaitingStep::Leave { buyer } => _ = self.end(buyer, PlaceEnd::Left, at_ms),
            WaitingStep::Skip { buyer } => {
                let number = self.last_place(buyer).map_or(0, |place| place.number);
                if let Some(model) = self.end(buyer, PlaceEnd::Skipped, at_ms) {
                    self.skipped.push((buyer, model, number));
                }
            }
            _ => {}
        }
    }

    fn grant(&mut self, change: &'a Change, broken: &mut Vec<Violation>) {
        let what = format!("got {} (journal {}-0)", change.selected.model, change.sequence);
        self.check_first(change.buyer(), &what, broken);
        let end = PlaceEnd::Granted(change.reservation());
        let waited = self.end(change.buyer(), end, change.at.as_millisecond());
        let wanted = self.last_place(change.buyer()).and_then(|place| place.choices.last());
        let wanted = wanted.filter(|_| waited.is_some());
        if !wanted.is_some_and(|wanted| change.selected.is_of(wanted)) {
            let wanted = wanted.map_or("nothing".to_owned(), |wanted| wanted.in_a_word());
            let what = format!("{what}, and waited for {wanted}");
            broken.push(of(change.buyer(), Rule::QueueInOrder, Some(change.reservation()), what));
        }
    }

    /// Whoever was passed over in an entry was before all who still wait after it.
    fn check_skipped(&mut self, broken: &mut Vec<Violation>) {
        for (buyer, model, number) in std::mem::take(&mut self.skipped) {
            let first = self.by_model.get(model).and_then(|queue| queue.waiting.first_key_value());
            if let Some((before, other)) = first.filter(|(before, _)| **before < number) {
                let what = format!(
                    "was passed over at place {number}, and {other} waited before, at place {before}"
                );
                broken.push(of(buyer, Rule::QueueInOrder, None, what));
            }
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
    fn end(&mut self, buyer: &str, end: PlaceEnd<'a>, at_ms: i64) -> Option<&'a str> {
        let place = self.places.get_mut(buyer)?.last_mut()?;
        if place.end != PlaceEnd::Waits {
            return None;
        }
        (place.end, place.ended_ms) = (end, at_ms);
        let (number, model) = (place.number, place.model());
        let queue = self.by_model.entry(model).or_default();
        queue.waiting.remove(&number);
        queue.ends.push((at_ms, number));
        if matches!(end, PlaceEnd::Granted(_)) {
            queue.grants.push(at_ms);
        }
        queue.busy.note(at_ms, !queue.waiting.is_empty());
        Some(model)
    }

    /// The places of a buyer, in the order in which they were taken.
    pub(super) fn of(&self, buyer: &str) -> &[Place<'a>] {
        self.places.get(buyer).map_or(&[], Vec::as_slice)
    }

    /// Whether units were set aside at this instant whoever waited.
    pub(super) fn are_all_aside(&self, at_ms: i64) -> bool {
        self.all_aside.touch(at_ms, at_ms)
    }

    /// The latest place of a buyer.
    pub(crate) fn last_place(&self, buyer: &str) -> Option<&Place<'a>> {
        self.of(buyer).last()
    }

    /// How many places of a queue were granted after this instant.
    pub(crate) fn granted_after(&self, model: &str, at_ms: i64) -> u64 {
        let grants = self.by_model.get(model).map_or(&[][..], |queue| queue.grants.as_slice());
        (grants.len() - grants.partition_point(|granted| *granted <= at_ms)) as u64
    }

    /// Whether units of this item may have been set aside, and so were neither free nor taken. What is set aside is granted,
    /// or free again, with the next tick.
    pub(crate) fn may_set_aside(&self, item: &str, from_ms: i64, to_ms: i64) -> bool {
        let Some(model) = item.strip_prefix("model:") else { return false };
        let from_ms = from_ms - READ_MODEL_MS;
        self.all_aside.touch(from_ms, to_ms)
            || self.by_model.get(model).is_some_and(|queue| queue.busy.touch(from_ms, to_ms))
    }

    /// How long units of this model were there for nobody while somebody waited, at most: since the wait began, or since the
    /// last place ended. `free`: while the model was not all taken.
    fn idle_ms(&self, model: &str, free: &Intervals, until_ms: i64) -> i64 {
        let Some(queue) = self.by_model.get(model) else { return 0 };
        let spells = queue.busy.common(free, until_ms);
        let longest = spells.into_iter().map(|(from, to)| {
            let ends = queue.ends.iter().map(|(at, _)| *at).filter(|at| (from..=to).contains(at));
            let mut moments: Vec<i64> = [from].into_iter().chain(ends).chain([to]).collect();
            moments.sort_unstable();
            moments
                .windows(2)
                .filter(|two| !self.all_aside.touch(two[0], two[1]))
                .map(|two| two[1] - two[0])
                .max()
        });
        longest.flatten().max().unwrap_or(0)
    }

    /// The position of a place at an instant, as if it still waited then.
    pub(super) fn position(&self, place: &Place<'_>, at_ms: i64) -> u64 {
        let ends = self.by_model.get(place.model()).map_or(&[][..], |queue| queue.ends.as_slice());
        let gone = ends.iter().skip(place.ends_before).take_while(|(at, _)| *at <= at_ms);
        let before = gone.filter(|(_, number)| *number < place.number).count() as u64;
        place.position.saturating_sub(before).max(1)
    }
}

/// Checks that what came back went to those who waited.
pub(crate) fn check_idle(facts: &Facts<'_>, found: &mut Vec<Violation>) {
    let Facts { input, queues, times, .. } = facts;
    let last =
        input.changes.iter().map(|change| change.at).chain(input.waiting.iter().map(|line| line.at)).max();
    // A sale that has closed grants nothing.
    let until_ms = last.into_iter().chain(input.terms.closes_at).min().map_or(0, |at| at.as_millisecond());
    if input.is_recovered() || input.may_have_other_terms() {
        return;
    }
    for model in queues.by_model.keys() {
        let item = format!("model:{model}");
        let idle_ms = times.of_free(&item, |free| queues.idle_ms(model, free, until_ms)).unwrap_or(0);
        if idle_ms > IDLE_MS_MAX && !was_closed(input, until_ms) {
            let what = format!("some of {item} was there for {idle_ms} ms while buyers waited for it");
            found.push(Violation { rule: Rule::NotPassedOver, buyer: None, reservation: None, what });
        }
    }
}

/// While units are set aside although nobody waits.
fn all_aside(input: &ReconcileInput<'_>) -> Intervals {
    let actions = input.operator_actions.iter().filter_map(|action| match action.kind.as_str() {
        "standby-suspend" => Some((action.at, true)),
        "standby-resume" => Some((action.at, false)),
        _ => None,
    });
    let lines = input.waiting.iter().filter_map(|line| match line.step {
        WaitingStep::Draw { .. } => Some((line.at, true)),
        WaitingStep::Allocated => Some((line.at, false)),
        _ => None,
    });
    let mut moments: Vec<_> = actions.chain(lines).collect();
    moments.sort_by_key(|(at, _)| *at);
    let mut aside = Intervals::default();
    moments.into_iter().for_each(|(at, is_aside)| aside.note(at.as_millisecond(), is_aside));
    aside
}

/// Changes and lines about buyers who wait, in the journal's order.
fn in_order<'a>(input: &ReconcileInput<'a>) -> impl Iterator<Item = Event<'a>> + use<'a> {
    let (mut changes, mut lines) = (input.changes.iter().peekable(), input.waiting.iter().peekable());
    std::iter::from_fn(move || match (changes.peek(), lines.peek()) {
        // Only skips share an entry with changes: the grants to those behind them.
        (Some(change), Some(line)) if line.sequence <= change.sequence => lines.next().map(Event::Line),
        (Some(_), _) => changes.next().map(Event::Change),
        (None, _) => lines.next().map(Event::Line),
    })
}
