//! Tests what operators see of a draw: metrics, live page, admin calls, command line, doctor, audit.

use serde_json::{Value, json};
use testkit::check::settled;
use testkit::cli::run;
use testkit::definition::{known, open, small, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use crate::contract::draw::{Operator, drawn, from_now, over, sign_up, stage};
use crate::operations::doctor::DoctorFixture;

async fn live(gateway: &Gateway) -> Value {
    let text = gateway.ops_get("/admin/v1/live?sale=small&frames=1").await.text;
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn show(redis: &Redis) -> String {
    let shown = run(&["sale", "show", "small", "--redis", &redis.url()]);
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.out
}

/// Every place shows this stage, with so many entrants and allocated ones, at each of these gateways.
async fn all_show(gateways: &[&Gateway], redis: &Redis, name: &str, entrants: u64, allocated: u64) {
    stage(gateways[0], name).await;
    let expected = json!({"stage": name, "entrants": entrants, "allocated": allocated});
    for gateway in gateways {
        eventually(name, || async { (live(gateway).await["sale"]["draw"] == expected).then_some(()) }).await;
        let samples = gateway.metrics().await;
        for stage in ["announced", "fixed", "drawn", "allocated"] {
            let value = samples.of(&format!("draw_stage{{sale=\"small\",stage=\"{stage}\"}}"));
            assert_eq!(value, f64::from(stage == name), "{stage} at {name}");
        }
        assert_eq!(samples.of("draw_entrants{sale=\"small\"}"), entrants as f64);
        assert_eq!(samples.of("draw_allocated{sale=\"small\"}"), allocated as f64);
        let sale = gateway.ops_get("/admin/v1/sales/small").await.json;
        assert_eq!((&sale["sells"], &sale["draw"]), (&json!("draw"), &expected));
    }
    let text = show(redis);
    let row = format!("draw          {name}, {entrants} entrants, {allocated} allocated\n");
    assert!(text.contains("sells         draw\n") && text.contains(&row), "{text}");
}

async fn journal(gateway: &Gateway) -> Vec<(bool, String)> {
    let now = live(gateway).await;
    let lines = now["sale"]["journal"].as_array().unwrap();
    lines.iter().map(|line| (line["ops"] == true, line["text"].as_str().unwrap().to_owned())).collect()
}

fn problems(redis: &Redis) -> String {
    run(&["audit", "small", "--json", "--redis", &redis.url()]).json()["problems"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_shows_how_far_a_draw_is() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    assert!(!gateway.metrics().await.text.contains("launchgate_draw_stage{"));
    assert_eq!((live(&gateway).await["sale"].get("draw"), show(&redis).contains("draw ")), (None, false));
    let definition = drawn();
    open(&gateway, &definition).await;
    let doctor = DoctorFixture::new(&redis);
    for n in 0..7 {
        let choices = json!([{"model": "white"}, {"model": "black"}]);
        assert_eq!(sign_up(&gateway, &format!("buyer {n}"), &choices).await.status, 201);
    }
    all_show(&[&gateway], &redis, "announced", 0, 0).await;
    eventually("the sign-ups are shown", || async {
        (live(&gateway).await["sale"]["signed_up"] == 7).then_some(())
    })
    .await;
    assert_eq!(
        gateway.metrics().await.of("signup_closes_timestamp_seconds{sale=\"small\"}"),
        4_070_908_800.0
    );
    doctor.examine(&["--sale", "small"]).has("sale small", "draw-room", "warn", "7.6 MiB of each gateway");
    doctor.examine(&["--sale", "small"]).has("sale small", "drawn", "ok", "announced");

    // Sign-up is over, and five minutes before the opening nothing is drawn.
    let near = with(over(definition), "/sale/opens_at", from_now(300));
    open(&gateway, &near).await;
    all_show(&[&gateway], &redis, "fixed", 7, 0).await;
    let findings = doctor.examine(&["--sale", "small"]);
    findings.has("sale small", "drawn", "fail", "it opens soon");
    assert_eq!(findings.verdicts("sale small", "draw"), ["warn"]);
    eventually("the alarm", || async {
        let now = live(&gateway).await;
        let alarm = now["alarms"].as_array()?.iter().find(|alarm| alarm["name"] == "draw-not-drawn")?.clone();
        assert_eq!(alarm["level"], "warning");
        Some(())
    })
    .await;
    assert_eq!(Operator::new(&redis).draw("reveal", "482913").code, 0);
    all_show(&[&gateway], &redis, "drawn", 7, 0).await;
    doctor.examine(&["--sale", "small"]).has("sale small", "drawn", "ok", "drawn");

    open(&gateway, &with(near.clone(), "/sale/opens_at", near["signup"]["closes_at"].clone())).await;
    stage(&gateway, "allocated").await;
    settled(&gateway).await;
    let later = Gateway::start(&redis).await;
    known(&later, "small").await;
    all_show(&[&gateway, &later], &redis, "allocated", 7, 7).await;
    let lines = journal(&gateway).await;
    let has =
        |is_ops: bool, start: &str| lines.iter().any(|(ops, text)| *ops == is_ops && text.starts_with(start));
    assert!(has(false, "sign-up is over: the gateways fixed 7 entrants of the draw"), "{lines:?}");
    assert!(
        lines.iter().any(|(ops, text)| *ops && text.contains(" drew: ") && text.ends_with(": the day")),
        "{lines:?}"
    );
    assert!(has(false, "the allocation of the draw is over: all 7 entrants had their turn"), "{lines:?}");
    eventually("no alarm is left", || async { (live(&gateway).await["alarms"] == json!([])).then_some(()) })
        .await;

    // The audit finds a state that differs from the journal.
    assert_eq!(problems(&redis), "[]");
    for (field, other) in
        [("entrants", "8"), ("allocated", "6"), ("allocated", "8"), ("draw_seed", "00"), ("drawn_in", "0")]
    {
        let before: String = redis.run(&format!("HGET lg:{{small}}:state {field}"));
        redis.run::<i64>(&format!("HSET lg:{{small}}:state {field} {other}"));
        let found = problems(&redis);
        assert!(
            found.contains(&format!("the state has {other} ")) && found.contains("the journal "),
            "{field}: {found}"
        );
        redis.run::<i64>(&format!("HSET lg:{{small}}:state {field} {before}"));
    }
    assert_eq!(problems(&redis), "[]");
}
