//! Tells the time of the retry schedule; a test moves it by hand.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

/// The longest sleep before the system's clock is read again: it may have been set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The clock of a schedule, in ms since the epoch: next attempts outlive the process.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<watch::Sender<i64>>>);

impl Clock {
    /// The clock of the system.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that only [`Clock::advance`] moves.
    pub fn manual(start: i64) -> Self {
        Self(Some(Arc::new(watch::Sender::new(start))))
    }

    /// Now, in ms since the epoch.
    pub fn now(&self) -> i64 {
        match &self.0 {
            None => Timestamp::now().as_millisecond(),
            Some(time) => *time.borrow(),
        }
    }

    /// Moves a manual clock; the system's stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Some(time) = &self.0 {
            time.send_modify(|now| *now += millis(by));
        }
    }

    /// Returns at this time, or after it.
    pub async fn sleep_until(&self, at: i64) {
        match &self.0 {
            None => {
                while let Ok(left @ 1..) = u64::try_from(at - self.now()) {
                    tokio::time::sleep(Duration::from_millis(left).min(SLEEP_MAX)).await;
                }
            }
            // `self` owns the sender, so this can't fail.
            Some(time) => drop(time.subscribe().wait_for(|now| *now >= at).await),
        }
    }
}

/// A duration in the clock's unit.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_who_sleeps_when_it_is_moved_there() {
        let clock = Clock::manual(1000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(4_601_000).await }
        });
        clock.advance(Duration::from_secs(3599));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1001));
        sleeper.await.unwrap();
        assert_eq!(clock.now(), 4_601_000);
    }

    #[tokio::test]
    async fn the_past_is_not_waited_for() {
        Clock::system().sleep_until(0).await;
        Clock::manual(5).sleep_until(5).await;
    }
}
