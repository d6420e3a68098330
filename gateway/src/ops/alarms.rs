//! Finds the alarms of this gateway, which its report sends to the fleet and to every live page.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::draw::DrawStage;
use crate::domain::rfc3339::rfc3339;
use crate::domain::sale::{Condition, LedgerStop, Phase};
use crate::fleet::alarm::{Alarm, Level};
use crate::ops::status::GatewayStatus;
use crate::ops::thresholds::{
    DRAW_NEAR, DRAW_STALLED, HOLDS_OVERDUE, OPENING_AT_HAND, OPENING_NEAR, READ_MODEL_STALE,
};
use crate::projection::read_model::Sale;
use crate::telemetry::labels::User;
use crate::telemetry::metrics::{AnswerCounts, AuditSummary};

/// Alarms of one gateway, at most; the worst come first.
const ALARMS_MAX: usize = 16;
/// Seconds over which failed responses are counted.
const RECENT_LOOKS: usize = 10;
/// With fewer requests, their headers are no evidence of an unlisted proxy.
const UNLISTED_MIN: u64 = 20;
/// Redis counts as away after this time without a reply on any connection for taps: longer than a failed attempt and
/// the next one.
const REDIS_SILENT: Duration = Duration::from_secs(1);
/// Items that one alarm names.
const NAMED_MAX: usize = 3;

/// Failed responses to taps in the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// Won taps.
    pub won: u64,
    /// Shed although valid: 503, nothing done.
    pub shed: u64,
    /// Outcome unknown: 503.
    pub unknown: u64,
    /// Internal errors: 500.
    pub internal: u64,
    /// Requests of any route whose forwarding header was ignored.
    pub forwarded_ignored: u64,
    /// All requests.
    pub all: u64,
    /// The seconds that these counts cover.
    pub seconds: usize,
}

/// The counts of the last seconds, one entry a second.
#[derive(Debug, Clone, Default)]
pub struct Recents(VecDeque<AnswerCounts>);

impl Recents {
    /// Records the counts so far.
    pub fn note(&mut self, answers: &AnswerCounts) {
        if self.0.len() > RECENT_LOOKS {
            self.0.pop_front();
        }
        self.0.push_back(answers.clone());
    }

    /// The difference between the newest and the oldest entry.
    pub fn counts(&self) -> Recent {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return Recent::default();
        };
        let new = last.since(first);
        let of = |outcome: &str| {
            let counts = new.counts.iter().filter(|(route, found, _)| {
                // Internal errors count on every route, the others on taps only.
                *found == outcome && (*route == "reserve" || outcome == "internal")
            });
            counts.map(|(_, _, count)| count).sum()
        };
        Recent {
            won: of("won"),
            shed: of("temporary-reduced-capacity"),
            unknown: of("outcome-unknown"),
            internal: of("internal"),
            forwarded_ignored: new.forwarded_ignored,
            all: new.counts.iter().map(|(_, _, count)| count).sum(),
            seconds: RECENT_LOOKS,
        }
    }
}

/// Whether the share of requests with an ignored forwarding header points to a proxy that is missing in
/// `--trusted-proxies`: single clients send such headers, too.
pub fn is_proxy_unlisted(forwarded_ignored: u64, all: u64) -> bool {
    forwarded_ignored >= UNLISTED_MIN && forwarded_ignored.saturating_mul(2) > all
}

/// What to do about a ledger that does not balance.
const AUDIT_IT: &str = "Pause the sale and run `gateway audit`.";

