//! The continuous checks of a gateway's own set-up: its files, and its clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fleet::alarm::{Alarm, Level};
use crate::fleet::clock_offset::{ClockOffset, Offset};
use crate::ops::files::WatchedFiles;
use crate::ops::thresholds::CLOCK_OFFSET;

/// An older reading of Redis's clock raises no alarm.
const READING_AGE_MAX: Duration = Duration::from_secs(10);

/// The checks of one gateway.
#[derive(Debug, Default)]
pub struct SelfChecks {
    /// The watched files.
    pub files: Arc<WatchedFiles>,
    /// This host's clock compared with Redis's.
    pub clock: Arc<ClockOffset>,
    /// The leeway of token times, in s.
    pub leeway_s: u64,
}

impl SelfChecks {
    /// An alarm for each finding.
    pub fn alarms(&self, now: Instant) -> Vec<Alarm> {
        let mut alarms = self.files.alarms();
        let fresh = |offset: &Offset| now.saturating_duration_since(offset.at) < READING_AGE_MAX;
        alarms.extend(self.clock.latest().filter(fresh).and_then(|offset| self.clock_alarm(&offset)));
        alarms
    }

    fn clock_alarm(&self, offset: &Offset) -> Option<Alarm> {
        let certain = offset.certain_s();
        #[expect(clippy::cast_precision_loss, reason = "at most a minute")]
        let leeway = self.leeway_s as f64;
        let level = match certain {
            _ if certain <= CLOCK_OFFSET.as_secs_f64() => return None,
            _ if certain > leeway => Level::Fault,
            _ => Level::Warning,
        };
        let text = format!(
            "Valid tokens may be refused (401), or expired ones accepted: the clock of this host is {:.1} s {} that of \
             Redis, --auth-leeway is {} s. Synchronise both hosts (chronyc tracking).",
            offset.seconds.abs(),
            if offset.seconds > 0.0 { "behind" } else { "ahead of" },
            self.leeway_s,
        );
        Some(Alarm::new(level, "clock-off", text))
    }
}

#[cfg(test)]
mod tests;
