//! Browsers on other origins: what preflights allow and what they don't, also as a real browser sees it.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::refused;
use testkit::definition::{known, open, small};
use testkit::eventually;
use testkit::gateway::{Gateway, send, token};
use testkit::redis::Redis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn browsers_are_answered_for_listed_origins_only() {
    let redis = Redis::start();
    let plain = Gateway::start(&redis).await;
    let origins = ["--cors-origins", "https://shop.example,http://localhost:3000"];
    let gateway = Gateway::start_with(&redis, &origins).await;
    open(&gateway, &small()).await;
    known(&plain, "small").await;
    let ask = async |gateway: &Gateway, method: Method, path: &str, origin: &str| {
        let request = gateway
            .request(method, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,idempotency-key");
        send(request).await
    };
    let taps = "/v1/sales/small/reservations";
    let listed = "https://shop.example";
    let preflight = ask(&gateway, Method::OPTIONS, taps, listed).await;
    assert_eq!((preflight.status, preflight.text.as_str()), (204, ""));
    assert_eq!(preflight.header("access-control-allow-origin"), listed);
    assert_eq!(preflight.header("access-control-allow-methods"), "GET, HEAD, POST");
    let headers = preflight.header("access-control-allow-headers").to_lowercase();
    let usual = ["baggage", "sentry-trace", "traceparent", "tracestate"];
    for needed in ["authorization", "content-type", "idempotency-key", "if-none-match"].iter().chain(&usual) {
        assert!(headers.split(", ").any(|header| header == *needed), "{needed} in {headers}");
    }
    // Answers and refusals alike can be read, with the headers that the contract names.
    for (path, status) in [("/v1/sales/small", 200), (taps, 401), ("/nothing", 404)] {
        let reply = ask(&gateway, Method::GET, path, "http://localhost:3000").await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("access-control-allow-origin"), "http://localhost:3000");
        assert_eq!(reply.header("vary").to_lowercase(), "origin");
        let exposed = reply.header("access-control-expose-headers").to_lowercase();
        for name in [
            "retry-after",
            "location",
            "etag",
            "ratelimit",
            "ratelimit-policy",
            "idempotency-replayed",
            "x-request-id",
            "traceresponse",
        ] {
            assert!(exposed.split(", ").any(|e| e == name), "{name} in {exposed}");
        }
    }
    for (gateway, origin) in [
        (&gateway, "https://shop.example.evil"),
        (&gateway, "http://shop.example"),
        (&gateway, "null"),
        (&plain, listed),
    ] {
        let preflight = ask(gateway, Method::OPTIONS, taps, origin).await;
        refused(&preflight, 405, "method-not-allowed", &[]);
        let read = ask(gateway, Method::GET, "/v1/sales/small", origin).await;
        assert_eq!(read.status, 200);
        for reply in [preflight, read] {
            let marked = reply.headers.keys().any(|k| k.as_str().starts_with("access-control-"));
            assert!(!marked, "{origin}: {:?}", reply.headers);
        }
    }
}

#[tokio::test]
async fn apps_in_a_web_view_previews_and_further_headers_pass_their_preflight() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(
        &redis,
        &[
            "--cors-origins",
            "capacitor://localhost,ionic://localhost,https://*.shop.example",
            "--cors-headers",
            "x-datadog-trace-id,baggage",
        ],
    )
    .await;
    for (origin, is_listed) in [
        ("capacitor://localhost", true),
        ("ionic://localhost", true),
        ("https://pr-17.shop.example", true),
        ("https://shop.example", false),
        ("https://a.b.shop.example", false),
        ("https://pr-17.shop.example.evil.example", false),
        ("http://localhost", false),
    ] {
        let request = gateway
            .request(Method::OPTIONS, "/v1/sales/small/reservations")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,baggage,x-datadog-trace-id");
        let reply = send(request).await;
        let status = if is_listed { 204 } else { 405 };
        assert_eq!(reply.status, status, "{origin}");
        assert_eq!(reply.header("access-control-allow-origin"), if is_listed { origin } else { "" });
        if is_listed {
            let headers = reply.header("access-control-allow-headers").to_lowercase();
            let has = |name: &str| headers.split(", ").any(|header| header == name);
            assert!(has("authorization") && has("baggage") && has("x-datadog-trace-id"), "{headers}");
            assert!(!has("sentry-trace"), "the list was replaced: {headers}");
            assert_eq!(reply.header("vary").to_lowercase(), "origin");
        }
    }
}

