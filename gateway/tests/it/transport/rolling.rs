//! Tests a rolling restart behind real balancers, while buyers tap: no tap fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use testkit::Signal;
use testkit::balancer::{Backend, Balancer};
use testkit::check::balanced;
use testkit::definition::{known, open, white};
use testkit::eventually;
use testkit::files::{free_address, free_addresses};
use testkit::gateway::{Gateway, OPS_TOKEN, send, token};
use testkit::link::Link;
use testkit::redis::Redis;
use tokio::task::JoinHandle;

use crate::hostile::honest;

/// How many buyers tap at the same time.
const BUYERS: usize = 16;
/// How often both gateways are restarted.
const ROUNDS: usize = 2;
/// The metric of taps that were won.
const WON: &str = r#"launchgate_requests_total{route="reserve",outcome="won"}"#;
/// Of the link between balancer and gateways, each way.
const DELAY: Duration = Duration::from_millis(10);

/// Taps without a break, each by another buyer; returns the failures.
struct Taps {
    done: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    buyers: Vec<JoinHandle<Vec<String>>>,
}

impl Taps {
    fn start(url: &str) -> Self {
        let (done, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let buyers = (0..BUYERS).map(|n| {
            let (url, done, is_over) = (url.to_owned(), done.clone(), is_over.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut failed = Vec::new();
                for tap in 0.. {
                    if is_over.load(Relaxed) {
                        break;
                    }
                    let request = client
                        .request(Method::POST, format!("{url}/v1/sales/small/reservations"))
                        .bearer_auth(token(&format!("buyer-{n}-{tap}")))
                        .header("idempotency-key", "k")
                        .json(&white());
                    let reply = send(request).await;
                    if reply.status == 201 {
                        done.fetch_add(1, Relaxed);
                    } else {
                        failed.push(format!("{} {}", reply.status, reply.text));
                    }
                }
                failed
            })
        });
        let buyers = buyers.collect();
        Self { done, is_over, buyers }
    }

    async fn go_on(&self) {
        let before = self.done.load(Relaxed);
        let enough = before + 20 * BUYERS as u64;
        eventually("taps go on", || async { (self.done.load(Relaxed) >= enough).then_some(()) }).await;
    }

    /// How many were won; none failed.
    async fn end(self) -> u64 {
        self.is_over.store(true, Relaxed);
        let mut failed = Vec::new();
        for buyer in self.buyers {
            failed.extend(buyer.await.unwrap());
        }
        let done = self.done.load(Relaxed);
        assert!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), failed.len() as u64 + done);
        done
    }
}

/// A gateway at addresses that outlive it.
struct Seat {
    listen: SocketAddr,
    ops: SocketAddr,
    gateway: Gateway,
}

impl Seat {
    async fn take(redis: &Redis, listen: SocketAddr, ops: SocketAddr) -> Self {
        let (public, ops_address) = (listen.to_string(), ops.to_string());
        let options = [
            ["--listen", public.as_str()],
            ["--ops-listen", &ops_address],
            // What a balancer needs to notice, and more than a busy machine takes.
            ["--drain-delay-ms", "2000"],
            ["--drain-deadline-ms", "60000"],
            ["--tap-deadline-ms", "60000"],
            ["--redis-answer-timeout-ms", "60000"],
            ["--workers", "2"],
        ];
        let gateway = Gateway::start_with(redis, options.as_flattened()).await;
        Self { listen, ops, gateway }
    }

    /// Ends it by SIGTERM and starts it again at the same addresses; `noticed` is called once it is not ready.
    async fn restart(&mut self, redis: &Redis, noticed: impl AsyncFnOnce()) {
        self.gateway.signal(Signal::TERM);
        eventually("it is not ready", || async {
            (self.gateway.ops_get("/readyz").await.status == 503).then_some(())
        })
        .await;
        noticed().await;
        let status = eventually("it has ended", || std::future::ready(self.gateway.ended())).await;
        assert!(status.success(), "{status}");
        *self = Self::take(redis, self.listen, self.ops).await;
        known(&self.gateway, "small").await;
    }
}

