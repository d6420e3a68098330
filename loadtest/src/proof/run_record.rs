//! Reads and writes run-record.json: histories, figures, and the ledger before the run; merges the parts of one run.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::failure::Failure;
use crate::base::files;
use crate::base::identity::Identity;
use crate::figures::Figures;
use crate::load::history::TapHistory;
use crate::load::history::packed::PackedHistories;
use crate::load::output::RUN_RECORD;
use crate::plan::profile::difference::differences;
use crate::self_monitoring::Health;

/// One process's part of a run, or all parts together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// The format; `read` refuses another one.
    version: u32,
    pub(crate) run: Run,
    pub(crate) health: Health,
    pub(crate) figures: Figures,
    /// One entry for each idempotency key.
    pub(crate) history: PackedHistories,
}

/// What the run was, apart from how it went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) identity: Identity,
    /// "crowd", or a mix in words.
    pub(crate) scenario: String,
    pub(crate) sale: String,
    pub(crate) seed: u64,
    /// "2/5", when it is a part.
    pub(crate) shards: Vec<String>,
    pub(crate) buyers: usize,
    /// Of the whole run, all parts together.
    pub(crate) buyers_of_all: usize,
    /// Which parts are missing, in words.
    pub(crate) missing: Option<String>,
    /// Whether any scenario taps; a run that only looks has no winners.
    pub(crate) taps: bool,
    /// The opening, or the start in its place, by the server's clock.
    pub(crate) opening: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
    /// How far the estimate of the server's clock may be off, in ms.
    pub(crate) clock_error_ms: f64,
    /// The ledger's sequence before the first tap: earlier entries are not of this run.
    pub(crate) started_after: u64,
    /// Each item's stock before the run; `None`: without a limit.
    pub(crate) totals_before: BTreeMap<String, Option<u64>>,
    /// The listeners of the gateways, as they were before the load.
    pub(crate) targets: Vec<TargetInfo>,
    /// All values of the profile, as it was in force.
    pub(crate) profile: toml::Table,
    /// A digest of `--arrivals` or of the `--replay` recording, which replace the arrivals of the profile.
    pub(crate) arrivals: Option<String>,
    /// The threshold that ended it, in words, by `--abort-on-fail`.
    pub(crate) ended_early: Option<String>,
    /// Limits of the figures that a reader must know.
    pub(crate) notes: Vec<String>,
}

/// A listener of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TargetInfo {
    pub(crate) listener: Listener,
    pub(crate) url: String,
    /// `None`: it does not show it, as behind a proxy.
    pub(crate) version: Option<String>,
    /// What its acknowledgements survive; `None`: not known, or not the same for all live gateways.
    pub(crate) durability: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Listener {
    /// `--gateway`
    Public,
    /// `--ops`
    Ops,
}

const VERSION: u32 = 3;

impl RunRecord {
    pub(crate) fn new(run: Run, health: Health, figures: Figures, history: PackedHistories) -> RunRecord {
        RunRecord { version: VERSION, run, health, figures, history }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), Failure> {
        let path = dir.join(RUN_RECORD);
        let file = std::fs::File::create(&path).map_err(files::unwritten(&path))?;
        let mut file = std::io::BufWriter::new(file);
        serde_json::to_writer(&mut file, self).map_err(files::unwritten(&path))?;
        std::io::Write::flush(&mut file).map_err(files::unwritten(&path))
    }

    /// Reads run-record.json in a report's folder.
    pub fn read(dir: &Path) -> Result<RunRecord, Failure> {
        let path = dir.join(RUN_RECORD);
        let run_record: RunRecord = files::read_json(&path)?;
        if run_record.version != VERSION {
            return Err(Failure::Usage(format!(
                "{}: found version {}, expected {VERSION}: use the loadtest that wrote it",
                path.display(),
                run_record.version
            )));
        }
        Ok(run_record)
    }

    /// All histories, unpacked: 4 KB and more a buyer.
    pub fn histories(&self) -> Result<Vec<TapHistory>, Failure> {
        let mut histories = Vec::new();
        self.history.each(|history| histories.push(history))?;
        Ok(histories)
    }

    /// Joins the parts of one run. The proof then starts where the earliest of them started.
    pub(crate) fn merge(parts: Vec<RunRecord>) -> Result<RunRecord, Failure> {
        let mut parts = parts.into_iter();
        let mut whole = parts
            .next()
            .ok_or_else(|| Failure::Usage("nothing to merge: name the folders of the parts".to_owned()))?;
        let mut health = vec![whole.health.clone()];
        let mut identities = vec![whole.run.identity.clone()];
        for part in parts {
            let run = &mut whole.run;
            let same = |run: &Run| (run.sale.clone(), run.seed, run.scenario.clone(), run.buyers_of_all);
            if same(&part.run) != same(run) {
                return Err(Failure::Usage(format!(
                    "not parts of one run: {:?} and {:?} (sale, seed, scenario, all buyers)",
                    same(run),
                    same(&part.run)
                )));
            }
            if part.run.arrivals != run.arrivals {
                return Err(Failure::Usage(format!(
                    "the parts were run with different arrivals: {} and {}: run all with the same --arrivals, or the \
                     same --replay recording",
                    run.shards.join(" and "),
                    part.run.shards.join(" and ")
                )));
            }
            if let Some(difference) = differences(&run.profile, &part.run.profile).first() {
                return Err(Failure::Usage(format!(
                    "the parts were run with different profiles: {} has {difference} in {}: run all with one",
                    run.shards.join(" and "),
                    part.run.shards.join(" and ")
                )));
            }
            if part.run.shards.is_empty() || run.shards.iter().any(|shard| part.run.shards.contains(shard)) {
                return Err(Failure::Usage(format!(
                    "{} is there twice, or is a complete run: each part must be there once",
                    part.run.shards.join(" and ")
                )));
            }
            run.shards.extend(part.run.shards);
            run.buyers += part.run.buyers;
            run.started_at = run.started_at.min(part.run.started_at);
            run.finished_at = run.finished_at.max(part.run.finished_at);
            run.clock_error_ms = run.clock_error_ms.max(part.run.clock_error_ms);
            if part.run.started_after < run.started_after {
                run.started_after = part.run.started_after;
                run.totals_before = part.run.totals_before;
            }
            let more = part.run.targets.into_iter().filter(|target| !run.targets.contains(target));
            let more: Vec<TargetInfo> = more.collect();
            run.targets.extend(more);
            run.ended_early = run.ended_early.take().or(part.run.ended_early);
            run.notes.extend(part.run.notes);
            whole.figures.add(&part.figures);
            whole.history.append(part.history);
            health.push(part.health);
            identities.push(part.run.identity);
        }
        whole.run.identity.parts = identities;
        whole.run.note_missing_shards();
        whole.run.notes.sort();
        whole.run.notes.dedup();
        whole.health = Health::merge(health).unwrap_or(whole.health);
        Ok(whole)
    }
}

impl Run {
    fn note_missing_shards(&mut self) {
        self.shards.sort();
        let parts = self.shards.iter().filter_map(|shard| shard.split_once('/')?.1.parse::<usize>().ok());
        if let Some(parts) = parts.max().filter(|parts| *parts != self.shards.len()) {
            self.missing = Some(format!("only {} of {parts} parts are here", self.shards.len()));
        }
    }
}
