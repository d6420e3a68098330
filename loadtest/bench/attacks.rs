//! Runs the attackers of `--hostile`, in their own process: slow, silent or dropped connections,
//! endless heads and bodies, and floods.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use testkit::{Failed, print_line};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::{floods, wire};

/// Slow, or silent, connections.
const SLOW: usize = 2_000;
/// Of the one buyer.
const ONE_BUYER_CONNECTIONS: usize = 1_000;
/// From an answer to the next tap on its connection.
const ONE_BUYER_PAUSE: Duration = Duration::from_millis(500);
/// Connections that are opened and dropped, a second: 100,000 in ten.
const DROPS_PER_SECOND: u32 = 10_000;
/// Heads and bodies without end, at a time.
const ENDLESS_SENDERS: usize = 50;
/// From a connection's end to the next one.
const ENDLESS_PAUSE: Duration = Duration::from_millis(100);
/// Connections of new clients, requests at once on each, and the pause between: 10,000 requests a
/// second.
const NEW_CLIENTS: usize = 20;
const NEW_CLIENTS_AT_ONCE: u32 = 10;
const NEW_CLIENTS_PAUSE: Duration = Duration::from_millis(20);
/// Between two drops of a slow sender.
const BYTE_INTERVAL: Duration = Duration::from_secs(1);
/// A connection that can't be opened by then is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The attackers end by then, even if the bench is gone.
const LIFE: Duration = Duration::from_secs(120);

/// An attack that honest buyers are measured beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Attack {
    /// 2,000 heads that come line by line.
    SlowHeads,
    /// 2,000 bodies that come byte by byte.
    SlowBodies,
    /// 2,000 clients that send requests and read no answer.
    SlowReads,
    /// 2,000 connections that send nothing.
    Silent,
    /// 10,000 connections a second that are opened and dropped.
    Dropped,
    /// 50 at a time send heads without end.
    Heads,
    /// 50 at a time send bodies without end.
    Bodies,
    /// One buyer that taps on 1,000 connections.
    OneBuyer,
    /// 10,000 requests a second, each of a client address that was never seen before: a million in 100 s.
    Addresses,
    /// 10,000 requests a second, each with another forged token.
    Tokens,
    /// 50 at a time ask over HTTP/2 and take it back at once.
    RapidReset,
    /// 50 at a time send headers without end over HTTP/2.
    Continuation,
    /// 50 at a time send pings without end over HTTP/2.
    Ping,
}

impl Attack {
    /// HTTP/2 is spoken in TLS only.
    pub(crate) fn needs_tls(self) -> bool {
        matches!(self, Self::RapidReset | Self::Continuation | Self::Ping)
    }
}

