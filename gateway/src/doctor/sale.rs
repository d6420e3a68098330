//! Checks a sale in the ledger against its file and the gateway that serves it.

mod facts;

use std::collections::HashMap;

pub(super) use facts::{AppliedSale, SaleFacts};

use crate::doctor::definition;
use crate::doctor::report::{Finding, Findings, age, differing, some};
use crate::domain::definition::Mistake;
use crate::domain::draw::DrawStage;
use crate::domain::sale::{LedgerStop, SaleControls};
use crate::manage::admin::{LeaseStatus, ReaderLease};
use crate::manage::audit::AuditVerdict as Audited;

/// The findings of a definition's file that can't be applied.
pub(super) fn mistakes(file: &str, mistakes: &[Mistake]) -> Vec<Finding> {
    let mut lines = Findings::of(format!("file {file}"));
    let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    lines.fail_each("definition", &mistakes, "fix the file: it can't be applied");
    lines.end()
}

/// Runs every check of one sale.
pub(super) fn check(facts: &SaleFacts) -> Vec<Finding> {
    let mut lines = Findings::of(format!("sale {}", facts.id));
    match &facts.applied {
        Ok(Some(applied)) => {
            check_applied(facts, applied, &mut lines);
            definition::check(&applied.definition, facts.now_ms, &mut lines);
            check_restocks(facts, applied, &mut lines);
            check_controls(applied, &mut lines);
            check_reservations(facts, applied, &mut lines);
            check_draw(facts, applied, &mut lines);
        }
        Ok(None) => {
            let todo = match &facts.file {
                Some((file, _)) => format!("gateway sale apply {file}"),
                None => "`gateway sale list` lists the sales; apply its definition, or correct the id".into(),
            };
            lines.fail("ledger", "there is no such sale in Redis", todo);
        }
        Err(why) => {
            let todo = format!("gateway audit {}; a restored copy of Redis's files may be needed", facts.id);
            lines.fail("ledger", why, todo);
        }
    }
    if let (Ok(None) | Err(_), Some((_, of_file))) = (&facts.applied, &facts.file) {
        definition::check(of_file, facts.now_ms, &mut lines);
    }
    check_audit(facts, &mut lines);
    for reader in &facts.readers {
        check_reader(reader, facts, &mut lines);
    }
    lines.end()
}

/// A job may read once a day; a reader that was released earlier, and has not read since, is likely to be forgotten.
const RELEASED_MAX_MS: i64 = 25 * 3_600_000;

/// A program that reads the journal for another system.
fn check_reader(lease: &ReaderLease, facts: &SaleFacts, lines: &mut Findings) {
    let now_ms = facts.now_ms;
    let since = |then: i64| age(now_ms.saturating_sub(then).unsigned_abs() / 1_000);
    let ReaderLease { reader, holder, until, renewed, .. } = lease;
    let lag = lease.number("lag_ms").map(|ms| format!(", {ms} ms behind")).unwrap_or_default();
    match lease.status(now_ms) {
        LeaseStatus::Expired => {
            let found = format!(
                "{reader}: the lease of {holder} expired {} ago without a release{lag}",
                since(*until)
            );
            let todo =
                format!("nothing is delivered: start that program again, or {}", forget(facts, reader));
            lines.warn("readers", found, todo);
        }
        LeaseStatus::Released => {
            let found = format!("{reader}: released by {holder} {} ago{lag}", since(*renewed));
            let has_missed = facts.last_change.is_some_and(|at| at > *renewed);
            let do_changes_wait = has_missed || lease.number("lag_ms").is_some_and(|ms| ms > 0);
            if do_changes_wait && now_ms.saturating_sub(*renewed) > RELEASED_MAX_MS {
                let found = format!("{found}, and changes have been waiting since then");
                let todo = format!("start that program again, or {}", forget(facts, reader));
                lines.warn("readers", found, todo);
            } else {
                lines.ok("readers", found);
            }
        }
        LeaseStatus::Running => {
            lines.ok("readers", format!("{reader}: {holder} for {}{lag}", since(lease.since)));
        }
    }
    if let Some(parked) = lease.number("parked").filter(|parked| *parked > 0) {
        let todo = "`relay parked` lists them with the reasons, and `relay retry` sends them again";
        lines.warn("readers", format!("{reader}: {parked} reservations are parked"), todo);
    }
}

fn forget(facts: &SaleFacts, reader: &str) -> String {
    format!("if it is not needed any more: gateway sale forget-reader {} {reader}", facts.id)
}