/// All alarms of this gateway, the worst first; `reasons`: why it is not ready.
pub fn of_gateway(status: &GatewayStatus, reasons: &[String], recent: Recent, now: Instant) -> Vec<Alarm> {
    let mut alarms = Vec::from_iter(redis_useless(status));
    alarms.extend(status.checks.alarms(now));
    for id in status.sales.unread(now) {
        let text = format!(
            "The sale {id} is in Redis and can't be read. Check the log and run `gateway audit {id}`."
        );
        alarms.push(Alarm::new(Level::Fault, "sale-unread", text).of(&id));
    }
    for sale in status.sales.all() {
        of_sale(&mut alarms, &sale, status.audit_of(&sale), reasons, now);
    }
    if !reasons.is_empty() {
        alarms.push(Alarm::new(Level::Warning, "not-ready", format!("Not ready: {}.", reasons.join("; "))));
    }
    let Recent { won, shed, unknown, internal, forwarded_ignored, all, seconds } = recent;
    // More taps than can be decided are no incident while the sale sells.
    let shed = if won > 0 { 0 } else { shed };
    if is_proxy_unlisted(forwarded_ignored, all) {
        let text = format!(
            "Buyers who share an address share its limits (429): {forwarded_ignored} of {all} requests of the last {seconds} s \
             have Forwarded or X-Forwarded-For, which is ignored, since --trusted-proxies does not list where they come \
             from. List the proxies in front."
        );
        alarms.push(Alarm::new(Level::Warning, "proxy-unlisted", text));
    }
    let bug = "Requests failed with an internal error (500); look up their ids in the log";
    for (count, level, name, what) in [
        (internal, Level::Fault, "bug", bug),
        (unknown, Level::Warning, "outcome-unknown", "Taps got no outcome in time (503 outcome-unknown)"),
        (shed, Level::Warning, "shedding", "No tap won, and taps were shed undecided (503, nothing done)"),
    ] {
        if count > 0 {
            alarms.push(Alarm::new(level, name, format!("{what}, in the last {seconds} s")).times(count));
        }
    }
    alarms.sort_by_key(|alarm| alarm.level);
    alarms.truncate(ALARMS_MAX);
    alarms
}

/// All taps need these connections: without them nothing is sold, and most other alarms follow from it.
fn redis_useless(status: &GatewayStatus) -> Option<Alarm> {
    let uses = status.metrics.redis_uses();
    let batches: Vec<_> = uses.iter().filter(|(user, _)| *user == User::Batches).map(|(_, of)| of).collect();
    let reason = batches.iter().find_map(|of| of.stalled(REDIS_SILENT).filter(|_| !of.is_up())?.reason)?;
    let is_gone = batches.iter().all(|of| !of.is_up() && of.stalled(REDIS_SILENT).is_some());
    is_gone.then(|| {
        // It answers (`min-replicas-to-write`).
        if reason.contains("NOREPLICAS") {
            let text = "Redis takes no writes, because too few replicas follow it: nothing is sold. Bring the replicas back. \
                Pause, freeze and close work meanwhile; check them after a failover.";
            return Alarm::new(Level::Fault, "redis-no-replicas", text);
        }
        let text = format!(
            "Redis can't be reached: nothing is sold ({reason}). Check the Redis process, its host and the network."
        );
        Alarm::new(Level::Fault, "redis-unreachable", text)
    })
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
        let what = match sale.ledger_stop() {
            Some(LedgerStop::Fenced) => "The sale is fenced, buyers can't reserve",
            Some(LedgerStop::Halted) => "The sale is halted, buyers can't reserve",
            None => "The journal can't be followed, refusals are late",
        };
        add(Level::Fault, "ledger-fault", format!("{what}: {}.", fault.trim_end_matches('.')));
    }
    if sale.condition() == Condition::Paused {
        let (by, at, reason) = match &sale.read_model().actions.paused {
            Some(pause) => {
                let reason = pause.reason.as_deref().map_or("no reason given", |reason| reason);
                (pause.by.clone(), format!(" at {}", rfc3339(pause.at)), format!(" ({reason})"))
            }
            None => ("an operator".to_owned(), String::new(), String::new()),
        };
        let text = format!(
            "Every tap is refused: {by} paused the sale{at}{reason}. Resume it if the reason is over."
        );
        add(Level::Fault, "sale-paused", text);
    }
    if let Some(drift) = sale.drift() {
        add(Level::Fault, "ledger-drift", format!("The ledger drifts: {drift}. {AUDIT_IT}"));
    }
    if let Some(problem) = audited.and_then(|audited| audited.problem) {
        add(Level::Fault, "audit-drift", format!("The last audit found drift: {problem}. {AUDIT_IT}"));
    }
    let read_model = sale.read_model();
    let below: Vec<String> =
        read_model.oversold().map(|(item, units)| format!("{item} by {units}")).collect();
    if !below.is_empty() {
        let more = below.len().saturating_sub(NAMED_MAX);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = below[..below.len() - more].join(", ");
        add(Level::Fault, "oversold", format!("Oversold: {named}{rest}. {AUDIT_IT}"));
    }
    let (overdue, count) = sale.tick_status().overdue();
    if overdue > HOLDS_OVERDUE {
        let seconds = overdue.as_secs();
        let text = format!(
            "At least {count} holds expired up to {seconds} s ago and were not swept: their stock is not free again. \
             Check the log of the gateways for the expiry sweeper."
        );
        add(Level::Fault, "holds-overdue", text);
    }
    let (time, age) = (sale.best_time(), sale.incomplete_for(now));
    // A stale read model of a closed sale harms no buyer.
    if age > READ_MODEL_STALE && read_model.phase(time) != Phase::Closed {
        let seconds = age.as_secs_f64();
        let text = format!(
            "The read model is {seconds:.1} s old: Redis is slow or unreachable. Check its load, and the network."
        );
        add(Level::Fault, "snapshot-stale", text);
    }
    let until = Duration::from_millis(u64::try_from(read_model.controls.opens - time).unwrap_or(0));
    if read_model.phase(time) == Phase::Upcoming && until <= OPENING_NEAR {
        let mut missing = reasons.to_vec();
        let has_no_stock = |index: usize| read_model.totals[index].is_some() && read_model.free[index] <= 0;
        let controls = [
            (read_model.controls.paused, "the sale is paused"),
            (read_model.controls.frozen, "the sale clock is frozen"),
            (sale.time(now).is_none(), "Redis's clock was not read"),
            // The allocation of a draw may take all that there is.
            (
                time < read_model.controls.opens
                    && (0..read_model.catalogue.definition.models.len()).all(has_no_stock),
                "no model has any stock",
            ),
        ];
        missing.extend(controls.iter().filter(|(is_so, _)| *is_so).map(|(_, text)| (*text).to_owned()));
        if !missing.is_empty() {
            let level = if until <= OPENING_AT_HAND { Level::Fault } else { Level::Warning };
            let text = format!("It opens in {} s and is not ready: {}.", until.as_secs(), missing.join("; "));
            add(level, "opening-not-ready", text);
        }
    }
    if let Some((level, name, text)) = of_draw(sale, time, now) {
        add(level, name, text);
    }
}

