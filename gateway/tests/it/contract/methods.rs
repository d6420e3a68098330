//! Tests every method on every call of both listeners: HTTP/1.1, HTTP/1.1 in TLS and HTTP/2 answer
//! alike.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use rustls::version::TLS13;
use testkit::check::refused;
use testkit::definition::{known, open, small, white};
use testkit::gateway::{Gateway, OPS_TOKEN, Reply, token};
use testkit::redis::Redis;
use testkit::tls::{Certificate, H2, client, connect, h2_client, once};
use tokio::net::TcpStream;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "SPEND"];

/// One way to a listener.
enum Transport {
    Plain(String),
    Tls(String, std::sync::Arc<rustls::ClientConfig>),
    Http2(H2),
}

impl Transport {
    async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        match self {
            Self::Plain(url) => {
                let address = url.strip_prefix("http://").unwrap();
                once(TcpStream::connect(address).await.unwrap(), request).await
            }
            Self::Tls(url, client) => once(connect(url, client).await.unwrap(), request).await,
            Self::Http2(h2) => h2.send(request).await,
        }
    }
}

/// The three ways, by name.
struct Ways([(&'static str, Transport); 3]);

impl Ways {
    /// To listeners of two gateways, one in plain text and one with TLS.
    async fn to(plain: &str, tls: &str, cert: &rustls::pki_types::CertificateDer<'static>) -> Self {
        let http1 = client(std::slice::from_ref(cert), &[&TLS13], &["http/1.1"]);
        let h2 = H2::connect(tls, &h2_client(cert)).await;
        Self([
            ("HTTP/1.1", Transport::Plain(plain.to_owned())),
            ("HTTP/1.1 in TLS", Transport::Tls(tls.to_owned(), http1)),
            ("HTTP/2", Transport::Http2(h2)),
        ])
    }

    async fn each(&self, request: impl Fn() -> Request<Full<Bytes>>) -> Vec<(&'static str, Reply)> {
        let mut replies = Vec::new();
        for (name, way) in &self.0 {
            replies.push((*name, way.send(request()).await));
        }
        replies
    }

    /// Tries every method on a call that allows these. `is_steady`: the length of its answer does not change.
    async fn try_all(&self, path: &str, bearer: Option<&str>, allow: &str, is_steady: bool) {
        let build = |method: &str| {
            let uri = format!("https://localhost{path}");
            let mut request = Request::builder().method(method).uri(uri).header("host", "localhost");
            if let Some(token) = bearer {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            request.body(Full::default()).unwrap()
        };
        let got = self.each(|| build("GET")).await;
        for method in METHODS {
            let replies = self.each(|| build(method)).await;
            let first = replies[0].1.clone();
            for ((way, reply), (_, get)) in replies.iter().zip(&got) {
                let what = format!("{method} {path} over {way}: {} {}", reply.status, reply.text);
                assert_ne!(reply.status, 0, "{what}");
                assert_eq!(reply.status, first.status, "{what}");
                for header in ["allow", "content-type", "cache-control", "etag", "www-authenticate"] {
                    assert_eq!(reply.header(header), first.header(header), "{header} of {what}");
                }
                assert_eq!(reply.header("x-request-id").len(), 16, "{what}");
                let is_allowed = allow.is_empty() || allow.split(", ").any(|allowed| allowed == method);
                assert_eq!(reply.status == 405, !is_allowed, "{what}");
                if !is_allowed {
                    assert_eq!(reply.header("allow"), allow, "{what}");
                    if method != "HEAD" {
                        refused(reply, 405, "method-not-allowed", &[]);
                    }
                }
                if method == "HEAD" {
                    assert_eq!(reply.text, "", "{what}");
                    let is_streamed = path.contains("/live?");
                    let length: u64 = reply.header("content-length").parse().unwrap_or(0);
                    assert_eq!(length == 0, is_streamed, "{what}");
                    if is_allowed {
                        assert_eq!(reply.status, get.status, "{what}");
                        assert_eq!(reply.header("content-type"), get.header("content-type"), "{what}");
                    }
                    if is_allowed && is_steady {
                        assert_eq!(reply.header("content-length"), get.header("content-length"), "{what}");
                        assert_eq!(length, get.text.len() as u64, "{what}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn every_method_on_every_call_is_answered_alike_over_all_protocols() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let plain = Gateway::start(&redis).await;
    open(&plain, &small()).await;
    let options = [certificate.options(""), certificate.options("ops-")].concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let tls = Gateway::spawn(&redis, &options);
    let public = Ways::to(&plain.url, &tls.url, &cert).await;
    let ops = Ways::to(&plain.ops_url, &tls.ops_url, &cert).await;
    let alice = token("alice");
    let held = plain.reserve("alice", "k", &white()).await;
    let own = format!("/v1/sales/small/reservations/{}", held.id());
    testkit::eventually("the gateway with TLS serves the sale", || async {
        let request = || testkit::tls::get("/v1/sales/small");
        (public.0[2].1.send(request()).await.status == 200).then_some(())
    })
    .await;
    known(&plain, "small").await;

    for (path, bearer, allow) in [
        ("/v1/time", None, "GET, HEAD"),
        ("/openapi.json", None, "GET, HEAD"),
        ("/problems/sold-out", None, "GET, HEAD"),
        ("/problems/none", None, "GET, HEAD"),
        ("/v1/sales/small", None, "GET, HEAD"),
        ("/v1/sales/none", None, "GET, HEAD"),
        ("/v1/sales", None, "GET, HEAD"),
        ("/v1/sales/small/cities", None, "GET, HEAD"),
        ("/v1/sales/small/stores/gz-1", None, "GET, HEAD"),
        ("/v1/sales/small/stores/none", None, "GET, HEAD"),
        ("/v1/sales/small/stores?near=23.1,113.3&limit=2", None, "GET, HEAD"),
        ("/v1/sales/small/stores?limit=2", None, "GET, HEAD"),
        ("/v1/sales/small/stores?limit=0", None, "GET, HEAD"),
        ("/v1/sales/small/reservations", None, "GET, HEAD, POST"),
        ("/v1/sales/small/reservations", Some(&*alice), "GET, HEAD, POST"),
        (&own, Some(&alice), "GET, HEAD, PATCH"),
        (&format!("{own}/confirm"), Some(&alice), "POST"),
        (&format!("{own}/cancel"), None, "POST"),
        ("/nowhere", None, ""),
    ] {
        public.try_all(path, bearer, allow, true).await;
    }
    for (path, bearer, allow, is_steady) in [
        ("/livez", None, "GET, HEAD", true),
        ("/readyz", None, "GET, HEAD", false),
        ("/metrics", None, "GET, HEAD", false),
        ("/", None, "GET, HEAD", true),
        ("/admin/v1/sales", None, "", true),
        ("/admin/v1/sales", Some(OPS_TOKEN), "GET, HEAD", true),
        ("/admin/v1/sales/small", Some(OPS_TOKEN), "GET, HEAD, PUT", true),
        ("/admin/v1/sales/none", Some(OPS_TOKEN), "GET, HEAD, PUT", true),
        ("/admin/v1/sales/small/audit", Some(OPS_TOKEN), "GET, HEAD", true),
        ("/admin/v1/sales/small/buyers/alice", Some(OPS_TOKEN), "GET, HEAD", true),
        ("/admin/v1/sales/small/journal?limit=1", Some(OPS_TOKEN), "GET, HEAD", true),
        // What changes nothing.
        ("/admin/v1/sales/small/resume", Some(OPS_TOKEN), "POST", true),
        ("/admin/v1/sales/small/restock", Some(OPS_TOKEN), "POST", true),
        ("/admin/v1/limits", Some(OPS_TOKEN), "GET, HEAD, PATCH", false),
        ("/admin/v1/limits/log", Some(OPS_TOKEN), "GET, HEAD", true),
        ("/admin/v1/fleet", Some(OPS_TOKEN), "GET, HEAD", false),
        ("/admin/v1/live?sale=small&frames=1", Some(OPS_TOKEN), "GET, HEAD", false),
        ("/nowhere", None, "", true),
    ] {
        ops.try_all(path, bearer, allow, is_steady).await;
    }
    // An answer that has not changed has no body and no length, either.
    let tag = plain.get("/v1/sales/small").await.header("etag").to_owned();
    for method in ["GET", "HEAD"] {
        let replies = public.each(|| {
            let mut request = testkit::tls::get("/v1/sales/small");
            *request.method_mut() = method.parse().unwrap();
            request.headers_mut().insert("if-none-match", tag.parse().unwrap());
            request
        });
        for (way, reply) in replies.await {
            assert_eq!((reply.status, reply.text.as_str()), (304, ""), "{method} over {way}");
            assert_eq!(reply.header("etag"), tag, "{method} over {way}");
        }
    }
    // A tunnel is not opened.
    for ways in [&public, &ops] {
        let connect = || Request::connect("localhost:443").header("host", "localhost").body(Full::default());
        for (way, reply) in ways.each(|| connect().unwrap()).await {
            assert_eq!(reply.status, 404, "over {way}: {}", reply.text);
        }
    }
}
