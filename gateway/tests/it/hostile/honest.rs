//! Runs honest buyers that reserve and cancel, each on its own connection; no attack may disturb
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rustls::ClientConfig;
use serde_json::{Value, json};
use testkit::check::balanced;
use testkit::definition::{small, white};
use testkit::gateway::{Gateway, token};
use testkit::tls;
use testkit::{PATIENCE, eventually};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How many there are.
pub const BUYERS: usize = 200;

/// Reservations that a buyer may start, the most that a sale can allow. Then another one takes over.
const ATTEMPTS: u64 = 100;

/// The sale in which they can go on for long.
pub fn sale() -> Value {
    let mut definition = small();
    definition["sale"]["attempts"] = json!(ATTEMPTS);
    definition["model"][0]["stock"] = json!(1_000_000);
    definition["stores"][0]["capacity"] = json!(1_000_000);
    definition
}

/// A tap's head without its end, by a buyer.
pub fn tap_head(sub: &str, key: &str) -> String {
    format!(
        "POST /v1/sales/small/reservations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         idempotency-key: {key}\r\ncontent-type: application/json\r\n",
        token(sub)
    )
}

/// A complete tap.
pub fn whole_tap(sub: &str, key: &str) -> String {
    let body = white().to_string();
    format!("{}content-length: {}\r\n\r\n{body}", tap_head(sub, key), body.len())
}

/// All of them at work. They end with this.
pub struct Honest {
    way: Route,
    rounds: Arc<[AtomicU64]>,
    is_over: Arc<AtomicBool>,
    buyers: Vec<JoinHandle<()>>,
}

impl Honest {
    /// Sets them to work on a gateway that has `sale`; returns once each has gone one round.
    pub async fn start(gateway: &Gateway) -> Self {
        Self::start_over(gateway, None).await
    }

    /// Likewise over TLS.
    pub async fn start_over(gateway: &Gateway, tls: Option<Arc<ClientConfig>>) -> Self {
        let rounds: Arc<[AtomicU64]> = (0..BUYERS).map(|_| AtomicU64::new(0)).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let way = Route { url: gateway.url.clone(), tls };
        let buyers = (0..BUYERS).map(|n| {
            let (way, rounds, is_over) = (way.clone(), rounds.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut line = way.line(String::new()).await;
                for number in 0.. {
                    if is_over.load(Relaxed) {
                        break;
                    }
                    if number % ATTEMPTS == 0 {
                        line.token = token(&format!("honest-{n}-{number}"));
                    }
                    round(&mut line, number).await;
                    rounds[n].store(number + 1, Relaxed);
                    // People do not tap without end; and attackers are to get their share, too.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            })
        });
        let buyers = buyers.collect();
        let honest = Self { way, rounds, is_over, buyers };
        honest.go_on(1).await;
        honest
    }

    /// Waits until each has gone so many more rounds.
    pub async fn go_on(&self, rounds: u64) {
        let before: Vec<u64> = self.rounds.iter().map(|n| n.load(Relaxed)).collect();
        eventually("all honest buyers have gone on", || async {
            if let Some(broken) = self.buyers.iter().position(JoinHandle::is_finished) {
                panic!("honest-{broken} was disturbed; see above");
            }
            let now = self.rounds.iter().map(|n| n.load(Relaxed));
            before.iter().zip(now).all(|(before, now)| now >= before + rounds).then_some(())
        })
        .await;
    }

    /// Lets them end; every answer of theirs was right, the ledger balances, and the gateway serves on.
    pub async fn end(mut self, gateway: &Gateway) {
        self.go_on(1).await;
        self.is_over.store(true, Relaxed);
        for buyer in std::mem::take(&mut self.buyers) {
            buyer.await.expect("an honest buyer was disturbed");
        }
        let rounds: u64 = self.rounds.iter().map(|n| n.load(Relaxed)).sum();
        balanced(gateway).await;
        let audit = gateway.audit().await;
        assert!(audit["reservations"]["cancelled"].as_u64().unwrap() >= rounds, "{rounds}: {audit}");
        let mut late = self.way.clone().line(token("late")).await;
        let (status, text) = late.ask_until_decided("", "idempotency-key: k\r\n", &white().to_string()).await;
        assert!(matches!(status, 200 | 201), "{status} {text}");
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.buyers.iter().for_each(JoinHandle::abort);
    }
}

/// How buyers come to the gateway.
#[derive(Clone)]
struct Route {
    url: String,
    tls: Option<Arc<ClientConfig>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Route {
    async fn connect(&self) -> Box<dyn Stream> {
        if let Some(client) = &self.tls {
            return Box::new(tls::connect(&self.url, client).await.unwrap());
        }
        let stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Box::new(stream)
    }

    async fn line(self, token: String) -> Line {
        Line { stream: self.connect().await, way: self, token }
    }
}

/// A persistent connection, as a client has it.
struct Line {
    stream: Box<dyn Stream>,
    way: Route,
    token: String,
}

async fn round(line: &mut Line, round: u64) {
    let body = white().to_string();
    let (status, text) = line.ask_until_decided("", &format!("idempotency-key: k{round}\r\n"), &body).await;
    // 200: an answer to an earlier try came too late.
    assert!(matches!(status, 200 | 201), "{status} {text}");
    let received: Value = serde_json::from_str(&text).unwrap();
    let path = format!("/{}/cancel", received["id"].as_str().unwrap());
    let (status, text) = line.ask_until_decided(&path, "", "").await;
    assert_eq!(status, 200, "{text}");
}

impl Line {
    /// Asks again after an unknown outcome, as every client must: on a busy machine a reply may be late.
    async fn ask_until_decided(&mut self, path: &str, headers: &str, body: &str) -> (u16, String) {
        let began = Instant::now();
        loop {
            let (status, text) = self.ask(path, headers, body).await;
            if status != 503 || !text.contains("/problems/outcome-unknown") {
                return (status, text);
            }
            assert!(began.elapsed() < PATIENCE, "no outcome: {text}");
        }
    }

    /// Asks; on a connection that was closed while it was idle, once more on a new one (RFC 9112, section 9.3.1).
    async fn ask(&mut self, path: &str, headers: &str, body: &str) -> (u16, String) {
        let request = format!(
            "POST /v1/sales/small/reservations{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{headers}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        if let Some(answer) = self.exchange(&request).await {
            return answer;
        }
        self.stream = self.way.connect().await;
        self.exchange(&request).await.expect("an answer on a new connection")
    }

    async fn exchange(&mut self, request: &str) -> Option<(u16, String)> {
        self.stream.write_all(request.as_bytes()).await.ok()?;
        answer(&mut self.stream).await
    }
}

/// One answer with a Content-Length; none if the connection ends first.
pub async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u16, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(whole) = first_answer(&bytes) {
            assert_eq!(bytes.len(), whole.end, "one answer, and nothing after it");
            return Some((whole.status, String::from_utf8(bytes.split_off(whole.body)).unwrap()));
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return None,
        }
    }
}

/// An answer among bytes: where its body begins and ends.
pub struct Whole {
    pub status: u16,
    pub body: usize,
    pub end: usize,
}

/// The first answer in these bytes, once it is complete.
pub fn first_answer(bytes: &[u8]) -> Option<Whole> {
    let body = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..body]).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let end = body + length.map_or(0, |n| n.parse::<usize>().unwrap());
    (bytes.len() >= end).then_some(Whole { status, body, end })
}
