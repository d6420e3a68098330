//! Checks the live gateways, their versions and scripts, and the rate limits in force.

use std::collections::BTreeMap;

use crate::doctor::gateway::RunningGateway;
use crate::doctor::report::{Finding, Findings, Severity, any, some};
use crate::domain::policy::{Policy, Rates, rate_text};
use crate::fleet::SetLimits;
use crate::fleet::alarm::{Alarm, Level};
use crate::fleet::report::GatewayReport;
use crate::ops::alarms::is_proxy_unlisted;
use crate::terminal::time_text;

/// A gateway with a shorter uptime may not be ready yet.
const STARTING_MS: u64 = 5_000;

/// The facts of the gateways that share this Redis.
#[derive(Debug)]
pub(super) struct FleetFacts {
    /// The version of this binary.
    pub version: String,
    /// The reports of the live gateways, or the error of Redis.
    pub live: Result<Vec<GatewayReport>, String>,
    /// The required number of gateways, if one was given.
    pub expected: Option<usize>,
    /// Scripts of this binary in Redis, and their total; or the error of Redis.
    pub scripts: Result<(usize, usize), String>,
    /// The gateway at the ops address of this configuration, if one runs there.
    pub here: Option<RunningGateway>,
    /// The configured rates.
    pub configured: Rates,
    /// The rates set by operators, or the error of reading them.
    pub set: Result<SetLimits, String>,
}

/// Runs every check.
pub(super) fn check(facts: &FleetFacts) -> Vec<Finding> {
    let mut lines = Findings::of("fleet");
    gateways(facts, &mut lines);
    health(facts, &mut lines);
    options(facts, &mut lines);
    here(facts, &mut lines);
    scripts(facts, &mut lines);
    limits(facts, &mut lines);
    lines.end()
}

fn gateways(facts: &FleetFacts, lines: &mut Findings) {
    let live = match &facts.live {
        Ok(live) => live,
        Err(why) => {
            let found = format!("the live gateways can't be read from Redis: {why}");
            return lines.warn("gateways", found, "fix the findings on redis, and run the checks again");
        }
    };
    // A gateway whose report can't be parsed is of another version, too.
    let others = live.iter().filter(|report| report.version != facts.version);
    let others: Vec<_> = others.map(|report| format!("{:?} ({})", report.listen, report.version)).collect();
    let all: Vec<&str> = live.iter().map(|report| report.listen.as_str()).collect();
    if let Some(expected) = facts.expected.filter(|expected| live.len() < *expected) {
        let found = format!("{} of {expected} live: {}", live.len(), some(&all));
        return lines.fail("gateways", found, "start the missing gateways, or check their logs");
    }
    match (live.len(), others.len()) {
        (0, _) => lines.ok("gateways", "none is running yet"),
        (live, 0) => lines.ok("gateways", format!("{live} of version {}: {}", facts.version, some(&all))),
        (live, count) => {
            let found = format!("{count} of {live} are not of version {}: {}", facts.version, some(&others));
            let todo = "finish the update or roll it back before the opening: gateways of two versions sell one sale \
                        together, but their texts and alarms may differ";
            lines.warn("gateways", found, todo);
        }
    }
}

