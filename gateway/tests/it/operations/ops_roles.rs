//! Ops tokens with roles, in a file that changes while the gateway runs.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused};
use testkit::cli::run;
use testkit::definition::{open, small, white};
use testkit::eventually;
use testkit::gateway::{Gateway, OPS_TOKEN, send};
use testkit::redis::Redis;

const WALL: &str = "wall-wall-wall-wall-wall-wall-00";
const RELAY: &str = "relay-relay-relay-relay-relay-00";

fn write(path: &Path, lines: &str) {
    // Like a mount: the new file replaces the old one atomically.
    let new = path.with_extension("new");
    std::fs::write(&new, lines).unwrap();
    std::fs::rename(new, path).unwrap();
}

async fn status(gateway: &Gateway, method: Method, path: &str, token: &str) -> u16 {
    let request = gateway.ops_request(method.clone(), path, token);
    let request = if method == Method::GET { request } else { request.json(&json!({})) };
    let reply = send(request).await;
    if reply.status == 403 {
        refused(&reply, 403, "forbidden", &[]);
    }
    reply.status
}

#[tokio::test]
async fn each_role_may_what_it_is_for_and_a_refusal_does_nothing() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ops");
    write(&file, &format!("maja {OPS_TOKEN}\nwall {WALL} watch\nrelay {RELAY} feed\n"));
    let gateway = Gateway::start_with(&redis, &["--ops-token-file", file.to_str().unwrap()]).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    let before = balanced(&gateway).await;
    let sale = "/admin/v1/sales/small";
    for (method, path, of_wall, of_relay) in [
        (Method::GET, "/admin/v1/live?frames=1".to_owned(), 200, 403),
        (Method::GET, "/admin/v1/sales".to_owned(), 200, 403),
        (Method::GET, sale.to_owned(), 200, 403),
        (Method::HEAD, sale.to_owned(), 200, 403),
        (Method::GET, format!("{sale}/audit"), 200, 403),
        (Method::GET, "/admin/v1/fleet".to_owned(), 200, 403),
        (Method::GET, "/admin/v1/limits".to_owned(), 200, 403),
        (Method::GET, "/admin/v1/limits/log".to_owned(), 200, 403),
        (Method::GET, format!("{sale}/journal"), 403, 200),
        (Method::GET, format!("{sale}/buyers/alice"), 403, 403),
        (Method::PUT, sale.to_owned(), 403, 403),
        (Method::PATCH, "/admin/v1/limits".to_owned(), 403, 403),
        (Method::POST, format!("{sale}/restock"), 403, 403),
        (Method::POST, format!("{sale}/pause"), 403, 403),
        (Method::POST, format!("{sale}/close"), 403, 403),
        (Method::POST, format!("{sale}/journal"), 403, 403),
        // It lacks a body.
        (Method::POST, format!("{sale}/journal/lease"), 403, 400),
        (Method::GET, format!("{sale}/journal/lease"), 403, 405),
        (Method::PUT, format!("{sale}/journal/lease"), 403, 405),
        (Method::DELETE, sale.to_owned(), 403, 403),
        (Method::GET, "/admin/v1/nothing".to_owned(), 403, 403),
    ] {
        if method == Method::HEAD {
            let wall = send(gateway.ops_request(method, &path, WALL)).await;
            assert_eq!(wall.status, of_wall, "{path}");
            continue;
        }
        assert_eq!(status(&gateway, method.clone(), &path, WALL).await, of_wall, "{method} {path}");
        assert_eq!(status(&gateway, method.clone(), &path, RELAY).await, of_relay, "{method} {path}");
    }
    assert_eq!(balanced(&gateway).await, before);
    // The page shows a role, and hides what it may not do.
    for (token, role) in [(OPS_TOKEN, "operate"), (WALL, "watch")] {
        let reply = send(gateway.ops_request(Method::GET, "/admin/v1/live?frames=1", token)).await;
        let hello: Value = serde_json::from_str(reply.text.lines().next().unwrap()).unwrap();
        assert_eq!((&hello["kind"], &hello["role"]), (&json!("hello"), &json!(role)));
    }
    for (path, roles) in
        [("close", "it needs `operate`."), ("journal/lease", "it needs `feed` or `operate`.")]
    {
        let refusal = send(gateway.ops_request(Method::POST, &format!("{sale}/{path}"), WALL)).await;
        let detail = refusal.json["detail"].as_str().unwrap();
        assert!(detail.ends_with(roles), "{detail}");
    }
    let bad = dir.path().join("bad");
    write(&bad, &format!("maja {OPS_TOKEN} admin\n"));
    let ended = run(&["serve", "--ops-token-file", bad.to_str().unwrap()]);
    assert!(ended.code == 2 && ended.err.contains("ROLE must be one of operate, watch, feed"), "{ended:?}");
}

