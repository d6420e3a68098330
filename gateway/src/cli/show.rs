//! `gateway sale show` and `gateway sale list`: a sale as a table that fits a screen, and all sales, a line each.

use std::collections::HashMap;

use crate::cli::items::{ItemRow, header, is_store, reservations, stores};
use crate::domain::definition::SignupTerms;
use crate::domain::sale::Condition;
use crate::domain::text::plain;
use crate::fleet;
use crate::fleet::report::GatewayReport;
use crate::manage::admin::{Admin, ShownSale};
use crate::manage::audit::{AuditReport, AuditVerdict};
use crate::ops::view::{DrawNow, ItemView, SaleDetail, SaleState};
use crate::projection::actions::ActionNote;
use crate::projection::snapshot::Snapshot;
use crate::store::checkout;
use crate::store::keys::FLEET;
use crate::store::scripts::Failure;
use crate::terminal::{CommandError, print, print_json, time_text};

/// Models and packages in the table, and gateways that are named, at most.
const ITEMS_MAX: usize = 30;
const NAMED_MAX: usize = 5;

/// Prints a sale.
pub(super) async fn sale(admin: &Admin, id: &str, json: bool) -> Result<(), CommandError> {
    let sale = admin.show(id).await?;
    if json {
        return print_json(&SaleDetail::new(sale));
    }
    // What can't be read is left out: the rest must be seen all the more.
    let audit = admin.audit(id).await;
    let gateways = gateways(admin).await.unwrap_or_else(|failure| failure.to_string());
    let mut lines = head(&sale);
    lines.push(row("ledger", &ledger(&sale.snapshot, &audit)));
    lines.push(row("gateways", &gateways));
    lines.push(String::new());
    lines.extend(item_lines(&SaleDetail::new(sale).items, audit.ok().as_ref()));
    let lines: Vec<String> = lines.iter().map(|line| plain(line)).collect();
    print(&(lines.join("\n") + "\n"))
}

/// Prints all sales.
pub(super) async fn list(admin: &Admin) -> Result<(), CommandError> {
    for id in admin.list().await? {
        let sale = match admin.show(&id).await {
            // A damaged sale must not hide the others.
            Err(Failure::Refused(refusal)) => {
                print(&format!("{id}\t{}\t-\t{refusal}\n", Condition::Halted.name()))?;
                continue;
            }
            other => other?,
        };
        let opens = time_text(sale.snapshot.controls().opens);
        print(&format!("{id}\t{}\t{opens}\t{}\n", state_and_clock(&sale), sale.definition.sale.name))?;
    }
    Ok(())
}

/// The state that an operator should see before an action.
pub(super) async fn summary(admin: &Admin, sale: &str) -> Result<Vec<String>, CommandError> {
    let sale = admin.show(sale).await?;
    let controls = sale.snapshot.controls();
    let [opens, closes] = [controls.opens, controls.closes].map(time_text);
    let [held, confirmed, ..] = sale.snapshot.counts();
    Ok(vec![
        format!("{}, {}; opens {opens}, closes {closes}", sale.definition.sale.name, state_and_clock(&sale)),
        format!("{held} reservations are held, {confirmed} confirmed"),
    ])
}

/// The state in one word, and whether the sale clock is frozen.
fn state_and_clock(sale: &ShownSale) -> String {
    let SaleState { state, frozen, .. } = SaleState::new(sale);
    format!("{}{}", state.name(), if frozen { " (frozen)" } else { "" })
}

fn row(name: &str, value: &str) -> String {
    format!("{name:<13} {value}").trim_end().to_owned()
}

