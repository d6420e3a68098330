//! The judgement: what buyers were told is held against the ledger, what was measured against the thresholds and an earlier
//! run; then the verdict is told and written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use crate::base::failure::Failure;
use crate::base::outcome::Outcome;
use crate::base::say;
use crate::cli::MergeOptions;
use crate::figures::Figures;
use crate::load::output::{Output, is_same};
use crate::load::told::{Step, Told};
use crate::plan::profile::Profile;
use crate::proof::admin::Admin;
use crate::proof::evidence::Evidence;
use crate::proof::reconcile::chart::stock_over_time;
use crate::proof::reconcile::{Evidence as Testimony, reconcile};
use crate::report;
use crate::verdict::{Findings, Verdict, baseline};

/// So many unknown outcomes are looked up at the support desk.
const DESK_LOOKUPS_MAX: usize = 200;

/// Judges a run. The audit comes first: the journal that is read after it has everything that the audit counted.
pub(crate) async fn judge(
    evidence: &Evidence,
    admin: &Admin,
    profile: &Profile,
    baseline: Option<&Figures>,
    report: Option<&Path>,
) -> Result<Verdict, Failure> {
    let run = &evidence.run;
    let audit = match admin.audit().await {
        // It was there before the run.
        Err(Failure::NotFound(gone)) => return close(Verdict::ledger_lost(evidence, gone), report),
        audit => audit?,
    };
    let journal = admin.journal().await?;
    let changes = &journal.changes;
    let sale = admin.sale().await?;
    let told = &evidence.told;
    let unknown: Vec<&Told> = told.iter().filter(|told| told.outcome == Some(Outcome::Unknown)).collect();
    let mut desk = HashMap::new();
    for told in unknown.iter().take(DESK_LOOKUPS_MAX) {
        let seen = admin.desk(&told.buyer).await?;
        desk.insert(
            told.buyer.clone(),
            seen.reservations.into_iter().map(|reservation| reservation.id).collect(),
        );
    }
    let found = reconcile(&Testimony {
        terms: &sale.definition.sale,
        started_after: run.started_after,
        totals_before: &run.totals_before,
        clock_error: Duration::from_secs_f64(run.clock_error_ms / 1000.0),
        audit: &audit,
        changes,
        levers: &journal.levers,
        told,
        desk: &desk,
    });
    let holders: HashSet<&str> = changes
        .iter()
        .filter(|change| change.sequence() > run.started_after)
        .map(|change| change.buyer.as_str())
        .collect();
    let unknown_held = unknown.iter().filter(|told| holders.contains(told.buyer.as_str())).count();
    let mut notes = Vec::new();
    if !unknown.is_empty() {
        notes.push(format!("of {} unknown outcomes the ledger shows {unknown_held} as won", unknown.len()));
    }
    if found.strangers > 0 && run.shards.is_empty() {
        notes.push(format!(
            "{} reservations of the time are of buyers who are not of this run",
            found.strangers
        ));
    }
    let again = told
        .iter()
        .filter(|told| told.outcome.is_some_and(Outcome::holds) && !holders.contains(told.buyer.as_str()))
        .count();
    if again > 0 {
        notes.push(format!(
            "{again} buyers were shown reservations that are older than this run: the seed was used before"
        ));
    }
    notes.extend(lost_note(&evidence.figures));
    notes.extend(refused_note(told));
    notes.extend(stock_note(evidence, profile, &sale.definition));
    let findings = Findings {
        violations: found.violations,
        unknown_held: unknown_held as u64,
        thresholds: profile.thresholds().iter().map(|threshold| threshold.judge(&evidence.figures)).collect(),
        complaints: evidence.health.complaints(&evidence.figures, &profile.generator.limits()),
        baseline: baseline.map(|before| baseline::compare(before, &evidence.figures)).unwrap_or_default(),
        notes,
    };
    let verdict = Verdict::on(evidence, &audit, changes, findings);
    if let Some(dir) = report {
        let stock = stock_over_time(
            &journal,
            &sale.definition.sale,
            &run.totals_before,
            run.started_after,
            run.opening,
        );
        report::write(dir, &verdict, evidence, &stock)?;
    }
    close(verdict, report)
}