/// Readiness and alarms of the gateways.
fn health(facts: &FleetFacts, lines: &mut Findings) {
    // A report that can't be parsed has no version.
    let live = facts.live.as_deref().unwrap_or_default().iter().filter(|report| !report.version.is_empty());
    let live: Vec<&GatewayReport> = live.collect();
    let reasons = |report: &&GatewayReport| format!("{}: {}", report.listen, report.reasons.join("; "));
    let waiting = live.iter().filter(|report| !report.ready);
    let (young, waiting): (Vec<&GatewayReport>, _) =
        waiting.partition(|report| report.uptime_ms < STARTING_MS);
    // A gateway that can't reach Redis does not update its report.
    let here = facts.here.as_ref().and_then(|here| here.not_ready.as_ref());
    let here = here.map(|why| format!("the one on this host: {why}"));
    if let Some(not_ready) = any(waiting.iter().map(reasons).chain(here)) {
        let found = format!("not all are ready: {not_ready}");
        lines.fail("ready", found, "they get no traffic until they are ready: check their logs");
    } else if let Some(young) = any(young.iter().map(reasons)) {
        let found = format!("some have just started: {young}");
        lines.warn("ready", found, "run the checks again in some seconds");
    } else if !live.is_empty() {
        lines.ok("ready", format!("all {} are ready", live.len()));
    }
    let mut alarms: Vec<_> = live.iter().flat_map(|report| &report.alarms).collect();
    alarms.sort_by_key(|alarm| (alarm.level, &alarm.name, &alarm.sale));
    alarms.dedup_by_key(|alarm| (alarm.level, &alarm.name, &alarm.sale));
    if alarms.is_empty() && !live.is_empty() {
        lines.ok("alarms", "none");
    }
    for Alarm { level, name, sale, text, .. } in alarms {
        let found = sale.as_ref().map_or(text.clone(), |sale| format!("{sale}: {text}"));
        let severity = Severity::worst(*level == Level::Fault, *level == Level::Warning);
        let todo = match sale {
            Some(sale) if name == "sale-paused" => format!("gateway sale resume {sale}"),
            _ => action_in(text, sale.as_deref()),
        };
        lines.add(severity, "alarms", found, todo);
    }
}

/// The command that a text names, which an operator has to give; without one, where to look.
fn action_in(text: &str, sale: Option<&str>) -> String {
    let quoted = text.split('`').skip(1).step_by(2);
    // Of several, the last one is what is left to do.
    match (quoted.filter(|quoted| quoted.starts_with("gateway ")).last(), sale) {
        (Some("gateway audit"), Some(sale)) => format!("gateway audit {sale}"),
        (Some(command), _) => command.to_owned(),
        (None, _) => "see the live page and dashboards/RUNBOOK.md".to_owned(),
    }
}

/// Options that all gateways of a fleet should share.
fn options(facts: &FleetFacts, lines: &mut Findings) {
    // Older versions report neither workers nor keys.
    let live = facts.live.as_deref().unwrap_or_default().iter().filter(|report| report.workers > 0);
    let live: Vec<&GatewayReport> = live.collect();
    let compare = |of: &dyn Fn(&GatewayReport) -> String| {
        let mut by: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        live.iter().for_each(|report| by.entry(of(report)).or_default().push(&report.listen));
        by
    };
    let describe = |by: &BTreeMap<String, Vec<&str>>| {
        let parts = by.iter().map(|(value, gateways)| match by.len() {
            1 => format!("{value} at all {}", gateways.len()),
            _ => format!("{value} at {}", some(gateways)),
        });
        parts.collect::<Vec<_>>().join("; ")
    };
    let durability = compare(&|report| report.durability.clone());
    let found = describe(&durability);
    if durability.len() > 1 {
        let todo =
            "give all gateways the same --durability: what a failover loses depends on the weakest one";
        lines.warn("durability", format!("gateways differ: {found}"), todo);
    } else if durability.contains_key("none") {
        let todo = "give --durability fsync or replicas=N: a restart or failover of Redis can lose what buyers were acknowledged";
        lines.warn("durability", found, todo);
    } else if !durability.is_empty() {
        lines.ok("durability", found);
    }
    let keys = compare(&|report| report.token_keys.clone());
    let found = describe(&keys);
    match keys.len() {
        0 => {}
        1 => lines.ok("token-keys", found),
        _ => {
            let todo = "give all gateways the same --auth-secret-file or --auth-jwks-file: one refuses the tokens that another accepts";
            lines.fail("token-keys", format!("gateways differ: {found}"), todo);
        }
    }
    let workers = compare(&|report| report.workers.to_string());
    let found = describe(&workers);
    match workers.len() {
        0 => {}
        1 => lines.ok("workers", found),
        _ => {
            let todo =
                "give gateways on equal machines the same --workers: a balancer sends each the same share";
            lines.warn("workers", format!("gateways differ: {found}"), todo);
        }
    }
}

