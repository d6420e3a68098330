//! Reads the run that `--baseline` names, and checks that both can be compared.

use std::path::PathBuf;

use crate::base::failure::Failure;
use crate::base::scenario::Scenario;
use crate::figures::Figures;
use crate::load::output::Output;
use crate::plan::profile::difference::differences;
use crate::proof::run_record::{Run, RunRecord};

/// An earlier run.
pub(crate) struct Baseline {
    dir: PathBuf,
    run: Run,
    pub(crate) figures: Figures,
}

/// More differences of the profiles would hide what matters.
const DIFFERENCES_MAX: usize = 5;

impl Baseline {
    /// The run whose report's folder is given, if one is.
    pub(crate) fn read(output: &Output) -> Result<Option<Baseline>, Failure> {
        let Some(dir) = output.baseline.clone() else { return Ok(None) };
        let RunRecord { run, figures, .. } = RunRecord::read(&dir)?;
        if let Some(why) = incomplete(&run) {
            return Err(Failure::Usage(format!(
                "--baseline {} is not a whole run: {why}: give the baseline of one that was played to its end",
                dir.display()
            )));
        }
        Ok(Some(Baseline { dir, run, figures }))
    }

    /// Refuses runs that played something else: their figures differ for that reason.
    pub(crate) fn check(&self, now: &Run) -> Result<(), Failure> {
        let differ = differences_of(&self.run, now);
        if differ.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "--baseline {} can't be compared with this run: {}: give the baseline of such a run, or run the same",
            self.dir.display(),
            differ.join("; ")
        )))
    }
}

/// Why the figures of a run are not those of all that it was to play.
fn incomplete(run: &Run) -> Option<String> {
    let early =
        run.ended_early.as_ref().map(|threshold| format!("--abort-on-fail ended it early ({threshold})"));
    early.or_else(|| run.missing.clone())
}

/// In words what two runs don't have in common, the baseline's first. How they are judged does not matter.
fn differences_of(before: &Run, now: &Run) -> Vec<String> {
    let mut found = Vec::new();
    if before.scenario != now.scenario {
        found.push(format!("scenario: {} and {}", before.scenario, now.scenario));
    }
    if before.buyers != now.buyers {
        found.push(format!("buyers: {} and {}", before.buyers, now.buyers));
    }
    if before.arrivals != now.arrivals {
        let words = |run: &Run| if run.arrivals.is_some() { "others" } else { "those of the profile" };
        found.push(match before.scenario == Scenario::REPLAY.name() && before.scenario == now.scenario {
            true => "--replay: another recording".to_owned(),
            false => format!("--arrivals: {} and {}", words(before), words(now)),
        });
    }
    let profiles = differences(&before.profile, &now.profile);
    let of_the_load = profiles.iter().filter(|difference| !difference.is_of_the_verdict());
    found.extend(of_the_load.map(|difference| format!("profile, {difference}")).take(DIFFERENCES_MAX));
    found
}
