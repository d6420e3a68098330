//! Dead letters, a receiver that is gone, and what an operator does about them while the relay runs.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use relay::sink::{Sink, SinkError};

use super::receiver::Reaction;
use super::stage::{Stage, beside};

const DAYS: Duration = Duration::from_secs(5 * 24 * 3600);

#[tokio::test]
async fn a_dead_letter_holds_its_reservation_until_it_is_sent_again() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|arrival| Reaction::Answer(if arrival.reservation() == "bad" { 500 } else { 200 }));
    stage.deliver(["bad", "good", "bad", "good"]).await;
    let begun = stage.clock.now();
    let rest = stage.pass(DAYS).await;
    assert_eq!((rest.waiting, rest.stuck, stage.status.dead.load(SeqCst)), (2, 2, 1));
    assert_eq!((stage.receiver.times("car/1/1/x"), stage.receiver.times("car/3/1/x")), (60, 0));
    let hours = (stage.clock.now() - begun) / 3_600_000;
    assert!((12..48).contains(&hours), "about a day: {hours} h");
    let refused = stage.webhooks().settle().await.unwrap_err();
    assert!(matches!(&refused, SinkError::Fatal(failure) if failure.exit_code() == 1), "{refused}");
    let parked = beside(&stage.state_dir()).parked().unwrap();
    assert_eq!(
        (parked.len(), &*parked[0].webhook, parked[0].attempts, parked[0].waiting),
        (1, "car/1/1/x", 60, 2)
    );
    assert!(parked[0].dead && parked[0].error.starts_with("500"), "{parked:?}");

    stage.receiver.react(|_| Reaction::Answer(200));
    stage.deliver(["bad"]).await;
    assert!(beside(&stage.state_dir()).release_webhook("car/1/1/x").unwrap());
    stage.webhooks().settle().await.unwrap();
    assert_eq!(stage.receiver.order()["bad"], ["car/1/1/x", "car/3/1/x", "car/5/1/x"]);
    assert_eq!((stage.rest().await.waiting, stage.status.dead.load(SeqCst)), (0, 0));
}

#[tokio::test]
async fn a_receiver_that_is_gone_gets_nothing_until_an_operator_resumes() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|_| Reaction::Answer(410));
    stage.deliver(["a"]).await;
    stage.until("it is gone", |rest| rest.is_gone && rest.in_flight == 0).await;
    stage.deliver(["b", "c"]).await;
    stage.start().await;
    stage.until("that outlives a restart", |rest| rest.is_gone).await;
    stage.clock.advance(DAYS);
    assert_eq!((stage.rest().await.waiting, stage.receiver.arrivals().len()), (3, 1));
    let refused = stage.webhooks().settle().await.unwrap_err();
    assert!(
        refused.to_string().contains("3 webhooks are not delivered: the receiver answered 410"),
        "{refused}"
    );
    let shown = beside(&stage.state_dir()).gone().unwrap().unwrap();
    assert!(stage.receiver.url.starts_with(&shown) && !shown.contains(' '), "{shown}");

    stage.receiver.react(|_| Reaction::Answer(200));
    assert_eq!(beside(&stage.state_dir()).release_all().unwrap(), 1);
    stage.until("all are delivered", |rest| rest.waiting == 0).await;
    assert_eq!(stage.receiver.arrivals().len(), 4);
}
