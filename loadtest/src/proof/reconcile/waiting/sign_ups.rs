//! Checks sign-ups: numbers in order, and each as its buyer was shown it.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::load::history::waiting::{ShownSignUp, SignUp, Waiting};
use crate::load::history::{Step, TapHistory};
use crate::plan::selection::Choice;
use crate::proof::ledger::{WaitingLine, WaitingStep};
use crate::proof::reconcile::ReconcileInput;
use crate::proof::reconcile::phases::was_closed;
use crate::proof::rules::{Rule, Violation, of};

/// A sign-up as the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignedUp<'a> {
    pub(crate) number: u64,
    pub(crate) choices: &'a [Choice],
}

/// All sign-ups.
#[derive(Debug, Default)]
pub(crate) struct SignUps<'a> {
    /// What each buyer's sign-ups were, one after the other, with the sequences; `None`: withdrawn.
    by_buyer: HashMap<&'a str, Vec<(u64, Option<SignedUp<'a>>)>>,
}

impl<'a> SignUps<'a> {
    pub(crate) fn replay(input: &ReconcileInput<'a>, found: &mut Vec<Violation>) -> SignUps<'a> {
        let mut sign_ups = SignUps::default();
        let (mut last, mut are_fixed) = (0, false);
        for WaitingLine { sequence, step, .. } in input.waiting {
            let (buyer, now) = match step {
                WaitingStep::SignUp { buyer, number, choices } => {
                    (&**buyer, Some(SignedUp { number: *number, choices }))
                }
                WaitingStep::Withdraw { buyer } => (&**buyer, None),
                WaitingStep::Entrants { .. } => {
                    are_fixed = true;
                    continue;
                }
                _ => continue,
            };
            let own = sign_ups.by_buyer.entry(buyer).or_default();
            let before = own.last().and_then(|(_, before)| *before);
            let mut misstep = |what| {
                if !input.is_recovered() {
                    let what = format!("{what} (journal {sequence}-0)");
                    found.push(of(buyer, Rule::SignUpsInOrder, None, what));
                }
            };
            match (before, now) {
                (Some(before), Some(now)) if before.number != now.number => {
                    misstep(format!("a change made number {} of number {}", now.number, before.number));
                }
                (None, Some(now)) if now.number != last + 1 => {
                    misstep(format!("number {} follows number {last}", now.number));
                }
                (None, None) => misstep("withdrawn before there was a sign-up".to_owned()),
                _ => {}
            }
            if are_fixed {
                misstep("a sign-up changed after the entrants were fixed".to_owned());
            }
            last = now.map_or(last, |now| last.max(now.number));
            own.push((*sequence, now));
        }
        sign_ups
    }

    /// All who are signed up, with their choices.
    pub(crate) fn entrants(&self) -> impl Iterator<Item = (&'a str, &'a [Choice])> + '_ {
        self.by_buyer.iter().filter_map(|(buyer, own)| Some((*buyer, own.last()?.1?.choices)))
    }

    fn of(&self, buyer: &str) -> &[(u64, Option<SignedUp<'a>>)] {
        self.by_buyer.get(buyer).map_or(&[], Vec::as_slice)
    }

    /// Checks what a buyer was shown.
    pub(crate) fn check(
        &self,
        input: &ReconcileInput<'_>,
        history: &TapHistory,
        waiting: &Waiting,
        found: &mut Vec<Violation>,
    ) {
        let ledger = self.of(&history.buyer);
        let mut console = |what| found.push(of(&history.buyer, Rule::SignUpAsAcknowledged, None, what));
        let has = |shown: &ShownSignUp| {
            let ShownSignUp { number, choices, .. } = shown;
            let all = ledger.iter().filter_map(|(_, there)| *there);
            all.into_iter().any(|there| there.number == *number && is_same(there.choices, choices))
        };
        for shown in waiting.shown_sign_ups() {
            if !has(shown) {
                console(format!("{shown:?} was shown, the ledger has {ledger:?}"));
            }
        }
        for SignUp { choices, shown, .. } in &waiting.sign_ups {
            if let (Some(asked), Some(shown)) = (choices, shown)
                && !is_same(asked, &shown.choices)
            {
                console(format!("{asked:?} was asked for, {:?} was shown", shown.choices));
            }
        }
        let untrue = waiting.sign_ups.iter().filter_map(|sign_up| untrue_refusal(input, sign_up));
        untrue.for_each(&mut console);
        // The first answer that counts makes it new, as long as none was lost.
        let before = ledger.iter().rfind(|(sequence, _)| *sequence <= input.started_after);
        let mut was_in = before.is_some_and(|(_, before)| before.is_some());
        for SignUp { choices, step, is_new, .. } in &waiting.sign_ups {
            match step {
                Step::Done if history.log.lost == 0 && choices.is_some() && *is_new == was_in => {
                    let status = if *is_new { 201 } else { 200 };
                    console(format!(
                        "{status} to a buyer who was{} signed up",
                        if was_in { "" } else { " not" }
                    ));
                }
                _ => {}
            }
            was_in = if *step == Step::Done { choices.is_some() } else { was_in };
        }
        let Some(last) = waiting.sign_ups.iter().rev().find(|sign_up| sign_up.step == Step::Done) else {
            let is_new = ledger.iter().any(|(sequence, _)| *sequence > input.started_after);
            if is_new && history.log.lost == 0 {
                console(format!("no sign-up was acknowledged, the ledger has {ledger:?}"));
            }
            return;
        };
        let now = ledger.last().and_then(|(_, now)| *now);
        let is_right = match (&last.choices, now) {
            (Some(choices), Some(now)) => is_same(choices, now.choices),
            (None, None) => true,
            _ => false,
        };
        if !is_right && history.log.lost == 0 {
            console(format!("{:?} was acknowledged last, the ledger has {now:?}", last.choices));
        }
    }
}

/// In words why a refusal by the time of sign-up was not true.
fn untrue_refusal(input: &ReconcileInput<'_>, SignUp { step, exchanged, .. }: &SignUp) -> Option<String> {
    let (Step::Refused(why), Some((asked, answered)), Some(terms)) = (step, exchanged, input.signup) else {
        return None;
    };
    // It may have moved the times, or removed an item.
    if input.may_have_other_terms() {
        return None;
    }
    let ms = |at: Timestamp| at.as_millisecond();
    let (from, to) = (ms(*asked) - input.doubt_ms(), ms(*answered) + input.doubt_ms());
    let is_untrue = match why.as_str() {
        "signup-not-open" => from > ms(terms.opens_at),
        "signup-closed" => to < ms(terms.closes_at) && !was_closed(input, to),
        "unknown-item" => true,
        _ => false,
    };
    is_untrue.then(|| {
        format!("refused as {why} at {answered}; sign-up is from {} to {}", terms.opens_at, terms.closes_at)
    })
}

/// Packages are a set.
fn is_same(one: &[Choice], other: &[Choice]) -> bool {
    one.iter().map(Choice::in_a_word).eq(other.iter().map(Choice::in_a_word))
}
