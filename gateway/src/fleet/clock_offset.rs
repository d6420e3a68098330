//! How far the clock of this host is from Redis's, as it was read last.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use redis::RedisResult;
use redis::aio::ConnectionLike;

/// A round trip that took longer says too little about either clock.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// Redis's clock minus this host's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Above 0 this host is behind.
    pub seconds: f64,
    /// How far off that may be: half of the round trip.
    pub error_s: f64,
    /// When it was read.
    pub at: Instant,
}

impl Offset {
    /// By how much the clocks certainly differ.
    #[must_use]
    pub fn certain_s(&self) -> f64 {
        (self.seconds.abs() - self.error_s).max(0.0)
    }
}

/// The latest offset, for all threads.
#[derive(Debug, Default)]
pub struct ClockOffset(ArcSwapOption<Offset>);

impl ClockOffset {
    /// The latest; `None` until Redis's clock was read.
    #[must_use]
    pub fn latest(&self) -> Option<Offset> {
        self.0.load().as_deref().copied()
    }

    /// Notes an offset.
    pub fn note(&self, offset: Offset) {
        self.0.store(Some(Arc::new(offset)));
    }

    /// Reads Redis's clock beside this host's.
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