/// Tells the verdict, and writes it.
pub(crate) fn close(verdict: Verdict, report: Option<&Path>) -> Result<Verdict, Failure> {
    verdict.print();
    if let Some(dir) = report {
        verdict.write(dir)?;
        say::line(&format!("report in {}", dir.display()));
    }
    Ok(verdict)
}

/// Joins the parts of a run and judges them as one.
pub(crate) async fn merge(options: &MergeOptions) -> Result<Verdict, Failure> {
    options.ledger.check()?;
    let wanted = options.output.report.as_deref();
    if let Some(part) = wanted.and_then(|dir| options.parts.iter().find(|part| is_same(part, dir))) {
        return Err(Failure::Usage(format!(
            "--report {} is one of the parts, whose evidence would be overwritten: name another folder",
            part.display()
        )));
    }
    let report = options.output.folder()?;
    let baseline = read_baseline(&options.output)?;
    let profile = Profile::load(options.manners.profile.as_deref(), &options.manners.set)?;
    let parts = options.parts.iter().map(|dir| Evidence::read(dir)).collect::<Result<Vec<_>, _>>()?;
    let evidence = Evidence::merge(parts)?;
    if evidence.run.sale != options.ledger.sale {
        return Err(Failure::Usage(format!(
            "the parts are of {:?}, --sale says otherwise",
            evidence.run.sale
        )));
    }
    let admin = Admin::new(&options.ledger)?;
    // Where the sale is not at all, this is another ledger, not a lost one.
    admin.sale().await?;
    // So that a later run can be compared with the whole.
    if let Some(dir) = report {
        evidence.write(dir)?;
    }
    judge(&evidence, &admin, &profile, baseline.as_ref(), report).await
}

/// The figures of the run that this one is compared with.
pub(crate) fn read_baseline(output: &Output) -> Result<Option<Figures>, Failure> {
    let before = output.baseline.as_deref().map(Evidence::read).transpose()?;
    Ok(before.map(|evidence| evidence.figures))
}

/// Requests without an answer, by why.
fn lost_note(figures: &Figures) -> Option<String> {
    let lost: Vec<String> = figures.errors.iter().map(|(why, count)| format!("{why} {count}")).collect();
    let count: u64 = figures.errors.values().sum();
    (count > 0).then(|| format!("{count} requests got no answer: {}", lost.join(", ")))
}

/// Payments that came too late, and the like: a winner who was refused his confirm is to have his money back.
fn refused_note(told: &[Told]) -> Option<String> {
    let mut refused = BTreeMap::<&str, usize>::new();
    for told in told {
        if let Step::Refused(why) = &told.confirm {
            *refused.entry(why).or_default() += 1;
        }
    }
    let count: usize = refused.values().sum();
    let whys: Vec<String> = refused.iter().map(|(why, count)| format!("{why} {count}")).collect();
    (count > 0).then(|| format!("{count} confirms were refused: {}", whys.join(", ")))
}

/// Whether there were about as many taps a car as the profile says.
fn stock_note(
    evidence: &Evidence,
    profile: &Profile,
    definition: &crate::plan::wish::Definition,
) -> Option<String> {
    let cars = definition.cars().filter(|_| evidence.run.taps)?;
    let taps = evidence.figures.latency(|scenario, _| scenario.is_honest()).count();
    let expected = cars * profile.launch.taps_per_car;
    let is_alike = taps * 2 >= expected && taps <= expected * 2;
    (!is_alike && cars > 0).then(|| {
        format!("{taps} taps for {cars} cars; the profile's launch has {} a car", profile.launch.taps_per_car)
    })
}
