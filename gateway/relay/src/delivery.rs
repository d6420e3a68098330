//! The one loop: take the lease, read a page, deliver it, go on; after a fork take back what was lost.

mod fork;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::backoff::Backoff;
use crate::change::{Change, Page, START, position};
use crate::failure::Failure;
use crate::feed::lease::{Lease, Leases, Lost};
use crate::feed::{Feed, FeedError, Read, WAIT};
use crate::filter::Filter;
use crate::log::Troubles;
use crate::sink::{Sink, SinkError};
use crate::status::{Cause, Status};
use crate::stop::Stop;

/// Between two looks for a sale that was purged, and for a lease that another relay has, if the gateway names no time.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The same for changes that are not protected yet.
const LOOK_SOON: Duration = Duration::from_millis(200);
/// Between two pages of a relay that keeps up. Each costs the gateway, Redis and the sink the same, however small it is:
/// under load it has the changes of this time, and not the few that came during the page before. The first change
/// after a longer pause does not wait.
const GATHER: Duration = Duration::from_millis(25);
/// Kinds of trouble; each is logged once.
const GATEWAY: &str = "gateway";
const SALE: &str = "sale";
const LEASE: &str = "lease";
const SINK: &str = "sink";

/// A delivery of one sale to one sink.
pub(crate) struct Delivery<S> {
    pub(crate) feed: Feed,
    pub(crate) leases: Leases,
    pub(crate) sink: S,
    pub(crate) filter: Filter,
    /// Where to start if the sink has no cursor.
    pub(crate) from: Option<String>,
    pub(crate) until_caught_up: bool,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: Stop,
    pub(crate) troubles: Troubles,
    /// Between tries of the sink, until it takes something.
    pub(crate) sink_backoff: Backoff,
    /// Whether the sale was there, now or earlier: then it may come back.
    pub(crate) is_known: bool,
    /// The last line that was read, if its entry has more.
    pub(crate) cut_at: Option<String>,
}

/// Why a turn with the lease ended.
enum End {
    /// There is nothing more to do, or a signal asks for the end.
    Done,
    /// The lease is another relay's, or expired.
    LeaseLost(String),
    Failed(Failure),
}

impl<S: Sink> Delivery<S> {
    /// Delivers until it is to end.
    pub(crate) async fn run(&mut self) -> Result<(), Failure> {
        loop {
            let Some(lease) = self.take_lease().await? else { return Ok(()) };
            let end = self.deliver(&lease).await;
            match end {
                End::LeaseLost(why) => {
                    self.status.count_failure(Cause::LeaseLost);
                    tracing::warn!("the lease is lost: {why}; waiting for it");
                    self.status.set_unread(0, None);
                }
                End::Done => {
                    self.leases.release(lease).await;
                    return Ok(());
                }
                End::Failed(failure) => {
                    self.leases.release(lease).await;
                    return Err(failure);
                }
            }
        }
    }

    /// Waits for the lease. `None`: the program is to end.
    async fn take_lease(&mut self) -> Result<Option<Lease>, Failure> {
        let mut backoff = Backoff::default();
        loop {
            let stop = self.stop.clone();
            let asked = tokio::select! {
                () = stop.asked() => return Ok(None),
                asked = self.leases.ask() => asked,
            };
            match asked {
                Ok(lease) => {
                    self.troubles.end(LEASE);
                    self.feed_works();
                    tracing::info!(
                        "delivering {} to {} as {}",
                        self.status.sale,
                        self.status.sink,
                        self.status.reader
                    );
                    return Ok(Some(lease));
                }
                Err(FeedError::Held { holder, after }) => {
                    self.feed_works();
                    self.status.set_unread(0, None);
                    let text = format!(
                        "the relay {holder} delivers this sale as {}; waiting for its lease",
                        self.status.reader
                    );
                    self.troubles.report(LEASE, &text);
                    self.pause(after.map_or(LOOK_AGAIN, |after| after.min(LOOK_AGAIN))).await;
                }
                Err(error) => self.after_feed_error(error, &mut backoff).await?,
            }
        }
    }

