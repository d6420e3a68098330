//! `gateway doctor`: each check is shown, with real programs and files, what it must complain of.

mod definition;
mod keys;
mod machine;
mod redis;
mod room;
mod sales;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::cli::{Ended, end, run};
use testkit::gateway::{OPS_TOKEN, SECRET, binary};
use testkit::redis::Redis;
use testkit::terminal::Terminal;

/// Files and options of a gateway that could be started.
pub struct DoctorFixture {
    dir: tempfile::TempDir,
    redis: String,
}

impl DoctorFixture {
    /// For a gateway on this Redis.
    pub fn new(redis: &Redis) -> Self {
        Self::at(&redis.url())
    }

    pub fn at(redis: &str) -> Self {
        let doctor = Self { dir: tempfile::tempdir().unwrap(), redis: redis.to_owned() };
        doctor.write("secret", SECRET, 0o600);
        doctor.write("ops", &format!("maja {OPS_TOKEN}\n"), 0o600);
        doctor
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str, mode: u32) {
        write(&self.path(name), text, mode);
    }

    /// The doctor's command; options that are given go instead of the usual ones.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = binary();
        let (secret, ops) = (self.arg("secret"), self.arg("ops"));
        let usual = [
            ("--redis", self.redis.as_str()),
            ("--ops-token-file", &ops),
            ("--auth-secret-file", &secret),
            ("--listen", "127.0.0.1:0"),
            ("--ops-listen", "127.0.0.1:0"),
            ("--workers", "1"),
            ("--connections-max", "100"),
            ("--limit-keys-max", "1000"),
            // A machine that is busy with other tests is not what is looked for.
            ("--redis-connect-timeout-ms", "60000"),
            ("--redis-answer-timeout-ms", "60000"),
        ];
        let is_given = |flag| {
            options.contains(&flag) || (flag == "--auth-secret-file" && options.contains(&"--auth-jwks-file"))
        };
        command.args(["doctor", "--json"]);
        usual.into_iter().filter(|(flag, _)| !is_given(*flag)).for_each(|(flag, value)| {
            command.args([flag, value]);
        });
        command.args(options);
        command
    }

    /// The findings of a check.
    pub fn examine(&self, options: &[&str]) -> Findings {
        Findings::of(end(self.command(options)))
    }
}

pub fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The doctor's findings and exit code.
#[derive(Debug)]
pub struct Findings {
    pub code: i32,
    pub err: String,
    lines: Vec<Value>,
}

impl Findings {
    pub fn of(ended: Ended) -> Self {
        let report: Value = serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
        let lines = report["lines"].as_array().unwrap().clone();
        let count = |verdict: &str| lines.iter().filter(|line| line["verdict"] == verdict).count();
        for verdict in ["ok", "warn", "fail"] {
            assert_eq!(report[verdict], count(verdict), "{ended:?}");
        }
        // Whatever is not well comes with what to do, and with an exit code.
        for line in &lines {
            assert_eq!(line["todo"].is_null(), line["verdict"] == "ok", "{line}");
            assert!(!line["found"].as_str().unwrap().is_empty(), "{line}");
        }
        match ended.code {
            0 => assert_eq!(count("fail"), 0, "{ended:?}"),
            1 | 3 => assert!(count("fail") > 0, "{ended:?}"),
            code => panic!("{code}: {ended:?}"),
        }
        Self { code: ended.code, err: ended.err, lines }
    }

    /// The verdicts of one check, in order.
    pub fn verdicts(&self, area: &str, check: &str) -> Vec<&str> {
        let lines = self.lines.iter().filter(|line| line["area"] == area && line["check"] == check);
        lines.map(|line| line["verdict"].as_str().unwrap()).collect()
    }

    /// What one check found, the worst of its lines.
    pub fn found(&self, area: &str, check: &str) -> &str {
        let rank =
            |line: &&Value| ["ok", "warn", "fail"].iter().position(|verdict| line["verdict"] == *verdict);
        let lines = self.lines.iter().filter(|line| line["area"] == area && line["check"] == check);
        lines.max_by_key(rank).unwrap_or_else(|| panic!("no {area} {check}: {self:?}"))["found"]
            .as_str()
            .unwrap()
    }

