//! `gateway sale`: definitions, the actions of a sale, and a look at it.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::cli::archive;
use crate::cli::args::{ConfirmArgs, OperatorActionArgs, SaleAction};
use crate::cli::confirm::{ConfirmPrompt, confirm, who};
use crate::domain::definition::Definition;
use crate::domain::operator_action::{OperatorAction, RESTOCK_EFFECT, check_reason};
use crate::manage::admin::{Admin, Applied, By, Restocked};
use crate::ops::view::{SaleDetail, SaleState};
use crate::recovery::failover::{self, RELEASE_ALL_EFFECT, RELEASE_EFFECT};
use crate::store::scripts::Failure;
use crate::terminal::{Failed, print, print_json};

/// Does what was asked of a sale.
pub(super) async fn run(admin: &Admin, action: SaleAction) -> Result<(), Failed> {
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

async fn list(admin: &Admin) -> Result<(), Failed> {
    for id in admin.list().await? {
        let (snapshot, definition) = match admin.show(&id).await {
            // One sale's damage stays its own.
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

/// What somebody who is about to pull an operator action should see.
pub(super) async fn state(admin: &Admin, sale: &str) -> Result<Vec<String>, Failed> {
    let (snapshot, definition) = admin.show(sale).await?;
    let state = SaleState::new(&snapshot, &definition);
    let [held, confirmed] = [state.reservations.held, state.reservations.confirmed];
    let frozen = if state.frozen { ", frozen" } else { "" };
    Ok(vec![
        format!(
            "{}, {}{frozen}; opens {}, closes {}",
            state.name,
            phase(&state),
            state.opens_at,
            state.closes_at
        ),
        format!("{held} reservations are held, {confirmed} confirmed"),
    ])
}

async fn perform(admin: &Admin, action: OperatorAction, args: OperatorActionArgs) -> Result<(), Failed> {
    let OperatorActionArgs { sale, confirm_args } = args;
    let prompt =
        ConfirmPrompt { what: format!("{} {sale}", action.word()), effect: action.effect(), word: &sale };
    let by = confirm(&prompt, confirm_args, state(admin, &sale)).await?;
    if !admin.perform(&sale, action, &by).await? {
        // What is said does not get into what is answered.
        let _ = writeln!(
            io::stderr(),
            "{} {sale}: it was so already; nothing was written, no reason either",
            action.word()
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
) -> Result<(), Failed> {
    let what = format!("restock {sale}: {item} from {was} to {total}");
    let prompt = ConfirmPrompt { what, effect: RESTOCK_EFFECT, word: sale };
    let by = confirm(&prompt, confirm_args, state(admin, sale)).await?;
    match admin.restock(sale, item, total, was, &by).await? {
        Restocked::Done { total, free } => print_json(&json!({"item": item, "total": total, "free": free})),
        Restocked::UnknownItem => Err(Failed::Usage(format!(
            "the sale has no item {item:?}; items are model:ID, package:ID and store:ID"
        ))),
        Restocked::NoLimit => Err(Failed::No(format!("{item} has no limit"))),
        Restocked::Changed { total } => {
            let told = format!(
                "stock-changed: the total of {item} is {total}, not {was}: nothing was done. If you still mean it: --was {total}"
            );
            Err(Failed::No(told))
        }
        Restocked::Taken { taken } => Err(Failed::No(format!("stock-taken: {taken} of {item} are taken"))),
    }
}

/// Without a gateway: all of them.
async fn release(
    admin: &Admin,
    sale: &str,
    gateway: Option<String>,
    confirm_args: ConfirmArgs,
) -> Result<(), Failed> {
    let whom = gateway.as_deref().unwrap_or("all gateways");
    let effect = if gateway.is_some() { RELEASE_EFFECT } else { RELEASE_ALL_EFFECT };
    let prompt = ConfirmPrompt { what: format!("release {sale} from {whom}"), effect, word: sale };
    let by = confirm(&prompt, confirm_args, state(admin, sale)).await?;
    failover::release(admin.pool(), sale, gateway.as_deref(), &by).await?.map_err(Failed::No)?;
    print(&format!("{sale}: does not wait for what {whom} told any longer\n"))
}

async fn apply(admin: &Admin, file: &Path, reason: Option<String>) -> Result<(), Failed> {
    let reason = check_reason(reason).map_err(|why| Failed::Usage(format!("--reason: {why}")))?;
    let definition = Definition::load(file).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Failed::Usage(lines.join("\n"))
    })?;
    let id = &definition.sale.id;
    match admin.apply(&definition, &By { who: who(), reason }).await? {
        Applied::Created => print(&format!("{id}: created\n")),
        Applied::Updated(revision) => print(&format!("{id}: updated to revision {revision}\n")),
        Applied::Unchanged(revision) => print(&format!("{id}: unchanged at revision {revision}\n")),
        Applied::Locked(fields) => {
            Err(Failed::No(format!("definition-locked: these can't change any more: {}", fields.join(", "))))
        }
        Applied::ItemTaken(items) => Err(Failed::No(format!(
            "definition-locked: taken by buyers, can't be removed: {}",
            items.join(", ")
        ))),
        Applied::StockTaken(items) => {
            let told: Vec<String> =
                items.iter().map(|(item, taken)| format!("{item} ({taken} taken)")).collect();
            Err(Failed::No(format!("stock-taken: the new total is below what is taken: {}", told.join(", "))))
        }
    }
}
