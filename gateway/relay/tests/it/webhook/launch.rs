//! The real program with a real gateway and Redis: killed in mid load, and after a fork.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use relay::webhook::outbox::Outbox;
use serde_json::{Value, json};
use testkit::tls::Certificate;
use testkit::{PATIENCE, Signal, eventually};
use tokio::time::timeout;

use super::receiver::{Arrival, Reaction, Receiver, SECRET};
use crate::fork::{lose, save_files};
use crate::ledger::journal;
use crate::stage::{Relay, Stage, load};

/// A relay of this stage that sends to this receiver.
fn relay(stage: &Stage, receiver: &Receiver, more: &[&str]) -> (Relay, PathBuf) {
    relay_in(stage, receiver, "outbox", more)
}

/// The same with a folder of this name.
fn relay_in(stage: &Stage, receiver: &Receiver, folder: &str, more: &[&str]) -> (Relay, PathBuf) {
    let secret = stage.file("webhook-secret", SECRET);
    let (secret, state_dir) = (secret.display().to_string(), secret.with_file_name(folder));
    let state = state_dir.display().to_string();
    let options = ["--webhook", &receiver.url, "--webhook-secret-file", &secret, "--state-dir", &state];
    (stage.relay(&[&options, more].concat()).start(), state_dir)
}

/// What a receiver has that removes duplicates and obeys `rescinded`: the lines of each reservation, in order. It forgets
/// the id of a rescinded change, which comes again with the same id if an operator restores its file.
fn kept(arrivals: &[Arrival]) -> BTreeMap<String, Vec<Value>> {
    let mut kept: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for arrival in arrivals {
        if !seen.insert(arrival.id.as_str()) {
            continue;
        }
        let of_reservation = kept.entry(arrival.reservation().to_owned()).or_default();
        match arrival.body["rescinds"].as_str() {
            None => of_reservation.push((arrival.id.clone(), arrival.body["data"].clone())),
            Some(id) => {
                let newest = of_reservation.pop().map(|(id, _)| id);
                assert_eq!(newest.as_deref(), Some(id), "newest first");
                seen.remove(id);
            }
        }
    }
    let lines = |(reservation, lines): (String, Vec<(String, Value)>)| {
        (reservation, lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>())
    };
    kept.into_iter().map(lines).filter(|(_, lines)| !lines.is_empty()).collect()
}

/// Waits until the receiver has the ledger: the lines of each reservation, in order.
async fn has_the_ledger(stage: &Stage, receiver: &Receiver, relay: &Relay, state_dir: &Path) {
    let outbox = || Outbox::open_beside(state_dir).ok();
    let read = eventually("everything is read", || async {
        let lines = journal(&stage.gateway).await;
        (outbox()?.cursor().ok()?.as_deref() == lines.last()?["cursor"].as_str()).then_some(lines)
    });
    let quote = || format!("{:?}\n{}", outbox().map(|outbox| outbox.parked()), relay.log());
    let lines = timeout(PATIENCE / 2, read).await.unwrap_or_else(|_| panic!("{}", quote()));
    let delivered =
        eventually("everything is delivered", || async { outbox()?.is_empty().ok()?.then_some(()) });
    timeout(PATIENCE / 2, delivered).await.unwrap_or_else(|_| panic!("{}", quote()));
    let mut expected: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in &lines {
        let reservation = line["reservation"].as_str().unwrap_or_default().to_owned();
        expected.entry(reservation).or_default().push(line.clone());
    }
    let kept = kept(&receiver.arrivals());
    assert_eq!(kept.len(), expected.len());
    for (reservation, lines) in &expected {
        assert_eq!(kept.get(reservation), Some(lines), "{reservation}");
    }
}

#[tokio::test]
async fn a_relay_that_is_killed_in_mid_load_loses_no_webhook_and_reorders_none() {
    let stage = Stage::set().await;
    let receiver = Receiver::start().await;
    receiver.react(|arrival| match (arrival.before, arrival.sequence() % 7) {
        (0, 0) => Reaction::Drop,
        (0, 1) => Reaction::Answer(500),
        _ => Reaction::Answer(200),
    });
    let (mut relay, state_dir) = relay(&stage, &receiver, &[]);
    let mut buyers = 0;
    {
        let kills = async {
            for _ in 0..8 {
                // A little more each time: the kill hits another moment.
                let arrived = receiver.arrivals().len() + 1 + fastrand::usize(..20);
                eventually("more arrives", || async { (receiver.arrivals().len() >= arrived).then_some(()) })
                    .await;
                relay.program.kill();
                relay.program.spawn().unwrap();
            }
        };
        tokio::pin!(kills);
        // A quick gateway must not get far ahead: all of it is delivered in the end.
        let receiver = &receiver;
        let keeps_up =
            |buyers: usize| async move { (receiver.arrivals().len() + 200 >= buyers).then_some(()) };
        loop {
            let next = async {
                eventually("the relay keeps up", || keeps_up(buyers)).await;
                load(&stage.gateway, buyers..buyers + 40).await;
            };
            tokio::select! {
                () = next => buyers += 40,
                () = &mut kills => break,
            }
        }
    }
    load(&stage.gateway, buyers..buyers + 40).await;
    has_the_ledger(&stage, &receiver, &relay, &state_dir).await;
}

