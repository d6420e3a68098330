//! Starts what a test needs: Redis, gateways, PostgreSQL, relays; each ends when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cli::{Ended, end};
use testkit::definition::{open, small, with};
use testkit::eventually;
use testkit::files::{local_address, write_secret};
use testkit::gateway::{Client, Gateway, OPS_TOKEN, Reply, clean};
use testkit::program::{Program, ours};
use testkit::redis::Redis;

/// The ops token that may only read the journal.
pub(crate) const FEED_TOKEN: &str = "feed-0123456789abcdef0123456789ab";
/// One that may read everything but that.
pub(crate) const WATCH_TOKEN: &str = "watch-0123456789abcdef0123456789a";

/// A gateway on a Redis of its own, with the sale `small` open for many buyers.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) redis: Redis,
    files: TempDir,
    started: AtomicUsize,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::with_options(&[]).await
    }

    /// The ops listener has a port that a restart keeps.
    pub(crate) async fn with_options(options: &[&str]) -> Self {
        let redis = Redis::start();
        let files = tempfile::tempdir().unwrap();
        let gateway = gateway(&redis, files.path(), options).await;
        open(&gateway, &definition()).await;
        Self { gateway, redis, files, started: AtomicUsize::new(0) }
    }

    /// One more gateway of this sale.
    pub(crate) async fn another_gateway(&self) -> Gateway {
        gateway(&self.redis, self.files.path(), &[]).await
    }

    /// A file of the test's own.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files.path().join(name);
        write_secret(&path, text).unwrap();
        path
    }

    /// A relay of `small` from this stage's gateway, not started yet.
    pub(crate) fn relay(&self, options: &[&str]) -> Relay {
        self.relay_from(&self.gateway, options)
    }

    /// The same from another gateway.
    pub(crate) fn relay_from(&self, gateway: &Client, options: &[&str]) -> Relay {
        let token = self.file("feed", FEED_TOKEN);
        let name = format!("relay-{}", self.started.fetch_add(1, Relaxed));
        let log = self.files.path().join(format!("{name}.log"));
        let mut command = command();
        command.args(["small", "--from-ops", &gateway.ops_url, "--lease", "2s"]);
        command.arg("--token-file").arg(token).args(options);
        let out = self.files.path().join(format!("{name}.out"));
        command.stdout(std::fs::File::create(&out).unwrap());
        command.stderr(std::fs::File::create(&log).unwrap());
        Relay { program: Program::new(&name, command), out, log }
    }
}

async fn gateway(redis: &Redis, files: &Path, options: &[&str]) -> Gateway {
    let tokens = files.join("tokens");
    let text = format!("ops {OPS_TOKEN}\norders {FEED_TOKEN} feed\nboard {WATCH_TOKEN} watch\n");
    write_secret(&tokens, &text).unwrap();
    let ops = local_address().to_string();
    let tokens = tokens.display().to_string();
    let usual = ["--ops-listen", &ops, "--ops-token-file", &tokens, "--limit-address", "off"];
    Gateway::start_with(redis, &[&usual, options].concat()).await
}

/// `small` with enough for some thousand buyers.
pub(crate) fn definition() -> Value {
    let places =
        ["/model/0/stock", "/model/1/stock", "/package/0/stock", "/stores/0/capacity", "/stores/1/capacity"];
    places.iter().fold(small(), |definition, place| with(definition, place, json!(50_000)))
}

/// The program, without what the developer has set.
pub(crate) fn command() -> Command {
    clean(Command::new(ours("relay")))
}

/// A relay, its output and its log.
pub(crate) struct Relay {
    pub(crate) program: Program,
    out: PathBuf,
    log: PathBuf,
}

impl Relay {
    /// Starts it, also again.
    pub(crate) fn start(mut self) -> Self {
        self.program.spawn().unwrap();
        self
    }

    /// Starts it, waits for its end, and checks the exit code; returns its log.
    pub(crate) async fn ends(&mut self, code: i32) -> String {
        let status = eventually("the relay ends", || {
            let ended = self.program.ended();
            async move { ended }
        })
        .await;
        assert_eq!(status.code(), Some(code), "{}", self.log());
        self.log()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has logged this.
    pub(crate) async fn logs(&self, words: &str) {
        eventually(&format!("the relay logs {words:?}"), || async {
            self.log().contains(words).then_some(())
        })
        .await;
    }

    /// The lines that it has printed in whole.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.out).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            testkit::print_line(&self.log());
        }
    }
}

/// Runs it to its end, with these arguments alone.
pub(crate) fn run(args: &[&str]) -> Ended {
    let mut command = command();
    command.args(args);
    end(command)
}

/// Buyers reserve, and confirm, cancel, amend or leave it, many at once. What is not answered is sent again.
pub(crate) async fn load(gateway: &Client, buyers: std::ops::Range<usize>) {
    stream::iter(buyers).for_each_concurrent(16, |buyer| visit(gateway, buyer)).await;
}

async fn visit(gateway: &Client, buyer: usize) {
    let sub = format!("buyer-{buyer}");
    let (model, packages) =
        if buyer.is_multiple_of(3) { ("black", json!(["care"])) } else { ("white", json!(["cover"])) };
    let store = ["gz-1", "gz-2", "sh-1"][buyer % 3];
    let body = json!({"model": model, "packages": packages, "store": store});
    let reserved = answered(|| gateway.reserve(&sub, "k", &body)).await;
    assert!(matches!(reserved.status, 200 | 201), "{}", reserved.text);
    let id = reserved.id();
    let ended = match buyer % 4 {
        0 => answered(|| gateway.confirm(&id, "pay", 1)).await,
        1 => answered(|| gateway.cancel(&sub, &id)).await,
        2 => answered(|| async { gateway.amend(&sub, &id, &json!({"packages": ["care"]})).await }).await,
        _ => return,
    };
    assert_eq!(ended.status, 200, "{}", ended.text);
}

/// The answer to a call that may be repeated, once there is one.
async fn answered<F: Future<Output = Reply>>(call: impl Fn() -> F) -> Reply {
    eventually("an answer", || async {
        let reply = call().await;
        (reply.status != 0 && reply.status != 503).then_some(reply)
    })
    .await
}
