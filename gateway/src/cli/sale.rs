//! `gateway sale`: definitions, operator actions and the state of a sale.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::cli::archive;
use crate::cli::args::{ConfirmArgs, OperatorActionArgs, SaleAction};
use crate::cli::confirm::{ConfirmPrompt, confirm, user_name};
use crate::domain::definition::{Definition, Mistake};
use crate::domain::operator_action::{OperatorAction, RESTOCK_EFFECT, check_reason};
use crate::manage::admin::{Actor, Admin, ApplyOutcome, RestockOutcome};
use crate::ops::view::{SaleDetail, SaleState};
use crate::recovery::release::{self, RELEASE_ALL_EFFECT, RELEASE_EFFECT};
use crate::store::scripts::Failure;
use crate::terminal::{CommandError, print, print_json};

/// Runs an action on a sale.
pub(super) async fn run(admin: &Admin, action: SaleAction) -> Result<(), CommandError> {
    match action {
        SaleAction::Apply { file, reason } => apply(admin, &file, reason).await,
        SaleAction::Show { sale } => {
            let (snapshot, definition) = admin.show(&sale).await?;
            print_json(&SaleDetail::new(&snapshot, definition))
        }
        SaleAction::List => list(admin).await,
        SaleAction::Export { sale, file } => archive::write(admin, &sale, &file).await,
        SaleAction::Import { file } => archive::read(admin, &file).await,
        SaleAction::Purge { sale, export, confirm_args } => {
            archive::purge(admin, &sale, &export, confirm_args).await
        }
        SaleAction::Release { sale, gateway, confirm_args, .. } => {
            release(admin, &sale, gateway, confirm_args).await
        }
        SaleAction::Restock { sale, item, total, was, confirm_args } => {
            restock(admin, &sale, &item, (total, was), confirm_args).await
        }
        SaleAction::Pause(args) => perform(admin, OperatorAction::Pause, args).await,
        SaleAction::Resume(args) => perform(admin, OperatorAction::Resume, args).await,
        SaleAction::Freeze(args) => perform(admin, OperatorAction::Freeze, args).await,
        SaleAction::Unfreeze(args) => perform(admin, OperatorAction::Unfreeze, args).await,
        SaleAction::Close(args) => perform(admin, OperatorAction::Close, args).await,
    }
}

async fn list(admin: &Admin) -> Result<(), CommandError> {
    for id in admin.list().await? {
        let (snapshot, definition) = match admin.show(&id).await {
            // A damaged sale must not hide the others.
            Err(Failure::Refused(refusal)) => {
                print(&format!("{id}\tunreadable\t-\t{refusal}\n"))?;
                continue;
            }
            other => other?,
        };
        let state = SaleState::new(&snapshot, &definition);
        print(&format!("{id}\t{}\t{}\t{}\n", phase(&state), state.opens_at, state.name))?;
    }
    Ok(())
}

fn phase(state: &SaleState) -> String {
    serde_json::to_string(&state.phase).unwrap_or_default().trim_matches('"').to_owned()
}

/// The state that an operator should see before an action.
pub(super) async fn state(admin: &Admin, sale: &str) -> Result<Vec<String>, CommandError> {
    let (snapshot, definition) = admin.show(sale).await?;
    let state = SaleState::new(&snapshot, &definition);
    let (phase, frozen) = (phase(&state), if state.frozen { ", frozen" } else { "" });
    let SaleState { name, opens_at, closes_at, reservations, .. } = &state;
    Ok(vec![
        format!("{name}, {phase}{frozen}; opens {opens_at}, closes {closes_at}"),
        format!("{} reservations are held, {} confirmed", reservations.held, reservations.confirmed),
    ])
}

async fn perform(
    admin: &Admin,
    action: OperatorAction,
    args: OperatorActionArgs,
) -> Result<(), CommandError> {
    let OperatorActionArgs { sale, confirm_args } = args;
    let prompt =
        ConfirmPrompt { what: format!("{} {sale}", action.name()), effect: action.effect(), word: &sale };
    let by = confirm(&prompt, confirm_args, state(admin, &sale)).await?;
    if !admin.perform(&sale, action, &by).await? {
        // The note must not become part of the output that a script reads.
        let _ = writeln!(
            io::stderr(),
            "{} {sale}: already in this state; neither the action nor the reason was recorded",
            action.name()
        );
    }
    let (snapshot, definition) = admin.show(&sale).await?;
    print_json(&SaleState::new(&snapshot, &definition))
}

