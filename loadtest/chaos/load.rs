//! Runs `loadtest` as the buyers, and reads the run record and the verdict that it writes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use loadtest::{Outcome, RunRecord, TapHistory, VerdictSummary};
use testkit::Signal;
use testkit::gateway::token;
use testkit::http::call;
use testkit::program::Program;

use crate::Failure;
use crate::schedule::Launch;
use crate::stage::{SALE, Stage};

/// Buyers arrive for longer than the latest fault lasts.
const ARRIVALS: &str = "poisson:90/s:8s";
/// How long `loadtest` retries a tap with an unknown outcome.
const DEADLINE: &str = "120s";

/// How buyers behave; without thresholds, because only the proof counts here.
const BEHAVIOUR: [&str; 10] = [
    "--set",
    "mix={spike=5,soak=4,retry-storm=1}",
    "--set",
    "buyers.think=[\"30ms\",\"400ms\"]",
    "--set",
    "buyers.twice=15",
    "--set",
    "verdict.thresholds=[]",
    "--set",
    "generator={late=\"60s\",late_share=100,cpu=100}",
];

/// A run of `loadtest`. It is killed when this is dropped.
pub(crate) struct Load {
    program: Program,
    report: PathBuf,
    output: PathBuf,
}

impl Load {
    pub(crate) fn start(stage: &Stage, launch: &Launch) -> Result<Self, Failure> {
        let (report, output) = (stage.path("report"), stage.path("loadtest.log"));
        let gateways: Vec<String> = stage.gateways.iter().map(|g| g.url.clone()).collect();
        let mut command = stage.program("loadtest");
        command.args(["mix", "--gateway", &gateways.join(","), "--ops", &stage.gateways[0].ops_url]);
        command.args(["--sale", SALE, "--seed", &launch.buyers.to_string(), "--arrivals", ARRIVALS]);
        command.args(["--tries", "100", "--timeout", "2s", "--deadline", DEADLINE]);
        command.arg("--auth-secret-file").arg(stage.path("secret"));
        command.arg("--ops-token-file").arg(stage.path("ops")).arg("--report").arg(&report);
        command.args(BEHAVIOUR);
        let mut program = Program::new("loadtest", command).log_to(&output)?;
        program.spawn()?;
        Ok(Self { program, report, output })
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.program.ended().map(|status| status.code().unwrap_or(-1))
    }

    /// Ends it like Ctrl-C: it then judges the answers so far.
    pub(crate) fn interrupt(&self) {
        self.program.signal(Signal::INT);
    }

    /// What every buyer was acknowledged.
    pub(crate) fn history(&self) -> Result<Vec<TapHistory>, Failure> {
        let run_record = RunRecord::read(&self.report);
        run_record.map(|run_record| run_record.history).map_err(|error| {
            let output = std::fs::read_to_string(&self.output).unwrap_or_default();
            Failure::Outside(format!("loadtest left no run record ({error}):\n{output}"))
        })
    }

    /// The verdict of `loadtest` on the present ledger, if it reaches one: its first verdict may precede the recovery.
    pub(crate) fn verdict(&self, stage: &Stage) -> Option<VerdictSummary> {
        let ops = &stage.gateways[0].ops_url;
        let again = stage.path("judged-again");
        let mut command = stage.program("loadtest");
        command.arg("merge").arg(&self.report).args(["--ops", ops, "--sale", SALE]).args(BEHAVIOUR);
        command.arg("--ops-token-file").arg(stage.path("ops")).arg("--report").arg(&again);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        VerdictSummary::read(&again).ok()
    }
}

/// Repeats every tap with an unknown outcome, with the same key, and adds the answer to its history.
pub(crate) fn ask_again(stage: &Stage, history: &mut [TapHistory]) -> Result<(), Failure> {
    for (n, history) in
        history.iter_mut().filter(|history| history.outcome == Some(Outcome::Unknown)).enumerate()
    {
        let gateway = stage.gateways[n % stage.gateways.len()].address();
        let headers = format!("idempotency-key: \"{}\"\r\ncontent-type: application/json\r\n", history.key);
        let path = format!("POST /v1/sales/{SALE}/reservations");
        let body =
            serde_json::to_string(&history.selection).map_err(Failure::outside("can't write a request"))?;
        let answer = call(gateway, &path, &token(&history.buyer), &headers, &body);
        match answer {
            Some((200 | 201, body)) => {
                let hold =
                    serde_json::from_str(&body).map_err(Failure::outside("a reservation can't be read"))?;
                history.holds.push(hold);
                history.outcome = Some(Outcome::Resolved);
            }
            // Also a purchase limit: another key of the buyer has the reservation.
            Some((409 | 410, _)) => history.outcome = Some(Outcome::Refused),
            _ => {}
        }
    }
    Ok(())
}

/// A buyer without a reservation who reads: it changes nothing, and a fenced sale refuses it.
pub(crate) struct Probe {
    token: String,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self { token: token("probe") }
    }

    /// Whether this gateway answers; otherwise its problem.
    pub(crate) fn ask(&self, gateway: SocketAddr) -> Result<(), String> {
        match call(gateway, &format!("GET /v1/sales/{SALE}/reservations"), &self.token, "", "") {
            Some((200, _)) => Ok(()),
            Some((status, body)) => {
                let problem: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
                Err(format!("{status} {}", problem["detail"].as_str().unwrap_or(&body)))
            }
            None => Err("no answer".into()),
        }
    }
}
