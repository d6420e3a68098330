//! Makes up the figures, the stock and the verdicts of the tests.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::identity::{Identity, Machine, ProfileIdentity};
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::figures::{AnswerClass, Figures};
use crate::load::history::packed::PackedHistories;
use crate::proof::admin::{Audit, AuditItem};
use crate::proof::rules::{Rule, Violation};
use crate::proof::run_record::{Listener, Run, RunRecord, TargetInfo};
use crate::report::charts::Stock;
use crate::self_monitoring::Health;
use crate::threshold::Judged;
use crate::verdict::baseline::{Difference, Direction};
use crate::verdict::{Findings, Verdict};

pub(crate) const SECOND: i64 = 1_000_000;

/// A minute and a half with a rush at the opening.
pub(crate) fn rush() -> Figures {
    run(6_000, -30, 60)
}

/// So many arrivals between these seconds, two of three at the opening; the same again each time, so that a page
/// can be compared by eye.
pub(crate) fn run(arrivals: u32, from: i64, to: i64) -> Figures {
    let mut random = fastrand::Rng::with_seed(7);
    let mut figures = Figures::default();
    let ms = Duration::from_millis;
    for n in 0..arrivals {
        // Most come at once, the others look around before and after.
        let at = match n % 3 {
            0 => random.i64(from * SECOND..to * SECOND),
            _ => random.i64(0..2 * SECOND) * random.i64(0..100) / 100,
        };
        let sent = at + random.i64(100..30_000);
        figures.started(at, sent, Duration::ZERO, ms(50));
        if at < 0 {
            figures.answered("look", sent, ms(random.u64(1..9)), (200, AnswerClass::Decided));
            continue;
        }
        let took = ms(random.u64(2..40) * if at < SECOND { 12 } else { 1 });
        if at < SECOND {
            figures.tapped_at_opening(sent);
        }
        figures.answered("reserve", sent, took, (201, AnswerClass::Decided));
        let ended = sent + i64::try_from(took.as_micros()).unwrap();
        let outcome = match n {
            n if n % 97 == 0 => Outcome::Unknown,
            n if n % 31 == 0 => Outcome::Shed,
            n if n % 17 == 0 => Outcome::Limited,
            n if n % 5 == 0 => Outcome::Won,
            _ => Outcome::SoldOut,
        };
        figures.ended(Scenario::CROWD, outcome, ended, took);
        figures.journey_ended(Scenario::CROWD, at, took);
    }
    figures
}

/// Twelve items that run down and in part come back.
pub(crate) fn running_down() -> Stock {
    let mut random = fastrand::Rng::with_seed(8);
    let items = ["model:air-400-white", "model:air-400-black", "package:cover"];
    let stores = (1..=9).map(|n| format!("store:gz-{n:04}"));
    let mut stock = Stock::new();
    for (n, item) in items.map(str::to_owned).into_iter().chain(stores).enumerate() {
        let mut free = [3_000, 1_200, 5_000].get(n).copied().unwrap_or(40 + n as i64);
        let pace = (free / 40).max(1);
        let mut points = vec![(-3_600_000, free)];
        for step in 0..60 {
            free = (free - random.i64(0..=pace)).max(0);
            points.push((step * step * 15 + random.i64(0..15), free));
        }
        points.push((58_000, free + pace));
        stock.insert(item, points);
    }
    stock
}

fn identity(text: &str) -> Identity {
    Identity {
        run_id: "7k2mx0abcd".to_owned(),
        tool: "loadtest 0.1.0".to_owned(),
        command_line: format!("loadtest crowd{text}"),
        profile: ProfileIdentity { name: "built-in".to_owned(), digest: "sha256:0123456789ab".to_owned() },
        machine: Machine { hostname: "host".to_owned(), kernel: "6.1".to_owned(), cores: 2, memory_mib: 512 },
        parts: Vec::new(),
    }
}

/// Everything that a verdict can have, with this text wherever one can stand.
pub(crate) fn verdict(figures: &Figures, text: &str) -> Verdict {
    let run = Run {
        identity: identity(text),
        scenario: format!("crowd{text}"),
        sale: format!("national-good-car{text}"),
        seed: 7,
        shards: vec![format!("1/2{text}")],
        buyers: 6_000,
        buyers_of_all: 6_000,
        missing: None,
        taps: true,
        opening: Timestamp::UNIX_EPOCH,
        started_at: Timestamp::UNIX_EPOCH,
        finished_at: Timestamp::UNIX_EPOCH,
        clock_error_ms: 1.0,
        started_after: 0,
        totals_before: BTreeMap::new(),
        targets: vec![TargetInfo {
            listener: Listener::Public,
            url: format!("http://one:1{text}"),
            version: Some("0.1.0".to_owned()),
            durability: None,
        }],
        profile: toml::Table::new(),
        arrivals: None,
        ended_early: None,
        notes: vec![format!("the seed was used before{text}")],
    };
    let item = |item: &str| AuditItem {
        item: format!("{item}{text}"),
        total: Some(3_000),
        free: Some(12),
        aside: None,
        held: 40,
        confirmed: 2_948,
        drift: Some(0),
    };
    let violation = |n: usize| Violation {
        rule: Rule::AcknowledgedIsInLedger,
        buyer: Some(format!("buyer-7-{n}")),
        reservation: Some("3f2a".to_owned()),
        what: format!("number {n} was acknowledged, the ledger does not have it{text}"),
    };
    let threshold = |name: &str, met| Judged {
        threshold: format!("{name} < 250ms{text}"),
        measured: format!("470 ms{text}"),
        met,
        fault: None,
    };
    let difference = |what: &str, direction| Difference {
        what: what.to_owned(),
        before: "210 ms".to_owned(),
        now: "470 ms".to_owned(),
        direction,
        why: format!("intervals apart, 124 % more{text}"),
    };
    let findings = Findings {
        violations: (0..12).map(violation).collect(),
        unknown_held: 17,
        unfinished: None,
        thresholds: vec![threshold("winners.p99", Some(false)), threshold("losers.p99", None)],
        generator: Vec::new(),
        regressions: Vec::new(),
        baseline: vec![difference("won.p99", Direction::Worse), difference("t0_skew", Direction::Better)],
        notes: Vec::new(),
    };
    let audit = Audit {
        sequence: 9,
        verdict: "ok".to_owned(),
        items: vec![item("model:air-400-white"), item("package:cover"), item("store:gz-0001")],
        problems: Vec::new(),
    };
    let mut figures =
        Figures { gateways: Figures::of([format!("http://one:1{text}")]).gateways, ..figures.clone() };
    figures.answered_by(0, 0, Duration::from_millis(3), (200, AnswerClass::Decided));
    figures.errors.insert(format!("timeout{text}"), 3);
    figures.answered(&format!("pay{text}"), 0, Duration::from_millis(3), (200, AnswerClass::Decided));
    let health = Health { processes: 1, cores: 2, cpu_percent_mean: 41.0, ..Health::default() };
    let run_record = RunRecord::new(run, health, figures, PackedHistories::default());
    let mut verdict = Verdict::on(&run_record, &audit, &[], findings).unwrap();
    verdict.reasons = vec![format!("acknowledged-is-in-ledger 12×{text}")];
    verdict
}