async fn restock(
    admin: &Admin,
    sale: &str,
    item: &str,
    (total, was): (u64, u64),
    confirm_args: ConfirmArgs,
) -> Result<(), CommandError> {
    let what = format!("restock {sale}: {item} from {was} to {total}");
    let prompt = ConfirmPrompt { what, effect: RESTOCK_EFFECT, word: sale };
    let by = confirm(&prompt, confirm_args, state(admin, sale)).await?;
    match admin.restock(sale, item, total, was, &by).await? {
        RestockOutcome::Done { total, free } => {
            print_json(&json!({"item": item, "total": total, "free": free}))
        }
        RestockOutcome::UnknownItem => Err(CommandError::Usage(format!(
            "the sale has no item {item:?}: expected model:ID, package:ID or store:ID of the definition"
        ))),
        RestockOutcome::NoLimit => Err(CommandError::No(format!(
            "{item} has no limit, so it has no total to set: nothing was done. Give it a stock in the definition and apply that"
        ))),
        RestockOutcome::Changed { total } => {
            let listed = format!(
                "stock-changed: the total of {item} is {total}, not {was}: nothing was done. To change it anyway, give --was {total}"
            );
            Err(CommandError::No(listed))
        }
        RestockOutcome::Taken { taken } => Err(CommandError::No(format!(
            "stock-taken: {taken} of {item} are taken, so its total can't be {total}: nothing was done. Give at least {taken}"
        ))),
    }
}

/// Releases one gateway, or all of them.
async fn release(
    admin: &Admin,
    sale: &str,
    gateway: Option<String>,
    confirm_args: ConfirmArgs,
) -> Result<(), CommandError> {
    let released = gateway.as_deref().unwrap_or("all gateways");
    let effect = if gateway.is_some() { RELEASE_EFFECT } else { RELEASE_ALL_EFFECT };
    let prompt = ConfirmPrompt { what: format!("release {sale} from {released}"), effect, word: sale };
    let by = confirm(&prompt, confirm_args, state(admin, sale)).await?;
    release::release(admin.pool(), sale, gateway.as_deref(), &by).await?.map_err(CommandError::No)?;
    print(&format!("{sale}: recovery no longer waits for {released}\n"))
}

async fn apply(admin: &Admin, file: &Path, reason: Option<String>) -> Result<(), CommandError> {
    let reason = check_reason(reason).map_err(|why| CommandError::Usage(format!("--reason: {why}")))?;
    let texts = |mistakes: Vec<Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let definition = Definition::load(file).map_err(texts)?;
    let id = &definition.sale.id;
    match admin.apply(&definition, &Actor { who: user_name(), reason }).await? {
        ApplyOutcome::Created => print(&format!("{id}: created\n")),
        ApplyOutcome::Updated(revision) => print(&format!("{id}: updated to revision {revision}\n")),
        ApplyOutcome::Unchanged(revision) => print(&format!("{id}: unchanged at revision {revision}\n")),
        ApplyOutcome::Locked(fields) => {
            let fields = fields.join(", ");
            Err(CommandError::No(format!(
                "definition-locked: these can't change any more: {fields}. Restore them in the file"
            )))
        }
        ApplyOutcome::ItemTaken(items) => {
            let items = items.join(", ");
            Err(CommandError::No(format!(
                "definition-locked: taken by buyers, can't be removed: {items}. Keep them, with a stock of what is taken"
            )))
        }
        ApplyOutcome::StockTaken(items) => {
            let listed: Vec<_> =
                items.iter().map(|(item, taken)| format!("{item} ({taken} taken)")).collect();
            let listed = listed.join(", ");
            Err(CommandError::No(format!(
                "stock-taken: the new total is below what is taken: {listed}. Give at least that"
            )))
        }
    }
}
