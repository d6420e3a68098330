//! Breaks every rule once.

use loadtest::{Amend, Arrived, Scenario, Selection, Violation, WantedChange};
use testkit::options::Level;

use super::*;
use crate::faults::Fault;
use crate::schedule;

/// A launch with three buyers and two cars: two won, one was refused as sold out.
struct Case {
    launch: Launch,
    history: Vec<TapHistory>,
    verdict: Option<VerdictSummary>,
    journal: Vec<String>,
    stock: u64,
    serving: Result<(), String>,
}

fn line(id: u64, kind: &str, reservation: &str, number: u64) -> String {
    format!(
        "{{\"id\":\"{id}-0\",\"kind\":\"{kind}\",\"reservation\":\"{reservation}\",\"number\":{number},\"version\":1,\
         \"model\":\"white\",\"packages\":[],\"store\":null}}\n"
    )
}

fn hold(id: &str, number: u64, version: u64) -> Hold {
    let shown = serde_json::json!({
        "id": id, "number": number, "version": version, "state": "held", "model": "white", "packages": [], "store": null,
    });
    serde_json::from_value(shown).unwrap()
}

fn history(
    buyer: &str,
    outcome: Outcome,
    of: Option<(&str, u64)>,
    sent_s: i64,
    answered_s: i64,
) -> TapHistory {
    let status = if of.is_some() { "201" } else { "409" };
    let mut history = TapHistory::new(buyer.into(), "k".into(), Scenario::SPIKE, Selection::default());
    history.outcome = Some(outcome);
    history.holds = of.into_iter().map(|(id, number)| hold(id, number, 1)).collect();
    history.log.exchanges.push(Exchange::new(
        jiff::Timestamp::from_second(sent_s).unwrap(),
        (answered_s - sent_s) as f64 * 1000.0,
        "POST /v1/sales/chaos/reservations Idempotency-Key: k {}".into(),
        format!("{status} {{}}"),
    ));
    history
}

fn verdict(verdict: Word, violations: Vec<Violation>) -> VerdictSummary {
    let reasons = if verdict == Word::Pass { Vec::new() } else { vec!["…".into()] };
    let (requests, arrivals) = (BTreeMap::new(), Arrived::default());
    VerdictSummary { verdict, reasons, violations, requests, arrivals }
}

fn broke(rule: Rule) -> VerdictSummary {
    let buyer = Some("ada".into());
    verdict(Word::Fail, vec![Violation { rule, buyer, reservation: None, what: "…".into() }])
}

fn case(fault: Fault, level: Level) -> Case {
    Case {
        launch: schedule::round(1, 1, &[fault], &[level]).remove(0),
        history: vec![
            history("ada", Outcome::Won, Some(("a", 1)), 10, 11),
            history("bob", Outcome::Won, Some(("b", 2)), 20, 21),
            history("cyd", Outcome::SoldOut, None, 30, 31),
        ],
        verdict: Some(verdict(Word::Pass, Vec::new())),
        journal: vec![line(2, "reserve", "a", 1), line(3, "reserve", "b", 2)],
        stock: 2,
        serving: Ok(()),
    }
}

impl Case {
    fn judge(&self) -> LaunchFindings {
        let stock = [("white", self.stock)];
        let totals = BTreeMap::from([("model:white".to_owned(), i64::try_from(self.stock).unwrap())]);
        judge(&JudgeInput {
            launch: &self.launch,
            history: &self.history,
            verdict: self.verdict.as_ref(),
            ledger: &Ledger::replay(&self.journal.concat(), &totals),
            stock: &stock,
            audit: None,
            serving: &self.serving,
        })
    }
}

#[test]
fn a_good_launch_loses_nothing() {
    let findings = case(Fault::KillGateway, Level::None).judge();
    assert_eq!((findings.ending, findings.acknowledged, findings.lost), (Ending::Whole, 2, 0));
    assert!(findings.broken.is_empty(), "{:?}", findings.broken);
    assert_eq!(findings.observed.outcomes["won"], 2);
}

#[test]
fn a_loss_breaks_the_guarantee_of_its_level_or_is_only_counted() {
    for (level, promised) in [(Level::None, false), (Level::Aof, true)] {
        let mut case = case(Fault::KillPrimary, level);
        case.journal.pop();
        case.serving = Err("fenced".into());
        let findings = case.judge();
        assert_eq!((findings.ending, findings.lost), (Ending::Fenced, 1));
        assert_eq!(!findings.broken.is_empty(), promised, "{:?}", findings.broken);
    }
}

