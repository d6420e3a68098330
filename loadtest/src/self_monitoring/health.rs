//! Judges the load generator: whether its figures show the gateway, or its own limits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::span;
use crate::figures::Figures;

/// What the generator may need before its run is invalid.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Percent of its cores, on average over the busiest five seconds.
    pub(crate) cpu: f64,
    /// A start that is later than this is late: only for the words, the figures have counted them.
    #[serde(with = "span::text")]
    pub(crate) late: Duration,
    /// A request may wait so long for a connection of this process: only for the words, too.
    #[serde(with = "span::text")]
    pub(crate) queued: Duration,
    /// Percent of all starts that may be late, and of all requests that may wait longer.
    pub(crate) late_share: f64,
    /// From the first to the last tap of the opening.
    #[serde(with = "span::text")]
    pub(crate) skew: Duration,
}

/// How the generator fared. Of several processes: how the one fared that fared worst, but for what is a sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Health {
    pub(crate) processes: usize,
    /// That it could use; of several processes, those of the busiest.
    pub(crate) cores: usize,
    /// Of its cores, over the whole run.
    pub(crate) cpu_percent_mean: f64,
    /// Of its cores, over the busiest five seconds; over all of a shorter run.
    pub(crate) cpu_percent_busiest: f64,
    /// How long it needed more than the limit.
    pub(crate) cpu_busy_seconds: f64,
    /// How late a timer was that was due every 10 ms.
    pub(crate) timer_lag_p99_ms: f64,
    pub(crate) timer_lag_max_ms: f64,
    pub(crate) descriptors_peak: u64,
    /// Of several processes, that of the one that came nearest to it.
    pub(crate) descriptors_limit: Option<u64>,
    /// Connects that found no free local port; of several processes, the sum.
    pub(crate) ports_exhausted: u64,
    /// That needed a connection, and of these, how many waited longer for one of this process than the limit.
    pub(crate) requests: u64,
    pub(crate) requests_queued: u64,
    pub(crate) queued_max_ms: f64,
    pub(crate) rss_peak_mib: f64,
    /// That were sampled.
    pub(crate) seconds: f64,
}

/// Descriptors are counted once a second: fewer than these left means that there may have been none in between.
const DESCRIPTORS_SPARE: u64 = 16;
/// Requests that failed for want of one are counted under this reason (see `client::Lost`).
const NO_DESCRIPTOR: &str = "no free descriptor";

/// What to do about starts that leave too late.
pub(crate) const SEND_SOONER: &str = "use a faster machine, keep others off it, or use several processes with --shard, each \
    with cores of its own";

