//! Owns the verdict: how it is come to, what verdict.json says and the exit code.

use crate::Failure;
use crate::admin::{Audit, AuditItem};
use crate::ledger::Change;
use crate::reconcile::Violation;
use crate::told::{Exchange, Outcome, Told};
use hdrhistogram::Histogram;
use jiff::{Timestamp, Unit};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Word {
    Pass,
    Fail,
    NothingProved,
}

/// verdict.json.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) verdict: Word,
    /// Why it is not PASS.
    pub(crate) reasons: Vec<String>,
    /// What to know before believing the figures.
    pub(crate) notes: Vec<String>,
    pub(crate) sale: String,
    pub(crate) buyers: usize,
    pub(crate) opened_at: Timestamp,
    /// How late after the common tap the buyers' first requests left.
    pub(crate) tap_skew_ms: Quantiles,
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    /// Of the unknown outcomes, how many the ledger shows as reservations.
    pub(crate) unknown_held: u64,
    pub(crate) latency_ms: Latencies,
    pub(crate) retries: u64,
    pub(crate) items: Vec<AuditItem>,
    pub(crate) stores: Option<Stores>,
    pub(crate) violations_total: usize,
    pub(crate) violations: Vec<ViolationReport>,
    pub(crate) seed: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// From tap to outcome with all retries, and each reservation request by itself.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latencies {
    pub(crate) won: Quantiles,
    pub(crate) lost: Quantiles,
    pub(crate) request: Quantiles,
}

/// The slots of all stores that have a limit together: free + held + confirmed − total = drift.
/// Apart from them, what is taken of stores without a limit: it is in no equation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Stores {
    pub(crate) total: i64,
    pub(crate) free: i64,
    pub(crate) held: i64,
    pub(crate) confirmed: i64,
    pub(crate) drift: i64,
    pub(crate) unlimited_held: i64,
    pub(crate) unlimited_confirmed: i64,
    pub(crate) unlimited_drift: i64,
}

/// A violation with everything that its buyer was told and what the ledger says of him.
#[derive(Debug, Serialize)]
pub(crate) struct ViolationReport {
    #[serde(flatten)]
    pub(crate) violation: Violation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<Exchange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ledger: Vec<String>,
}

/// What the run was, apart from how it went.
pub(crate) struct Run {
    pub(crate) sale: String,
    pub(crate) seed: u64,
    pub(crate) opened_at: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) notes: Vec<String>,
}

/// Beyond this more violations of one rule tell nothing new, and would hide those of another.
const PER_RULE_MAX: usize = 10;
/// So many buyers' histories are shown.
const HISTORIES_MAX: usize = 20;
/// Longer than any run.
const HIGHEST_US: u64 = 24 * 3600 * 1_000_000;

impl Verdict {
    /// The verdict on a run whose load was sent.
    pub(crate) fn on(
        run: Run,
        told: &[Told],
        audit: &Audit,
        changes: &[Change],
        violations: Vec<Violation>,
        unknown_held: u64,
    ) -> Verdict {
        let outcomes = count(told);
        let (verdict, reasons) = judge(&outcomes, unknown_held, &violations);
        let waits = |wanted: fn(Outcome) -> bool| {
            quantiles(
                told.iter().filter(|told| told.outcome.is_some_and(wanted)).filter_map(|told| told.waited),
            )
        };
        let (stores, items) = audit.items.iter().cloned().partition(|item| item.item.starts_with("store:"));
        Verdict {
            verdict,
            reasons,
            notes: run.notes,
            sale: run.sale,
            buyers: told.len(),
            opened_at: run.opened_at,
            tap_skew_ms: quantiles(told.iter().filter_map(|told| told.skew)),
            outcomes,
            unknown_held,
            latency_ms: Latencies {
                won: waits(Outcome::holds),
                lost: waits(|outcome| {
                    matches!(outcome, Outcome::SoldOut | Outcome::PurchaseLimit | Outcome::Refused)
                }),
                request: quantiles(told.iter().flat_map(|told| told.requests.iter().copied())),
            },
            retries: told.iter().map(|told| told.retries).sum(),
            items,
            stores: sum(&stores),
            violations_total: violations.len(),
            violations: with_histories(violations, told, changes),
            seed: run.seed,
            started_at: run.started_at,
            finished_at: now(),
        }
    }

