//! Tests which replayed entries have the field `gap`: all that follow what this recovery lost, and no others.

use std::collections::BTreeMap;

use gateway::domain::decision::Decision;
use gateway::domain::identity::{buyer_part, reservation_id};
use gateway::domain::reservation::State;
use gateway::manage::admin::OperatorAction;
use gateway::reserve::changes::{self, Change};
use gateway::store::journal::Cursor;
use gateway::store::scripts::Script;
use serde_json::{Value, json};
use testkit::eventually;

use crate::model::crash::Past;
use crate::model::instance::Instance;
use crate::model::sale::Clocks;
use crate::model::world::Ledger;
use crate::model::{START, World, paid, tap};
use crate::recovery::forked::read_on;
use crate::recovery::replaced::applied;

fn kinds(lines: &[(Cursor, Value)]) -> Vec<&str> {
    lines.iter().map(|(_, line)| line["kind"].as_str().unwrap()).collect()
}

/// Advances Redis's clock and the sale clock by so many steps of a second.
async fn advance(ledger: &Ledger, instance: &Instance, from: &mut i64, steps: u32) {
    for _ in 0..steps {
        *from += 1_000;
        ledger.set_time(*from).await;
        instance.tick().await;
    }
}

/// Ada and Bob get one batch, of which the reports have only Ada. Then the older hold of Eve is swept. The repeated sweep
/// equals the original one in all but the field `gap`: without it, a reader of the sweep would not find that Bob is lost.
async fn sweep_after_a_batch_in_part(world: &World, was_only_shown: bool) {
    let (ledger, sale) = applied(world).await;
    let (here, elsewhere) = (ledger.instance(0, &sale).await, ledger.instance(1, &sale).await);
    let mut now = START;
    assert!(matches!(here.reserve(&[tap("eve", "k")], false).await[..], [Decision::Won(..)]));
    advance(&ledger, &here, &mut now, 2).await;
    let mut past = Past::new(&ledger, 1);
    past.note(&ledger, &sale, Clocks::default(), false).await;

    let taps = [tap("ada", "k"), tap("bob", "k")];
    assert!(matches!(elsewhere.reserve(&taps, false).await[..], [Decision::Won(..), Decision::Won(..)]));
    assert!(matches!(here.reserve(&taps[..1], false).await[..], [Decision::Replayed(..)]));
    let sweeper = if was_only_shown { &elsewhere } else { &here };
    while sweeper.sweep(64).await.1 == 0 {
        advance(&ledger, sweeper, &mut now, 1).await;
    }
    if was_only_shown {
        let shown = changes::read(&here.redis_connection, &here.sale, &buyer_part(&sale, "eve")).await;
        assert_eq!(shown.unwrap().0[0].state, State::Expired);
    }
    let ada = reservation_id(&sale, "ada", "k");
    let confirmed = changes::confirm(&here.redis_connection, &here.sale, &ada, paid(1)).await;
    assert!(matches!(confirmed, Change::Done(..)), "{confirmed:?}");
    let read = read_on(&ledger, &sale, Cursor::START).await.unwrap();
    assert_eq!(kinds(&read), ["define", "reserve", "reserve", "reserve", "expire", "confirm"]);
    past.crash(&ledger, std::slice::from_ref(&here), 0).await;

    let now = read_on(&ledger, &sale, read[1].0).await.unwrap();
    assert_eq!(kinds(&now), ["reserve", "expire", "confirm", "adopt"], "Bob is lost");
    for (cursor, line) in &read[2..] {
        let common = read_on(&ledger, &sale, *cursor).await.expect_err(&line.to_string());
        assert!(common.sequence <= 2, "{line}: {common}");
    }
    // What a sink looks for, from the common cursor on: none of the changes that it has after it is there.
    let is_known = |(new, _): &(Cursor, Value)| read.iter().any(|(old, _)| old == new);
    assert!(!now.iter().any(is_known), "{now:?}");
}

#[test]
fn a_repeated_sweep_after_a_batch_in_part_is_another_one_for_readers() {
    let world = World::start();
    world.run(sweep_after_a_batch_in_part(&world, false));
}

#[test]
fn a_sweep_that_was_only_shown_after_a_batch_in_part_is_another_one_for_readers() {
    let world = World::start();
    world.run(sweep_after_a_batch_in_part(&world, true));
}

/// The entries of the journal after these changes, each list of which is one call of the replay: their fields by name.
async fn replayed(
    ledger: &Ledger,
    here: &Instance,
    dumps: &[Option<Vec<u8>>],
    calls: &[&[Value]],
) -> Vec<BTreeMap<String, String>> {
    let keys = &here.sale.keys;
    for (key, dump) in keys.all().iter().zip(dumps) {
        ledger.command::<()>(&["DEL", key]).await;
        if let Some(dump) = dump {
            ledger.restore(key, dump).await;
        }
    }
    let live = here.redis_connection.live().unwrap();
    for call in calls {
        let mut args = vec![here.sale.ledger_identity("!old")];
        args.extend(call.iter().map(Value::to_string));
        let reply = here.redis_connection.call(&live, Script::Replay, keys, &args).await.unwrap();
        assert_eq!(reply[0], redis::Value::BulkString(b"ok".to_vec()), "{reply:?}");
    }
    let entries: Vec<(String, Vec<(String, String)>)> =
        ledger.command(&["XRANGE", keys.journal(), "3-0", "+"]).await;
    entries.into_iter().map(|(_, fields)| fields.into_iter().collect()).collect()
}