    /// Delivers as long as the lease holds.
    async fn deliver(&mut self, lease: &Lease) -> End {
        match self.deliver_pages(lease).await {
            Ok(()) => End::Done,
            Err(end) => end,
        }
    }

    async fn deliver_pages(&mut self, lease: &Lease) -> Result<(), End> {
        let mut backoff = Backoff::default();
        let mut from = self.position(lease).await?;
        loop {
            let wait = if self.until_caught_up { Duration::ZERO } else { WAIT };
            let stop = self.stop.clone();
            let read = tokio::select! {
                () = stop.asked() => return Ok(()),
                () = lease.lost() => { fence(lease)?; continue }
                read = self.feed.read(&from, wait) => read,
            };
            match read {
                Ok(read) => {
                    backoff.reset();
                    self.feed_works();
                    if read.changes.is_empty() {
                        // Replicas may lack the newest: then they are there, and not handed out yet.
                        let behind = self.unread(read.sequence, &from);
                        self.status.set_unreadable(behind);
                        if self.until_caught_up && behind == 0 {
                            return self.settle(lease).await;
                        }
                        // A gateway that drains answers at once.
                        self.pause(LOOK_SOON).await;
                        // A database that failed over to an older standby has forgotten what it had stored.
                        from = self.position(lease).await?;
                        self.troubles.end(SINK);
                    } else {
                        let newest = read.sequence;
                        from = self.deliver_page(read, lease, from).await?;
                        if !self.until_caught_up && self.unread(newest, &from) == 0 {
                            self.pause(GATHER).await;
                        }
                    }
                }
                Err(FeedError::Forked { common }) => from = self.rescind(common, lease).await?,
                Err(error) => {
                    self.after_feed_error(error, &mut backoff).await.map_err(End::Failed)?;
                }
            }
            if self.stop.is_asked() {
                return Ok(());
            }
        }
    }

    /// The cursor to go on from.
    async fn position(&mut self, lease: &Lease) -> Result<String, End> {
        let position = self.sink_position(lease).await?;
        Ok(position.or_else(|| self.from.clone()).unwrap_or_else(|| START.to_owned()))
    }

    async fn sink_position(&mut self, lease: &Lease) -> Result<Option<String>, End> {
        loop {
            match self.sink.position().await {
                Ok(position) => return Ok(position),
                Err(error) => self.after_sink_error(error, lease).await?,
            }
        }
    }

    /// How many sequences are after a cursor, or are not read to their end.
    fn unread(&self, newest: Option<u64>, cursor: &str) -> u64 {
        let read = position(cursor).map_or(0, |(sequence, _)| sequence);
        let rest = u64::from(self.cut_at.as_deref() == Some(cursor));
        newest.map_or(0, |newest| newest.saturating_sub(read)) + rest
    }

