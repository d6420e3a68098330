//! Tests random histories: correct ones are never reported, planted violations always are.

use fastrand::Rng;

use super::*;
use crate::proof::reconcile::tests::simulation::{Faults, NONE, history};

const HISTORIES: u64 = 400;

/// Makes a history wrong, if it has what that takes.
type Plant = fn(&mut Case, &mut Rng) -> Option<()>;

const PLANTS: [(Rule, Plant); 11] = [
    (Rule::AcknowledgedIsInLedger, lose_a_reservation),
    (Rule::AcknowledgedIsInLedger, show_another_number),
    (Rule::NotExpiredEarly, expire_early),
    (Rule::RefusedHoldsNothing, reserve_for_a_refused_key),
    (Rule::SoldOutWasTrue, report_free_stock_as_sold_out),
    (Rule::WinnerNeverLost, report_sold_out_to_a_winner),
    (Rule::FinalIsFinal, report_final_too_early),
    (Rule::AmendAsAcknowledged, show_another_amendment),
    (Rule::AmendAsAcknowledged, make_a_refused_amendment),
    (Rule::StepsAsAcknowledged, forget_a_step),
    (Rule::NumbersInOrder, skip_a_number),
];

#[test]
fn correct_histories_are_never_reported() {
    let mut seen = BTreeSet::new();
    for seed in 0..HISTORIES {
        let case = history(seed, NONE);
        let found = case.found();
        assert_eq!(found.violations.len(), 0, "seed {seed}: {:#?}", found.violations);
        seen.extend(case.history.iter().filter_map(|history| history.outcome));
        assert!(case.changes.len() > 5, "seed {seed} has hardly a history");
    }
    let outcomes = [Outcome::Won, Outcome::Unknown, Outcome::SoldOut, Outcome::PurchaseLimit];
    assert!(outcomes.iter().all(|outcome| seen.contains(outcome)), "{seen:?}");
}

#[test]
fn they_are_unpacked_to_the_letter() {
    for seed in 0..HISTORIES {
        let case = history(seed, NONE);
        let packed: PackedHistories = case.history.iter().collect();
        let all = (0..packed.partitions()).flat_map(|partition| packed.partition(partition).unwrap());
        let all: BTreeMap<u64, TapHistory> = all.collect();
        let all = all.into_values().map(|history| format!("{history:?}"));
        assert!(all.eq(case.history.iter().map(|history| format!("{history:?}"))), "seed {seed}");
    }
}

#[test]
fn a_gateway_with_a_fault_is_found_out() {
    let rules =
        |faults| (0..HISTORIES).flat_map(|seed| history(seed, faults).broken()).collect::<BTreeSet<_>>();
    let old = rules(Faults { read_model_ms: 3_000, ..NONE });
    assert!(old.contains(&Rule::SoldOutWasTrue) && old.contains(&Rule::FinalIsFinal), "{old:?}");
    let forgetful = rules(Faults { forgets_buyers: true, ..NONE });
    assert!(forgetful.contains(&Rule::WinnerNeverLost), "{forgetful:?}");
    assert!(forgetful.contains(&Rule::RefusedHoldsNothing), "{forgetful:?}");
}

#[test]
fn partitions_change_nothing() {
    let mut violations = 0;
    for seed in 0..50 {
        let mut case = history(seed, Faults { read_model_ms: 3_000, forgets_buyers: true });
        for (_, plant) in PLANTS {
            plant(&mut case, &mut Rng::with_seed(seed));
        }
        // One buyer is shown, and amends, what belongs to another.
        if let [one, other, ..] = &mut won(&mut case).collect::<Vec<_>>()[..] {
            one.holds.push(other.holds[0].clone());
            one.amends.extend(other.amends.iter().cloned());
        }
        let [one, three] = [1, 3].map(|partitions| case.found_in(partitions));
        violations += one.violations.len();
        let [all, again] = [&one, &three].map(|found| format!("{:#?}", found.violations));
        assert_eq!((one.foreign_reservations, all), (three.foreign_reservations, again), "seed {seed}");
    }
    assert!(violations > 500, "{violations} are hardly any");
}

#[test]
fn what_is_planted_is_reported() {
    for (rule, plant) in PLANTS {
        let mut planted = 0;
        for seed in 0..HISTORIES {
            let mut case = history(seed, NONE);
            if plant(&mut case, &mut Rng::with_seed(seed)).is_some() {
                planted += 1;
                let broken = case.broken();
                assert!(broken.contains(&rule), "seed {seed}: {rule:?} is not in {broken:?}");
            }
        }
        assert!(planted >= 10, "{rule:?} was planted only {planted} times");
    }
}

fn any<'a, T>(rng: &mut Rng, list: impl Iterator<Item = &'a mut T>) -> Option<&'a mut T> {
    let list: Vec<_> = list.collect();
    let n = rng.usize(0..list.len().max(1));
    list.into_iter().nth(n)
}

fn won(case: &mut Case) -> impl Iterator<Item = &mut TapHistory> {
    case.history.iter_mut().filter(|history| !history.holds.is_empty())
}

fn lose_a_reservation(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let lost = any(rng, won(case))?.holds[0].id.clone();
    case.changes.retain(|change| change.reservation() != lost);
    Some(())
}

