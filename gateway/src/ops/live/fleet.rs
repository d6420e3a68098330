//! The fleet over time: rates, latencies and states from the report of each gateway once a second.
//!
//! Reports hold totals since the start of a gateway, so that no count is lost or doubled by late or
//! repeated reads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::fleet::alarm::{Alarm, Level};
use crate::fleet::membership::Heartbeat;
use crate::fleet::report::GatewayReport;
use crate::ops::live::frame::{GatewayNow, GatewayState};
use crate::ops::live::taps::{Groups, Latency, OutcomeNow, Quantiles, Taps};
use crate::telemetry::list::ANSWER_BUCKETS;
use crate::telemetry::record::counts_since;

/// A gateway is silent after this time without a report; after 5 s it is gone (see `lua/fleet.lua`).
const SILENT: Duration = Duration::from_secs(3);
/// How long a gone gateway raises an alarm, and how long it is listed.
const GONE_ALARM: Duration = Duration::from_secs(5 * 60);
const GONE_LISTED: Duration = Duration::from_secs(60 * 60);
/// Gateways that are listed at most.
const LISTED_MAX: usize = 64;
/// Seconds of the latency window.
pub(super) const WINDOW: usize = 10;

/// All gateways seen since this one started.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    gateways: BTreeMap<String, TrackedGateway>,
    /// Answers to taps since the gateways started, by outcome.
    taps: BTreeMap<String, u64>,
    /// Tap responses by latency bucket since a gateway was first seen: of winners, of the others.
    latencies: [Vec<u64>; 2],
    /// The latencies of each of the last seconds.
    window: VecDeque<[Vec<u64>; 2]>,
    /// When Redis last returned the members.
    last_heartbeat: Option<Instant>,
}

#[derive(Debug)]
struct TrackedGateway {
    report: GatewayReport,
    /// When its last report arrived.
    seen: Instant,
    /// Tap responses a second between its last two reports, once there were two.
    rates: Option<BTreeMap<String, f64>>,
    gone: Option<Instant>,
}

impl TrackedGateway {
    fn state(&self, now: Instant) -> GatewayState {
        match self.gone {
            Some(_) if self.report.draining => GatewayState::Left,
            Some(_) => GatewayState::Gone,
            None if now.saturating_duration_since(self.seen) >= SILENT => GatewayState::Silent,
            None if self.report.draining => GatewayState::Draining,
            None if self.report.ready => GatewayState::Ready,
            None => GatewayState::NotReady,
        }
    }

    /// Its rates, while it reports.
    fn rates(&self, now: Instant) -> Option<&BTreeMap<String, f64>> {
        use GatewayState::{Draining, NotReady, Ready};
        self.rates.as_ref().filter(|_| matches!(self.state(now), Ready | NotReady | Draining))
    }
}

impl Fleet {
    /// Applies the last heartbeat. Once a second.
    pub(super) fn update(&mut self, heartbeat: Option<&Heartbeat>, now: Instant) {
        if let Some(heartbeat) = heartbeat.filter(|heartbeat| self.last_heartbeat != Some(heartbeat.at)) {
            self.last_heartbeat = Some(heartbeat.at);
            for (id, report) in &heartbeat.live {
                self.update_report(id, report.clone(), now);
            }
            for (id, tracked) in &mut self.gateways {
                if !heartbeat.live.contains_key(id) && tracked.gone.is_none() {
                    tracked.gone = Some(now);
                }
            }
        }
        self.forget(now);
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(self.latencies.clone());
    }

