//! Finds what is wrong with this gateway: for its report to the fleet, and so for every page.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::sale::Phase;
use crate::fleet::alarm::{Alarm, Level};
use crate::ops::thresholds::{HOLDS_OVERDUE, OPENING_AT_HAND, OPENING_NEAR, READ_MODEL_STALE};
use crate::projection::read_model::{Sale, Sales};
use crate::telemetry::metrics::{AnswerCounts, AuditSummary};

/// Alarms of one gateway, at most; what comes first is worst.
const ALARMS_MAX: usize = 16;
/// Looks, a second apart, over which answers are counted that nobody likes to give.
const RECENT_LOOKS: usize = 10;
/// Fewer requests say nothing about proxies.
const UNLISTED_MIN: u64 = 20;
/// Items that one alarm names.
const NAMED_MAX: usize = 3;

/// Answers to taps of the last seconds that nobody likes to give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// Turned away although the request was right: 503, nothing done.
    pub shed: u64,
    /// Nobody knows yet.
    pub unknown: u64,
    /// A bug.
    pub internal: u64,
    /// To requests whose word on their client was ignored, whatever they asked.
    pub forwarded_ignored: u64,
    /// Of all requests.
    pub all: u64,
    /// Over how many seconds.
    pub seconds: usize,
}

/// What was counted at each of the last looks, of which there is one a second.
#[derive(Debug, Clone, Default)]
pub struct Recents(VecDeque<[u64; 5]>);

impl Recents {
    /// Notes all answers so far.
    pub fn note(&mut self, answers: &AnswerCounts) {
        let of = |outcome: &str| {
            let counts = answers.counts.iter().filter(|(route, told, _)| {
                // A bug is one whatever it was asked; the others are told of taps.
                *told == outcome && (*route == "reserve" || outcome == "internal")
            });
            counts.map(|(_, _, count)| count).sum()
        };
        if self.0.len() > RECENT_LOOKS {
            self.0.pop_front();
        }
        let [shed, unknown, internal] = ["temporary-reduced-capacity", "outcome-unknown", "internal"].map(of);
        let all = answers.counts.iter().map(|(_, _, count)| count).sum();
        self.0.push_back([shed, unknown, internal, answers.forwarded_ignored, all]);
    }

    /// What is new since the oldest of these looks.
    #[must_use]
    pub fn counts(&self) -> Recent {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return Recent::default();
        };
        let [shed, unknown, internal, forwarded_ignored, all] =
            [0, 1, 2, 3, 4].map(|n: usize| last[n].saturating_sub(first[n]));
        Recent { shed, unknown, internal, forwarded_ignored, all, seconds: RECENT_LOOKS }
    }
}

/// Whether so many requests of all were sent on by a proxy that is missing in `--trusted-proxies`: single clients send such
/// headers, too.
#[must_use]
pub fn is_proxy_unlisted(forwarded_ignored: u64, all: u64) -> bool {
    forwarded_ignored >= UNLISTED_MIN && forwarded_ignored.saturating_mul(2) > all
}

/// All that this gateway finds wrong, the worst first; `own` is what it finds in its own set-up.
#[must_use]
pub fn of_gateway(
    own: Vec<Alarm>,
    sales: &Sales,
    audited: impl Fn(&Sale) -> Option<AuditSummary>,
    reasons: &[String],
    recent: Recent,
    now: Instant,
) -> Vec<Alarm> {
    let mut alarms = own;
    for id in sales.unread() {
        let text =
            format!("The sale {id} is in Redis and can't be read. The log and `gateway audit {id}` say why.");
        alarms.push(Alarm::new(Level::Fault, "sale-unread", text).of(&id));
    }
    for sale in sales.all() {
        of_sale(&mut alarms, &sale, audited(&sale), reasons, now);
    }
    if !reasons.is_empty() {
        alarms.push(Alarm::new(Level::Warning, "not-ready", format!("Not ready: {}.", reasons.join("; "))));
    }
    let Recent { shed, unknown, internal, forwarded_ignored, all, seconds } = recent;
    if is_proxy_unlisted(forwarded_ignored, all) {
        let text = format!(
            "Buyers who share an address share its limits (429): {forwarded_ignored} of {all} requests of the last {seconds} s \
             have Forwarded or X-Forwarded-For, which is ignored, since --trusted-proxies does not list where they come \
             from. List the proxies in front."
        );
        alarms.push(Alarm::new(Level::Warning, "proxy-unlisted", text));
    }
    for (count, level, name, what) in [
        (internal, Level::Fault, "bug", "Requests met a bug (500); the log has their ids"),
        (
            unknown,
            Level::Warning,
            "outcome-unknown",
            "Buyers were told that nobody knows their outcome yet (503)",
        ),
        (shed, Level::Warning, "shedding", "Taps were turned away undecided (503, nothing done)"),
    ] {
        if count > 0 {
            alarms.push(Alarm::new(level, name, format!("{what}, in the last {seconds} s")).times(count));
        }
    }
    alarms.sort_by_key(|alarm| alarm.level);
    alarms.truncate(ALARMS_MAX);
    alarms
}

