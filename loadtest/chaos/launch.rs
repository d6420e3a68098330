//! Runs one launch from its set-up to its checks.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::options::Named;
use testkit::{Failed, print_line, wait_for};

use crate::judge::{JudgeInput, LaunchFindings, judge};
use crate::ledger::Ledger;
use crate::load::{Load, ask_again};
use crate::schedule::Launch;
use crate::stage::{PACKAGES, SALE, STOCK, STORES, Stage};
use crate::strike::{is_well, play as strike, restore};

/// A sale that does not open this long after everything is up counts as fenced.
const FENCED_AFTER: Duration = Duration::from_secs(60);
/// Gateways poll sentinels once a second: a gateway that serves this long has seen the new primary.
const SERVES_FOR: Duration = Duration::from_secs(3);
/// Between two checks of it.
const CHECK_EVERY: Duration = Duration::from_millis(250);

pub(crate) fn play(bin: &Path, launch: &Launch, keep: Option<&Path>) -> Result<LaunchFindings, Failed> {
    let named = |failed: Failed| failed.during(format!("{} at {}", launch.fault.name(), launch.level.name()));
    let mut stage = Stage::set(bin, launch).map_err(named)?;
    let findings = played(&mut stage, launch).map_err(named);
    let is_good = findings.as_ref().is_ok_and(|findings| findings.broken.is_empty());
    if let Some(keep) = keep.filter(|_| !is_good) {
        let name =
            format!("{}-{}-{}-{}", launch.seed, launch.round, launch.fault.name(), launch.level.name());
        let to = keep.join(name);
        let created = std::fs::create_dir_all(keep).map_err(Failed::to("keep the files"));
        // What was found counts, whether or not its files are kept.
        print_line(&match created.and_then(|()| stage.keep(&to)) {
            Ok(()) => format!("  its files are in {}", to.display()),
            Err(failed) => format!("  {failed}"),
        });
    }
    findings
}

fn played(stage: &mut Stage, launch: &Launch) -> Result<LaunchFindings, Failed> {
    let opens_at = stage.define()?;
    let mut load = Load::start(stage, launch)?;
    let at = opens_at + Duration::from_millis(launch.at_ms);
    let left = at.duration_since(jiff::Timestamp::now());
    sleep(Duration::try_from(left).unwrap_or_default());
    let struck = strike(stage, launch);
    restore(stage)?;
    struck?;
    let serving = settle(stage, &mut load)?;
    let serving = serving
        .map_err(|problem| stage.alarm().map_or(problem.clone(), |alarm| format!("{problem} ({alarm})")));
    let mut history = load.history()?;
    let verdict = load.verdict(stage);
    if serving.is_ok() {
        ask_again(stage, &mut history)?;
    }
    let (journal, is_gone) = read_journal(stage)?;
    let audit = stage.folder.end("gateway", &["audit", SALE, "--redis", &stage.url])?;
    let report = audit.out + &audit.err;
    Ok(judge(&JudgeInput {
        launch,
        history: &history,
        verdict: verdict.as_ref(),
        ledger: &Ledger::replay(&journal, &totals()),
        stock: &STOCK,
        audit: (!is_gone && audit.code != 0).then_some(report.trim()),
        serving: &serving,
    }))
}

/// Waits until Redis and sentinels agree, every gateway serves, and the buyers have their answers. A fenced sale
/// ends the wait after a while.
fn settle(stage: &Stage, load: &mut Load) -> Result<Result<(), String>, Failed> {
    wait_for("one primary, and all others follow it", || stage.is_agreed().then_some(()))?;
    let began = Instant::now();
    let mut well_since = None;
    loop {
        let well = is_well(stage);
        let now = Instant::now();
        if well.is_ok() {
            well_since.get_or_insert(now)
        } else {
            well_since.insert(now)
        };
        let has_ended = load.ended().is_some();
        if has_ended && well.is_ok() && well_since.is_some_and(|since| since.elapsed() > SERVES_FOR) {
            return Ok(well);
        }
        if well.is_err() && began.elapsed() > FENCED_AFTER {
            if !has_ended {
                load.interrupt();
                wait_for("loadtest ends", || load.ended())?;
            }
            return Ok(well);
        }
        sleep(CHECK_EVERY);
    }
}

/// The journal, and whether the ledger lost the whole sale: only then there is none to read.
fn read_journal(stage: &Stage) -> Result<(String, bool), Failed> {
    let mut why = String::new();
    let read = wait_for("the journal can be read", || {
        match stage.folder.end("gateway", &["journal", SALE, "--redis", &stage.url]) {
            Ok(journal) if journal.code == 0 => Some((journal.out, false)),
            Ok(journal) if journal.code == 2 && journal.err.contains("there is no such sale") => {
                Some((String::new(), true))
            }
            other => {
                why = other.map_or_else(|failed| failed.to_string(), |journal| journal.err);
                None
            }
        }
    });
    read.map_err(|failed| failed.during(why.trim().to_owned()))
}

fn totals() -> BTreeMap<String, i64> {
    let models = STOCK.iter().map(|(id, stock)| (format!("model:{id}"), *stock));
    let packages = PACKAGES.iter().map(|(id, stock)| (format!("package:{id}"), *stock));
    let stores = STORES.iter().map(|(id, _, stock)| (format!("store:{id}"), *stock));
    models.chain(packages).chain(stores).map(|(item, stock)| (item, stock.cast_signed())).collect()
}
