//! Tests what `gateway serve`, `token` and `config` need, and their errors.

use serde_json::json;
use testkit::cli::{end, run};
use testkit::definition::{known, white};
use testkit::gateway::{Gateway, SECRET, binary, send};
use testkit::redis::Redis;

use super::cli::{TOML, ended, files, text};

#[tokio::test]
async fn tokens_that_the_cli_mints_are_good() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let dir = files(TOML);
    ended(&run(&["sale", "apply", &text(dir.path(), "sale.toml"), "--redis", &redis.url()]), 0, "", "");
    known(&gateway, "small").await;
    let secret = text(dir.path(), "secret");
    std::fs::write(&secret, SECRET).unwrap();
    let mint = |args: &[&str]| run(&[&["token", "--auth-secret-file", &secret], args].concat());
    let tap = async |token: &str| {
        let request = gateway.request(reqwest::Method::POST, "/v1/sales/small/reservations");
        let request = request.bearer_auth(token).header("idempotency-key", "k").json(&white());
        send(request).await
    };
    let one = mint(&["--sub", "alice"]);
    ended(&one, 0, "", "");
    let id = tap(one.out.trim()).await.id();
    assert_eq!(gateway.reserve("alice", "k", &white()).await.id(), id);
    let many = mint(&["--sub", "crowd", "--count", "3", "--ttl", "90s"]);
    let tokens: Vec<&str> = many.out.lines().collect();
    assert_eq!(tokens.len(), 3);
    for (n, token) in tokens.iter().enumerate() {
        let id = tap(token).await.id();
        assert_eq!(gateway.reserve(&format!("crowd-{n}"), "k", &white()).await.id(), id);
    }
    let service = mint(&["--sub", "payments", "--scope", "service"]);
    let request = gateway
        .request(reqwest::Method::POST, &format!("/v1/sales/small/reservations/{id}/confirm"))
        .bearer_auth(service.out.trim())
        .json(&json!({"payment": "p", "version": 1}));
    assert_eq!(send(request).await.status, 200);
    for wrong in [
        &["--sub", ""][..],
        &["--sub", "a "],
        &["--sub", "a", "--ttl", "soon"],
        &["--sub", "a", "--ttl", "0s"],
        &["--sub", "a", "--count", "0"],
        &["--sub", "a", "--scope", "admin"],
        &[],
    ] {
        let done = mint(wrong);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{wrong:?}");
    }
    std::fs::write(&secret, "short").unwrap();
    ended(&mint(&["--sub", "a"]), 2, "", "at least 32");
    ended(&run(&["token", "--sub", "a"]), 2, "", "--auth-secret-file");
}

#[tokio::test]
async fn a_gateway_that_can_not_serve_exits_with_the_documented_code() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let url = redis.url();
    let dir = files(TOML);
    let (secret, ops) = (text(dir.path(), "secret"), text(dir.path(), "ops"));
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::write(&ops, "me 0123456789abcdef0123456789abcdef\n").unwrap();
    let free = "127.0.0.1:0";
    let serve = |listen: &str, ops_listen: &str, further: &[&str]| {
        let args = ["serve", "--redis", &url, "--listen", listen, "--ops-listen", ops_listen];
        run(&[&args[..], further].concat())
    };
    let good = ["--auth-secret-file", &secret, "--ops-token-file", &ops];
    // Two gateways on one port: the kernel would share it silently.
    for (listen, ops_listen) in [
        (gateway.url.strip_prefix("http://").unwrap(), free),
        (free, gateway.ops_url.strip_prefix("http://").unwrap()),
    ] {
        ended(&serve(listen, ops_listen, &good), 3, "", "can't listen on");
    }
    assert_eq!(gateway.ops_get("/readyz").await.status, 200, "the first is not disturbed");
    let (short, bad_ops) = (text(dir.path(), "short"), text(dir.path(), "bad-ops"));
    std::fs::write(&short, "0123456789").unwrap();
    std::fs::write(&bad_ops, "me\n").unwrap();
    for (further, answered) in [
        (&[][..], "--ops-token-file"),
        (&["--ops-token-file", &ops], "auth"),
        (&["--ops-token-file", &ops, "--auth-secret-file", "/nowhere"], "/nowhere"),
        (&["--ops-token-file", &ops, "--auth-secret-file", &short], "at least 32"),
        (&["--ops-token-file", &bad_ops, "--auth-secret-file", &secret], "bad-ops:1"),
        (&["--ops-token-file", &ops, "--auth-secret-file", &secret, "--workers", "many"], "--workers"),
        (&["--ops-token-file", &ops, "--auth-secret-file", &secret, "--colour", "red"], "--colour"),
        (&["--config", "/nowhere.toml"], "/nowhere.toml"),
    ] {
        ended(&serve(free, free, further), 2, "", answered);
    }
    // Every mistake at once.
    let both = serve("here", "there", &["--ops-token-file", &ops]);
    for answered in ["--listen", "--ops-listen"] {
        ended(&both, 2, "", answered);
    }
    // Redis out of reach: a command fails, a bad URL is bad input.
    for (redis, code) in [("unix:/nowhere/s", 3), ("redis://127.0.0.1:1", 3), ("http://x", 2), ("", 2)] {
        for args in [&["sale", "list"][..], &["sale", "show", "s"], &["audit", "s"], &["journal", "s"]] {
            let done = run(&[args, &["--redis", redis]].concat());
            assert_eq!(done.code, code, "{redis} {args:?}: {done:?}");
            assert_ne!(done.err, "");
        }
    }
    for (args, code) in [(&["--help"][..], 0), (&["--version"], 0), (&[], 2), (&["explode"], 2)] {
        assert_eq!(run(args).code, code, "{args:?}");
    }
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let dir = files(TOML);
    let file = text(dir.path(), "gateway.toml");
    std::fs::write(&file, "workers = 3\nbatch-max = 4\nqueue-max = 5\n").unwrap();
    let mut command = binary();
    command
        .args(["config", "--config", &file, "--workers", "9"])
        .env("LAUNCHGATE_WORKERS", "8")
        .env("LAUNCHGATE_BATCH_MAX", "7")
        .env("LAUNCHGATE_REDIS", "redis://user:secret@host:1/0");
    let done = end(command);
    ended(&done, 0, "", "");
    for line in [
        "workers = \"9\"",
        "batch-max = \"7\"",
        "queue-max = \"5\"",
        "tap-deadline-ms = \"2000\"",
        "redis = \"redis://***@host:1/0\"",
    ] {
        ended(&done, 0, &format!("\n{line}\n"), "");
    }
    assert!(!done.out.contains("secret@"), "{}", done.out);
    // What it prints, it reads.
    let again = text(dir.path(), "again.toml");
    std::fs::write(&again, &done.out).unwrap();
    let read = run(&["config", "--config", &again]);
    ended(&read, 0, "\nworkers = \"9\"\n", "");
    std::fs::write(&file, "colour = \"red\"\n").unwrap();
    ended(&run(&["config", "--config", &file]), 2, "", "colour");
}