#[tokio::test]
async fn a_receiver_ends_with_the_ledger_also_after_a_fork() {
    let mut stage = Stage::set().await;
    let receiver = Receiver::start().await;
    load(&stage.gateway, 0..12).await;
    save_files(&mut stage.redis);
    stage.gateway.ready().await;
    load(&stage.gateway, 12..20).await;
    let (relay, state_dir) = relay(&stage, &receiver, &[]);
    has_the_ledger(&stage, &receiver, &relay, &state_dir).await;
    lose(&mut stage).await;
    load(&stage.gateway, 30..34).await;
    has_the_ledger(&stage, &receiver, &relay, &state_dir).await;
    relay.logs("are rescinded").await;
    let arrivals = receiver.arrivals();
    let is_rescinded = |arrival: &&Arrival| arrival.body["type"] == "reservation.rescinded";
    let rescinded = arrivals.iter().filter(is_rescinded).count();
    assert!((8..40).contains(&rescinded), "only what was lost: {rescinded} of {}", arrivals.len());
}

/// As a standby on another host, which has a folder of its own.
#[tokio::test]
async fn relays_with_folders_of_their_own_give_each_change_the_same_id_and_no_other_one_also_after_a_fork() {
    let mut stage = Stage::set().await;
    let receiver = Receiver::start().await;
    load(&stage.gateway, 0..12).await;
    save_files(&mut stage.redis);
    stage.gateway.ready().await;
    load(&stage.gateway, 12..20).await;
    let reason = json!({"reason": "a NUL \u{0}, and\na line"});
    assert_eq!(stage.gateway.action("pause", &reason).await.status, 200);
    assert_eq!(stage.gateway.action("resume", &reason).await.status, 200);
    let before = journal(&stage.gateway).await;
    let deliver = async |stage: &Stage, folder: &str| {
        let arrived = receiver.arrivals().len();
        let (mut relay, _) = relay_in(stage, &receiver, folder, &["--until-caught-up"]);
        relay.ends(0).await;
        receiver.arrivals().split_off(arrived)
    };
    let ids = |lines: &[Value]| lines.iter().map(id).collect::<BTreeSet<_>>();
    let of = |arrivals: &[Arrival]| arrivals.iter().map(|a| a.id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(of(&deliver(&stage, "first").await), ids(&before));
    lose(&mut stage).await;
    load(&stage.gateway, 30..34).await;

    let after = journal(&stage.gateway).await;
    let is_common = |line: &&Value| after.iter().any(|new| new["cursor"] == line["cursor"]);
    let (common, lost): (Vec<Value>, Vec<Value>) = before.iter().cloned().partition(|line| is_common(&line));
    assert!(common.len() > 12 && lost.len() >= 8 && after.len() > common.len(), "{common:?}");
    let second = deliver(&stage, "second").await;
    assert_eq!(of(&second), ids(&after));
    assert!(ids(&lost).is_disjoint(&of(&second)), "no receiver takes a new change for a lost one");
    assert!(second.iter().filter(|arrival| arrival.before > 0).count() == common.len(), "the same as before");

    // The first one comes back: it takes back what it had sent, and sends nothing that the receiver does not drop.
    let mut again = deliver(&stage, "first").await;
    let taken_back: BTreeSet<String> =
        again.iter().filter_map(|arrival| Some(arrival.body["rescinds"].as_str()?.to_owned())).collect();
    assert_eq!(taken_back, ids(&lost));
    again.retain(|arrival| arrival.body["rescinds"].is_null());
    assert!(again.iter().all(|arrival| arrival.before > 0), "{again:?}");
}

/// The id of the webhook of this line, as the page says.
fn id(line: &Value) -> String {
    let cursor = line["cursor"].as_str().unwrap();
    let (place, digests) = cursor.split_once('~').unwrap();
    format!("small/{}/{}", place.replace("-0", ""), &digests[..8])
}

#[tokio::test]
async fn a_relay_that_is_caught_up_has_delivered_everything_and_ends() {
    let stage = Stage::set().await;
    let receiver = Receiver::start().await;
    receiver.react(|arrival| Reaction::Answer(if arrival.before == 0 { 503 } else { 200 }));
    load(&stage.gateway, 0..4).await;
    let (mut relay, state_dir) =
        relay(&stage, &receiver, &["--until-caught-up", "--state", "held,confirmed"]);
    let log = relay.ends(0).await;
    assert!(log.contains("parked: it is sent again"), "{log}");
    let outbox = Outbox::open_beside(&state_dir).unwrap();
    let lines = journal(&stage.gateway).await;
    assert_eq!(outbox.cursor().unwrap().as_deref(), lines.last().unwrap()["cursor"].as_str());
    let is_wanted = |line: &&Value| line["state"] == "held" || line["state"] == "confirmed";
    assert_eq!(
        receiver.order().values().map(Vec::len).sum::<usize>(),
        lines.iter().filter(is_wanted).count()
    );
}

#[tokio::test]
async fn a_relay_that_loses_its_lease_before_all_is_delivered_gets_it_again_and_ends() {
    let stage = Stage::set().await;
    let receiver = Receiver::start().await;
    receiver.set_away(true);
    load(&stage.gateway, 0..4).await;
    let (mut relay, state_dir) = relay(&stage, &receiver, &["--until-caught-up"]);
    let lines = journal(&stage.gateway).await;
    eventually("everything is read", || async {
        let cursor = Outbox::open_beside(&state_dir).ok()?.cursor().ok()?;
        (cursor.as_deref() == lines.last()?["cursor"].as_str()).then_some(())
    })
    .await;
    relay.logs("parked: it is sent again").await;
    relay.program.stop().unwrap();
    let mut other = stage.relay(&["--stdout", "--name", "webhook"]).start();
    other.logs("delivering small to stdout").await;
    relay.program.signal(Signal::CONT);
    relay.logs("the lease is lost").await;
    receiver.set_away(false);
    other.program.signal(Signal::TERM);
    other.ends(0).await;
    relay.ends(0).await;
    assert!(Outbox::open_beside(&state_dir).unwrap().is_empty().unwrap());
}

#[tokio::test]
async fn a_relay_that_is_asked_to_end_waits_for_the_answers_to_what_it_has_sent() {
    let stage = Stage::set().await;
    let receiver = Receiver::start().await;
    receiver.react(|_| Reaction::Hold);
    load(&stage.gateway, 0..4).await;
    let (mut relay, state_dir) = relay(&stage, &receiver, &[]);
    eventually("webhooks are in flight", || async { (receiver.open_max() > 3).then_some(()) }).await;
    relay.program.signal(Signal::TERM);
    relay.logs("a signal was received").await;
    receiver.open_gate();
    relay.ends(0).await;
    let delivered = receiver.arrivals();
    assert!(delivered.iter().all(|arrival| arrival.before == 0), "{delivered:?}");
    let next = Outbox::open(&state_dir, "small", "webhook").unwrap();
    let waiting = next.fresh(0.0, &[], 100).unwrap();
    assert!(waiting.iter().all(|due| delivered.iter().all(|arrival| arrival.id != due.id)), "{waiting:?}");
}

#[tokio::test]
async fn a_receiver_in_tls_is_trusted_by_its_authority_only() {
    let stage = Stage::set().await;
    let (certificate, _) = Certificate::new();
    let receiver = Receiver::start_tls(&certificate).await;
    load(&stage.gateway, 0..2).await;
    let (mut stranger, state_dir) = relay(&stage, &receiver, &[]);
    let error = eventually("it is parked", || async {
        let parked = Outbox::open_beside(&state_dir).ok()?.parked().ok()?;
        Some(parked.first()?.error.clone())
    });
    let error = error.await;
    assert!(error.contains("certificate"), "{error}");
    stranger.program.signal(Signal::TERM);
    stranger.ends(0).await;
    assert!(receiver.arrivals().is_empty());
    let authority = certificate.cert().display().to_string();
    let (mut trusting, _) = relay(&stage, &receiver, &["--ca-file", &authority, "--until-caught-up"]);
    trusting.ends(0).await;
    assert!(!receiver.arrivals().is_empty());
}