fn show_another_number(case: &mut Case, rng: &mut Rng) -> Option<()> {
    any(rng, won(case))?.holds[0].number += 1;
    Some(())
}

fn expire_early(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let least = SignedDuration::from_millis(case.terms.lapses_after_ms(false));
    let early = any(rng, case.changes.iter_mut().filter(|change| change.kind == Kind::Expire))?;
    let (id, at) = (early.reservation().to_owned(), early.at);
    let taken = case.changes.iter().find(|change| change.reservation() == id)?.at;
    // As if it had been taken later.
    let late = at - least + SignedDuration::from_millis(1);
    case.changes
        .iter_mut()
        .filter(|change| change.reservation() == id && change.at == taken)
        .for_each(|change| change.at = late);
    Some(())
}

fn reserve_for_a_refused_key(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let history = any(rng, won(case))?.clone();
    let last = case.changes.last()?.clone();
    let number = case.changes.iter().map(Change::number).max()? + 1;
    // None of this buyer's answers was lost, so none of the keys can have won.
    let mut own = case.history.iter().filter(|other| other.buyer == history.buyer);
    if own.any(|history| history.log.lost > 0) {
        return None;
    }
    let mut planted = change(last.sequence + 1_000, Kind::Reserve, "planted", &history.buyer, number);
    planted.at = last.at;
    case.changes.push(planted);
    Some(())
}

fn report_sold_out(case: &mut Case, n: usize, item: &str, asked: Timestamp, last: bool) {
    let history = asked + SignedDuration::from_millis(10);
    case.history[n].sold_out.push(SoldOut { items: vec![item.to_owned()], last, asked, answered: history });
}

/// For the model without a reservation, or before the first reservation.
fn report_free_stock_as_sold_out(case: &mut Case, _: &mut Rng) -> Option<()> {
    let last = case.changes.last()?.at;
    let audited = case.audit.items.iter().find(|item| item.free > Some(0))?.item.clone();
    // A minute later nothing has changed.
    report_sold_out(case, 0, &audited, last + SignedDuration::from_secs(60), false);
    Some(())
}

fn report_sold_out_to_a_winner(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let id = any(rng, won(case))?.holds[0].id.clone();
    let n = case.history.iter().position(|history| history.holds.iter().any(|hold| hold.id == id))?;
    let taken = case.changes.iter().find(|change| change.reservation() == id)?.at;
    report_sold_out(case, n, "model:a", taken + SignedDuration::from_millis(1_100), false);
    Some(())
}

fn report_final_too_early(case: &mut Case, _: &mut Rng) -> Option<()> {
    case.audit.items.iter().find(|item| item.held > 0)?;
    let last = case.changes.last()?.at;
    report_sold_out(case, 0, "model:a", last + SignedDuration::from_secs(60), true);
    Some(())
}

fn show_another_amendment(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let shown = case
        .history
        .iter_mut()
        .flat_map(|history| &mut history.amends)
        .filter_map(|amend| amend.shown.as_mut());
    any(rng, shown)?.model = "c".to_owned();
    Some(())
}

fn make_a_refused_amendment(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let innocent = |history: &&mut TapHistory| history.log.lost == 0;
    let buyers: BTreeSet<String> = case
        .history
        .iter()
        .filter(|history| history.log.lost > 0)
        .map(|history| history.buyer.clone())
        .collect();
    let versions: BTreeMap<(String, u64), ()> = case
        .changes
        .iter()
        .filter(|change| change.kind == Kind::Amend)
        .map(|change| ((change.reservation().to_owned(), change.version()), ()))
        .collect();
    let amends = case
        .history
        .iter_mut()
        .filter(innocent)
        .filter(|history| !buyers.contains(&history.buyer))
        .flat_map(|history| &mut history.amends)
        .filter(|amend| {
            let shown = amend.shown.as_ref();
            shown.is_some_and(|hold| versions.contains_key(&(hold.id.clone(), hold.version)))
        });
    let amend = any(rng, amends)?;
    let (id, version) = (amend.reservation.clone(), amend.shown.as_ref()?.version);
    // Every answer that showed it becomes a refusal.
    let all = case.history.iter_mut().flat_map(|history| &mut history.amends);
    for amend in all.filter(|amend| amend.reservation == id) {
        if amend.shown.as_ref().is_some_and(|shown| shown.version == version) {
            (amend.step, amend.shown) = (Step::Refused("sold-out".to_owned()), None);
        }
    }
    Some(())
}

fn forget_a_step(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let done = |history: &&mut TapHistory| history.confirm == Step::Done || history.cancel == Step::Done;
    let id = any(rng, case.history.iter_mut().filter(done))?.holds[0].id.clone();
    case.changes
        .retain(|change| change.reservation() != id || !matches!(change.kind, Kind::Confirm | Kind::Cancel));
    Some(())
}

fn skip_a_number(case: &mut Case, rng: &mut Rng) -> Option<()> {
    let reserves = case.changes.iter_mut().filter(|change| change.kind == Kind::Reserve);
    let reserve = any(rng, reserves)?;
    reserve.set_number(reserve.number() + 1);
    Some(())
}
