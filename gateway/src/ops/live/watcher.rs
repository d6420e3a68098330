//! One watcher's stream. A slow reader gets the newest line and never a backlog.

use std::convert::Infallible;
use std::future::Future;
use std::mem;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// The lines of a second, shared by all watchers of a sale.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveUpdate {
    /// Revision of `about`, from 1; 0: there is none.
    pub(super) edition: u64,
    /// The line of the definition.
    pub(super) about: Bytes,
    /// The line of the numbers.
    pub(super) now: Bytes,
}

/// The body of a stream: these lines, then the current ones, until `ended`.
pub(super) fn watcher(
    mut news: watch::Receiver<LiveUpdate>,
    begin: impl IntoIterator<Item = Bytes>,
    seconds: Option<usize>,
    ended: impl Future<Output = ()>,
    slot: OwnedSemaphorePermit,
) -> impl Body<Data = Bytes, Error = Infallible> {
    // A new watcher gets the current lines at once.
    news.mark_changed();
    let updates = stream::unfold(news, |mut news| async move {
        // An error: the sender is dropped, and no more lines come.
        news.changed().await.ok()?;
        let update = news.borrow_and_update().clone();
        Some((update, news))
    });
    let mut sent_edition = 0;
    let lines =
        updates.take(seconds.unwrap_or(usize::MAX)).flat_map(move |LiveUpdate { edition, about, now }| {
            let is_new = mem::replace(&mut sent_edition, edition) != edition;
            stream::iter(is_new.then_some(about).into_iter().chain([now]))
        });
    let all = stream::iter(begin).chain(lines).take_until(ended);
    StreamBody::new(all.map(move |line| {
        let _held = &slot;
        Ok(Frame::data(line))
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
