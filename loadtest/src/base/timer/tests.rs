//! Unit tests of `timer.rs`.

use super::*;

#[tokio::test]
async fn no_waiter_is_woken_before_its_instant_and_all_are_woken() {
    let timer = Arc::new(Timer::start().unwrap());
    let start = Instant::now();
    let waiting: Vec<_> = (0..200u64)
        .map(|n| {
            let (timer, at) = (Arc::clone(&timer), start + Duration::from_micros(n * 7_919 % 20_000));
            tokio::spawn(async move {
                timer.until(at).await;
                Instant::now() >= at
            })
        })
        .collect();
    for waiter in waiting {
        assert!(waiter.await.unwrap());
    }
}

#[tokio::test]
async fn what_is_over_is_not_waited_for() {
    let timer = Timer::start().unwrap();
    timer.until(Instant::now()).await;
    timer.until(Instant::now().checked_sub(Duration::from_secs(1)).unwrap()).await;
}
