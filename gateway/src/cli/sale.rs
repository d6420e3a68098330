//! `gateway sale`: definitions, operator actions and the state of a sale.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::cli::args::{ConfirmArgs, OperatorActionArgs, SaleAction};
use crate::cli::confirm::{ConfirmPrompt, confirm, user_name};
use crate::cli::{archive, show};
use crate::domain::definition::{Definition, Mistake};
use crate::domain::operator_action::{OperatorAction, RESTOCK_EFFECT, check_reason, restock_meaning};
use crate::manage::admin::{Actor, Admin, ApplyOutcome, ForgetOutcome, LATE_DRAW, Performed, RestockOutcome};
use crate::ops::view::SaleState;
use crate::recovery::release::{self, RELEASE_ALL_EFFECT, RELEASE_EFFECT};
use crate::terminal::{CommandError, print, print_json};

/// Runs an action on a sale.
pub(super) async fn run(admin: &Admin, action: SaleAction) -> Result<(), CommandError> {
    match action {
        SaleAction::Apply { file, reason } => apply(admin, &file, reason).await,
        SaleAction::Show { sale, json } => show::sale(admin, &sale, json).await,
        SaleAction::List => show::list(admin).await,
        SaleAction::Export { sale, file } => archive::write(admin, &sale, &file).await,
        SaleAction::Import { file } => archive::read(admin, &file).await,
        SaleAction::Purge { sale, export, confirm_args } => {
            archive::purge(admin, &sale, &export, confirm_args).await
        }
        SaleAction::ForgetReader { sale, reader } => forget_reader(admin, &sale, &reader).await,
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
        SaleAction::StandbySuspend(args) => perform(admin, OperatorAction::SuspendStandby, args).await,
        SaleAction::StandbyResume(args) => perform(admin, OperatorAction::ResumeStandby, args).await,
    }
}

async fn perform(
    admin: &Admin,
    action: OperatorAction,
    args: OperatorActionArgs,
) -> Result<(), CommandError> {
    let OperatorActionArgs { sale, confirm_args } = args;
    let prompt = ConfirmPrompt {
        what: format!("{} {sale}", action.name()),
        meaning: Vec::new(),
        effect: action.effect(),
        word: &sale,
        is_final: action == OperatorAction::Close,
    };
    let by = confirm(&prompt, confirm_args, show::summary(admin, &sale)).await?;
    let note = match admin.perform(&sale, action, &by).await? {
        Performed::Done => None,
        Performed::Unchanged => Some("already in this state; neither the action nor the reason was recorded"),
        Performed::NoStandby => {
            return Err(CommandError::No(format!(
                "{sale} has no standby queues: nothing was done. Give its definition `standby = true` and apply that"
            )));
        }
        Performed::NotReplicated => Some(
            "done, and no replica has it yet: after a failover of Redis, check the sale and repeat it if needed",
        ),
    };
    if let Some(note) = note {
        // The note must not become part of the output that a script reads.
        let _ = writeln!(io::stderr(), "{} {sale}: {note}", action.name());
    }
    print_json(&SaleState::new(&admin.show(&sale).await?))
}

async fn restock(
    admin: &Admin,
    sale: &str,
    item: &str,
    (total, was): (u64, u64),
    confirm_args: ConfirmArgs,
) -> Result<(), CommandError> {
    let what = format!("restock {sale}: {item} from {was} to {total}");
    let meaning = vec![restock_meaning(was, total)];
    let prompt = ConfirmPrompt { what, meaning, effect: RESTOCK_EFFECT, word: sale, is_final: false };
    let by = confirm(&prompt, confirm_args, show::summary(admin, sale)).await?;
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
    let prompt = ConfirmPrompt {
        what: format!("release {sale} from {released}"),
        meaning: Vec::new(),
        effect,
        word: sale,
        is_final: true,
    };
    let by = confirm(&prompt, confirm_args, show::summary(admin, sale)).await?;
    release::release(admin.pool(), sale, gateway.as_deref(), &by).await?.map_err(CommandError::No)?;
    print(&format!("{sale}: recovery no longer waits for {released}\n"))
}

async fn forget_reader(admin: &Admin, sale: &str, reader: &str) -> Result<(), CommandError> {
    match admin.forget_reader(sale, reader).await? {
        ForgetOutcome::Forgotten => print(&format!("{sale}: the reader {reader} is removed\n")),
        ForgetOutcome::Unknown => Err(CommandError::Usage(format!(
            "the sale has no reader {reader:?}: `gateway doctor` lists the readers of its journal"
        ))),
        ForgetOutcome::Running(holder) => Err(CommandError::No(format!(
            "{holder} reads as {reader}: nothing was done. Stop that program first"
        ))),
    }
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
        ApplyOutcome::Late => Err(CommandError::No(format!("definition-locked: {LATE_DRAW}"))),
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
