//! Restarts every program of a fleet under load, one after the other; the verdict of `loadtest` decides.

use std::path::Path;
use std::process::{Command, Stdio};

use testkit::gateway::{binary, clean};
use testkit::program::{Program, ours};
use testkit::{Failed, print_line, wait_for};

use super::hosts::{FOLDER, halt, path};
use super::nodes::{GATEWAY, OPS, is_primary, sentinel_name};
use super::{Fleet, Host, Kind, note_binaries};

/// Lines of loadtest's log that have its verdict.
const VERDICT_LINES: usize = 12;

/// Of the fleet that is up, or else of a new one of this kind.
pub(super) fn run(kind: Kind) -> Result<(), Failed> {
    let fleet = if Path::new(FOLDER).exists() {
        note_binaries()?;
        Fleet::running()?
    } else {
        Fleet::up(kind)?
    };
    fleet.wait_in_step()?;
    print_line("starting the load");
    let mut load = fleet.load()?;
    load.start_until(|| has_winners(&log()).then_some(()))?;
    fleet.restart_all()?;
    if !load.is_alive() {
        let log = path("loadtest.log");
        return Err(Failed::Outside(format!(
            "the load ended before everything was restarted: see {}",
            log.display()
        )));
    }
    print_line("everything is restarted; waiting for the last buyers");
    let ended = load.wait();
    let log = log();
    let lines: Vec<&str> = log.lines().collect();
    print_line(&lines[lines.len().saturating_sub(VERDICT_LINES)..].join("\n"));
    if !ended.success() {
        let report = path("report");
        return Err(Failed::Wrong(format!(
            "loadtest ended with {}: its report is in {}",
            ended.code().map_or_else(|| ended.to_string(), |code| code.to_string()),
            report.display()
        )));
    }
    let audit = binary().args(["audit", "cluster", "--redis", &fleet.url]).stdin(Stdio::null()).status();
    if !audit.map_err(Failed::to("start the audit"))?.success() {
        return Err(Failed::Wrong("the audit does not balance".into()));
    }
    print_line(
        "every gateway and every Redis was restarted under load, and every answer to a buyer was correct",
    );
    Ok(())
}

impl Fleet {
    /// Buyers from before the first restart until after the last one.
    fn load(&self) -> Result<Program, Failed> {
        let log = path("loadtest.log");
        // That of a former load has winners, too.
        let _ = std::fs::remove_file(&log);
        let urls: Vec<String> =
            self.gateways.iter().map(|host| format!("http://{}", host.at(GATEWAY))).collect();
        let mut command = clean(Command::new(ours("loadtest")));
        command.args(["mix", "--gateway", &urls.join(","), "--sale", "cluster"]);
        command.args(["--ops", &format!("http://{}", self.gateways[0].at(OPS))]);
        command.arg("--auth-secret-file").arg(path("secret")).arg("--ops-token-file").arg(path("ops"));
        command.args([
            "--arrivals",
            "poisson:40/s:75s",
            "--tries",
            "100",
            "--timeout",
            "3s",
            "--deadline",
            "10m",
        ]);
        command.arg("--report").arg(path("report"));
        for set in [
            "mix={spike=5,soak=4,retry-storm=1}",
            "verdict.thresholds=[]",
            "buyers.think=[\"50ms\",\"500ms\"]",
            "generator={late=\"60s\",late_share=100,skew=\"60s\",cpu=100}",
        ] {
            command.args(["--set", set]);
        }
        Ok(Program::new("loadtest", command).log_to(&log)?.ending_gently())
    }

    /// Restarts each program once the others are as they should be.
    fn restart_all(&self) -> Result<(), Failed> {
        for gateway in &self.gateways {
            print_line(&format!("restarting {gateway}"));
            halt(&gateway.to_string())?;
            self.start_gateway(*gateway)?;
        }
        let mut primaries = Vec::new();
        for node in &self.nodes {
            if is_primary(*node) {
                primaries.push(*node);
                continue;
            }
            print_line(&format!("restarting the replica {node}"));
            self.restart_redis(*node)?;
        }
        for node in primaries {
            print_line(&format!("failing over from {node}, then restarting it"));
            self.fail_over(node)?;
            self.restart_redis(node)?;
        }
        for node in self.sentinels() {
            print_line(&format!("restarting the sentinel of {node}"));
            halt(&sentinel_name(*node))?;
            self.start_sentinel(*node)?;
            self.wait_in_step()?;
        }
        Ok(())
    }

    fn restart_redis(&self, node: Host) -> Result<(), Failed> {
        self.wait_in_step()?;
        let primary = match self.kind {
            Kind::Sentinels => Some(wait_for("a sentinel names the primary", || self.primary())?),
            Kind::Cluster => None,
        };
        halt(&node.to_string())?;
        self.start_redis(node, primary)?;
        self.wait_in_step()
    }
}

/// What loadtest has printed.
fn log() -> String {
    std::fs::read_to_string(path("loadtest.log")).unwrap_or_default()
}

/// Whether a line of progress counts winners.
fn has_winners(log: &str) -> bool {
    let mut counts = log.split("won ").skip(1);
    counts.any(|count| count.starts_with(|first: char| ('1'..='9').contains(&first)))
}