/// A draw that is late, or whose allocation stands still.
fn of_draw(sale: &Sale, time: i64, now: Instant) -> Option<(Level, &'static str, String)> {
    let (id, read_model) = (&sale.id, sale.read_model());
    let entrants = read_model.entrants();
    if let Some(stalled) = sale.allocation_stalled(now).filter(|stalled| *stalled >= DRAW_STALLED) {
        let (allocated, seconds) = (read_model.allocated, stalled.as_secs());
        let text = format!(
            "Entrants of the draw get nothing: {allocated} of {entrants} are allocated, and no more since {seconds} s. Run \
             `gateway audit {id}`, and check the log of the gateways."
        );
        return Some((Level::Fault, "draw-stuck", text));
    }
    let todo = match read_model.draw_stage()? {
        DrawStage::Announced => "Its entrants are not fixed yet: check the log of the gateways",
        DrawStage::Fixed => "Run `gateway draw` with the reveal and the beacon",
        DrawStage::Drawn | DrawStage::Allocated => return None,
    };
    let is_signup_over = read_model.catalogue.definition.signup.as_ref()?.closes_at.as_millisecond() <= time;
    let left = read_model.controls.opens.saturating_sub(time);
    let is_near = u128::try_from(left).map_or(true, |left| left < DRAW_NEAR.as_millis());
    if !is_signup_over || !is_near || read_model.phase(time) != Phase::Upcoming {
        return None;
    }
    let seconds = left.unsigned_abs() / 1_000;
    Some(if left > 0 {
        let text = format!("It opens in {seconds} s, and nothing is drawn. {todo}.");
        (Level::Warning, "draw-not-drawn", text)
    } else {
        let text = format!(
            "Entrants get nothing: it should have opened {seconds} s ago, and nothing is drawn. {todo}."
        );
        (Level::Fault, "draw-not-drawn", text)
    })
}

#[cfg(test)]
mod tests;
