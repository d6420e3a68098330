//! Unit tests of `head_timer.rs`.

use super::*;

const LIMIT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(5);

/// Whether this sleep is over.
async fn is_over(watch: &mut TimerWatch, sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
    std::future::poll_fn(|cx| {
        let _ = watch.poll(cx);
        let is_over = sleep.as_mut().poll(cx).is_ready();
        watch.settle(cx);
        Poll::Ready(is_over)
    })
    .await
}

/// Waits for the end of a sleep, as a connection does.
async fn ends(watch: &mut TimerWatch, sleep: &mut Pin<Box<dyn Sleep>>) {
    std::future::poll_fn(|cx| {
        let _ = watch.poll(cx);
        let ended = sleep.as_mut().poll(cx);
        watch.settle(cx);
        ended
    })
    .await;
}

#[tokio::test]
async fn a_deadline_that_passes_wakes_its_task_and_is_over() {
    let (timer, mut watch) = head_timer(LIMIT, LIMIT);
    let mut sleep = timer.sleep(LIMIT);
    assert!(!is_over(&mut watch, &mut sleep).await);

    // Either limit may be the shorter one.
    let (timer, mut watch) = head_timer(SHORT, LIMIT);
    ends(&mut watch, &mut timer.sleep(SHORT)).await;
    let (timer, mut watch) = head_timer(LIMIT, SHORT);
    let mut sleep = timer.sleep(LIMIT);
    tokio::time::sleep(3 * SHORT).await;
    assert!(!is_over(&mut watch, &mut sleep).await, "it is idle, and no head");
    watch.stream_timer().read(b"G").unwrap();
    ends(&mut watch, &mut sleep).await;
}

#[tokio::test]
async fn a_head_that_begins_as_the_idle_time_ends_has_its_own_time() {
    let (timer, mut watch) = head_timer(SHORT, LIMIT);
    let mut sleep = timer.sleep(SHORT);
    tokio::time::sleep(3 * SHORT).await;
    std::future::poll_fn(|cx| Poll::Ready(watch.poll(cx).is_ready())).await;
    // hyper reads before it checks the timeout.
    watch.stream_timer().read(b"G").unwrap();
    assert!(!is_over(&mut watch, &mut sleep).await);
    tokio::time::sleep(3 * SHORT).await;
    assert!(!is_over(&mut watch, &mut sleep).await);
}

#[tokio::test]
async fn a_closing_connection_waits_for_a_request_in_transit() {
    let (timer, mut watch) = head_timer(LIMIT, LIMIT);
    let mut sleep = timer.sleep(LIMIT);
    watch.close_when_idle();
    assert!(!is_over(&mut watch, &mut sleep).await);
    ends(&mut watch, &mut sleep).await;
    drop(sleep);
    let mut head = timer.sleep(LIMIT);
    watch.stream_timer().read(b"G").unwrap();
    assert!(!is_over(&mut watch, &mut head).await);
    tokio::time::sleep(QUIET).await;
    assert!(!is_over(&mut watch, &mut head).await, "a head that was begun has its time");
}

#[tokio::test]
async fn heads_that_come_put_the_deadline_off() {
    let (timer, mut watch) = head_timer(SHORT, SHORT);
    drop(timer.sleep(SHORT));
    let mut next = timer.sleep(LIMIT);
    // The first deadline has passed, and no longer counts.
    tokio::time::sleep(3 * SHORT).await;
    assert!(!is_over(&mut watch, &mut next).await);
    drop(next);
    tokio::time::sleep(3 * SHORT).await;
    let mut last = timer.sleep(LIMIT);
    assert!(!is_over(&mut watch, &mut last).await);
}

#[tokio::test]
async fn a_slow_reader_times_out_unless_it_makes_progress() {
    let (_, mut watch) = head_timer(LIMIT, SHORT);
    let mut writes = watch.stream_timer();
    writes.wrote(None);
    writes.wrote(Some(1));
    tokio::time::sleep(3 * SHORT).await;
    let is_over = std::future::poll_fn(|cx| Poll::Ready(watch.poll(cx).is_ready()));
    assert!(!is_over.await);
    writes.wrote(None);
    std::future::poll_fn(|cx| {
        watch.settle(cx);
        watch.poll(cx)
    })
    .await;
}
