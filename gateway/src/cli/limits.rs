//! `gateway limits`: shows and sets the rate limits of all gateways.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::args::{ConfirmArgs, LimitsAction};
use crate::cli::confirm::{ConfirmPrompt, confirm};
use crate::domain::operator_action::LIMITS_EFFECT;
use crate::domain::policy::{Policy, rate_text};
use crate::domain::text::plain;
use crate::fleet::report::GatewayReport;
use crate::fleet::{self, LimitChange, SetLimits, limits_log};
use crate::manage::admin::Admin;
use crate::ops::rate_limits::ChangedView;
use crate::store::checkout;
use crate::store::keys::{FLEET, LIMITS, LIMITS_LOG};
use crate::store::scripts::Failure;
use crate::terminal::{CommandError, print, print_all, print_json, time_text};

/// The word to type: rate limits belong to no sale.
const WORD: &str = "limits";

/// Runs an action on the rate limits.
pub(super) async fn run(admin: &Admin, action: LimitsAction) -> Result<(), CommandError> {
    match action {
        LimitsAction::Show { json } => show(admin, &read(admin).await?, json).await,
        LimitsAction::Set { rates, confirm_args } => {
            let set = set(admin, &rates, confirm_args).await?;
            print_json(&document(&set))
        }
        LimitsAction::Log { limit } => log(admin, limit).await,
    }
}

async fn read(admin: &Admin) -> Result<SetLimits, CommandError> {
    let mut conn = checkout(admin.pool(), LIMITS).await?;
    fleet::read_limits(&mut conn).await.map_err(Failure::from)?.map_err(CommandError::Outside)
}

async fn set(admin: &Admin, rates: &[String], confirm_args: ConfirmArgs) -> Result<SetLimits, CommandError> {
    let mut change = LimitChange::default();
    for text in rates {
        let wrong = || format!("{text:?} is not POLICY=RATE, as in buyer=10:20");
        let (policy, rate) = text.split_once('=').ok_or_else(|| CommandError::Usage(wrong()))?;
        change.add(policy, rate).map_err(CommandError::Usage)?;
    }
    let state = async {
        let set = read(admin).await?;
        let rates: Vec<String> =
            set.rates.iter().map(|(policy, rate)| format!("{policy}={}", rate_text(*rate))).collect();
        let rates = if rates.is_empty() { "none".to_owned() } else { rates.join(" ") };
        Ok(vec![format!("set by operators so far: {rates}")])
    };
    let prompt = ConfirmPrompt {
        what: format!("limits set {}", rates.join(" ")),
        meaning: change.meanings().map(|meaning| format!("{meaning}.")).collect(),
        effect: LIMITS_EFFECT,
        word: WORD,
        is_final: false,
    };
    let by = confirm(&prompt, confirm_args, state).await?;
    let mut conn = checkout(admin.pool(), LIMITS).await?;
    fleet::set_limits(&mut conn, &change, &by).await.map_err(Failure::from)?.map_err(CommandError::Outside)
}

async fn show(admin: &Admin, set: &SetLimits, json: bool) -> Result<(), CommandError> {
    let mut conn = checkout(admin.pool(), FLEET).await?;
    let gateways = fleet::live(&mut conn).await.map_err(Failure::from)?;
    if !json {
        return print(&table(set, gateways.values()));
    }
    let mut document = document(set);
    document["gateways"] = json!(gateways);
    print_json(&document)
}

/// The rates set by operators.
fn document(set: &SetLimits) -> Value {
    let rates = set.rates.iter().map(|(policy, rate)| (policy, rate_text(*rate)));
    let rates: BTreeMap<_, _> = rates.collect();
    json!({"revision": set.revision, "set": rates, "changed": ChangedView::of(set)})
}

/// The rates, the last change and the live gateways, as text.
fn table<'a>(set: &SetLimits, gateways: impl Iterator<Item = &'a GatewayReport>) -> String {
    let row = |policy: Policy| match set.rates.get(policy.name()) {
        Some(rate) => format!("{:<12} {:<12} {}", policy.name(), rate_text(*rate), policy.meaning(*rate)),
        None => format!("{:<12} as each gateway is configured", policy.name()),
    };
    let mut lines = Vec::from(Policy::ALL.map(row));
    if let Some((at, who, reason)) = &set.changed {
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(plain(&format!("last changed by {who} at {}{reason}", time_text(*at))));
    }
    let gateway = |report: &GatewayReport| {
        let state =
            if report.ready { "ready".into() } else { format!("not ready: {}", report.reasons.join("; ")) };
        let options = report.options().map(|options| format!("; {options}")).unwrap_or_default();
        format!("gateway {} {}, {state}{options}", report.listen, report.version)
    };
    let live: Vec<String> = gateways.map(gateway).collect();
    lines.extend(if live.is_empty() { vec!["no live gateway".to_owned()] } else { live });
    lines.join("\n") + "\n"
}

async fn log(admin: &Admin, limit: usize) -> Result<(), CommandError> {
    let mut conn = checkout(admin.pool(), LIMITS_LOG).await?;
    let entries =
        limits_log::read(&mut conn, limit).await.map_err(Failure::from)?.map_err(CommandError::Outside)?;
    let line = |entry| serde_json::to_string(entry).map(|line| line + "\n");
    print_all(entries.iter().map(|entry| line(entry).map_err(|e| CommandError::Outside(e.to_string()))))
}
