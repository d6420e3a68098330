//! Unit tests of `list.rs`.

use serde_json::json;

use super::*;
use crate::domain::policy::Policy;
use crate::domain::sale::{Availability, Condition, LedgerStop, Phase};
use crate::telemetry::taps::TapResult;

#[test]
fn names_are_unique_and_follow_prometheus_conventions() {
    let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    for metric in ALL {
        let Metric { name, kind, .. } = metric;
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), matches!(kind, MetricKind::Counter), "{name}");
        assert_eq!(metric.buckets.is_empty(), !matches!(kind, MetricKind::Histogram), "{name}");
        assert!(metric.buckets.is_sorted(), "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}");
    }
}

#[test]
fn constants_of_this_list_equal_those_of_the_program() {
    assert_eq!(POLICIES, Policy::ALL.map(Policy::name));
    assert!(ANSWER_BUCKETS.contains(&LATENCY_OBJECTIVE));
    for phase in [Phase::Upcoming, Phase::Open, Phase::Paused, Phase::SoldOut, Phase::Closed] {
        let conditions = [None, Some(LedgerStop::Fenced), Some(LedgerStop::Halted)];
        let [own, fenced, halted] = conditions.map(|stop| Condition::of(phase, stop));
        assert_eq!((json!(phase), json!(own)), (json!(own.name()), json!(Condition::NAMES[own as usize])));
        assert_eq!([fenced, halted], [Condition::Fenced, Condition::Halted]);
    }
    for condition in [Condition::Fenced, Condition::Halted] {
        assert_eq!(
            (json!(condition), condition.name()),
            (json!(condition.name()), Condition::NAMES[condition as usize])
        );
    }
    assert_eq!(TapResult::NAMES, ["won", "refused", "undecided"]);
    for availability in [Availability::InStock, Availability::Low, Availability::SoldOut] {
        assert_eq!(json!(availability), AVAILABILITIES[availability as usize]);
    }
}