    /// The verdict on a run that was not worth starting.
    pub(crate) fn nothing_proved(run: Run, buyers: usize, reason: String) -> Verdict {
        Verdict {
            verdict: Word::NothingProved,
            reasons: vec![reason],
            notes: run.notes,
            sale: run.sale,
            buyers,
            opened_at: run.opened_at,
            tap_skew_ms: Quantiles::default(),
            outcomes: count(&[]),
            unknown_held: 0,
            latency_ms: Latencies::default(),
            retries: 0,
            items: Vec::new(),
            stores: None,
            violations_total: 0,
            violations: Vec::new(),
            seed: run.seed,
            started_at: run.started_at,
            finished_at: now(),
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self.verdict {
            Word::Pass => 0,
            Word::Fail => 1,
            Word::NothingProved => 4,
        }
    }

    /// Writes verdict.json.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Failure> {
        let path = dir.join("verdict.json");
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::Outside(error.to_string()))?;
        std::fs::write(&path, text + "\n")
            .map_err(|error| Failure::Outside(format!("{}: {error}", path.display())))
    }
}

/// The present time, as fine as the contract writes times.
pub(crate) fn now() -> Timestamp {
    to_the_ms(Timestamp::now())
}

/// Finer than milliseconds would be a pretence for a clock that is read over the network.
pub(crate) fn to_the_ms(time: Timestamp) -> Timestamp {
    time.round(Unit::Millisecond).unwrap_or(time)
}

fn judge(
    outcomes: &BTreeMap<&'static str, u64>,
    unknown_held: u64,
    violations: &[Violation],
) -> (Word, Vec<String>) {
    if !violations.is_empty() {
        let mut rules = BTreeMap::<_, usize>::new();
        violations.iter().for_each(|violation| *rules.entry(violation.rule).or_default() += 1);
        return (Word::Fail, rules.into_iter().map(|(rule, n)| format!("{rule:?} {n}×")).collect());
    }
    let of = |wanted: fn(Outcome) -> bool| -> u64 {
        Outcome::ALL
            .iter()
            .filter(|(outcome, _)| wanted(*outcome))
            .filter_map(|(_, name)| outcomes.get(name))
            .sum()
    };
    if of(Outcome::decided) == 0 {
        return (Word::NothingProved, vec!["no tap was ever decided".to_owned()]);
    }
    if of(Outcome::holds) + unknown_held == 0 {
        return (Word::NothingProved, vec!["nobody won anything".to_owned()]);
    }
    (Word::Pass, Vec::new())
}

fn count(told: &[Told]) -> BTreeMap<&'static str, u64> {
    Outcome::ALL
        .iter()
        .map(|(outcome, name)| {
            (*name, told.iter().filter(|told| told.outcome == Some(*outcome)).count() as u64)
        })
        .collect()
}

fn quantiles(durations: impl Iterator<Item = Duration>) -> Quantiles {
    // Three digits are more than a shared machine is steady to; the bounds are valid.
    let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, HIGHEST_US, 3) else {
        return Quantiles::default();
    };
    for duration in durations {
        histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(HIGHEST_US));
    }
    if histogram.is_empty() {
        return Quantiles::default();
    }
    let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Quantiles { p50: ms(0.5), p99: ms(0.99), p999: ms(0.999), max: histogram.max() as f64 / 1000.0 }
}

fn sum(stores: &[AuditItem]) -> Option<Stores> {
    let mut sum = Stores::default();
    for store in stores {
        let drift = store.drift.unwrap_or(0);
        match (store.total, store.free) {
            (Some(total), Some(free)) => {
                sum.drift += drift;
                sum.total += total;
                sum.free += free;
                sum.held += store.held;
                sum.confirmed += store.confirmed;
            }
            _ => {
                sum.unlimited_drift += drift;
                sum.unlimited_held += store.held;
                sum.unlimited_confirmed += store.confirmed;
            }
        }
    }
    (!stores.is_empty()).then_some(sum)
}