fn here(facts: &FleetFacts, lines: &mut Findings) {
    let Some(here) = &facts.here else { return };
    match here.has_our_scripts {
        Some(true) => lines.ok("binary", "the gateway on this host has the scripts of this binary"),
        Some(false) => lines.fail(
            "binary",
            "the gateway on this host has other scripts than this binary",
            "restart it with this binary, or run `doctor` from the gateway's binary",
        ),
        None => {}
    }
    if here.has_our_certificate == Some(false) {
        let found = "the gateway on this host serves another certificate than that of --ops-tls-cert-file";
        lines.warn("certificate", found, "it reloads the file every 2 s: if this persists, check its log");
    }
    let (ignored, all) = here.forwarded_ignored;
    if is_proxy_unlisted(ignored, all) {
        let found = format!(
            "{ignored} of {all} requests at the gateway on this host have Forwarded or X-Forwarded-For, which is ignored: \
             their peers are not in --trusted-proxies, so all clients behind a proxy share its limits"
        );
        let todo = "list your proxies with --trusted-proxies, or have them send the PROXY protocol";
        lines.warn("proxies", found, todo);
    }
}

fn scripts(facts: &FleetFacts, lines: &mut Findings) {
    let (has, all) = match facts.scripts {
        Ok(counts) => counts,
        Err(ref why) => {
            let found = format!("the scripts in Redis can't be read: {why}");
            return lines.warn("scripts", found, "run the doctor as a user with +script|exists");
        }
    };
    let found = format!("{has} of the {all} of this version are in Redis");
    let todo = "restart gateways that were started before the last change of the scripts. After a SCRIPT FLUSH \
                gateways load what they call by themselves";
    // Gateways of another version load scripts of their own.
    let ours =
        |live: &Vec<GatewayReport>| live.iter().filter(|report| report.version == facts.version).count();
    match facts.live.as_ref().map(ours) {
        _ if has == all => lines.ok("scripts", format!("all {all} of this version are in Redis")),
        Ok(0) => lines.ok("scripts", format!("{found}: the first gateway of this version loads them")),
        Ok(_) if has == 0 => lines.fail("scripts", found, todo),
        _ => lines.warn("scripts", found, todo),
    }
}

fn limits(facts: &FleetFacts, lines: &mut Findings) {
    let set = match &facts.set {
        Ok(set) => set,
        Err(why) => {
            let found = format!("the rates set by operators can't be read: {why}");
            let todo = "gateways keep the former rates: set them again with `gateway limits set …`";
            return lines.fail("limits", found, todo);
        }
    };
    let rates = set.over(&facts.configured);
    let listed = |policy: Policy| format!("{} {}", policy.name(), rate_text(rates.of(policy)));
    let in_force = Policy::ALL.map(listed).join(", ");
    let off = [Policy::Buyer, Policy::Address, Policy::Unverified].into_iter();
    let off = off.filter(|policy| rates.of(*policy).is_none()).map(Policy::name);
    if !set.rates.is_empty() {
        let (at, who, reason) = set.changed.clone().unwrap_or_default();
        let why = reason.map(|why| format!(", {why}")).unwrap_or_default();
        let names: Vec<&str> = set.rates.keys().copied().collect();
        let found = format!("{in_force}; {} set by {who} at {}{why}", names.join(", "), time_text(at));
        let back: Vec<String> = names.iter().map(|name| format!("{name}=default")).collect();
        lines.warn("limits", found, format!("left from a rehearsal? gateway limits set {}", back.join(" ")));
    } else if let Some(off) = any(off) {
        let found = format!("{in_force}: nothing limits {off}");
        let todo = "on the public internet each of these needs a rate: see --limit-buyer, --limit-address and --limit-unverified";
        lines.warn("limits", found, todo);
    } else {
        lines.ok("limits", in_force);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
