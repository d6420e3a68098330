//! Tests a rolling upgrade behind real balancers, while buyers tap: no tap fails.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gateway::store::scripts::REAL_CLOCK;
use memchr::memmem;
use reqwest::Method;
use testkit::Signal;
use testkit::balancer::{Backend, Balancer};
use testkit::check::balanced;
use testkit::definition::{apply, white};
use testkit::files::free_addresses;
use testkit::gateway::{Gateway, GatewaySetup, binary, clean, send, token};
use testkit::link::Link;
use testkit::redis::Redis;
use testkit::tls::Certificate;
use testkit::{PATIENCE, eventually};
use tokio::task::JoinHandle;

use crate::hostile::honest;

/// How many buyers tap at the same time.
const BUYERS: usize = 16;
/// Of the link between balancer and gateways, each way.
const DELAY: Duration = Duration::from_millis(10);
/// The page whose lines are carried out.
const PAGE: &str = include_str!("../../../docs/upgrade.md");
/// Its sections with lines: the upgrade of a gateway, and the way back.
const SECTIONS: [&str; 2] = ["## Upgrade, one gateway after the other", "## Roll back"];

/// Taps without a break, each by another buyer; returns the failures.
struct Taps {
    done: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    buyers: Vec<JoinHandle<Vec<String>>>,
}