fn of_sale(
    alarms: &mut Vec<Alarm>,
    sale: &Sale,
    audited: Option<AuditSummary>,
    reasons: &[String],
    now: Instant,
) {
    let mut add = |level, name, text: String| alarms.push(Alarm::new(level, name, text).of(&sale.id));
    if let Some(fault) = sale.fault() {
        add(Level::Fault, "ledger-fault", format!("The ledger stands still: {fault}."));
    }
    if let Some(drift) = sale.drift() {
        add(Level::Fault, "ledger-drift", format!("The ledger drifts: {drift}."));
    }
    if let Some(problem) = audited.and_then(|audited| audited.problem) {
        add(Level::Fault, "audit-drift", format!("The last audit found drift: {problem}."));
    }
    let read_model = sale.read_model();
    let below: Vec<String> =
        read_model.oversold().map(|(item, units)| format!("{item} by {units}")).collect();
    if !below.is_empty() {
        let more = below.len().saturating_sub(NAMED_MAX);
        let mut text = format!("Oversold: {}", below[..below.len() - more].join(", "));
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
        text.push('.');
        add(Level::Fault, "oversold", text);
    }
    let (overdue, count) = sale.sweep_status().overdue();
    if overdue > HOLDS_OVERDUE {
        let told = overdue.as_secs();
        let text = format!(
            "At least {count} holds are due for {told} s and were not swept: their stock does not come back."
        );
        add(Level::Fault, "holds-overdue", text);
    }
    let (time, age) = (sale.best_time(), sale.incomplete_for(now));
    // Of a sale that is over nobody waits for news.
    if age > READ_MODEL_STALE && read_model.phase(time) != Phase::Closed {
        let told = age.as_secs_f64();
        let text = format!("What is known of the ledger is {told:.1} s old: Redis is slow or away.");
        add(Level::Fault, "snapshot-stale", text);
    }
    let until = Duration::from_millis(u64::try_from(read_model.controls.opens - time).unwrap_or(0));
    if read_model.phase(time) == Phase::Upcoming && until <= OPENING_NEAR {
        let mut missing = reasons.to_vec();
        let controls = [
            (read_model.controls.paused, "the sale is paused"),
            (read_model.controls.frozen, "the sale clock is frozen"),
        ];
        missing.extend(controls.iter().filter(|(is_set, _)| *is_set).map(|(_, text)| (*text).to_owned()));
        if sale.time(now).is_none() {
            missing.push("Redis's clock is not known".to_owned());
        }
        let models = read_model.catalogue.definition.models.len();
        if (0..models).all(|place| read_model.totals[place].is_some_and(|_| read_model.free[place] <= 0)) {
            missing.push("no model has any stock".to_owned());
        }
        if !missing.is_empty() {
            let level = if until <= OPENING_AT_HAND { Level::Fault } else { Level::Warning };
            let text = format!("It opens in {} s and is not ready: {}.", until.as_secs(), missing.join("; "));
            add(level, "opening-not-ready", text);
        }
    }
}

#[cfg(test)]
mod tests;