/// The page taps with the headers of browser tracing, then with an unlisted header, and reports to
/// its own server.
const PAGE: &str = r#"<!doctype html><script>
const tap = async (key, more) => {
  try {
    const answer = await fetch(GATEWAY + '/v1/sales/small/reservations', {
      method: 'POST',
      headers: {
        'authorization': 'Bearer ' + TOKEN, 'content-type': 'application/json', 'idempotency-key': key,
        'baggage': 'sentry-environment=test', 'sentry-trace': '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1',
        'traceparent': '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', ...more,
      },
      body: JSON.stringify({model: 'white', store: 'gz-1'}),
    });
    return {status: answer.status, location: answer.headers.get('location'), id: answer.headers.get('x-request-id')};
  } catch (error) {
    return {error: error.name};
  }
};
(async () => {
  const report = {origin: location.origin, listed: await tap('k', {}), unlisted: await tap('k', {'x-not-listed': '1'})};
  await fetch('/report', {method: 'POST', body: JSON.stringify(report)});
})();
</script>"#;

/// The browser. It is killed when this is dropped.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers one request of the browser: the page, or an empty answer to a report, which it stores.
async fn serve(mut stream: TcpStream, page: Arc<String>, reports: Arc<Mutex<Vec<Value>>>) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text.to_lowercase();
        let length =
            length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        break (end + 4, length.unwrap_or(0));
    };
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = if bytes.starts_with(b"POST /report") {
        reports.lock().unwrap().push(serde_json::from_slice(&bytes[head..]).unwrap());
        String::new()
    } else {
        page.to_string()
    };
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_call_with_listed_headers_only() {
    let redis = Redis::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Browsers find every name below localhost on this machine.
    let origins = format!("http://*.shop.localhost:{port}");
    let gateway = Gateway::start_with(&redis, &["--cors-origins", &origins]).await;
    open(&gateway, &small()).await;
    let values = format!("const GATEWAY = {}, TOKEN = {};\n", json!(gateway.url), json!(token("alice")));
    let page = Arc::new(PAGE.replace("<script>", &format!("<script>{values}")));
    let reports = Arc::new(Mutex::new(Vec::new()));
    let retained = reports.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, page.clone(), retained.clone()));
        }
    });
    let profiles = tempfile::tempdir().unwrap();
    let mut browsers = Vec::new();
    for host in ["pr-17.shop.localhost", "shop.localhost"] {
        let browser = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .arg(format!("--user-data-dir={}", profiles.path().join(host).display()))
            .arg(format!("http://{host}:{port}/"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        browsers.push(Browser(browser));
    }
    let of = async |host: &str| {
        let origin = json!(format!("http://{host}:{port}"));
        eventually("the page has reported", || async {
            reports.lock().unwrap().iter().find(|report| report["origin"] == origin).cloned()
        })
        .await
    };
    let listed = of("pr-17.shop.localhost").await;
    assert_eq!(listed["listed"]["status"], 201, "{listed}");
    // What the contract exposes can be read.
    assert!(listed["listed"]["location"].as_str().unwrap().contains("/reservations/"), "{listed}");
    assert!(listed["listed"]["id"].is_string(), "{listed}");
    assert_eq!(listed["unlisted"], json!({"error": "TypeError"}), "{listed}");
    let other = of("shop.localhost").await;
    assert_eq!(other["listed"], json!({"error": "TypeError"}), "{other}");
    assert_eq!(gateway.audit().await["reservations"]["held"], 1);
}