fn check_applied(facts: &SaleFacts, applied: &AppliedSale, lines: &mut Findings) {
    let AppliedSale { revision, sequence, .. } = applied;
    lines.ok("ledger", format!("at revision {revision}, sequence {sequence}"));
    if let Some((file, definition)) = &facts.file {
        if *definition == applied.definition {
            lines.ok("file", format!("{file} equals the applied definition"));
        } else {
            let differing = differing(&definition.to_json(), &applied.definition.to_json());
            let found = format!("{file} differs from the applied definition in {}", some(&differing));
            let todo = format!("gateway sale apply {file}, or give the file that was applied");
            lines.fail("file", found, todo);
        }
    }
    if applied.stop == Some(LedgerStop::Fenced) {
        let found = "Redis was restarted since this sale was last served: the sale is fenced until recovery has audited its ledger";
        if facts.is_served {
            let todo = "live gateways recover it within seconds: if this persists, the alarms of the fleet say what it waits for";
            lines.fail("epoch", found, todo);
        } else {
            lines.warn("epoch", found, "start a gateway: the first one recovers it");
        }
    }
    match facts.followed {
        Some(Some(at)) if at >= *sequence => {
            lines.ok("read-model", format!("the gateway on this host has it, at sequence {at}"))
        }
        Some(Some(at)) => {
            let found = format!("the gateway on this host has it only up to sequence {at}");
            let todo = "run the checks again: if it stays behind, check its log and /readyz";
            lines.warn("read-model", found, todo);
        }
        Some(None) => {
            let found = "the gateway on this host does not have it";
            lines.fail("read-model", found, "check that it uses the same Redis, its log and /readyz");
        }
        None => {}
    }
}

/// Restocks since the definition was applied; applying it again does not undo them.
fn check_restocks(facts: &SaleFacts, applied: &AppliedSale, lines: &mut Findings) {
    let Some(Ok(report)) = &facts.audit else { return };
    let defined: HashMap<String, Option<u64>> =
        applied.definition.items().map(|(item, stock, _)| (item, stock)).collect();
    let changed = report.items.iter().filter_map(|item| {
        let (was, now) = ((*defined.get(&item.item)?)?, item.total?);
        (i64::try_from(was) != Ok(now)).then_some((&item.item, was, now))
    });
    let changed: Vec<_> = changed.collect();
    if let Some((item, was, now)) = changed.first() {
        let listed: Vec<_> =
            changed.iter().map(|(item, was, now)| format!("{item} from {was} to {now}")).collect();
        let found = format!("restocked since it was applied: {}", some(&listed));
        let todo =
            format!("if left from a rehearsal: gateway sale restock {} {item} {was} --was {now}", facts.id);
        lines.warn("restocks", found, todo);
    }
}

fn check_controls(applied: &AppliedSale, lines: &mut Findings) {
    let SaleControls { paused, frozen, closed, .. } = applied.controls;
    let id = &applied.definition.sale.id;
    let in_force = [(paused, "paused", "resume"), (frozen, "frozen", "unfreeze")];
    let in_force = in_force.into_iter().filter(|(is_active, ..)| *is_active);
    let (found, todo): (Vec<_>, Vec<_>) =
        in_force.map(|(_, what, undo)| (what, format!("gateway sale {undo} {id}"))).unzip();
    if closed {
        lines.fail("controls", "it was closed for good", "apply the definition under another id");
    } else if found.is_empty() {
        lines.ok("controls", "neither paused nor frozen");
    } else {
        lines.warn("controls", format!("it is {}", found.join(" and ")), todo.join("; "));
    }
}

fn check_reservations(facts: &SaleFacts, applied: &AppliedSale, lines: &mut Findings) {
    let [held, confirmed, cancelled, expired] = applied.counts;
    let found = format!("{held} held, {confirmed} confirmed, {cancelled} cancelled, {expired} expired");
    if applied.started() > 0 && facts.now_ms < applied.controls.opens {
        let found = format!("{found}, before it opens");
        let todo = "if they are from a rehearsal: the real sale needs an id of its own";
        lines.warn("reservations", found, todo);
    } else {
        lines.ok("reservations", found);
    }
}

fn check_draw(facts: &SaleFacts, applied: &AppliedSale, lines: &mut Findings) {
    let AppliedSale { definition, controls, draw, .. } = applied;
    let (Some(stage), Some(signup)) = (draw, &definition.signup) else { return };
    let is_over = facts.now_ms >= signup.closes_at.as_millisecond();
    let is_near = controls.opens.saturating_sub(facts.now_ms) < definition::DRAW_MS_MIN;
    let todo = match stage {
        DrawStage::Announced if is_over && is_near => {
            "its entrants are not fixed: check the gateways' log".to_owned()
        }
        DrawStage::Fixed if is_near => format!("gateway draw {} --reveal FILE --beacon HEX", facts.id),
        _ => return lines.ok("drawn", stage.name()),
    };
    let when = if facts.now_ms < controls.opens { "it opens soon" } else { "its opening has passed" };
    lines.fail("drawn", format!("{}: sign-up is over, {when}, and nothing is drawn", stage.name()), todo);
}

fn check_audit(facts: &SaleFacts, lines: &mut Findings) {
    match &facts.audit {
        None => {}
        Some(Err(why)) => {
            let todo = format!("run the checks again; gateway audit {} has the details", facts.id);
            lines.fail("audit", why, todo);
        }
        Some(Ok(report)) => match report.verdict {
            Audited::Balanced => lines.ok("audit", format!("balanced at sequence {}", report.sequence)),
            Audited::Drift => {
                let drifting = report.items.iter().filter(|item| item.drift != 0);
                let listed: Vec<String> = (report.problems.iter().cloned())
                    .chain(drifting.map(|item| format!("{} drifts by {}", item.item, item.drift)))
                    .collect();
                let id = &facts.id;
                let todo = format!(
                    "gateway sale pause {id}; gateway audit {id} ends with the steps; see dashboards/RUNBOOK.md"
                );
                lines.fail("audit", some(&listed), todo);
            }
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