    /// That a check ended like this, and found that; and no other line of that area fails.
    pub fn has(&self, area: &str, check: &str, verdict: &str, found: &str) {
        let verdicts = self.verdicts(area, check);
        assert!(
            verdicts.contains(&verdict),
            "{area} {check} is {verdicts:?}, not {verdict}: {:#?}",
            self.lines
        );
        let answered = self.found(area, check);
        assert!(answered.contains(found), "{area} {check}: expected {found:?}, found {answered:?}");
        let failed = self.lines.iter().filter(|line| line["area"] == area && line["verdict"] == "fail");
        let others: Vec<&Value> = failed.filter(|line| line["check"] != check).collect();
        assert!(others.is_empty(), "beside {check}: {others:#?}");
    }
}

#[test]
fn passing_checks_are_printed_in_aligned_lines_and_as_json() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    let findings = doctor.examine(&[]);
    assert_eq!((findings.code, findings.err.as_str()), (0, ""), "{findings:#?}");
    for (area, check) in [
        ("host", "files"),
        ("host", "memory"),
        ("host", "workers"),
        ("host", "idle"),
        ("keys", "tokens"),
        ("keys", "ops"),
        ("redis", "version"),
        ("redis", "role"),
        ("redis", "durability"),
        ("redis", "writes"),
        ("redis", "snapshots"),
        ("redis", "rewrite"),
        ("redis", "eviction"),
        ("redis", "replicas"),
        ("redis", "clients"),
        ("redis", "buffers"),
        ("redis", "idle"),
        ("redis", "clock"),
        ("redis", "scripts"),
        ("redis", "alone"),
        ("redis", "memory"),
        ("fleet", "gateways"),
        ("fleet", "scripts"),
        ("fleet", "limits"),
    ] {
        assert_eq!(findings.verdicts(area, check), ["ok"], "{area} {check}: {findings:#?}");
    }
    assert_eq!(findings.verdicts("sales", "ledger"), ["warn"]);
    // How quick it is depends on what else this machine does.
    assert!(findings.found("redis", "latency").starts_with("100 PINGs: median "), "{findings:#?}");

    let mut command = doctor.command(&[]);
    let json = command.get_args().position(|arg| arg == "--json").unwrap();
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = binary();
    command.args(args.iter().enumerate().filter(|(at, _)| *at != json).map(|(_, arg)| arg));
    let text = end(command);
    assert_eq!(text.code, 0, "{text:?}");
    let columns = |line: &str| line.find("redis  ");
    let columns_of_redis: Vec<_> =
        text.out.lines().filter(|line| line.contains("redis  ")).map(columns).collect();
    assert!(columns_of_redis.len() > 10 && columns_of_redis.iter().all(|at| *at == Some(6)), "{}", text.out);
    // A line each, with what to do at its end.
    let warnings: Vec<&str> = text.out.lines().filter(|line| line.starts_with("warn  ")).collect();
    assert!(!warnings.is_empty() && warnings.iter().all(|line| line.contains(" → ")), "{}", text.out);
    let findings = text.out.lines().filter(|line| line.starts_with("ok    ") || line.starts_with("warn  "));
    assert_eq!(findings.count() + 1, text.out.lines().count(), "{}", text.out);
    // Not a terminal: no colours.
    assert!(!text.out.contains('\u{1b}'), "{}", text.out);
    let last = text.out.lines().last().unwrap();
    assert!(last.ends_with("0 fail"), "{last}");
}

#[test]
fn at_a_terminal_the_verdicts_have_colours() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    let command = doctor.command(&[]);
    let args: Vec<&str> =
        command.get_args().map(|arg| arg.to_str().unwrap()).filter(|arg| *arg != "--json").collect();
    let mut terminal = Terminal::start(&args);
    assert_eq!(terminal.end(), 0, "{}", terminal.seen);
    assert!(terminal.seen.contains("\u{1b}[32mok  \u{1b}[0m  redis"), "{:?}", terminal.seen);
    assert!(terminal.seen.contains("\u{1b}[33mwarn\u{1b}[0m  sales"), "{:?}", terminal.seen);
}

#[test]
fn wrong_usage_is_reported_before_any_check() {
    let redis = Redis::start();
    let url = redis.url();
    for (args, answered) in [
        (&["doctor", "--redis", &url][..], "--ops-token-file"),
        (&["doctor", "--redis", "http://x", "--ops-token-file", "x"], "--redis"),
        (&["doctor", "--redis", &url, "--ops-token-file", "x", "--workers", "many"], "--workers"),
        (&["doctor", "--redis", &url, "--ops-token-file", "x", "--dashboards", "/nowhere"], "/nowhere"),
        (&["doctor", "--redis", &url, "--ops-token-file", "x", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (&["doctor", "--colour"], "--colour"),
    ] {
        let ended = run(args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}: {ended:?}");
        assert!(ended.err.contains(answered), "{args:?}: {ended:?}");
    }
}