fn with_histories(violations: Vec<Violation>, told: &[Told], changes: &[Change]) -> Vec<ViolationReport> {
    let by_buyer: HashMap<&str, &Told> = told.iter().map(|told| (told.buyer.as_str(), told)).collect();
    let mut shown = HashSet::new();
    let mut of_rule = BTreeMap::<_, usize>::new();
    violations
        .into_iter()
        .filter(|violation| {
            let n = of_rule.entry(violation.rule).or_default();
            *n += 1;
            *n <= PER_RULE_MAX
        })
        .map(|violation| {
            let buyer = violation.buyer.clone().unwrap_or_default();
            // A buyer's history is shown once, with the first of his violations.
            let first = !buyer.is_empty() && shown.len() < HISTORIES_MAX && shown.insert(buyer.clone());
            let history = by_buyer
                .get(buyer.as_str())
                .filter(|_| first)
                .map(|told| told.history.exchanges.clone())
                .unwrap_or_default();
            let ledger = match first {
                true => changes.iter().filter(|change| change.buyer == buyer).map(Change::describe).collect(),
                false => Vec::new(),
            };
            ViolationReport { violation, history, ledger }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Rule;

    fn outcomes(of: &[(&'static str, u64)]) -> BTreeMap<&'static str, u64> {
        of.iter().copied().collect()
    }

    fn violation() -> Violation {
        Violation {
            rule: Rule::NotOversold,
            buyer: Some("b".to_owned()),
            reservation: None,
            what: String::new(),
        }
    }

    #[test]
    fn a_violation_fails_whatever_else_there_is() {
        assert_eq!(judge(&outcomes(&[("won", 5)]), 0, &[violation()]).0, Word::Fail);
        assert_eq!(judge(&outcomes(&[]), 0, &[violation()]).0, Word::Fail);
    }

    #[test]
    fn a_run_without_decisions_or_winners_proves_nothing() {
        assert_eq!(judge(&outcomes(&[("unknown", 9), ("shed", 1)]), 0, &[]).0, Word::NothingProved);
        assert_eq!(judge(&outcomes(&[("sold_out", 9)]), 0, &[]).0, Word::NothingProved);
        assert_eq!(judge(&outcomes(&[("sold_out", 9), ("won", 1)]), 0, &[]).0, Word::Pass);
        assert_eq!(judge(&outcomes(&[("sold_out", 9), ("unknown", 1)]), 1, &[]).0, Word::Pass);
    }

    #[test]
    fn many_violations_of_one_rule_do_not_hide_another() {
        let mut many: Vec<_> = (0..500).map(|_| violation()).collect();
        let other = Violation { rule: Rule::AcknowledgedIsInLedger, ..violation() };
        many.push(other);
        let kept = with_histories(many, &[], &[]);
        assert_eq!(kept.len(), PER_RULE_MAX + 1);
        assert!(kept.iter().any(|kept| kept.violation.rule == Rule::AcknowledgedIsInLedger));
    }

    #[test]
    fn quantiles_are_milliseconds() {
        let quantiles = quantiles((1..=1000).map(Duration::from_millis));
        assert!((quantiles.p50 - 500.0).abs() < 2.0 && (quantiles.max - 1000.0).abs() < 2.0);
    }

    #[test]
    fn a_verdict_has_the_members_that_were_promised() {
        let run = Run {
            sale: "s".to_owned(),
            seed: 1,
            opened_at: Timestamp::UNIX_EPOCH,
            started_at: Timestamp::UNIX_EPOCH,
            notes: vec![],
        };
        let audited = |item: &str| AuditItem {
            item: item.to_owned(),
            total: Some(3),
            free: Some(1),
            held: 1,
            confirmed: 1,
            drift: Some(0),
        };
        let unlimited = AuditItem { total: None, free: None, ..audited("store:z") };
        let items = vec![audited("model:a"), audited("store:x"), audited("store:y"), unlimited];
        let audit = Audit { sequence: 1, verdict: "balanced".to_owned(), items, problems: vec![] };
        let verdict = Verdict::on(run, &[], &audit, &[], vec![violation()], 0);
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["verdict"], "FAIL");
        assert_eq!(json["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            json["stores"],
            serde_json::json!({"total": 6, "free": 2, "held": 2, "confirmed": 2, "drift": 0,
                "unlimited_held": 1, "unlimited_confirmed": 1, "unlimited_drift": 0})
        );
        assert_eq!(json["violations"][0]["rule"], "not-oversold");
        for (_, name) in Outcome::ALL {
            assert_eq!(json["outcomes"][name], 0, "{name}");
        }
        for path in
            ["/latency_ms/won/p999", "/latency_ms/lost/max", "/tap_skew_ms/p50", "/opened_at", "/retries"]
        {
            assert!(json.pointer(path).is_some(), "{path}");
        }
        assert_eq!(verdict.exit_code(), 1);
    }
}