#[test]
fn a_sale_that_goes_on_without_what_it_lost_is_broken() {
    let mut case = case(Fault::KillPrimary, Level::None);
    case.journal.pop();
    let findings = case.judge();
    assert_eq!((findings.ending, findings.broken.len()), (Ending::WentOn, 1));
}

#[test]
fn a_car_sold_twice_is_counted_and_allowed_only_between_two_primaries() {
    for (fault, allowed) in [(Fault::FailoverByHand, false), (Fault::CutPrimary, true)] {
        let mut case = case(fault, Level::Fsync);
        // Bob's reservation was lost, and its car sold again.
        case.journal[1] = line(3, "reserve", "c", 2);
        let findings = case.judge();
        assert_eq!((findings.lost, findings.beyond_stock), (1, 1));
        assert_eq!(findings.broken.is_empty(), allowed, "{:?}", findings.broken);
        // A cancelled reservation does not count, whether or not the ledger has the cancel.
        case.history[1].cancel = Step::Done;
        assert_eq!(case.judge().beyond_stock, 0);
    }
}

#[test]
fn a_sale_that_is_fenced_without_a_loss_is_broken() {
    let mut case = case(Fault::KillGateway, Level::Fsync);
    case.serving = Err("not ready".into());
    assert_eq!(case.judge().broken.len(), 1);
}

#[test]
fn replayed_changes_count_and_numbers_may_jump_where_changes_are_lost() {
    let mut case = case(Fault::KillPrimary, Level::None);
    case.journal.push("{\"id\":\"4-0\",\"kind\":\"adopt\",\"replayed\":2,\"lost\":0}\n".into());
    case.verdict = Some(broke(Rule::NumbersInOrder));
    let findings = case.judge();
    assert_eq!((findings.ending, findings.replayed, findings.broken.len()), (Ending::Replayed, 2, 1));
    case.journal.insert(1, line(3, "lost", "", 0));
    assert!(case.judge().broken.is_empty());
}

#[test]
fn lost_confirms_cancels_and_amendments_are_counted() {
    let mut case = case(Fault::KillPrimary, Level::None);
    case.history[0].confirm = Step::Done;
    case.history[1].cancel = Step::Done;
    let shown = Some(hold("b", 2, 2));
    case.history[1].amends.push(Amend {
        reservation: "b".into(),
        wanted: WantedChange::default(),
        step: Step::Done,
        shown,
    });
    assert_eq!(case.judge().lost_changes, 3);
    case.journal.extend([line(4, "confirm", "a", 1), line(5, "cancel", "b", 2)]);
    assert_eq!(case.judge().lost_changes, 1);
}

#[test]
fn a_tap_sent_after_another_was_acknowledged_has_the_higher_number() {
    let mut case = case(Fault::KillGateway, Level::None);
    case.history[1] = history("bob", Outcome::Won, Some(("b", 2)), 1, 2);
    assert_eq!(case.judge().broken, ["ada has number 1, but tapped after number 2 was acknowledged to bob"]);
    // At the same time either may be the first.
    case.history[1] = history("bob", Outcome::Won, Some(("b", 2)), 1, 10);
    assert!(case.judge().broken.is_empty());
}

#[test]
fn what_loadtest_finds_counts_unless_a_loss_or_the_clock_explains_it() {
    let mut case = case(Fault::ClockBack, Level::Fsync);
    case.verdict = Some(broke(Rule::SoldOutWasTrue));
    assert!(case.judge().broken.is_empty());
    case.verdict = Some(broke(Rule::PerBuyer));
    assert_eq!(case.judge().broken.len(), 1);
    case.verdict = None;
    assert_eq!(case.judge().broken, ["loadtest reached no verdict"]);
    case.verdict = Some(verdict(Word::Fail, Vec::new()));
    assert_eq!(case.judge().broken, ["loadtest: FAIL: …"]);
}

#[test]
fn unanswered_taps_while_all_is_up_are_broken() {
    let mut case = case(Fault::KillGateway, Level::None);
    case.history[2].outcome = Some(Outcome::Unknown);
    assert_eq!(case.judge().broken.len(), 1);
}