/// Replays are cut into calls by size, attempts are repeated, and another gateway goes on.
#[test]
fn what_follows_a_lost_change_is_marked_wherever_a_call_ends() {
    let world = World::start();
    world.run(async {
        let (ledger, sale) = applied(&world).await;
        let here = ledger.instance(0, &sale).await;
        here.reserve(&[tap("eve", "k")], false).await;
        ledger.command::<()>(&["HSET", here.sale.keys.state(), "epoch", "!old"]).await;
        let clock: i64 = ledger.command(&["HGET", here.sale.keys.state(), "clock"]).await;
        let mut dumps = Vec::new();
        for key in here.sale.keys.all() {
            dumps.push(ledger.command(&["DUMP", key]).await);
        }

        let change = |sequence: u64, kind: &str, later: i64, is_whole: bool| {
            let fields = if kind == "expire" { json!([]) } else { json!(["who", "ops", "reason", "a test"]) };
            json!({"sequence": sequence, "kind": kind, "at": START + later, "clock": clock + later, "items": [],
                "fields": fields, "rows": [], "is_whole": is_whole})
        };
        let due = 60_000;
        let (pause, resume) = (|n| change(n, "pause", due, false), |n| change(n, "resume", due, false));
        let lost_first = [change(3, "lost", 0, false), change(4, "expire", due, true), pause(5), resume(6)];
        let in_part = [change(3, "expire", due, false), pause(4), resume(5)];
        // Not due on this ledger: recorded as lost.
        let of_none = [change(3, "expire", 0, true), pause(4), resume(5)];
        let whole = [change(3, "expire", due, true), pause(4), resume(5)];
        for (changes, expected) in [
            (&lost_first[..], &["lost", "expire gap", "pause gap", "resume gap"][..]),
            (&in_part, &["expire gap", "pause gap", "resume gap"]),
            (&of_none, &["lost", "pause gap", "resume gap"]),
            (&whole, &["expire", "pause", "resume"]),
        ] {
            let at_once = replayed(&ledger, &here, &dumps, &[changes]).await;
            let mark = |entry: &BTreeMap<String, String>| {
                let gap = if entry.contains_key("gap") { " gap" } else { "" };
                format!("{}{gap}", entry["kind"])
            };
            assert_eq!(at_once.iter().map(mark).collect::<Vec<_>>(), expected);
            for at in 1..changes.len() {
                let calls = [&changes[..at], &changes[at..]];
                assert_eq!(replayed(&ledger, &here, &dumps, &calls).await, at_once, "cut at {at}");
                let again = [&changes[..at], changes, changes];
                assert_eq!(replayed(&ledger, &here, &dumps, &again).await, at_once, "repeated at {at}");
            }
            let each: Vec<&[Value]> = changes.chunks(1).collect();
            assert_eq!(replayed(&ledger, &here, &dumps, &each).await, at_once, "one by one");
        }
    });
}

/// The second failover loses what the first recovery wrote, and a gateway has read all of it: nothing is lost.
#[test]
fn what_was_read_after_a_lost_change_comes_back_as_it_was() {
    let world = World::start();
    world.run(async {
        let (ledger, sale) = applied(&world).await;
        let here = ledger.following_instance(0, &sale).await;
        here.reserve(&[tap("eve", "k")], false).await;
        let has_read = async |sequence| (here.sale.read_model().sequence == sequence).then_some(());
        eventually("it is read", || has_read(2)).await;
        let mut past = Past::new(&ledger, 1);
        past.note(&ledger, &sale, Clocks::default(), false).await;
        world.redis.run::<()>("ACL SETUSER default -xread");
        eventually("a read is refused", || async {
            (!world.redis.run::<Vec<redis::Value>>("ACL LOG").is_empty()).then_some(())
        })
        .await;
        // By the CLI: no gateway has it.
        ledger.perform(&sale, OperatorAction::Freeze).await;
        let eve = reservation_id(&sale, "eve", "k");
        let confirmed = changes::confirm(&here.redis_connection, &here.sale, &eve, paid(1)).await;
        assert!(matches!(confirmed, Change::Done(..)), "{confirmed:?}");
        past.crash(&ledger, std::slice::from_ref(&here), 0).await;
        world.redis.run::<()>("ACL SETUSER default +xread");
        ledger.perform(&sale, OperatorAction::Pause).await;
        eventually("it is read", || has_read(6)).await;
        let read = read_on(&ledger, &sale, Cursor::START).await.unwrap();
        assert_eq!(kinds(&read), ["define", "reserve", "lost", "confirm", "adopt", "pause"]);

        past.crash(&ledger, std::slice::from_ref(&here), 0).await;
        let now = read_on(&ledger, &sale, Cursor::START).await.unwrap();
        assert_eq!((&now[..read.len()], now.len()), (&read[..], read.len() + 1));
        for (at, (cursor, line)) in read.iter().enumerate() {
            assert_eq!(read_on(&ledger, &sale, *cursor).await.as_deref(), Ok(&now[at + 1..]), "{line}");
        }
    });
}
