//! Starts a redis-server and gateways for a test; each ends when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::FromRedisValue;
use serde_json::Value;
use testkit::cli::run;
use testkit::definition::apply_file;
use testkit::files::free_port;
use testkit::gateway::{Gateway, GatewaySetup, OPS_TOKEN, SECRET, clean, write_secrets};
use testkit::program::Program;
use testkit::redis::Redis;
use testkit::tls::Certificate;
use testkit::{Signal, block_on};

/// Redis, gateways and the files that they share.
pub(crate) struct Stage {
    // Dropped in this order: gateways, Redis, files.
    gateways: Vec<Gateway>,
    redis: Redis,
    /// Of the gateway in TLS.
    certificate: Option<Certificate>,
    dir: tempfile::TempDir,
    runs: AtomicUsize,
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
        self.verdict()["requests"][name]["answered"].as_u64().unwrap_or(0)
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
        Stage::set_with(gateways, &[])
    }

    /// The same, with more options of the gateways.
    pub(crate) fn set_with(gateways: usize, options: &[&str]) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        write_secrets(dir.path(), SECRET, OPS_TOKEN).unwrap();
        let redis = Redis::start();
        let mut stage =
            Stage { gateways: Vec::new(), redis, certificate: None, dir, runs: AtomicUsize::new(0) };
        stage.gateways = (0..gateways).map(|_| stage.start_gateway(options)).collect();
        // One beside others decides only once they have received that it is a member.
        stage.gateways.iter().for_each(|gateway| block_on(gateway.ready()));
        stage
    }

    /// Starts one more, which speaks TLS at both listeners; its certificate is in `tls-cert`.
    pub(crate) fn add_gateway_in_tls(&mut self) {
        let certificate = Certificate::of_redis();
        std::fs::copy(certificate.cert(), self.file("tls-cert")).unwrap();
        let files = [certificate.options(""), certificate.options("ops-")].concat();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let mut gateway = self.start_gateway(&files);
        for url in [&mut gateway.client.url, &mut gateway.client.ops_url] {
            *url = url.replacen("http:", "https:", 1);
        }
        self.gateways.push(gateway);
        self.certificate = Some(certificate);
    }

    fn start_gateway(&self, more: &[&str]) -> Gateway {
        let options = [&["--workers", "1", "--log-level", "warn"], more].concat();
        let redis = self.redis_url();
        let setup =
            GatewaySetup { redis: &redis, options: &options, is_as_shipped: true, ..GatewaySetup::default() };
        setup.start().unwrap()
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
        self.ops_of(0)
    }

    /// The n-th gateway, as `--gateway` takes it.
    pub(crate) fn gateway(&self, n: usize) -> &str {
        &self.gateways[n].url
    }

    /// The n-th gateway's ops listener.
    pub(crate) fn ops_of(&self, n: usize) -> &str {
        &self.gateways[n].ops_url
    }

    /// Sends a signal to the n-th gateway.
    pub(crate) fn signal(&self, n: usize, signal: Signal) {
        self.gateways[n].signal(signal);
    }

    /// Where its Redis is.
    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
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
        apply_file(&file, &self.redis_url()).unwrap();
    }

    /// Closes the sale, by an operator action.
    pub(crate) fn close(&self) {
        let done = run(&["sale", "--redis", &self.redis_url(), "close", "small", "--confirm", "small"]);
        assert_eq!(done.code, 0, "{done:?}");
    }

    /// So many buyers' tokens, as `gateway token --count` mints them.
    pub(crate) fn tokens(&self, count: &str) -> String {
        let secret = self.file("secret").display().to_string();
        let done = run(&["token", "--sub", "buyer", "--count", count, "--auth-secret-file", &secret]);
        assert_eq!(done.code, 0, "{done:?}");
        done.out
    }

    /// What the sale's journal has: 1 for the definition, and one entry for each batch of changes.
    pub(crate) fn journal_entries(&self) -> u64 {
        self.redis(&["XLEN", "lg:{small}:journal"])
    }

    /// One command.
    pub(crate) fn redis<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.redis.command(words)
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
    pub(crate) fn start(&self, scenario: &str, more: &[&str]) -> Program {
        let (mut command, _) = self.prepared(scenario, more);
        command.stdout(Stdio::piped());
        let mut program = Program::new("loadtest", command);
        program.spawn().unwrap();
        program
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
            ("--set", "generator={late=\"60s\",late_share=100,skew=\"60s\",cpu=100}"),
        ]);
        let own = example("my_scenario");
        let program = if words[0] == OWN { &own } else { env!("CARGO_BIN_EXE_loadtest") };
        let mut line = [under, &[program], words].concat();
        // A merge judges by what the parts were run with.
        let is_set = |flag: &str| flag == "--set" && words[0] != "merge";
        for (flag, value) in
            usual.filter(|(flag, _)| is_set(flag) || (*flag != "--set" && !more.contains(flag)))
        {
            line.extend([flag, value]);
        }
        line.extend(more);
        let mut command = clean(Command::new(line[0]));
        command.args(&line[1..]);
        (command, dir)
    }
}

/// The scenario of the example `my_scenario`.
pub(crate) const OWN: &str = "hesitant";

/// An example of this crate, which cargo builds beside the program.
fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_loadtest")).parent().unwrap();
    folder.join("examples").join(name).to_str().unwrap().to_owned()
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

/// Where no program listens.
pub(crate) fn away() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/examples/small")
}
