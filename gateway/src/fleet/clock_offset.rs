//! The offset between this host's clock and Redis's, as last measured.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use redis::RedisResult;
use redis::aio::ConnectionLike;

/// A longer round trip makes the measurement too uncertain.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// Redis's clock minus this host's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Positive when this host's clock is behind.
    pub seconds: f64,
    /// The uncertainty: half of the round trip.
    pub error_s: f64,
    /// The time of the measurement.
    pub at: Instant,
}

impl Offset {
    /// The least offset that is certain.
    #[must_use]
    pub fn certain_s(&self) -> f64 {
        (self.seconds.abs() - self.error_s).max(0.0)
    }
}

/// The latest offset, shared by all threads.
#[derive(Debug, Default)]
pub struct ClockOffset(ArcSwapOption<Offset>);

impl ClockOffset {
    /// The latest offset; `None` before the first measurement.
    #[must_use]
    pub fn latest(&self) -> Option<Offset> {
        self.0.load().as_deref().copied()
    }

    /// Stores an offset.
    pub fn note(&self, offset: Offset) {
        self.0.store(Some(Arc::new(offset)));
    }

    /// Measures Redis's clock against this host's.
    pub async fn read(&self, conn: &mut impl ConnectionLike) -> RedisResult<()> {
        let (sent, ours) = (Instant::now(), SystemTime::now());
        let (seconds, micros): (f64, f64) = redis::cmd("TIME").query_async(conn).await?;
        let round_trip = sent.elapsed();
        if round_trip <= ROUND_TRIP_MAX {
            let half_s = round_trip.as_secs_f64() / 2.0;
            let ours_s = ours.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
            let seconds = seconds + micros / 1e6 - (ours_s + half_s);
            self.note(Offset { seconds, error_s: half_s, at: Instant::now() });
        }
        Ok(())
    }
}
