//! One watcher's stream. A slow reader gets the newest line and never a backlog.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Frame};
use tokio::sync::watch;

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

/// A slot among the watchers, until it is dropped.
pub(super) struct WatcherSlot(Rc<Cell<usize>>);

impl WatcherSlot {
    pub(super) fn take(taken: &Rc<Cell<usize>>, most: usize) -> Option<Self> {
        (taken.get() < most).then(|| {
            taken.set(taken.get() + 1);
            Self(taken.clone())
        })
    }
}

impl Drop for WatcherSlot {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A stream of lines.
pub(super) struct Watcher {
    news: Receiver,
    /// Lines that are due.
    due: VecDeque<Bytes>,
    /// The revision of `about` that was sent last.
    edition: u64,
    /// Remaining `now` lines.
    left: Option<u64>,
    /// Ready when the watcher's token is no longer valid.
    ended: Pin<Box<dyn Future<Output = ()>>>,
    _seat: WatcherSlot,
}

/// Owns the receiver while it waits, because a body is polled and can't await itself.
enum Receiver {
    Idle(Option<watch::Receiver<LiveUpdate>>),
    Waiting(Pin<Box<dyn Future<Output = Option<watch::Receiver<LiveUpdate>>>>>),
}

impl Watcher {
    /// Starts with these lines, then the current ones, until `ended`.
    pub(super) fn new(
        mut news: watch::Receiver<LiveUpdate>,
        begin: impl IntoIterator<Item = Bytes>,
        lines: Option<u64>,
        ended: impl Future<Output = ()> + 'static,
        slot: WatcherSlot,
    ) -> Self {
        // A new watcher gets the current lines at once.
        news.mark_changed();
        Self {
            news: Receiver::Idle(Some(news)),
            due: begin.into_iter().collect(),
            edition: 0,
            left: lines,
            // It is polled again after its end.
            ended: Box::pin(ended.fuse()),
            _seat: slot,
        }
    }

    fn queue_lines(&mut self, news: &LiveUpdate) {
        if news.edition != self.edition {
            self.edition = news.edition;
            self.due.push_back(news.about.clone());
        }
        self.due.push_back(news.now.clone());
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
    }
}

impl Body for Watcher {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            self.due.clear();
            self.left = Some(0);
        }
        loop {
            if let Some(line) = self.due.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(line))));
            }
            if self.left == Some(0) {
                return Poll::Ready(None);
            }
            match &mut self.news {
                Receiver::Idle(receiver) => {
                    let Some(mut receiver) = receiver.take() else { return Poll::Ready(None) };
                    self.news = Receiver::Waiting(Box::pin(async move {
                        receiver.changed().await.ok().map(|()| receiver)
                    }));
                }
                Receiver::Waiting(waiting) => {
                    // The sender is dropped: no more lines.
                    let Some(mut receiver) = ready!(pin!(waiting).poll(cx)) else {
                        self.news = Receiver::Idle(None);
                        return Poll::Ready(None);
                    };
                    let news = receiver.borrow_and_update().clone();
                    self.news = Receiver::Idle(Some(receiver));
                    self.queue_lines(&news);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