/// Attacks until this process is killed. Standard input has a tap.
/// With TLS, its certificate is in the file `trust`.
pub(crate) fn run(attack: Attack, target: SocketAddr, trust: Option<&Path>) -> Result<(), Failed> {
    let mut tap = Vec::new();
    std::io::stdin().read_to_end(&mut tap).map_err(Failed::to("take over the tap"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failed::to("start a runtime"))?;
    let tls = trust.map(|cert| wire::client(cert, "h2")).transpose()?.map(TlsConnector::from);
    let attackers = Attackers { target, tls, tap };
    runtime.block_on(LocalSet::new().run_until(async move {
        let done = timeout(LIFE, attackers.attack(attack)).await;
        done.unwrap_or(Ok(())).map_err(Failed::to("attack"))
    }))
}

struct Attackers {
    target: SocketAddr,
    tls: Option<TlsConnector>,
    tap: Vec<u8>,
}

type Done = std::io::Result<()>;

impl Attackers {
    async fn attack(self, attack: Attack) -> Done {
        let head = b"GET /v1/time HTTP/1.1\r\nhost: x\r\n";
        match attack {
            Attack::SlowHeads => self.slow(head.to_vec(), b"x: y\r\n").await,
            Attack::SlowBodies => {
                let head = self.head_of_tap("content-length: 16000\r\n\r\n");
                self.slow(head, b" ").await
            }
            Attack::SlowReads => self.slow_reads().await,
            Attack::Silent => self.slow(Vec::new(), b"").await,
            Attack::Dropped => self.dropped().await,
            Attack::Heads => self.endless([&head[..], b"x: "].concat(), vec![b'y'; 16 * 1024]).await,
            Attack::Bodies => {
                let head = self.head_of_tap("transfer-encoding: chunked\r\n\r\n");
                self.endless(head, [&b"4000\r\n"[..], &[b' '; 0x4000], b"\r\n"].concat()).await
            }
            Attack::OneBuyer => self.one_buyer().await,
            Attack::RapidReset | Attack::Continuation | Attack::Ping => self.flood(attack).await,
            Attack::Addresses => {
                self.new_clients(|n| {
                    let [_, a, b, c] = n.to_be_bytes();
                    format!("GET /v1/time HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.{a}.{b}.{c}\r\n\r\n")
                })
                .await
            }
            Attack::Tokens => {
                let tap = String::from_utf8_lossy(&self.tap).into_owned();
                self.new_clients(move |n| {
                    tap.replacen("\r\nidempotency-key", &format!("{n:08}\r\nidempotency-key"), 1)
                })
                .await
            }
        }
    }

    /// The tap up to its Content-Length, and this instead.
    fn head_of_tap(&self, rest: &str) -> Vec<u8> {
        let text = String::from_utf8_lossy(&self.tap);
        let head = text.split_once("content-length:").map_or("", |(head, _)| head);
        [head, rest].concat().into_bytes()
    }

    /// From one of many addresses of this machine, so that ports do not run out.
    async fn connect(&self, n: usize) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 1, u8::try_from(n % 200 + 1).unwrap_or(1)], 0)))?;
        socket.set_recv_buffer_size(8 * 1024)?;
        timeout(PATIENCE, socket.connect(self.target)).await.map_err(|_| ErrorKind::TimedOut)?
    }

    /// Opens so many connections, then reports that it is ready. Each attacks alone; one that is cut off is opened again
    /// after a pause.
    async fn each(
        self,
        count: usize,
        pause: Duration,
        attack: impl AsyncFn(&Self, usize, &mut TcpStream) -> Done + 'static,
    ) -> Done {
        let (own, attack) = (Rc::new(self), Rc::new(attack));
        for n in 0..count {
            let mut stream = own.connect(n).await?;
            let (own, attack) = (own.clone(), attack.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let _ = attack(&own, n, &mut stream).await;
                    sleep(pause).await;
                    stream = again(&own, n).await;
                }
            });
        }
        ready();
        std::future::pending().await
    }

    /// Sends byte by byte.
    async fn slow(self, begin: Vec<u8>, drop: &'static [u8]) -> Done {
        self.each(SLOW, Duration::ZERO, async move |_, _, stream| {
            stream.write_all(&begin).await?;
            while !matches!(timeout(BYTE_INTERVAL, stream.read(&mut [0; 512])).await, Ok(Ok(0) | Err(_))) {
                stream.write_all(drop).await?;
            }
            Ok(())
        })
        .await
    }

    /// Sends requests and reads no answer.
    async fn slow_reads(self) -> Done {
        let requests = b"GET /v1/sales/won/stores HTTP/1.1\r\nhost: x\r\n\r\n".repeat(64);
        self.endless_with(SLOW, Duration::ZERO, Vec::new(), requests).await
    }

    async fn dropped(self) -> Done {
        ready();
        let mut due = Instant::now();
        for n in 0.. {
            drop(self.connect(n).await);
            // One by one, as over a network. A delayed sender does not catch up: such bursts would
            // come only from this machine's few cores. It is alone on this thread.
            due = (due + Duration::from_secs(1) / DROPS_PER_SECOND).max(Instant::now());
            std::thread::sleep(due - Instant::now());
        }
        Ok(())
    }

    /// Sends a head or a body without end, until it is cut off; then again.
    async fn endless(self, begin: Vec<u8>, piece: Vec<u8>) -> Done {
        self.endless_with(ENDLESS_SENDERS, ENDLESS_PAUSE, begin, piece).await
    }

    async fn endless_with(self, count: usize, pause: Duration, begin: Vec<u8>, piece: Vec<u8>) -> Done {
        self.each(count, pause, async move |_, _, stream| {
            stream.write_all(&begin).await?;
            loop {
                stream.write_all(&piece).await?;
            }
        })
        .await
    }

    /// Floods a connection until it is cut off; then again.
    async fn flood(self, attack: Attack) -> Done {
        self.each(ENDLESS_SENDERS, ENDLESS_PAUSE, async move |own, _, stream| {
            let Some(tls) = &own.tls else { return Ok(()) };
            floods::flood(attack, stream, tls).await
        })
        .await
    }

    /// Requests of a new client each, spread over the connections.
    async fn new_clients(self, request: impl Fn(u32) -> String + 'static) -> Done {
        let next = Cell::new(0);
        self.each(NEW_CLIENTS, Duration::ZERO, async move |_, n, stream| {
            let mut tick =
                interval_at(Instant::now() + part(NEW_CLIENTS_PAUSE, n, NEW_CLIENTS), NEW_CLIENTS_PAUSE);
            // What has come of the answers; the rest comes with the next.
            let mut reply = vec![0; 64 * 1024];
            loop {
                tick.tick().await;
                let first = next.replace(next.get() + NEW_CLIENTS_AT_ONCE);
                let requests: String = (first..first + NEW_CLIENTS_AT_ONCE).map(&request).collect();
                stream.write_all(requests.as_bytes()).await?;
                if stream.read(&mut reply).await? == 0 {
                    return Ok(());
                }
            }
        })
        .await
    }

    /// One buyer's tap, again and again, on each connection.
    async fn one_buyer(self) -> Done {
        self.each(ONE_BUYER_CONNECTIONS, Duration::ZERO, async |own, n, stream| {
            let mut answer = vec![0; 4_096];
            sleep(part(ONE_BUYER_PAUSE, n, ONE_BUYER_CONNECTIONS)).await;
            loop {
                stream.write_all(&own.tap).await?;
                if stream.read(&mut answer).await? == 0 {
                    return Ok(());
                }
                sleep(ONE_BUYER_PAUSE).await;
            }
        })
        .await
    }
}

/// When the n-th of so many begins: bots do not wait for each other.
fn part(pause: Duration, n: usize, count: usize) -> Duration {
    pause.mul_f64(n as f64 / count as f64)
}

/// A new connection, as soon as there is one.
async fn again(own: &Attackers, n: usize) -> TcpStream {
    loop {
        if let Ok(stream) = own.connect(n).await {
            return stream;
        }
        sleep(BYTE_INTERVAL).await;
    }
}

/// Reports to the bench that the attack is at full strength.
fn ready() {
    print_line("ready");
    let _ = std::io::stdout().flush();
}
