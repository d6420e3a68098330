//! `gateway limits`: the brake of all gateways, and who has pulled it.

use serde_json::json;

use super::args::{ByHand, LimitsAction};
use super::confirm::{Wanted, confirm};
use super::{Failed, print, print_json};
use crate::admit::policy::rate_text;
use crate::domain::lever::LIMITS_EFFECT;
use crate::ledger::admin::Admin;
use crate::ledger::checkout;
use crate::ledger::fleet::{self, LimitChange, SetLimits};
use crate::ledger::limits_log;
use crate::ledger::scripts::Failure;
use crate::ops::brake::{ChangedView, fleet_view};

/// What has to be typed: limits are not those of one sale.
const WORD: &str = "limits";

/// Does what was asked of the limits.
pub(super) async fn run(admin: &Admin, action: LimitsAction) -> Result<(), Failed> {
    match action {
        LimitsAction::Show => show(admin, &read(admin).await?).await,
        LimitsAction::Set { rates, by_hand } => {
            let set = set(admin, &rates, by_hand).await?;
            show(admin, &set).await
        }
        LimitsAction::Log { limit } => log(admin, limit).await,
    }
}

async fn read(admin: &Admin) -> Result<SetLimits, Failed> {
    let mut conn = checkout(admin.pool()).await?;
    fleet::read_limits(&mut conn).await.map_err(Failure::from)?.map_err(Failed::Outside)
}

async fn set(admin: &Admin, rates: &[String], by_hand: ByHand) -> Result<SetLimits, Failed> {
    let mut change = LimitChange::default();
    for text in rates {
        let wrong = || format!("{text:?} is not POLICY=RATE, as in buyer=10:20");
        let (policy, rate) = text.split_once('=').ok_or_else(|| Failed::Usage(wrong()))?;
        change.add(policy, rate).map_err(Failed::Usage)?;
    }
    let state = async {
        let set = read(admin).await?;
        let rates: Vec<String> =
            set.rates.iter().map(|(policy, rate)| format!("{policy}={}", rate_text(*rate))).collect();
        let rates = if rates.is_empty() { "none".to_owned() } else { rates.join(" ") };
        Ok(vec![format!("set by ops until now: {rates}")])
    };
    let wanted =
        Wanted { what: format!("limits set {}", rates.join(" ")), effect: LIMITS_EFFECT, word: WORD };
    let by = confirm(&wanted, by_hand, state).await?;
    let mut conn = checkout(admin.pool()).await?;
    fleet::set_limits(&mut conn, &change, &by).await.map_err(Failure::from)?.map_err(Failed::Outside)
}

async fn show(admin: &Admin, set: &SetLimits) -> Result<(), Failed> {
    let mut conn = checkout(admin.pool()).await?;
    let live = fleet::live(&mut conn).await.map_err(Failure::from)?;
    let rates: Vec<_> = set.rates.iter().map(|(policy, rate)| (policy, rate_text(*rate))).collect();
    print_json(&json!({
        "revision": set.revision,
        "set": rates.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "changed": ChangedView::of(set),
        "gateways": fleet_view(live).gateways,
    }))
}

async fn log(admin: &Admin, limit: usize) -> Result<(), Failed> {
    let mut conn = checkout(admin.pool()).await?;
    let entries =
        limits_log::read(&mut conn, limit).await.map_err(Failure::from)?.map_err(Failed::Outside)?;
    for entry in entries {
        let line = serde_json::to_string(&entry).map_err(|e| Failed::Outside(e.to_string()))?;
        print(&format!("{line}\n"))?;
    }
    Ok(())
}
