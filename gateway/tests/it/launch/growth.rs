//! Tests that one buyer's entries are bounded in number and size, and complete in the support
//! lookup.

use gateway::domain::identity::buyer_part;
use gateway::reserve::changes::{Amendment, Change, Requester, amend, read};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused};
use testkit::definition::{open, small, white};
use testkit::gateway::{Gateway, send, service_token};
use testkit::redis::Redis;

use crate::contract::admin::SALE;
use crate::model::{START, World, simple, tap};

/// See `amend.lua`.
const CHANGES_MAX: usize = 100;

/// The journal lines of a buyer in the support lookup.
async fn lines(gateway: &Gateway, buyer: &str) -> Vec<Value> {
    let seen = gateway.ops_get(&format!("{SALE}/buyers/{buyer}")).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    seen.json["journal"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_buyers_changes_have_an_end_and_each_adds_the_same_little_to_the_journal() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let id = gateway.reserve("alice", "k", &white()).await.id();
    let stores = [json!({"store": "sh-1"}), json!({"store": "gz-1"})];
    for n in 0..CHANGES_MAX {
        let reply = gateway.amend("alice", &id, &stores[n % 2]).await;
        assert_eq!((reply.status, &reply.json["version"]), (200, &json!(n + 2)), "{}", reply.text);
    }
    let before = balanced(&gateway).await;
    for _ in 0..3 {
        let reply = gateway.amend("alice", &id, &stores[0]).await;
        let problem = refused(&reply, 409, "reservation-not-held", &["state", "version"]);
        assert_eq!((&problem["state"], &problem["version"]), (&json!("held"), &json!(CHANGES_MAX + 1)));
        assert!(problem["detail"].as_str().unwrap().contains("paid or cancelled"), "{problem}");
    }
    // A no-op does not count as a change.
    assert_eq!(gateway.amend("alice", &id, &stores[1]).await.status, 200);
    assert_eq!(balanced(&gateway).await, before);

    // Services carry out what was sold, and the reservation can be paid.
    let path = format!("/v1/sales/small/reservations/{id}");
    let service = gateway.request(Method::PATCH, &path).bearer_auth(service_token()).json(&stores[0]);
    let moved = send(service).await;
    assert_eq!((moved.status, &moved.json["version"]), (200, &json!(CHANGES_MAX + 2)), "{}", moved.text);
    assert_eq!(gateway.confirm(&id, "pay", 102).await.status, 200);

    // Every entry is as large as the first, but for the digits of its numbers; so is the row.
    let entries: Vec<(String, Vec<String>)> = redis.run("XRANGE lg:{small}:journal 3-0 +");
    let sizes: Vec<usize> = entries.iter().map(|(_, fields)| fields.concat().len()).collect();
    assert_eq!(sizes.len(), CHANGES_MAX + 2);
    assert!(sizes.iter().all(|size| size.abs_diff(sizes[0]) < 24), "{sizes:?}");
    let rows: Vec<String> = redis.run("HVALS lg:{small}:records");
    assert!(rows.len() == 1 && rows[0].len() < 160, "{rows:?}");

    let all = lines(&gateway, "alice").await;
    let versions: Vec<u64> = all.iter().map(|line| line["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=102).chain([102]).collect::<Vec<u64>>());
    assert_eq!((&all[0]["kind"], &all[102]["kind"]), (&json!("reserve"), &json!("confirm")));
}

#[tokio::test]
async fn a_buyers_history_is_complete_also_where_an_entry_is_gone_or_of_an_earlier_format() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let id = gateway.reserve("alice", "k", &white()).await.id();
    gateway.reserve("bob", "k", &white()).await;
    for store in ["sh-1", "gz-2", "sh-1"] {
        assert_eq!(gateway.amend("alice", &id, &json!({"store": store})).await.status, 200);
    }
    let sequences = async || -> Vec<String> {
        let all = lines(&gateway, "alice").await;
        all.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(sequences().await, ["2-0", "4-0", "5-0", "6-0"]);
    // As after a failover that has lost a change.
    assert_eq!(redis.run::<u64>("XDEL lg:{small}:journal 5-0"), 1);
    assert_eq!(sequences().await, ["2-0", "4-0", "6-0"]);
}

/// Rows of format 1 name all changes. They are read as they are, and the next change bounds them.
#[test]
fn a_row_that_names_all_its_changes_is_read_and_bounded_by_the_next_one() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        ledger.set_time(START).await;
        ledger.apply(&simple(&sale)).await;
        let instance = ledger.instance(0, &sale).await;
        instance.reserve(&[tap("ada", "k")], false).await;
        let (part, records) = (buyer_part(&sale, "ada"), instance.sale.keys.records().to_owned());
        let row: String = ledger.command(&["HGET", &records, &part]).await;
        let old = format!("{},3,4,5,2", row);
        ledger.command::<i64>(&["HSET", &records, &part, &old]).await;
        let (list, _) = read(&instance.redis_connection, &instance.sale, &part).await.unwrap();
        assert_eq!(list[0].changes, [2, 3, 4, 5, 2]);
        let wanted = Amendment { store: Some("s2".into()), ..Amendment::default() };
        let changed =
            amend(&instance.redis_connection, &instance.sale, &list[0].id, Requester::Buyer(&part), &wanted)
                .await;
        assert!(matches!(changed, Change::Done(..)), "{changed:?}");
        let row: String = ledger.command(&["HGET", &records, &part]).await;
        assert!(row.ends_with(" - 2,3"), "{row}");
    });
}
