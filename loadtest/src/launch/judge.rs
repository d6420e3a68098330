//! Compares the histories with the ledger and the figures with thresholds and an earlier run, then
//! writes the verdict.

mod survey;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use survey::Survey;

use crate::base::console;
use crate::base::failure::Failure;
use crate::base::requests::SIGN_UP;
use crate::base::scenario::Scenario;
use crate::cli::MergeOptions;
use crate::figures::Figures;
use crate::launch::comparison::Baseline;
use crate::launch::identity;
use crate::load::output::{Output, is_same};
use crate::plan::profile::Profile;
use crate::plan::profile::difference::{ProfileDifference, differences};
use crate::proof::admin::Admin;
use crate::proof::ledger::{Journal, WaitingStep};
use crate::proof::reconcile::chart::stock_over_time;
use crate::proof::reconcile::{ReconcileInput, SaleDraw, reconcile};
use crate::proof::run_record::RunRecord;
use crate::report;
use crate::self_monitoring::SEND_SOONER;
use crate::threshold::{Judged, Queued};
use crate::verdict::baseline::Difference;
use crate::verdict::{Findings, Verdict, baseline};

/// How many unknown outcomes the support lookup resolves at most.
const SUPPORT_LOOKUPS_MAX: usize = 200;

/// What a run is judged by.
pub(crate) struct Terms<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) baseline: Option<&'a Baseline>,
    pub(crate) fail_on_worse: bool,
    /// The report's folder.
    pub(crate) report: Option<&'a Path>,
    /// What is to be known about these terms.
    pub(crate) notes: Vec<String>,
}

/// Judges a run. The audit comes first: the journal that is read after it has everything that the audit counted.
pub(crate) async fn judge(
    run_record: &RunRecord,
    admin: &Admin,
    terms: Terms<'_>,
) -> Result<Verdict, Failure> {
    let Terms { profile, baseline, fail_on_worse, report, mut notes } = terms;
    let run = &run_record.run;
    let thresholds = judge_thresholds(run_record, profile);
    let audit = match admin.audit().await {
        // It was there before the run.
        Err(Failure::NotFound(gone)) => {
            let mut verdict = Verdict::ledger_lost(run_record, gone)?;
            verdict.notes.extend(notes.into_iter().chain(lost_note(&run_record.figures)));
            verdict.thresholds = thresholds;
            if let Some(dir) = report {
                report::write(dir, &verdict, run_record, &BTreeMap::new())?;
            }
            return close(verdict, report);
        }
        audit => audit?,
    };
    let journal = admin.journal().await?;
    let changes = &journal.changes;
    let sale = admin.sale().await?;
    let history = &run_record.history;
    let survey = Survey::of(history, changes, run.started_after)?;
    let mut support = HashMap::new();
    for buyer in survey.unknown.iter().take(SUPPORT_LOOKUPS_MAX) {
        support.insert(buyer.clone(), admin.look_up_support(buyer).await?);
    }
    let draw = sale.definition.draw.as_ref();
    let found = reconcile(&ReconcileInput {
        terms: &sale.definition.sale,
        prices: &sale.definition.prices(),
        started_after: run.started_after,
        totals_before: &run.totals_before,
        clock_error: Duration::from_secs_f64(run.clock_error_ms / 1000.0),
        audit: &audit,
        changes,
        operator_actions: &journal.operator_actions,
        waiting: &journal.waiting,
        signup: sale.definition.signup.as_ref(),
        draw: draw.map(|draw| SaleDraw::new(&run.sale, &draw.commitment, &journal.waiting)),
        history,
        support: &support,
    })?;
    let unknown_held = survey.unknown_held(changes, run.started_after);
    if !survey.unknown.is_empty() {
        let count = survey.unknown.len();
        notes.push(format!("of {count} unknown outcomes the ledger shows {unknown_held} as won"));
    }
    if found.foreign_reservations > 0 && run.shards.is_empty() {
        notes.push(format!(
            "{} reservations during the run belong to buyers of no history here",
            found.foreign_reservations
        ));
    }
    notes.extend(found.odds);
    notes.extend(survey.older_note());
    notes.extend(lost_note(&run_record.figures));
    notes.extend(survey.refused_notes());
    notes.extend(stock_note(run_record, profile, &sale.definition));
    let baseline: Vec<Difference> =
        baseline.map(|before| baseline::compare(&before.figures, &run_record.figures)).unwrap_or_default();
    let regressions = baseline.iter().filter(|difference| fail_on_worse && difference.is_a_regression());
    let findings = Findings {
        violations: found.violations,
        unknown_held: unknown_held as u64,
        unfinished: unfinished(run_record, &journal),
        generator: generator(run_record, profile, &thresholds),
        thresholds,
        regressions: regressions.map(Difference::words).collect(),
        baseline,
        notes,
    };
    let verdict = Verdict::on(run_record, &audit, changes, findings)?;
    if let Some(dir) = report {
        let stock = stock_over_time(
            &journal,
            &sale.definition.sale,
            &run.totals_before,
            run.started_after,
            run.opening,
        );
        report::write(dir, &verdict, run_record, &stock)?;
    }
    close(verdict, report)
}