impl Taps {
    fn start(balancer: &Balancer) -> Self {
        let (done, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let buyers = (0..BUYERS).map(|n| {
            let (url, done, is_over) = (balancer.url.clone(), done.clone(), is_over.clone());
            let client = balancer.client();
            tokio::spawn(async move {
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

/// The programs of both versions, by number: as it was built, and with another comment in its scripts, so that their
/// digests differ.
static VERSIONS: LazyLock<[(&str, PathBuf); 2]> = LazyLock::new(|| {
    let built = PathBuf::from(binary().get_program());
    let other = built.with_file_name("gateway-of-another-version");
    let mut bytes = std::fs::read(&built).unwrap();
    let comments: Vec<usize> = memmem::find_iter(&bytes, REAL_CLOCK).map(|at| at + "-- ".len()).collect();
    assert!(REAL_CLOCK.starts_with("-- ") && !comments.is_empty(), "the scripts begin with a comment");
    comments.into_iter().for_each(|at| bytes[at] = b'?');
    let new = other.with_extension("new");
    std::fs::copy(&built, &new).unwrap();
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, &other).unwrap();
    [("0.1.0", built), ("0.2.0", other)]
});

/// Replaces an installed program as dpkg does: by another file under the same name.
fn install(package: &str, at: &Path) {
    let (_, program) = VERSIONS.iter().find(|(version, _)| package.contains(version)).expect("a version");
    let new = at.with_extension("dpkg-new");
    symlink(program, &new).unwrap();
    std::fs::rename(new, at).unwrap();
}

/// A host: a gateway that is installed there, at addresses that outlive it.
struct Host {
    listen: SocketAddr,
    ops: SocketAddr,
    options: Vec<String>,
    dir: tempfile::TempDir,
    gateway: Gateway,
}

impl Host {
    async fn set_up(redis: &Redis, [listen, ops]: [SocketAddr; 2], more: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        install("0.1.0", &dir.path().join("gateway"));
        std::fs::write(dir.path().join("gateway.toml"), format!("redis = {:?}\n", redis.url())).unwrap();
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
        let options = options.as_flattened().iter().map(ToString::to_string);
        let options: Vec<String> = options.chain(more.to_vec()).collect();
        let gateway = start(dir.path(), redis, &options).await;
        Self { listen, ops, options, dir, gateway }
    }

    /// What systemd does at `systemctl restart`: SIGTERM, the end, a start. `noticed` is called once it is not ready.
    async fn restart(&mut self, redis: &Redis, noticed: impl AsyncFnOnce()) {
        self.gateway.signal(Signal::TERM);
        eventually("it is not ready", || async {
            (self.gateway.ops_get("/readyz").await.status == 503).then_some(())
        })
        .await;
        noticed().await;
        let status = eventually("it has ended", || std::future::ready(self.gateway.ended())).await;
        assert!(status.success(), "{status}");
        self.gateway = start(self.dir.path(), redis, &self.options).await;
    }

    /// Whatever else an operator types there. Only the host's configuration names the Redis.
    async fn run(&self, lines: String) {
        let path = format!("{}:{}", self.dir.path().display(), std::env::var("PATH").unwrap());
        let mut command = clean(Command::new("timeout"));
        command.args([&PATIENCE.as_secs().to_string(), "bash", "-euc", &lines]).env("PATH", path);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(ended.status.success(), "{lines}: {} {}", text(&ended.stdout), text(&ended.stderr));
    }

    /// The line of the metrics with the digest of its scripts.
    async fn build_info(&self) -> String {
        let metrics = self.gateway.ops_get("/metrics").await.text;
        metrics.lines().find(|line| line.starts_with("launchgate_build_info")).unwrap().to_owned()
    }
}

/// Starts the program that is installed there, and waits until its ports are open.
async fn start(dir: &Path, redis: &Redis, options: &[String]) -> Gateway {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let installed = dir.join("gateway");
    let redis = redis.url();
    let setup = GatewaySetup {
        redis: &redis,
        options: &options,
        binary: Some(&installed),
        ..GatewaySetup::default()
    };
    setup.start().unwrap()
}

/// The lines of the page below this heading, without comments.
fn lines(heading: &str) -> Vec<String> {
    let (_, section) = PAGE.split_once(heading).expect("the page has the section");
    let (_, block) = section.split_once("```sh\n").expect("the section has a block");
    let (block, _) = block.split_once("```").expect("the block ends");
    let line = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    block.lines().map(line).filter(|line| !line.is_empty()).collect()
}

/// Where a balancer finds gateways: at their own addresses, or at the near end of a link.
struct Site {
    redis: Redis,
    hosts: Vec<Host>,
    links: Vec<Link>,
    near: Vec<Backend>,
}

impl Site {
    async fn set(delay: Option<Duration>, options: &[String]) -> Self {
        let redis = Redis::start();
        let mut free = free_addresses([127, 0, 0, 1].into(), 6);
        let mut next = || free.pop_front().unwrap();
        let (mut hosts, mut links, mut near) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2 {
            let host = Host::set_up(&redis, [next(), next()], options).await;
            host.gateway.ready().await;
            let mut public = host.listen;
            if let Some(delay) = delay {
                public = next();
                links.push(Link::at(public, host.listen, delay));
            }
            near.push(Backend { public, ops: host.ops });
            hosts.push(host);
        }
        let applied = apply(&hosts[0].gateway, &honest::sale()).await;
        assert_eq!(applied.status, 200, "{}", applied.text);
        for host in &hosts {
            eventually("it follows the sale", || async {
                let metrics = host.gateway.ops_get("/metrics").await.text;
                metrics.contains(r#"launchgate_ledger_sequence{sale="small"}"#).then_some(())
            })
            .await;
        }
        Self { redis, hosts, links, near }
    }

    fn near(&self) -> [Backend; 2] {
        [self.near[0], self.near[1]]
    }

    /// Carries out the page at one host after the other, forth and back, while buyers tap.
    async fn roll(mut self, balancer: Balancer, is_closing_links: bool) {
        let taps = Taps::start(&balancer);
        taps.go_on().await;
        let first = self.hosts[0].build_info().await;
        for (heading, is_upgrade) in SECTIONS.into_iter().zip([true, false]) {
            let lines = lines(heading);
            for n in 0..2 {
                self.follow(n, &lines, is_closing_links).await;
                assert_eq!(self.hosts[n].build_info().await != first, is_upgrade, "{heading}");
                taps.go_on().await;
            }
        }
        let won = taps.end().await;
        for host in &self.hosts {
            balanced(&host.gateway).await;
        }
        assert_eq!(self.hosts[0].gateway.audit().await["reservations"]["held"], won);
    }

    /// Carries out these lines at one host.
    async fn follow(&mut self, n: usize, lines: &[String], is_closing_links: bool) {
        let (mut settings, mut restarts) = (String::new(), 0);
        let ops = format!("http://{}", self.hosts[n].ops);
        for line in lines {
            let host = &mut self.hosts[n];
            let folder = host.dir.path().to_str().unwrap();
            let line = line.replace("http://10.0.0.1:9090", &ops).replace("national-good-car", "small");
            let line = line.replace("/etc/launchgate", folder);
            if let Some((name, _)) = line.split_once('=').filter(|(name, _)| !name.contains(' ')) {
                assert!(["OPS", "SALE", "CONFIG"].contains(&name), "{line}");
                settings += &format!("{line}\n");
            } else if line.starts_with("apt-get install ") {
                install(&line, &host.dir.path().join("gateway"));
            } else if line == "systemctl restart launchgate" {
                restarts += 1;
                let link = self.links.get_mut(n).filter(|_| is_closing_links);
                let has_link = link.is_some();
                host.restart(&self.redis, async || {
                    if let Some(link) = link {
                        link.close().await;
                    }
                })
                .await;
                if has_link {
                    self.links[n].open().unwrap();
                }
            } else {
                host.run(format!("{settings}{line}")).await;
            }
        }
        assert_eq!(restarts, 1, "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_no_tap_fails() {
    let site = Site::set(None, &[]).await;
    let nginx = Balancer::nginx(site.near());
    site.roll(nginx, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_in_another_place_no_tap_fails() {
    let site = Site::set(Some(DELAY), &[]).await;
    let nginx = Balancer::nginx(site.near());
    // A link accepts before the gateway does, and can't refuse instead of it. So it closes once /readyz is 503.
    site.roll(nginx, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_no_tap_fails() {
    for delay in [None, Some(DELAY)] {
        let site = Site::set(delay, &[]).await;
        let haproxy = Balancer::haproxy(site.near());
        site.roll(haproxy, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_that_passes_tls_on_no_tap_fails() {
    let (certificate, _) = Certificate::new();
    // Without an end of connections a gateway that is new would get none.
    let more = ["--proxy-protocol", "--trusted-proxies", "127.0.0.1", "--connection-max-age", "1s"];
    let options = [certificate.options(""), more.map(ToOwned::to_owned).to_vec()].concat();
    let site = Site::set(None, &options).await;
    let haproxy = Balancer::haproxy_tcp(site.near(), &certificate);
    site.roll(haproxy, false).await;
}
