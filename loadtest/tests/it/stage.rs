//! What the tests start: a redis-server and gateways of their own. Everything ends with its owner.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::wait::{eventually, is_ready};

const SECRET: &str = "a secret of the tests, at least 32 bytes";
const OPS_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Redis, gateways and the files that they share.
pub(crate) struct Stage {
    // Dropped in this order: gateways, Redis, files.
    gateways: Vec<Gateway>,
    _redis: Running,
    dir: tempfile::TempDir,
    runs: AtomicUsize,
}

struct Gateway {
    _running: Running,
    url: String,
    ops_url: String,
}

/// A process that is killed when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a run of `loadtest` ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    /// What it printed, problems included.
    pub(crate) text: String,
    /// The report's folder.
    pub(crate) dir: PathBuf,
}

impl Run {
    pub(crate) fn report(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap()
    }

    pub(crate) fn verdict(&self) -> Value {
        serde_json::from_str(&self.report("verdict.json")).expect(&self.text)
    }

    /// Taps of honest buyers that ended so.
    pub(crate) fn outcome(&self, name: &str) -> u64 {
        self.verdict()["outcomes"][name].as_u64().unwrap()
    }

    /// Taps of a scenario that ended so.
    pub(crate) fn outcome_of(&self, scenario: &str, name: &str) -> u64 {
        self.verdict()["scenarios"][scenario][name]["count"].as_u64().unwrap_or(0)
    }

    /// Requests of this name that were answered.
    pub(crate) fn answered(&self, name: &str) -> u64 {
        self.verdict()["requests_ms"][name]["count"].as_u64().unwrap_or(0)
    }

    /// Its notes, one a line.
    pub(crate) fn notes(&self) -> String {
        let verdict = self.verdict();
        let notes = verdict["notes"].as_array().unwrap().iter();
        notes.map(|note| format!("{}\n", note.as_str().unwrap())).collect()
    }

    /// The run proves that all went well.
    pub(crate) fn assert_passed(&self) {
        assert_eq!(self.code, 0, "{}", self.text);
        let verdict = self.verdict();
        assert_eq!((&verdict["verdict"], &verdict["violations_total"]), (&"PASS".into(), &0.into()));
    }
}