    fn update_report(&mut self, id: &str, report: GatewayReport, now: Instant) {
        let Some(tracked) = self.gateways.get_mut(id) else {
            for (outcome, count) in &report.since_start.taps {
                *self.taps.entry(outcome.clone()).or_default() += count;
            }
            let tracked = TrackedGateway { report, seen: now, rates: None, gone: None };
            self.gateways.insert(id.to_owned(), tracked);
            return;
        };
        tracked.gone = None;
        if report.beats == tracked.report.beats {
            return;
        }
        let was = &tracked.report.since_start;
        let ms = report.uptime_ms.saturating_sub(tracked.report.uptime_ms).max(1);
        let mut rates = BTreeMap::new();
        for (outcome, count) in &report.since_start.taps {
            let new = count.saturating_sub(was.taps.get(outcome).copied().unwrap_or_default());
            *self.taps.entry(outcome.clone()).or_default() += new;
            #[expect(clippy::cast_precision_loss, reason = "answers of a second or so")]
            rates.insert(outcome.clone(), new as f64 * 1_000.0 / ms as f64);
        }
        let pairs = [(&report.since_start.winners, &was.winners), (&report.since_start.losers, &was.losers)];
        for (sums, (now, was)) in self.latencies.iter_mut().zip(pairs) {
            sums.resize(sums.len().max(now.len()), 0);
            sums.iter_mut().zip(counts_since(now, was)).for_each(|(sum, new)| *sum += new);
        }
        (tracked.rates, tracked.seen, tracked.report) = (Some(rates), now, report);
    }

    /// Drops gone gateways: those whose address another has taken, those gone for long and, if there are
    /// too many, the oldest.
    fn forget(&mut self, now: Instant) {
        let live = |tracked: &&TrackedGateway| tracked.gone.is_none();
        let addresses: Vec<String> =
            self.gateways.values().filter(live).map(|tracked| tracked.report.listen.clone()).collect();
        self.gateways.retain(|_, tracked| {
            tracked.gone.is_none() || {
                now.saturating_duration_since(tracked.seen) < GONE_LISTED
                    && !addresses.contains(&tracked.report.listen)
            }
        });
        while self.gateways.len() > LISTED_MAX {
            let oldest =
                self.gateways.iter().filter_map(|(id, tracked)| Some((tracked.gone?, id.clone()))).min();
            let Some((_, id)) = oldest else { break };
            self.gateways.remove(&id);
        }
    }

    /// Since when Redis has not returned the members, if that is too long.
    pub(super) fn silent_for(&self, now: Instant) -> Option<Duration> {
        let since = self.last_heartbeat.map(|heartbeat| now.saturating_duration_since(heartbeat));
        since.filter(|since| *since >= SILENT)
    }

    /// Rates of taps by outcome; `None` while there is no recent heartbeat.
    pub(super) fn taps(&self, now: Instant) -> Option<Taps> {
        let counting: Vec<&BTreeMap<String, f64>> =
            self.gateways.values().filter_map(|tracked| tracked.rates(now)).collect();
        if self.last_heartbeat.is_none() || self.silent_for(now).is_some() || counting.is_empty() {
            return None;
        }
        let mut per_second = Groups::default();
        let mut outcomes = Vec::new();
        for (outcome, total) in &self.taps {
            let rate = sum(counting.iter().filter_map(|rates| rates.get(outcome)));
            let (group, rate_of_group) = per_second.of(outcome);
            *rate_of_group += rate;
            outcomes.push(OutcomeNow { outcome: outcome.clone(), group, per_second: rate, total: *total });
        }
        Some(Taps { all: per_second.sum(), per_second, outcomes })
    }

    /// Quantiles over the window.
    pub(super) fn latency(&self) -> Latency {
        let [winners, losers] = [0, 1].map(|group: usize| {
            let first = self.window.front().map(|at| at[group].as_slice()).unwrap_or_default();
            let new: Vec<u64> = counts_since(&self.latencies[group], first).collect();
            Quantiles { p50_ms: quantile(&new, 0.5), p99_ms: quantile(&new, 0.99), answers: new.iter().sum() }
        });
        Latency { winners, losers }
    }