impl Health {
    /// Why the run is invalid, each reason with what to do; none if this machine was not the limit. A run that
    /// `ended_early` on purpose has starts that never happened.
    pub(crate) fn findings(&self, figures: &Figures, limits: &Limits, ended_early: bool) -> Vec<String> {
        [
            self.too_busy(limits),
            self.queued(limits),
            self.late(figures, limits),
            self.skew(figures, limits),
            self.unsent(figures).filter(|_| !ended_early),
            self.no_descriptors(figures),
            self.no_ports(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn too_busy(&self, limits: &Limits) -> Option<String> {
        (self.cpu_percent_busiest > limits.cpu).then(|| {
            format!(
                "more than {} % of {} {} were used for {:.0} s ({:.0} % on average over the busiest five): use a \
                 faster machine, or several processes with --shard, each with cores of its own",
                limits.cpu,
                if self.processes > 1 { "a process's" } else { "its" },
                many(self.cores as u64, "core"),
                self.cpu_busy_seconds.max(1.0),
                self.cpu_percent_busiest,
            )
        })
    }

    fn late(&self, figures: &Figures, limits: &Limits) -> Option<String> {
        let intended = figures.intended();
        let share = 100.0 * figures.late as f64 / intended.max(1) as f64;
        (share > limits.late_share).then(|| {
            let lag = span::words_of_ms(self.timer_lag_max_ms);
            // A late wake-up means too little CPU, even if other processes used it up.
            let what_to_do = if self.queued(limits).is_some() {
                "they waited for a connection of this process".to_owned()
            } else if self.timer_lag_max_ms >= span::ms(limits.late) {
                format!(
                    "timers were up to {lag} late, too, so that this machine was too busy: use a faster one, keep \
                     others off it, or use several processes with --shard"
                )
            } else {
                format!(
                    "timers were {lag} late at most, so that it was not busy all the time, but more was to start at once \
                     than it can send: use several processes with --shard, on cores of their own"
                )
            };
            format!(
                "{share:.1} % of {} were more than {} late ({} % may be): {what_to_do}",
                many(intended, "start"),
                span::words(limits.late),
                limits.late_share,
            )
        })
    }

    /// Requests that waited for this process, not for the server: without that they had been answered sooner.
    fn queued(&self, limits: &Limits) -> Option<String> {
        let share = 100.0 * self.requests_queued as f64 / self.requests.max(1) as f64;
        (share > limits.late_share).then(|| {
            format!(
                "{share:.1} % of {} waited more than {} for a connection of this process ({} % may), up to {}: allow more \
                 with --connections, or use several processes with --shard",
                many(self.requests, "request"),
                span::words(limits.queued),
                limits.late_share,
                span::words_of_ms(self.queued_max_ms),
            )
        })
    }

    fn skew(&self, figures: &Figures, limits: &Limits) -> Option<String> {
        let spread = figures.opening.spread().filter(|spread| *spread > limits.skew)?;
        let what_to_do = match self.queued(limits) {
            Some(_) => "taps waited for a connection of this process",
            None => SEND_SOONER,
        };
        Some(format!(
            "from the first to the last tap of the opening it took {} ({} may be): {what_to_do}",
            span::words(spread),
            span::words(limits.skew),
        ))
    }

    fn unsent(&self, figures: &Figures) -> Option<String> {
        (figures.unsent > 0).then(|| {
            format!(
                "{} of {} never happened, because the run ended first: give it a later --deadline, do not end it by hand, ask \
                 for less load, or use several processes with --shard",
                figures.unsent,
                many(figures.intended(), "start"),
            )
        })
    }

    fn no_descriptors(&self, figures: &Figures) -> Option<String> {
        let refused: u64 = figures
            .errors
            .iter()
            .filter(|(error, _)| error.contains(NO_DESCRIPTOR))
            .map(|(_, count)| count)
            .sum();
        let limit = self.descriptors_limit.unwrap_or(u64::MAX);
        let short = limit.saturating_sub(self.descriptors_peak) < DESCRIPTORS_SPARE;
        if !short && refused == 0 {
            return None;
        }
        let refusals = match refused {
            0 => String::new(),
            refused => format!(", and {} found none", many(refused, "request")),
        };
        let allowed = self.descriptors_limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        Some(format!(
            "{}{allowed} descriptors were open{refusals}: raise the limit (ulimit -n), or share connections (--connections shared:N)",
            self.descriptors_peak
        ))
    }

    fn no_ports(&self) -> Option<String> {
        (self.ports_exhausted > 0).then(|| {
            format!(
                "{} found no free local port: widen net.ipv4.ip_local_port_range, share connections (--connections shared:N), or send \
                 from several machines with --shard",
                many(self.ports_exhausted, "connect"),
            )
        })
    }

    /// Several processes' health as one; `None` of none. A process that was at its limit is not made good
    /// by others that were not, so that the worst counts.
    pub(crate) fn merge(several: impl IntoIterator<Item = Health>) -> Option<Health> {
        let several: Vec<Health> = several.into_iter().collect();
        let seconds: f64 = several.iter().map(|health| health.seconds).sum();
        let weighed: f64 = several.iter().map(|health| health.cpu_percent_mean * health.seconds).sum();
        let worst = several.into_iter().reduce(Health::worse)?;
        Some(Health { cpu_percent_mean: if seconds > 0.0 { weighed / seconds } else { 0.0 }, ..worst })
    }

    /// The worst of both in each respect; the mean is the caller's.
    fn worse(self, other: Health) -> Health {
        let room = |health: &Health| {
            health.descriptors_limit.map(|limit| limit.saturating_sub(health.descriptors_peak))
        };
        // `None`, no limit, leaves the most room.
        let fullest =
            if room(&other).unwrap_or(u64::MAX) < room(&self).unwrap_or(u64::MAX) { &other } else { &self };
        let busiest = if other.cpu_percent_busiest > self.cpu_percent_busiest { &other } else { &self };
        Health {
            processes: self.processes + other.processes,
            cores: busiest.cores,
            cpu_percent_mean: self.cpu_percent_mean,
            cpu_percent_busiest: busiest.cpu_percent_busiest,
            cpu_busy_seconds: busiest.cpu_busy_seconds,
            timer_lag_p99_ms: self.timer_lag_p99_ms.max(other.timer_lag_p99_ms),
            timer_lag_max_ms: self.timer_lag_max_ms.max(other.timer_lag_max_ms),
            descriptors_peak: fullest.descriptors_peak,
            descriptors_limit: fullest.descriptors_limit,
            ports_exhausted: self.ports_exhausted + other.ports_exhausted,
            requests: self.requests + other.requests,
            requests_queued: self.requests_queued + other.requests_queued,
            queued_max_ms: self.queued_max_ms.max(other.queued_max_ms),
            rss_peak_mib: self.rss_peak_mib.max(other.rss_peak_mib),
            seconds: self.seconds.max(other.seconds),
        }
    }
}

fn many(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