pub(super) fn judge_thresholds(run_record: &RunRecord, profile: &Profile) -> Vec<Judged> {
    let RunRecord { figures, health, .. } = run_record;
    let queued = Queued {
        longest: Duration::from_secs_f64(health.queued_max_ms / 1000.0),
        bound: profile.generator.queued,
        longer: health.requests_queued,
    };
    profile.thresholds().iter().map(|threshold| threshold.judge(figures, queued)).collect()
}

/// Why the generator, not the server, was the limit: by the limits of the profile, and by thresholds on its own starts.
pub(super) fn generator(run_record: &RunRecord, profile: &Profile, thresholds: &[Judged]) -> Vec<String> {
    let mut findings = run_record.health.findings(
        &run_record.figures,
        &profile.generator,
        run_record.run.ended_early.is_some(),
    );
    let own = profile.thresholds().iter().zip(thresholds).filter(|(threshold, judged)| {
        // What --abort-on-fail left out is not the generator's doing.
        judged.met == Some(false) && threshold.is_of_the_generator() && run_record.run.ended_early.is_none()
    });
    findings.extend(own.map(|(_, judged)| format!("{}: {SEND_SOONER}", judged.words())));
    findings
}

/// Prints and writes the verdict.
pub(crate) fn close(verdict: Verdict, report: Option<&Path>) -> Result<Verdict, Failure> {
    verdict.print();
    if let Some(dir) = report {
        verdict.write(dir)?;
        console::line(&format!("report in {}", dir.display()));
    }
    Ok(verdict)
}

/// Writes the verdict for other programs, too.
pub(crate) fn summarise(verdict: Verdict, output: &Output) -> Result<Verdict, Failure> {
    report::summary::write(&verdict, &output.summary)?;
    Ok(verdict)
}