    /// Every gateway, by address.
    pub(super) fn list(&self, here: &str, now: Instant) -> Vec<GatewayNow> {
        let row = |(id, tracked): (&String, &TrackedGateway)| {
            let state = tracked.state(now);
            let rates = tracked.rates(now);
            GatewayNow {
                id: id.clone(),
                here: id == here,
                listen: tracked.report.listen.clone(),
                version: tracked.report.version.clone(),
                state,
                why: match state {
                    GatewayState::NotReady => tracked.report.reasons.join("; "),
                    _ => String::new(),
                },
                taps: rates.map(|rates| sum(rates.values())),
                won: rates.map(|rates| rates.get("won").copied().unwrap_or_default()),
                report_age_ms: u64::try_from(now.saturating_duration_since(tracked.seen).as_millis())
                    .unwrap_or(u64::MAX),
                uptime_ms: tracked.report.uptime_ms,
                alarms: tracked.report.alarms.len(),
            }
        };
        let mut list: Vec<GatewayNow> = self.gateways.iter().map(row).collect();
        list.sort_by(|a, b| (&a.listen, &a.id).cmp(&(&b.listen, &b.id)));
        list
    }

    /// Alarms of the fleet and of its other gateways; those of `here` are added elsewhere.
    pub(super) fn alarms(&self, here: &str, now: Instant) -> Vec<(Alarm, String)> {
        let of_fleet = |level, name, text: String| (Alarm::new(level, name, text), String::new());
        let mut alarms = Vec::new();
        if let Some(silent) = self.silent_for(now) {
            let text = format!(
                "Redis has not returned the fleet's members for {} s: the numbers of gateways and taps here are unknown.",
                silent.as_secs()
            );
            return vec![of_fleet(Level::Fault, "fleet-unknown", text)];
        }
        let mut versions = BTreeSet::new();
        let (mut live, mut ready) = (0, 0);
        for (id, tracked) in &self.gateways {
            let listen = &tracked.report.listen;
            let since = |at: Instant| now.saturating_duration_since(at);
            match tracked.state(now) {
                GatewayState::Gone if since(tracked.seen) < GONE_ALARM => {
                    let text = format!(
                        "The gateway {listen} is gone: its heartbeat ended without a drain. Check its host; start it again."
                    );
                    alarms.push(of_fleet(Level::Fault, "gateway-gone", text));
                }
                GatewayState::Silent => {
                    let silent_s = since(tracked.seen).as_secs();
                    let text = format!("The gateway {listen} has sent no heartbeat for {silent_s} s.");
                    alarms.push(of_fleet(Level::Warning, "gateway-silent", text));
                }
                GatewayState::Gone | GatewayState::Left => {}
                state => {
                    live += 1;
                    ready += usize::from(state == GatewayState::Ready);
                    versions.insert(tracked.report.version.as_str());
                    if id != here {
                        let theirs = tracked.report.alarms.iter().cloned();
                        alarms.extend(theirs.map(|alarm| (alarm, listen.clone())));
                    }
                }
            }
        }
        if live > 0 && ready == 0 {
            let text = "No gateway is ready: buyers can't reserve. Check Redis, then /readyz of a gateway."
                .to_owned();
            alarms.push(of_fleet(Level::Fault, "none-ready", text));
        }
        if versions.len() > 1 {
            let versions: Vec<&str> = versions.into_iter().collect();
            let text = format!(
                "Gateways of different versions are running: {}. Complete the roll-out.",
                versions.join(", ")
            );
            alarms.push(of_fleet(Level::Warning, "mixed-versions", text));
        }
        alarms
    }
}

/// A sum that is 0 and not -0 without summands.
fn sum<'a>(rates: impl Iterator<Item = &'a f64>) -> f64 {
    rates.fold(0.0, |sum, rate| sum + rate)
}

/// A quantile of counts by latency bucket, in ms, as Prometheus computes it: linear within a bucket.
/// Beyond the last bound it is that bound.
fn quantile(counts: &[u64], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "answers of some seconds")]
    let (mut below, rank) = (0.0, share * all as f64);
    if all == 0 {
        return None;
    }
    let mut lower = 0.0;
    for (bound, count) in ANSWER_BUCKETS.iter().zip(counts) {
        #[expect(clippy::cast_precision_loss, reason = "answers of some seconds")]
        let count = *count as f64;
        if below + count >= rank && count > 0.0 {
            return Some((lower + (bound - lower) * (rank - below) / count) * 1_000.0);
        }
        (below, lower) = (below + count, *bound);
    }
    Some(lower * 1_000.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
