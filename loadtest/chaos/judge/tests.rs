//! Every rule of the judgement, broken once.

use super::*;
use crate::faults::{Fault, Level};
use crate::load::{Amend, ExchangeLog, Violation};
use crate::schedule;

/// A launch that three buyers came to, on a sale of two cars: two won, one was told that all is gone.
struct Case {
    launch: Launch,
    history: Vec<TapHistory>,
    verdict: Option<Verdict>,
    journal: Vec<String>,
    stock: u64,
    well: Result<(), String>,
}

fn line(id: u64, kind: &str, reservation: &str, number: u64) -> String {
    format!(
        "{{\"id\":\"{id}-0\",\"kind\":\"{kind}\",\"reservation\":\"{reservation}\",\"number\":{number},\"version\":1,\
         \"model\":\"white\",\"packages\":[],\"store\":null}}\n"
    )
}

fn history(buyer: &str, outcome: &str, hold: Option<(&str, u64)>, asked_s: i64, heard_s: i64) -> TapHistory {
    let holds = hold.map(|(id, number)| Hold { id: id.into(), number, version: 1, model: "white".into() });
    let status = if holds.is_some() { "201" } else { "409" };
    let exchange = Exchange {
        at: jiff::Timestamp::from_second(asked_s).unwrap(),
        took_ms: (heard_s - asked_s) as f64 * 1000.0,
        request: "POST /v1/sales/chaos/reservations Idempotency-Key: k {}".into(),
        answer: format!("{status} {{}}"),
    };
    TapHistory {
        buyer: buyer.into(),
        outcome: Some(outcome.into()),
        holds: holds.into_iter().collect(),
        log: ExchangeLog { exchanges: vec![exchange], lost: 0 },
        ..TapHistory::default()
    }
}

fn passed() -> Verdict {
    Verdict { verdict: "PASS".into(), reasons: Vec::new(), violations: Vec::new() }
}

fn broke(rule: &str) -> Verdict {
    let violation = Violation { rule: rule.into(), buyer: "ada".into(), what: "…".into() };
    Verdict { verdict: "FAIL".into(), reasons: vec!["…".into()], violations: vec![violation] }
}

fn case(fault: Fault, level: Level) -> Case {
    Case {
        launch: schedule::round(1, 1, &[fault], &[level]).remove(0),
        history: vec![
            history("ada", "won", Some(("a", 1)), 10, 11),
            history("bob", "won", Some(("b", 2)), 20, 21),
            history("cyd", "sold_out", None, 30, 31),
        ],
        verdict: Some(passed()),
        journal: vec![line(2, "reserve", "a", 1), line(3, "reserve", "b", 2)],
        stock: 2,
        well: Ok(()),
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
            well: &self.well,
        })
    }
}

#[test]
fn a_good_launch_is_whole() {
    let findings = case(Fault::KillGateway, Level::None).judge();
    assert_eq!((findings.ending, findings.acknowledged, findings.lost), (Ending::Whole, 2, 0));
    assert!(findings.broken.is_empty(), "{:?}", findings.broken);
    assert_eq!(findings.observed.outcomes["won"], 2);
}

#[test]
fn a_loss_is_broken_where_the_level_promises_none_and_counted_where_it_does_not() {
    for (level, promised) in [(Level::None, false), (Level::Aof, true)] {
        let mut case = case(Fault::KillPrimary, level);
        case.journal.pop();
        case.well = Err("it stands still".into());
        let findings = case.judge();
        assert_eq!((findings.ending, findings.lost), (Ending::StandsStill, 1));
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
fn a_car_that_is_promised_twice_is_counted_and_allowed_only_between_two_primaries() {
    for (fault, allowed) in [(Fault::FailoverByHand, false), (Fault::CutPrimary, true)] {
        let mut case = case(fault, Level::Fsync);
        // Bob's was lost, and sold to somebody else.
        case.journal[1] = line(3, "reserve", "c", 2);
        let findings = case.judge();
        assert_eq!((findings.lost, findings.beyond_stock), (1, 1));
        assert_eq!(findings.broken.is_empty(), allowed, "{:?}", findings.broken);
        // What was given back is promised to nobody, whether or not the ledger knows of it.
        case.history[1].cancel = Step::Done;
        assert_eq!(case.judge().beyond_stock, 0);
    }
}

#[test]
fn a_sale_that_is_fenced_without_a_loss_is_broken() {
    let mut case = case(Fault::KillGateway, Level::Fsync);
    case.well = Err("not ready".into());
    assert_eq!(case.judge().broken.len(), 1);
}

#[test]
fn replayed_changes_count_and_numbers_may_jump_where_changes_are_lost() {
    let mut case = case(Fault::KillPrimary, Level::None);
    case.journal.push("{\"id\":\"4-0\",\"kind\":\"adopt\",\"replayed\":2,\"lost\":0}\n".into());
    case.verdict = Some(broke("numbers-in-order"));
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
    let shown = Hold { id: "b".into(), number: 2, version: 2, model: "white".into() };
    case.history[1].amends.push(Amend { shown: Some(shown) });
    assert_eq!(case.judge().lost_changes, 3);
    case.journal.extend([line(4, "confirm", "a", 1), line(5, "cancel", "b", 2)]);
    assert_eq!(case.judge().lost_changes, 1);
}

#[test]
fn a_tap_sent_after_another_was_acknowledged_has_the_higher_number() {
    let mut case = case(Fault::KillGateway, Level::None);
    case.history[1] = history("bob", "won", Some(("b", 2)), 1, 2);
    assert_eq!(case.judge().broken, ["ada has number 1 and asked after bob was told of number 2"]);
    // At the same time either may be the first.
    case.history[1] = history("bob", "won", Some(("b", 2)), 1, 10);
    assert!(case.judge().broken.is_empty());
}

#[test]
fn what_loadtest_finds_counts_unless_a_loss_or_the_clock_explains_it() {
    let mut case = case(Fault::ClockBack, Level::Fsync);
    case.verdict = Some(broke("sold-out-was-true"));
    assert!(case.judge().broken.is_empty());
    case.verdict = Some(broke("per-buyer"));
    assert_eq!(case.judge().broken.len(), 1);
    case.verdict = None;
    assert_eq!(case.judge().broken, ["loadtest came to no verdict"]);
    case.verdict = Some(Verdict { violations: Vec::new(), ..broke("") });
    assert_eq!(case.judge().broken, ["loadtest says FAIL: …"]);
}

#[test]
fn unanswered_taps_while_all_is_up_are_broken() {
    let mut case = case(Fault::KillGateway, Level::None);
    case.history[2].outcome = Some("unknown".into());
    assert_eq!(case.judge().broken.len(), 1);
}