    /// Delivers a page; returns the cursor to go on from.
    async fn deliver_page(&mut self, read: Read, lease: &Lease, from: String) -> Result<String, End> {
        let Read { changes, sequence } = read;
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Ok(from) };
        let unread = |after: u64| sequence.map_or(0, |sequence| sequence.saturating_sub(after));
        self.status.set_unread(unread(first.sequence - 1), time(first));
        let (after, newest) = (unread(last.sequence), time(last));
        let cursor = last.cursor.clone();
        self.cut_at = last.is_cut.then(|| cursor.clone());
        let changes = changes.into_iter().filter(|change| self.filter.lets_pass(change)).collect();
        let page = Page { changes, cursor };
        // What the sink has stored when a call breaks off is known only afterwards: then the page is read again.
        match self.sink.deliver(&page, fence(lease)?).await {
            Ok(()) => {
                self.sink_backoff.reset();
                self.troubles.end(SINK);
                // What follows is not older than the last one.
                self.status.set_unread(after, (after > 0).then_some(newest).flatten());
                Ok(page.cursor)
            }
            Err(error) => {
                self.after_sink_error(error, lease).await?;
                self.position(lease).await
            }
        }
    }

    /// Waits until the sink's receivers have everything, or the program is to end.
    async fn settle(&mut self, lease: &Lease) -> Result<(), End> {
        loop {
            let stop = self.stop.clone();
            let settled = tokio::select! {
                () = stop.asked() => return Ok(()),
                () = lease.lost() => { fence(lease)?; continue }
                settled = self.sink.settle() => settled,
            };
            match settled {
                Ok(()) => return Ok(()),
                Err(error) => self.after_sink_error(error, lease).await?,
            }
        }
    }

    /// Reports why the feed did not answer, and pauses; what trying again does not repair ends the program.
    async fn after_feed_error(&mut self, error: FeedError, backoff: &mut Backoff) -> Result<(), Failure> {
        match error {
            FeedError::Transient { cause, text, after } => {
                self.status.count_failure(cause);
                self.status.set_cut_off();
                self.troubles.report(GATEWAY, &text);
                let pause = backoff.pause();
                self.pause(after.map_or(pause, |after| pause.max(after.min(LOOK_AGAIN)))).await;
                Ok(())
            }
            FeedError::SaleMissing => self.after_sale_missing().await,
            FeedError::Fatal(failure) => Err(failure),
            // Only a lease is held, and only a cursor is of another history.
            FeedError::Held { .. } | FeedError::Forked { .. } => {
                Err(Failure::Outside(format!("the gateway gave an unexpected answer: {error:?}")))
            }
        }
    }

    /// A sale that the gateway has had, or of which the sink has changes, may come back. A job that starts without it does
    /// not wait: the sale may be purged for good.
    async fn after_sale_missing(&mut self) -> Result<(), Failure> {
        self.status.count_failure(Cause::SaleMissing);
        let has_read = self.from.as_deref().is_some_and(|from| from != START);
        if !self.is_known && (self.until_caught_up || !has_read) {
            match self.sink.position().await {
                Ok(Some(_)) if !self.until_caught_up => {
                    self.is_known = true;
                    self.sink_backoff.reset();
                    self.troubles.end(SINK);
                }
                Ok(_) => {
                    return Err(Failure::Usage(format!(
                        "the gateway has no sale {}: apply it first, or name another one",
                        self.status.sale
                    )));
                }
                Err(SinkError::Fatal(failure)) => return Err(failure),
                Err(error) => {
                    self.status.count_failure(Cause::Sink);
                    self.troubles.report(SINK, &error.to_string());
                    let pause = self.sink_backoff.pause();
                    self.pause(pause).await;
                    return Ok(());
                }
            }
        }
        let text =
            format!("the sale {} is not there any more; waiting until it is applied again", self.status.sale);
        self.troubles.report(SALE, &text);
        self.pause(LOOK_AGAIN).await;
        Ok(())
    }

    /// The same for the sink.
    async fn after_sink_error(&mut self, error: SinkError, lease: &Lease) -> Result<(), End> {
        self.status.count_failure(Cause::Sink);
        match error {
            SinkError::Transient(text) => self.troubles.report(SINK, &text),
            SinkError::Superseded => return Err(End::Failed(Failure::Outside(error.to_string()))),
            SinkError::ReaderGone => return Err(End::Done),
            SinkError::Fatal(failure) => return Err(End::Failed(failure)),
        }
        let (stop, pause) = (self.stop.clone(), self.sink_backoff.pause());
        tokio::select! {
            () = stop.asked() => Err(End::Done),
            () = lease.lost() => fence(lease).map(drop),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    fn feed_works(&mut self) {
        self.is_known = true;
        self.troubles.end(GATEWAY);
        self.troubles.end(SALE);
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.stop.asked() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The fence of a lease that holds.
fn fence(lease: &Lease) -> Result<u64, End> {
    lease.fence().map_err(|lost| match lost {
        Lost::Ended(why) => End::LeaseLost(why),
        Lost::Refused(failure) => End::Failed(failure),
    })
}

/// When it happened.
fn time(change: &Change) -> Option<Timestamp> {
    change.at.parse().ok()
}

#[cfg(test)]
mod tests;