/// Joins the parts of a run and judges them as one.
pub(crate) async fn merge(options: &MergeOptions) -> Result<Verdict, Failure> {
    options.ledger.check()?;
    let wanted = options.output.report.as_deref();
    if let Some(part) = wanted.and_then(|dir| options.parts.iter().find(|part| is_same(part, dir))) {
        return Err(Failure::Usage(format!(
            "--report {} is one of the parts; the merge would overwrite its run record: name another folder",
            part.display()
        )));
    }
    let report = options.output.folder()?;
    options.output.prepare_summaries()?;
    let baseline = Baseline::read(&options.output)?;
    let parts = options.parts.iter().map(|dir| RunRecord::read(dir)).collect::<Result<Vec<_>, _>>()?;
    let mut run_record = RunRecord::merge(parts)?;
    let run = &run_record.run;
    if run.sale != options.ledger.sale {
        return Err(Failure::Usage(format!(
            "the parts are of sale {:?}, but --sale names another one",
            run.sale
        )));
    }
    let manners = &options.manners;
    let profile = Profile::of_run(&run.profile, manners.profile.as_deref(), &manners.set)?;
    let notes = Vec::from_iter(changed_terms(&run.profile, &profile)?);
    if let Some(baseline) = &baseline {
        baseline.check(run)?;
    }
    run_record.run.identity = identity::of_merge(&run.identity, &profile.identity, manners.profile.is_some());
    let admin = Admin::new(&options.ledger)?;
    // Where the sale is not at all, this is another ledger, not a lost one.
    admin.sale().await?;
    // So that a later run can be compared with the whole.
    if let Some(dir) = report {
        run_record.write(dir)?;
        report::write_figures(dir, &run_record.figures)?;
    }
    let (baseline, fail_on_worse) = (baseline.as_ref(), options.output.fail_on_worse);
    let terms = Terms { profile: &profile, baseline, fail_on_worse, report, notes };
    summarise(judge(&run_record, &admin, terms).await?, &options.output)
}

/// The note that options of the merge changed what the parts were run with.
fn changed_terms(recorded: &toml::Table, profile: &Profile) -> Result<Option<String>, Failure> {
    let (of_the_verdict, of_the_load): (Vec<_>, Vec<_>) =
        differences(recorded, profile.table()).into_iter().partition(ProfileDifference::is_of_the_verdict);
    if let Some(difference) = of_the_load.first() {
        return Err(Failure::Usage(format!(
            "the parts were run with another profile ({difference}): a merge can change [verdict], [generator] and \
             launch.taps_per_car only, since the load is over"
        )));
    }
    let words: Vec<String> = of_the_verdict.iter().map(ProfileDifference::to_string).collect();
    Ok((!words.is_empty()).then(|| {
        format!(
            "it is not judged by what it was run with; that, and what options of the merge made of it: {}",
            words.join("; ")
        )
    }))
}

/// Why a run with sign-up has not come to its end.
fn unfinished(run_record: &RunRecord, journal: &Journal) -> Option<&'static str> {
    let is_over = journal.waiting.iter().any(|line| line.step == WaitingStep::Allocated);
    let is_drawn = journal.waiting.iter().any(|line| matches!(line.step, WaitingStep::Draw { .. }));
    let plays =
        |scenario: Scenario| run_record.run.scenario.split([' ', ',']).any(|word| word == scenario.name());
    let signed_up = run_record.figures.requests.get(SIGN_UP).map_or(0, |of| of.steps.done);
    if plays(Scenario::DRAW_DAY) && !is_drawn {
        Some("nobody drew before the end: run `gateway draw` between the end of sign-up and the opening")
    } else if plays(Scenario::DRAW_DAY) && !is_over {
        Some("the allocation of the draw was not over before the end: raise --deadline")
    } else if plays(Scenario::SIGN_UP) && signed_up == 0 {
        Some("nobody could sign up")
    } else {
        None
    }
}

/// Requests without an answer, by why.
fn lost_note(figures: &Figures) -> Option<String> {
    let lost: Vec<String> = figures.errors.iter().map(|(why, count)| format!("{why} {count}")).collect();
    let count: u64 = figures.errors.values().sum();
    (count > 0).then(|| format!("{count} requests got no answer: {}", lost.join(", ")))
}

/// Notes a run whose taps for each car differ much from the profile.
fn stock_note(
    run_record: &RunRecord,
    profile: &Profile,
    definition: &crate::plan::selection::Definition,
) -> Option<String> {
    let cars = definition.cars().filter(|_| run_record.run.taps)?;
    let taps = run_record.figures.honest(|_| true).count();
    let expected = cars * profile.launch.taps_per_car;
    let is_alike = taps * 2 >= expected && taps <= expected * 2;
    (!is_alike && cars > 0).then(|| {
        format!("{taps} taps for {cars} cars; the profile's launch has {} a car", profile.launch.taps_per_car)
    })
}