/// Where a balancer finds gateways: at their own addresses, or at the near end of a link.
struct Site {
    redis: Redis,
    seats: Vec<Seat>,
    links: Vec<Link>,
    near: Vec<Backend>,
    balancer: SocketAddr,
}

impl Site {
    async fn set(delay: Option<Duration>) -> Self {
        let redis = Redis::start();
        let mut free = free_addresses([127, 0, 0, 1].into(), 7);
        let mut next = || free.pop_front().unwrap();
        let (mut seats, mut links, mut near) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2 {
            let seat = Seat::take(&redis, next(), next()).await;
            let mut public = seat.listen;
            if let Some(delay) = delay {
                public = next();
                links.push(Link::at(public, seat.listen, delay));
            }
            near.push(Backend { public, ops: seat.ops });
            seats.push(seat);
        }
        open(&seats[0].gateway, &honest::sale()).await;
        known(&seats[1].gateway, "small").await;
        Self { redis, seats, links, near, balancer: next() }
    }

    /// Restarts all of them one after the other, some times, while buyers tap.
    async fn roll(mut self, balancer: Balancer, is_closing_links: bool) {
        let taps = Taps::start(&balancer.url);
        taps.go_on().await;
        for n in (0..ROUNDS).flat_map(|_| 0..2) {
            let link = self.links.get_mut(n).filter(|_| is_closing_links);
            let has_link = link.is_some();
            self.seats[n]
                .restart(&self.redis, async || {
                    if let Some(link) = link {
                        link.close().await;
                    }
                })
                .await;
            if has_link {
                self.links[n].open().unwrap();
            }
            // Otherwise the balancer would have no gateway left when the next one ends.
            eventually("the balancer sends it taps", || async {
                let metrics = self.seats[n].gateway.ops_get("/metrics").await.text;
                let won = metrics.lines().find_map(|line| line.strip_prefix(WON))?;
                won.trim().parse::<f64>().is_ok_and(|won| won > 0.0).then_some(())
            })
            .await;
            taps.go_on().await;
        }
        let won = taps.end().await;
        for seat in &self.seats {
            balanced(&seat.gateway).await;
        }
        assert_eq!(self.seats[0].gateway.audit().await["reservations"]["held"], won);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_no_tap_fails() {
    let site = Site::set(None).await;
    let nginx = Balancer::nginx(site.balancer, &site.near);
    site.roll(nginx, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_in_another_place_no_tap_fails() {
    let site = Site::set(Some(DELAY)).await;
    let nginx = Balancer::nginx(site.balancer, &site.near);
    // A link accepts before the gateway does, and can't refuse instead of it. So it closes once /readyz is 503.
    site.roll(nginx, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_no_tap_fails() {
    for delay in [None, Some(DELAY)] {
        let site = Site::set(delay).await;
        let haproxy = Balancer::haproxy(site.balancer, &site.near);
        site.roll(haproxy, false).await;
    }
}

#[tokio::test]
async fn the_live_page_s_lines_come_one_by_one_through_nginx() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let backend = Backend { public: gateway.address(), ops: gateway.ops_address() };
    let nginx = Balancer::nginx(free_address([127, 0, 0, 1].into()), &[backend]);
    let request = reqwest::Client::new().get(format!("{}/admin/v1/live", nginx.url)).bearer_auth(OPS_TOKEN);
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store, no-transform");
    // It never ends, and is far from filling nginx's buffers.
    let mut text = String::new();
    while text.matches(r#""kind":"now""#).count() < 3 {
        let chunk = tokio::time::timeout(testkit::PATIENCE, answer.chunk()).await;
        text.push_str(std::str::from_utf8(&chunk.expect("a line").unwrap().unwrap()).unwrap());
    }
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["kind"], "hello");
}