#[tokio::test]
async fn a_withdrawn_token_stops_at_once_and_its_open_streams_end() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ops");
    let all = format!("maja {OPS_TOKEN}\nwall {WALL} watch\n");
    write(&file, &all);
    let gateway = Gateway::start_with(&redis, &["--ops-token-file", file.to_str().unwrap()]).await;
    open(&gateway, &small()).await;
    let live = |token: &str| gateway.ops_request(Method::GET, "/admin/v1/live", token).send();
    let mut of_wall = live(WALL).await.unwrap();
    let mut of_maja = live(OPS_TOKEN).await.unwrap();
    assert!(of_wall.chunk().await.unwrap().is_some() && of_maja.chunk().await.unwrap().is_some());

    // An invalid file changes nothing, and is reported: log, metric, alarm.
    write(&file, &format!("maja {OPS_TOKEN}\nwall hunter2 watch\n"));
    let alarm = eventually("the bad file is reported", || async {
        let line = gateway.ops_get("/admin/v1/live?frames=1").await.text;
        let now: Value = serde_json::from_str(line.lines().last()?).ok()?;
        let alarms = now["alarms"].as_array()?;
        alarms.iter().find(|alarm| alarm["name"] == "file-rejected").cloned()
    })
    .await;
    let text = alarm["text"].as_str().unwrap();
    assert!(text.contains("--ops-token-file") && text.contains(":2: TOKEN must be"), "{alarm}");
    assert!(!text.contains("hunter2"), "{alarm}");
    let series = "file_rejected{file=\"ops-token-file\"}";
    assert_eq!(gateway.metrics().await.of(series), 1.0);
    assert_eq!(status(&gateway, Method::GET, "/admin/v1/sales", WALL).await, 200);

    // Without the wall, with a new token, and with the operator as before.
    let new = "new-new-new-new-new-new-new-new-0";
    write(&file, &format!("maja {OPS_TOKEN}\nnew {new} watch\n"));
    eventually("the token is withdrawn", || async {
        (status(&gateway, Method::GET, "/admin/v1/sales", WALL).await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&gateway, Method::GET, "/admin/v1/sales", new).await, 200);
    assert_eq!(gateway.metrics().await.of(series), 0.0);
    while of_wall.chunk().await.unwrap().is_some() {}
    // The operator's stream goes on, and so does all else.
    for _ in 0..3 {
        assert!(of_maja.chunk().await.unwrap().is_some());
    }
    // A role that is taken away ends what it allowed, too.
    let of_new = live(new).await.unwrap();
    write(&file, &format!("maja {OPS_TOKEN}\nnew {new} feed\n"));
    assert!(of_new.text().await.is_ok(), "it ends in order");
    assert_eq!(status(&gateway, Method::GET, "/admin/v1/sales", new).await, 403);
    assert_eq!(status(&gateway, Method::GET, "/admin/v1/sales/small/journal", new).await, 200);
}

#[tokio::test]
async fn refused_tokens_are_counted_and_logged_without_the_token() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let (file, log) = (dir.path().join("ops"), dir.path().join("log"));
    write(&file, &format!("maja {OPS_TOKEN}\nwall {WALL} watch\n"));
    let options = ["--ops-token-file", file.to_str().unwrap()];
    let gateway = Gateway::spawn_logging(&redis.url(), &options, &log);
    gateway.ready().await;
    let refused = async || {
        let metrics = gateway.metrics().await;
        ["unknown", "role"]
            .map(|reason| metrics.of(&format!("ops_tokens_refused_total{{reason=\"{reason}\"}}")))
    };
    assert_eq!(refused().await, [0.0, 0.0]);
    let guess = "hunter2-hunter2-hunter2";
    assert_eq!(status(&gateway, Method::GET, "/admin/v1/sales", guess).await, 401);
    assert_eq!(status(&gateway, Method::GET, "/admin/v1/sales/small/buyers/alice", WALL).await, 403);
    assert_eq!(status(&gateway, Method::POST, "/admin/v1/sales/small/close", WALL).await, 403);
    assert_eq!(status(&gateway, Method::GET, "/admin/v1/sales", WALL).await, 200);
    // Without any token, too.
    assert_eq!(reqwest::get(format!("{}/admin/v1/fleet", gateway.ops_url)).await.unwrap().status(), 401);
    assert_eq!(refused().await, [2.0, 2.0]);
    let text = eventually("each is logged", || async {
        let text = std::fs::read_to_string(&log).unwrap();
        (text.matches("an ops token is refused").count() == 4).then_some(text)
    })
    .await;
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("an ops token is refused")).collect();
    assert!(lines[0].contains("address=127.0.0.1") && lines[0].contains("reason=\"unknown\""), "{lines:#?}");
    assert!(lines[1].contains("reason=\"role\"") && lines[1].contains("name=\"wall\""), "{lines:#?}");
    assert!(!text.contains(guess) && !text.contains(WALL) && !text.contains("alice"), "{text}");
}

#[tokio::test]
async fn a_stream_ends_when_the_role_that_it_shows_changes() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ops");
    write(&file, &format!("maja {OPS_TOKEN}\nwall {WALL} watch\n"));
    let gateway = Gateway::start_with(&redis, &["--ops-token-file", file.to_str().unwrap()]).await;
    let live = || gateway.ops_request(Method::GET, "/admin/v1/live", WALL).send();
    let stream = live().await.unwrap();
    write(&file, &format!("maja {OPS_TOKEN}\nwall {WALL} operate\n"));
    assert!(stream.text().await.unwrap().contains("\"role\":\"watch\""), "it ends in order");
    let mut stream = live().await.unwrap();
    let mut text = String::new();
    while !text.contains('\n') {
        text += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
    }
    assert!(text.contains("\"role\":\"operate\""), "{text}");
}
