//! Unit tests of `watcher.rs`.

use std::future::pending;
use std::sync::Arc;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::*;

fn news(edition: u64, about: &'static str, now: &'static str) -> LiveUpdate {
    LiveUpdate { edition, about: about.into(), now: now.into() }
}

/// The next line, or `None` while there is none.
fn next(watcher: &mut (impl Body<Data = Bytes, Error = Infallible> + Unpin)) -> Option<String> {
    let frame = watcher.frame().now_or_never()?.unwrap().unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[test]
fn a_slow_watcher_gets_the_newest_line_and_every_change_of_the_sale() {
    let sender = watch::Sender::new(news(1, "sale", "1"));
    let slots = Arc::new(Semaphore::new(1));
    let slot = slots.clone().try_acquire_owned().unwrap();
    let begin = [Bytes::from("hello")];
    let mut watcher = Box::pin(watcher(sender.subscribe(), begin, None, pending(), slot));
    let mut all = || std::iter::from_fn(|| next(&mut watcher)).collect::<Vec<_>>();
    assert_eq!(all(), ["hello", "sale", "1"]);
    for now in ["2", "3", "4"] {
        sender.send_replace(news(1, "sale", now));
    }
    assert_eq!(all(), ["4"]);
    sender.send_replace(news(2, "other", "5"));
    sender.send_replace(news(2, "other", "6"));
    assert_eq!(all(), ["other", "6"]);
    drop(watcher);
    assert_eq!(slots.available_permits(), 1);
}

#[test]
fn a_stream_ends_after_its_last_line_and_with_its_sender() {
    let sender = watch::Sender::new(news(0, "", "1"));
    let slots = Arc::new(Semaphore::new(9));
    let slot = || slots.clone().try_acquire_owned().unwrap();
    let mut lines = Box::pin(watcher(sender.subscribe(), [], Some(1), pending(), slot()));
    assert_eq!(next(&mut lines).unwrap(), "1");
    assert!(lines.frame().now_or_never().unwrap().is_none());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let ended = async move { drop(ended.await) };
    let mut lines = Box::pin(watcher(sender.subscribe(), [], None, ended, slot()));
    assert_eq!(next(&mut lines).unwrap(), "1");
    sender.send_replace(news(0, "", "2"));
    drop(end);
    assert!(lines.frame().now_or_never().unwrap().is_none(), "not even what is due");
    let mut lines = Box::pin(watcher(sender.subscribe(), [], None, pending(), slot()));
    assert_eq!(next(&mut lines).unwrap(), "2");
    drop(sender);
    assert!(lines.frame().now_or_never().unwrap().is_none());
    assert!(lines.frame().now_or_never().unwrap().is_none());
}
