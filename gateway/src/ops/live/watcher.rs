//! One who watches: his stream. Who is slow gets the newest line and never a backlog.

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

/// What is told in a second: shared by all who see it.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveUpdate {
    /// Counts what hardly changes, from 1; 0: there is nothing of the kind.
    pub(super) edition: u64,
    /// What hardly changes.
    pub(super) about: Bytes,
    /// The numbers.
    pub(super) now: Bytes,
}

/// A place among those who watch, until it is dropped.
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
    /// Lines that are due now.
    due: VecDeque<Bytes>,
    /// What he knows of what hardly changes.
    edition: u64,
    /// `now` lines until the end.
    left: Option<u64>,
    /// Comes when he may watch no more.
    ended: Pin<Box<dyn Future<Output = ()>>>,
    _seat: WatcherSlot,
}

/// Waits for news with a future of its own, because a body is polled and can't wait itself.
enum Receiver {
    Idle(Option<watch::Receiver<LiveUpdate>>),
    Waiting(Pin<Box<dyn Future<Output = Option<watch::Receiver<LiveUpdate>>>>>),
}

impl Watcher {
    /// Begins with these lines, then what is known now, until `ended`.
    pub(super) fn new(
        mut news: watch::Receiver<LiveUpdate>,
        begin: impl IntoIterator<Item = Bytes>,
        lines: Option<u64>,
        ended: impl Future<Output = ()> + 'static,
        slot: WatcherSlot,
    ) -> Self {
        // What is there already is news to who has just come.
        news.mark_changed();
        Self {
            news: Receiver::Idle(Some(news)),
            due: begin.into_iter().collect(),
            edition: 0,
            left: lines,
            // It is asked at every poll, also after its end.
            ended: Box::pin(ended.fuse()),
            _seat: slot,
        }
    }

    fn take_in(&mut self, news: &LiveUpdate) {
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
                    // Without a sender there will be no more.
                    let Some(mut receiver) = ready!(pin!(waiting).poll(cx)) else {
                        self.news = Receiver::Idle(None);
                        return Poll::Ready(None);
                    };
                    let news = receiver.borrow_and_update().clone();
                    self.news = Receiver::Idle(Some(receiver));
                    self.take_in(&news);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
