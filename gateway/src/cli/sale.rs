//! `gateway sale`: definitions, the levers of a sale, and a look at it.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::cli::archive;
use crate::cli::args::{ByHand, LeverArgs, SaleAction};
use crate::cli::confirm::{Wanted, confirm, who};
use crate::domain::definition::Definition;
use crate::domain::lever::{Lever, RESTOCK_EFFECT, check_reason};
use crate::manage::admin::{Admin, Applied, By, Restocked};
use crate::ops::view::{SaleDetail, SaleState};
use crate::recovery::heal::{self, RELEASE_ALL_EFFECT, RELEASE_EFFECT};
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
        SaleAction::Purge { sale, export, by_hand } => archive::purge(admin, &sale, &export, by_hand).await,
        SaleAction::Release { sale, gateway, by_hand, .. } => release(admin, &sale, gateway, by_hand).await,
        SaleAction::Restock { sale, item, total, was, by_hand } => {
            restock(admin, &sale, &item, (total, was), by_hand).await
        }
        SaleAction::Pause(args) => pull(admin, Lever::Pause, args).await,
        SaleAction::Resume(args) => pull(admin, Lever::Resume, args).await,
        SaleAction::Freeze(args) => pull(admin, Lever::Freeze, args).await,
        SaleAction::Unfreeze(args) => pull(admin, Lever::Unfreeze, args).await,
        SaleAction::Close(args) => pull(admin, Lever::Close, args).await,
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

/// What somebody who is about to pull a lever should see.
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

async fn pull(admin: &Admin, lever: Lever, args: LeverArgs) -> Result<(), Failed> {
    let LeverArgs { sale, by_hand } = args;
    let wanted = Wanted { what: format!("{} {sale}", lever.word()), effect: lever.effect(), word: &sale };
    let by = confirm(&wanted, by_hand, state(admin, &sale)).await?;
    if !admin.pull(&sale, lever, &by).await? {
        // What is said does not get into what is answered.
        let _ = writeln!(
            io::stderr(),
            "{} {sale}: it was so already; nothing was written, no reason either",
            lever.word()
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
    by_hand: ByHand,
) -> Result<(), Failed> {
    let what = format!("restock {sale}: {item} from {was} to {total}");
    let wanted = Wanted { what, effect: RESTOCK_EFFECT, word: sale };
    let by = confirm(&wanted, by_hand, state(admin, sale)).await?;
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
async fn release(admin: &Admin, sale: &str, gateway: Option<String>, by_hand: ByHand) -> Result<(), Failed> {
    let whom = gateway.as_deref().unwrap_or("all gateways");
    let effect = if gateway.is_some() { RELEASE_EFFECT } else { RELEASE_ALL_EFFECT };
    let wanted = Wanted { what: format!("release {sale} from {whom}"), effect, word: sale };
    let by = confirm(&wanted, by_hand, state(admin, sale)).await?;
    heal::release(admin.pool(), sale, gateway.as_deref(), &by).await?.map_err(Failed::No)?;
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