/// Name, state, times and counts.
fn head(sale: &ShownSale) -> Vec<String> {
    let ShownSale { snapshot, definition, .. } = sale;
    let state = SaleState::new(sale);
    let controls = snapshot.controls();
    let rehearsal = if state.rehearsal { ", a rehearsal" } else { "" };
    let mut lines = vec![format!("{} ({}{rehearsal})", state.name, definition.sale.id), String::new()];
    let explained = match state.state {
        Condition::Fenced => {
            "fenced: buyers can't reserve until recovery has adopted the new epoch of Redis".to_owned()
        }
        Condition::Halted => format!("halted: {}", snapshot.damages.join("; ")),
        other => other.name().to_owned(),
    };
    lines.push(row("state", &explained));
    let actions = &snapshot.actions;
    let in_force = [
        (controls.closed, "closed", &actions.closed),
        (controls.paused, "paused", &actions.paused),
        (controls.frozen, "the sale clock is frozen", &actions.frozen),
        (controls.suspended, "grants to the standby queues are suspended", &actions.suspended),
    ];
    let in_force = in_force.into_iter().filter(|(is_in_force, ..)| *is_in_force);
    lines.extend(in_force.map(|(_, what, note)| row("", &by(what, note.as_deref()))));
    lines.push(row("sells", state.sells.name()));
    lines.push(row("opens", &time_text(controls.opens)));
    lines.push(row("closes", &time_text(controls.closes)));
    lines.push(row("now", &time_text(snapshot.header.time)));
    if let Some(SignupTerms { closes_at, required, .. }) = &definition.signup {
        let signed_up = snapshot.number("signed_up");
        let until = time_text(closes_at.as_millisecond());
        let required = if *required { ", required" } else { "" };
        lines.push(row("sign-up", &format!("{signed_up} signed up, until {until}{required}")));
    }
    if let Some(DrawNow { stage, entrants, allocated }) = state.draw {
        let found = format!("{}, {entrants} entrants, {allocated} allocated", stage.name());
        lines.push(row("draw", &found));
    }
    if let Some(waiting) = state.waiting {
        lines.push(row("standby", &format!("{waiting} wait")));
    }
    lines.push(row("reservations", &reservations(&state.reservations)));
    lines
}

/// What an operator action did, who did it and why, if the ledger has that.
fn by(what: &str, note: Option<&ActionNote>) -> String {
    let Some(ActionNote { by, reason, at, .. }) = note else { return format!("{what} by an operator") };
    let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{what} by {by} since {}{reason}", time_text(*at))
}

fn ledger(snapshot: &Snapshot, audit: &Result<AuditReport, Failure>) -> String {
    let verdict = match audit {
        Ok(report) if report.verdict == AuditVerdict::Balanced => "balanced".to_owned(),
        Ok(report) => format!("DRIFT: {}", report.first_problem().unwrap_or_default()),
        Err(failure) => format!("not audited: {failure}"),
    };
    format!("revision {}, sequence {}; {verdict}", snapshot.number("revision"), snapshot.header.sequence)
}

/// Models and packages, then all stores together.
fn item_lines(items: &[ItemView], audit: Option<&AuditReport>) -> Vec<String> {
    let audited = audit.map(|report| report.items.as_slice()).unwrap_or_default();
    let taken: HashMap<&str, [i64; 2]> =
        audited.iter().map(|item| (item.item.as_str(), [item.held, item.confirmed])).collect();
    let rows = items.iter().map(|view| {
        let taken = taken.get(view.item.as_str()).copied();
        ItemRow { item: &view.item, total: view.total, free: view.free, taken }
    });
    let rows: Vec<ItemRow<'_>> = rows.collect();
    let shown: Vec<&ItemRow<'_>> = rows.iter().filter(|row| !is_store(row.item)).collect();
    let mut lines = vec![header()];
    lines.extend(shown.iter().take(ITEMS_MAX).map(|row| row.line()));
    if shown.len() > ITEMS_MAX {
        lines.push(format!("and {} more models and packages: --json has all", shown.len() - ITEMS_MAX));
    }
    lines.extend(stores(&rows));
    lines
}

/// The live gateways in one line.
async fn gateways(admin: &Admin) -> Result<String, Failure> {
    let mut conn = checkout(admin.pool(), FLEET).await?;
    let live = fleet::live(&mut conn).await.map_err(Failure::from)?;
    Ok(describe_gateways(&live.into_values().collect::<Vec<_>>()))
}

fn describe_gateways(live: &[GatewayReport]) -> String {
    let waiting: Vec<String> = live
        .iter()
        .filter(|report| !report.ready)
        .map(|report| format!("{}: {}", report.listen, report.reasons.join("; ")))
        .collect();
    let named = waiting.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match (live.len(), waiting.len()) {
        (0, _) => "none is live: nothing is sold".to_owned(),
        (count, 0) => format!("{count} live, all ready"),
        (count, 1) => format!("{count} live, 1 not ready: {named}"),
        (count, not_ready) => format!("{count} live, {not_ready} not ready: {named}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