impl Stage {
    /// Starts Redis and so many gateways.
    pub(crate) fn set(gateways: usize) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        write_secret(&dir.path().join("secret"), SECRET);
        write_secret(&dir.path().join("ops"), &format!("ops {OPS_TOKEN}\n"));
        let redis = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "s", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .args(["--maxmemory-policy", "noeviction"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server must be installed; scripts/test does that");
        let mut stage =
            Stage { gateways: Vec::new(), _redis: Running(redis), dir, runs: AtomicUsize::new(0) };
        eventually("redis-server answers", || UnixStream::connect(stage.socket()).ok().map(drop));
        stage.gateways = (0..gateways).map(|_| stage.start_gateway(&[])).collect();
        // One beside others decides only once they have received that it is a member.
        for gateway in &stage.gateways {
            eventually("the gateway is ready", || is_ready(&gateway.ops_url).then_some(()));
        }
        stage
    }

    /// Starts one more, which speaks TLS at both listeners; its certificate is in `tls-cert`.
    pub(crate) fn add_gateway_in_tls(&mut self) {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = self.write("tls-cert", &made.cert.pem());
        let key = self.file("tls-key");
        write_secret(&key, &made.signing_key.serialize_pem());
        let key = key.to_str().unwrap();
        let files = [
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            key,
            "--ops-tls-cert-file",
            &cert,
            "--ops-tls-key-file",
            key,
        ];
        let mut gateway = self.start_gateway(&files);
        for url in [&mut gateway.url, &mut gateway.ops_url] {
            *url = url.replacen("http:", "https:", 1);
        }
        self.gateways.push(gateway);
    }

    fn start_gateway(&self, more: &[&str]) -> Gateway {
        let mut child = gateway()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--ops-listen", "127.0.0.1:0", "--workers", "1"])
            .args(["--redis", &self.redis_url(), "--log-level", "warn"])
            .arg("--auth-secret-file")
            .arg(self.file("secret"))
            .arg("--ops-token-file")
            .arg(self.file("ops"))
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let running = Running(child);
        out.read_line(&mut line).unwrap();
        let addresses: Value = serde_json::from_str(&line).expect("the gateway tells its addresses");
        let url = |name: &str| format!("http://{}", addresses[name].as_str().unwrap());
        Gateway { _running: running, url: url("listen"), ops_url: url("ops_listen") }
    }

    /// A file of the stage's own; that of the secret is `secret`, that of the ops tokens `ops`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and returns its path as a flag takes it.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// All gateways, as `--gateway` takes them.
    pub(crate) fn gateways(&self) -> String {
        let urls: Vec<&str> = self.gateways.iter().map(|gateway| gateway.url.as_str()).collect();
        urls.join(",")
    }

    /// The first gateway's ops listener.
    pub(crate) fn ops(&self) -> &str {
        &self.gateways[0].ops_url
    }

    fn socket(&self) -> PathBuf {
        self.file("s")
    }

    fn redis_url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// What must never be seen in an output.
    pub(crate) fn secrets(&self) -> Vec<String> {
        // A JWT of HS256 starts like this, whosever it is.
        ["eyJ0eX", "eyJhbG", SECRET, OPS_TOKEN].map(str::to_owned).to_vec()
    }

    /// Applies a definition, as `gateway sale apply` does it.
    pub(crate) fn apply(&self, definition: &str) {
        let file = self.file("sale.toml");
        std::fs::write(&file, definition).unwrap();
        std::fs::copy(examples().join("stores.csv"), self.file("stores.csv")).unwrap();
        // A gateway that has just been started loads the scripts only now.
        eventually("the sale is applied", || {
            let done =
                gateway().args(["sale", "--redis", &self.redis_url(), "apply"]).arg(&file).output().unwrap();
            done.status.success().then_some(())
        });
    }

    /// Pulls the lever that ends a sale.
    pub(crate) fn close(&self) {
        let redis = self.redis_url();
        let done = gateway().args(["sale", "--redis", &redis, "close", "small"]).output().unwrap();
        assert!(done.status.success());
    }

    /// So many buyers' tokens, as `gateway token --count` mints them.
    pub(crate) fn tokens(&self, count: &str) -> String {
        let secret = self.file("secret");
        let line = ["token", "--sub", "buyer", "--count", count, "--auth-secret-file"];
        let done = gateway().args(line).arg(secret).output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    }

    /// What the sale's journal has: 1 for the definition, and one entry for each batch of changes.
    pub(crate) fn journal_entries(&self) -> u64 {
        self.redis(&["XLEN", "lg:{small}:journal"])[1..].parse().unwrap()
    }

    /// One command, and its reply's first line as it is on the wire.
    pub(crate) fn redis(&self, words: &[&str]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(command.as_bytes()).unwrap();
        let mut reply = [0; 512];
        let n = stream.read(&mut reply).unwrap();
        let reply = String::from_utf8_lossy(&reply[..n]).into_owned();
        assert!(!reply.starts_with('-'), "{reply}");
        reply.lines().next().unwrap_or_default().to_owned()
    }

    /// Storms the sale at all gateways.
    pub(crate) fn spike(&self, more: &[&str]) -> Run {
        self.run("spike", &self.gateways(), more)
    }

    /// Runs a scenario at these gateways.
    pub(crate) fn run(&self, scenario: &str, gateways: &str, more: &[&str]) -> Run {
        self.run_under(&[], scenario, gateways, more)
    }

    /// Runs a scenario as another program's child: `under` is that program's line.
    pub(crate) fn run_under(&self, under: &[&str], scenario: &str, gateways: &str, more: &[&str]) -> Run {
        self.with_tokens(scenario, gateways, more, |usual| self.loadtest(under, &[scenario], usual, more))
    }

    /// Starts a scenario at all gateways and does not wait for its end.
    pub(crate) fn start(&self, scenario: &str, more: &[&str]) -> Running {
        let (mut command, _) = self.prepared(scenario, more);
        Running(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// A scenario at all gateways that is not started yet, and the folder of its report.
    pub(crate) fn prepared(&self, scenario: &str, more: &[&str]) -> (Command, PathBuf) {
        self.with_tokens(scenario, &self.gateways(), more, |usual| {
            self.command(&[], &[scenario], usual, more)
        })
    }

    fn with_tokens<T>(
        &self,
        scenario: &str,
        gateways: &str,
        more: &[&str],
        run: impl FnOnce(&[(&str, &str)]) -> T,
    ) -> T {
        let secret = self.file("secret").to_str().unwrap().to_owned();
        let mut usual = vec![("--gateway", gateways)];
        // What buyers decide is the same each time, but no run has an earlier one's keys.
        let seed = self.runs.load(Ordering::Relaxed).to_string();
        // `capacity` has another one for every step.
        if scenario != "capacity" && !more.contains(&"--shard") {
            usual.push(("--seed", &seed));
        }
        if !more.contains(&"--tokens") {
            usual.push(("--auth-secret-file", &secret));
        }
        run(&usual)
    }

    /// Judges what runs left in their folders.
    pub(crate) fn merge(&self, parts: &[&Run], more: &[&str]) -> Run {
        let parts = parts.iter().map(|run| run.dir.to_str().unwrap());
        let words: Vec<&str> = std::iter::once("merge").chain(parts).collect();
        self.loadtest(&[], &words, &[], more)
    }

    /// With the usual flags, as far as `more` does not have them.
    fn loadtest(&self, under: &[&str], words: &[&str], usual: &[(&str, &str)], more: &[&str]) -> Run {
        let (mut command, dir) = self.command(under, words, usual, more);
        let done = command.output().unwrap();
        let text = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
        Run { code: done.status.code().expect("loadtest was killed"), text: text.concat(), dir }
    }

    /// Its command, and the folder of its report.
    fn command(
        &self,
        under: &[&str],
        words: &[&str],
        usual: &[(&str, &str)],
        more: &[&str],
    ) -> (Command, PathBuf) {
        let dir = self.file(&format!("report-{}", self.runs.fetch_add(1, Ordering::Relaxed)));
        let ops_tokens = self.file("ops");
        let usual = usual.iter().copied().chain([
            ("--sale", "small"),
            ("--ops", self.ops()),
            ("--ops-token-file", ops_tokens.to_str().unwrap()),
            ("--report", dir.to_str().unwrap()),
            // No test depends on how fast this machine is: nothing is asked for but the proof.
            ("--set", "verdict.thresholds=[]"),
            ("--set", "generator={late=\"60s\",late_share=100,cpu=100}"),
        ]);
        let mut line = [under, &[env!("CARGO_BIN_EXE_loadtest")], words].concat();
        for (flag, value) in usual.filter(|(flag, _)| *flag == "--set" || !more.contains(flag)) {
            line.extend([flag, value]);
        }
        line.extend(more);
        let mut command = clean(Command::new(line[0]));
        command.args(&line[1..]);
        (command, dir)
    }
}

/// The example `small`, opening in so many seconds.
pub(crate) fn definition(opens_in_s: i64, rehearsal: bool) -> String {
    let opens_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(opens_in_s);
    let text = std::fs::read_to_string(examples().join("sale.toml")).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("opens_at") {
            format!("opens_at = {opens_at:.3}\n")
        } else if line.starts_with("rehearsal") {
            format!("rehearsal = {rehearsal}\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// Where nobody listens: the port was free a moment ago.
pub(crate) fn away() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn write_secret(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/examples/small")
}

/// The gateway as a command: the binary beside ours. Cargo builds it for the tests of a
/// whole workspace, but not for those of this crate alone.
fn gateway() -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("gateway");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p gateway` first (scripts/test does)",
        path.display()
    );
    clean(Command::new(path))
}

/// Without what the developer has set: it must not change a test.
fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LAUNCHGATE_")) {
        command.env_remove(name);
    }
    command
}
