//! The buyers: the real `loadtest`, which keeps what each was told and asks again with the same key until it knows; and what it left.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use testkit::gateway::token;
use testkit::http::call;

use crate::Failure;
use crate::schedule::Launch;
use crate::stage::{SALE, Stage};

/// Buyers come for longer than the latest fault lasts.
const ARRIVALS: &str = "poisson:90/s:8s";
/// What is unknown is asked again for that long.
const DEADLINE: &str = "120s";

/// How buyers behave; and nothing is asked for but the proof: the machine is not what is judged.
const MANNERS: [&str; 10] = [
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
    child: Child,
    report: PathBuf,
    output: PathBuf,
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
        command.args(MANNERS);
        let file = std::fs::File::create(&output).map_err(Failure::outside("can't make a log"))?;
        let errors = file.try_clone().map_err(Failure::outside("can't make a log"))?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().map_err(Failure::outside("can't start loadtest"))?;
        Ok(Self { child, report, output })
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().map(|status| status.code().unwrap_or(-1))
    }

    /// Ctrl-C: it judges what was told until then.
    pub(crate) fn interrupt(&self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
    }

    /// What every buyer was told.
    pub(crate) fn history(&self) -> Result<Vec<TapHistory>, Failure> {
        #[derive(Deserialize)]
        struct RunRecord {
            history: Vec<TapHistory>,
        }
        let text = std::fs::read_to_string(self.report.join("run-record.json")).ok();
        match text.and_then(|text| serde_json::from_str::<RunRecord>(&text).ok()) {
            Some(run_record) => Ok(run_record.history),
            None => {
                let said = std::fs::read_to_string(&self.output).unwrap_or_default();
                Err(Failure::Outside(format!("loadtest kept no histories:\n{said}")))
            }
        }
    }

    /// The verdict of `loadtest` on the ledger as it is now, where it comes to one: the first one may be older than the healing.
    pub(crate) fn verdict(&self, stage: &Stage) -> Option<Verdict> {
        let ops = &stage.gateways[0].ops_url;
        let again = stage.path("judged-again");
        let mut command = stage.program("loadtest");
        command.arg("merge").arg(&self.report).args(["--ops", ops, "--sale", SALE]).args(MANNERS);
        command.arg("--ops-token-file").arg(stage.path("ops")).arg("--report").arg(&again);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        serde_json::from_str(&std::fs::read_to_string(again.join("verdict.json")).ok()?).ok()
    }
}

/// What is needed of verdict.json.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) verdict: String,
    pub(crate) reasons: Vec<String>,
    pub(crate) violations: Vec<Violation>,
}

/// A rule that was broken, by what `loadtest` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Violation {
    pub(crate) rule: String,
    #[serde(default)]
    pub(crate) buyer: String,
    pub(crate) what: String,
}

/// What one key was told.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TapHistory {
    pub(crate) buyer: String,
    pub(crate) key: String,
    pub(crate) selection: serde_json::Value,
    pub(crate) outcome: Option<String>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) confirm: Step,
    pub(crate) cancel: Step,
    pub(crate) amends: Vec<Amend>,
    pub(crate) log: ExchangeLog,
}

/// A reservation as it was shown.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hold {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) version: u64,
    pub(crate) model: String,
}

/// What became of a request of a winner's.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Step {
    #[default]
    NotTried,
    Done,
    Refused(String),
    Unknown,
}

/// An amendment.
#[derive(Debug, Deserialize)]
pub(crate) struct Amend {
    pub(crate) shown: Option<Hold>,
}

/// Requests and answers; of a long story the first and the last.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ExchangeLog {
    pub(crate) exchanges: Vec<Exchange>,
    /// How many answers were lost.
    pub(crate) lost: usize,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) at: jiff::Timestamp,
    pub(crate) took_ms: f64,
    pub(crate) request: String,
    pub(crate) answer: String,
}

/// Asks again for whoever never learned what became of his tap, with the same key. What he is told is his history's.
pub(crate) fn ask_again(stage: &Stage, history: &mut [TapHistory]) -> Result<(), Failure> {
    for (n, history) in
        history.iter_mut().filter(|history| history.outcome.as_deref() == Some("unknown")).enumerate()
    {
        let gateway = stage.gateways[n % stage.gateways.len()].address();
        let headers = format!("idempotency-key: \"{}\"\r\ncontent-type: application/json\r\n", history.key);
        let path = format!("POST /v1/sales/{SALE}/reservations");
        let answer = call(gateway, &path, &token(&history.buyer), &headers, &history.selection.to_string());
        match answer {
            Some((200 | 201, body)) => {
                let hold =
                    serde_json::from_str(&body).map_err(Failure::outside("a reservation can't be read"))?;
                history.holds.push(hold);
                history.outcome = Some("resolved".into());
            }
            // A no, also "you have one already": of another of his keys.
            Some((409 | 410, _)) => history.outcome = Some("refused when asked again".into()),
            _ => {}
        }
    }
    Ok(())
}

/// Somebody who has nothing and looks: it changes nothing, and a sale that stands still does not answer it.
pub(crate) struct Probe {
    token: String,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self { token: token("probe") }
    }

    /// Whether this gateway answers; else what it says.
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
