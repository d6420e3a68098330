//! Runs `loadtest` as the buyers, and reads the run record and the verdict that it writes.

use std::path::PathBuf;

use loadtest::{Outcome, RunRecord, TapHistory, VerdictSummary};
use testkit::cli::try_end;
use testkit::gateway::{ANSWER, Gateway, send};
use testkit::program::Program;
use testkit::{Failed, Method, Signal, block_on, print_line};

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
    "generator={late=\"60s\",late_share=100,skew=\"60s\",cpu=100}",
];

/// A run of `loadtest`. It is killed when this is dropped.
pub(crate) struct Load {
    program: Program,
    report: PathBuf,
    output: PathBuf,
}

impl Load {
    pub(crate) fn start(stage: &Stage, launch: &Launch) -> Result<Self, Failed> {
        let (report, output) = (stage.folder.path("report"), stage.folder.path("loadtest.log"));
        let gateways: Vec<String> = stage.gateways.iter().map(|g| g.url.clone()).collect();
        let mut command = stage.folder.program("loadtest");
        command.args(["mix", "--gateway", &gateways.join(","), "--ops", &listeners(stage)]);
        command.args(["--sale", SALE, "--seed", &launch.buyers.to_string(), "--arrivals", ARRIVALS]);
        command.args(["--tries", "100", "--timeout", "2s", "--deadline", DEADLINE]);
        command.arg("--auth-secret-file").arg(stage.folder.path("secret"));
        command.arg("--ops-token-file").arg(stage.folder.path("ops")).arg("--report").arg(&report);
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
    pub(crate) fn history(&self) -> Result<Vec<TapHistory>, Failed> {
        let run_record = RunRecord::read(&self.report);
        run_record.and_then(|run_record| run_record.histories()).map_err(|error| {
            let output = std::fs::read_to_string(&self.output).unwrap_or_default();
            Failed::Outside(format!("loadtest left no run record ({error}):\n{output}"))
        })
    }

    /// The verdict of `loadtest` on the present ledger, if it reaches one: its first verdict may precede the recovery.
    pub(crate) fn verdict(&self, stage: &Stage) -> Option<VerdictSummary> {
        let ops = &listeners(stage);
        let again = stage.folder.path("judged-again");
        let mut command = stage.folder.program("loadtest");
        command.arg("merge").arg(&self.report).args(["--ops", ops, "--sale", SALE]).args(BEHAVIOUR);
        command.arg("--ops-token-file").arg(stage.folder.path("ops")).arg("--report").arg(&again);
        let merged = try_end(command).ok()?;
        let verdict = VerdictSummary::read(&again).ok();
        if verdict.is_none() {
            print_line(&format!("  loadtest merge reached no verdict: {}", merged.err.trim()));
        }
        verdict
    }
}

/// The ops listeners of all gateways: any of them may be gone.
fn listeners(stage: &Stage) -> String {
    let urls: Vec<&str> = stage.gateways.iter().map(|gateway| gateway.ops_url.as_str()).collect();
    urls.join(",")
}

/// Repeats every tap with an unknown outcome, with the same key, and adds the answer to its history.
pub(crate) fn ask_again(stage: &Stage, history: &mut [TapHistory]) -> Result<(), Failed> {
    let unknown = history.iter_mut().filter(|history| history.outcome == Some(Outcome::Unknown));
    for (n, history) in unknown.enumerate() {
        let gateway = &stage.gateways[n % stage.gateways.len()];
        let body = serde_json::to_value(&history.selection).map_err(Failed::to("write a request"))?;
        let key = format!("\"{}\"", history.key);
        let answer = block_on(send(gateway.tap_at(SALE, &history.buyer, &key, &body).timeout(ANSWER)));
        match answer.status {
            200 | 201 => {
                let hold = serde_json::from_value(answer.json).map_err(Failed::to("read a reservation"))?;
                history.holds.push(hold);
                history.outcome = Some(Outcome::Resolved);
            }
            // Also a purchase limit: another key of the buyer has the reservation.
            409 | 410 => history.outcome = Some(Outcome::Refused),
            _ => {}
        }
    }
    Ok(())
}

/// Whether this gateway answers a buyer without a reservation; otherwise its problem. It changes nothing, and a fenced
/// sale refuses it.
pub(crate) fn probe(gateway: &Gateway) -> Result<(), String> {
    let path = format!("/v1/sales/{SALE}/reservations");
    let request = gateway.request(Method::GET, &path).bearer_auth(gateway.token("probe")).timeout(ANSWER);
    let answer = block_on(send(request));
    match answer.status {
        200 => Ok(()),
        0 => Err("no answer".into()),
        status => Err(format!("{status} {}", answer.json["detail"].as_str().unwrap_or(&answer.text))),
    }
}
