//! Unit tests of `watcher.rs`.

use std::future::pending;

use http_body_util::BodyExt;

use super::*;

fn news(edition: u64, about: &'static str, now: &'static str) -> LiveUpdate {
    LiveUpdate { edition, about: about.into(), now: now.into() }
}

/// The next line, or `None` while there is none.
fn next(watcher: &mut Watcher) -> Option<String> {
    let frame = watcher.frame().now_or_never()?.unwrap().unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[test]
fn a_slow_watcher_gets_the_newest_line_and_every_change_of_the_sale() {
    let sender = watch::Sender::new(news(1, "sale", "1"));
    let taken = Rc::default();
    let slot = WatcherSlot::take(&taken, 1).unwrap();
    assert!(WatcherSlot::take(&taken, 1).is_none());
    let begin = [Bytes::from("hello")];
    let mut watcher = Watcher::new(sender.subscribe(), begin, None, pending(), slot);
    let all = |watcher: &mut Watcher| std::iter::from_fn(|| next(watcher)).collect::<Vec<_>>();
    assert_eq!(all(&mut watcher), ["hello", "sale", "1"]);
    for now in ["2", "3", "4"] {
        sender.send_replace(news(1, "sale", now));
    }
    assert_eq!(all(&mut watcher), ["4"]);
    sender.send_replace(news(2, "other", "5"));
    sender.send_replace(news(2, "other", "6"));
    assert_eq!(all(&mut watcher), ["other", "6"]);
    drop(watcher);
    assert!(WatcherSlot::take(&taken, 1).is_some());
}

#[test]
fn a_stream_ends_after_its_last_line_and_with_its_sender() {
    let sender = watch::Sender::new(news(0, "", "1"));
    let taken = Rc::default();
    let slot = || WatcherSlot::take(&taken, 9).unwrap();
    let mut watcher = Watcher::new(sender.subscribe(), [], Some(1), pending(), slot());
    assert_eq!(next(&mut watcher).unwrap(), "1");
    assert!(watcher.frame().now_or_never().unwrap().is_none());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let ended = async move { drop(ended.await) };
    let mut watcher = Watcher::new(sender.subscribe(), [], None, ended, slot());
    assert_eq!(next(&mut watcher).unwrap(), "1");
    sender.send_replace(news(0, "", "2"));
    drop(end);
    assert!(watcher.frame().now_or_never().unwrap().is_none(), "not even what is due");
    let mut watcher = Watcher::new(sender.subscribe(), [], None, pending(), slot());
    assert_eq!(next(&mut watcher).unwrap(), "2");
    drop(sender);
    assert!(watcher.frame().now_or_never().unwrap().is_none());
    assert!(watcher.frame().now_or_never().unwrap().is_none());
}
