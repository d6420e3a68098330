//! The fleet: live gateways and the rates that ops set, shared by all gateways.
//!
//! Neither is part of the ledger. A gateway sends a heartbeat once a second and reads the live gateways, by which
//! ceilings are divided, and the rates. While Redis is unreachable it keeps both.

pub mod alarm;
pub mod clock_offset;
pub mod limits_log;
pub mod membership;
pub mod report;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{RedisResult, Script, ScriptInvocation};

use crate::admit::limits::Limits;
use crate::domain::policy::{Policy, Rate, Rates, parse_rate, rate_text};
use crate::manage::admin::Actor;
use crate::store::dial::Redis;
use crate::store::keys::{FLEET, LIMITS, LIMITS_LOG};
use crate::store::outage::Outage;
use crate::store::reply;
use crate::telemetry::uses::RedisUse;
use clock_offset::ClockOffset;
use membership::Membership;
use report::Reports;

static FLEET_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("store/lua/fleet.lua")));
static LIMITS_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("store/lua/limits.lua")));

/// The heartbeat interval.
const BEAT: Duration = Duration::from_secs(1);
/// A gateway counts as gone this long after its last heartbeat (see `lua/fleet.lua`).
pub(crate) const GONE: Duration = Duration::from_secs(5);
/// The time limit of a heartbeat's reply.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The rates that ops set for all gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetLimits {
    /// The number of changes; 0: none yet.
    pub revision: u64,
    /// A rate or off, by policy. Other policies have their configured rate.
    pub rates: BTreeMap<&'static str, Option<Rate>>,
    /// The last change: when (ms), by whom, why.
    pub changed: Option<(i64, String, Option<String>)>,
}

impl SetLimits {
    /// Parses the hash; every invalid field is a mistake.
    pub fn parse(fields: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut set = Self::default();
        let wrong = |name: &str| format!("{LIMITS} has no number in {name}");
        let number =
            |name: &str| fields.get(name).map_or(Ok(0), |n| n.parse::<i64>().map_err(|_| wrong(name)));
        set.revision = number("revision")?.unsigned_abs();
        let at = number("at")?;
        for (name, text) in fields {
            if let Some(policy) = Policy::parse(name) {
                let rate =
                    parse_rate(text).map_err(|why| format!("{LIMITS}, field {name}: {text:?} {why}"))?;
                set.rates.insert(policy.name(), rate);
            }
        }
        set.changed = fields
            .get("who")
            .map(|who| (at, who.clone(), fields.get("reason").filter(|reason| *reason != "-").cloned()));
        Ok(set)
    }

    /// The configured rates, overridden by these.
    pub fn over(&self, configured: &Rates) -> Rates {
        let mut rates = *configured;
        for policy in Policy::ALL {
            if let Some(rate) = self.rates.get(policy.name()) {
                rates.set(policy, *rate);
            }
        }
        rates
    }
}

/// New rates by policy: a rate, off, or `None` for the configured one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitChange(BTreeMap<&'static str, Option<Option<Rate>>>);

impl LimitChange {
    /// Adds a policy; `default` restores its configured rate. An error has the reason.
    pub fn add(&mut self, policy: &str, rate: &str) -> Result<(), String> {
        let Some(known) = Policy::parse(policy) else {
            let all: Vec<&str> = Policy::ALL.iter().map(|policy| policy.name()).collect();
            return Err(format!("there is no policy {policy:?}; there are {}", all.join(", ")));
        };
        let rate = match rate {
            "default" => None,
            rate => Some(parse_rate(rate).map_err(|why| format!("{policy}: {rate:?} {why}"))?),
        };
        if self.0.insert(known.name(), rate).is_some() {
            return Err(format!("{policy} is named twice"));
        }
        Ok(())
    }

    /// Each change in words.
    pub fn meanings(&self) -> impl Iterator<Item = String> {
        let meaning = |policy: Policy| {
            let rate = self.0.get(policy.name())?;
            let default = || "as each gateway is configured".to_owned();
            let meaning = rate.map_or_else(default, |rate| policy.meaning(rate));
            Some(format!("{}: {meaning}", policy.name()))
        };
        Policy::ALL.into_iter().filter_map(meaning)
    }

    /// Whether it contains no change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the rates that ops set.
pub async fn read_limits(conn: &mut impl ConnectionLike) -> RedisResult<Result<SetLimits, String>> {
    let fields = redis::cmd("HGETALL").arg(LIMITS).query_async(conn).await?;
    Ok(SetLimits::parse(&reply::map("HGETALL", &fields)?))
}

/// Sets rates for all gateways, which apply them within about a second, and appends the change to
/// the limits log.
pub async fn set_limits(
    conn: &mut (impl ConnectionLike + Send),
    change: &LimitChange,
    by: &Actor,
) -> RedisResult<Result<SetLimits, String>> {
    let mut call = LIMITS_SCRIPT.prepare_invoke();
    call.key(LIMITS).key(LIMITS_LOG).arg(&by.args()[..]);
    for (policy, rate) in &change.0 {
        call.arg(policy).arg(rate.map(rate_text).unwrap_or_default());
    }
    let fields = call.invoke_async(conn).await?;
    Ok(SetLimits::parse(&reply::map("the limits script", &fields)?))
}

/// The live gateways by id, with their latest reports.
pub async fn live(conn: &mut (impl ConnectionLike + Send)) -> RedisResult<Reports> {
    call_script(conn, &FLEET_SCRIPT.key(FLEET)).await
}

async fn call_script(
    conn: &mut (impl ConnectionLike + Send),
    call: &ScriptInvocation<'_>,
) -> RedisResult<Reports> {
    Ok(report::parse(reply::map("the fleet script", &call.invoke_async(conn).await?)?))
}

/// Sends a heartbeat with a report each second for the lifetime of the process, and applies the
/// limits that it reads. Reports of all gateways go to observability. Each one also measures the
/// clock offset to Redis.
pub async fn run_heartbeats(
    redis: Redis,
    limits: Arc<Limits>,
    uses: Arc<RedisUse>,
    membership: Arc<Membership>,
    clock: Arc<ClockOffset>,
    mut report: impl FnMut() -> String,
) {
    let outage = Outage::of("the fleet can't be reached; this gateway keeps its last share of the ceilings");
    let (mut conn, mut last_logged) = (None, None);
    loop {
        let is_leaving = membership.is_leaving();
        let beat = async {
            let (fleet, rates) = match &mut conn {
                Some(conn) => conn,
                none => {
                    let fleet = redis.dial_primary(FLEET, ANSWER_MAX).await?;
                    // In a cluster another master may have these keys.
                    let rates = match redis.is_cluster() {
                        true => redis.dial_primary(LIMITS, ANSWER_MAX).await?,
                        false => fleet.clone(),
                    };
                    uses.connected();
                    none.insert((fleet, rates))
                }
            };
            let live = call_script(fleet, FLEET_SCRIPT.key(FLEET).arg(&membership.id).arg(report())).await?;
            clock.read(fleet).await?;
            Ok::<_, redis::RedisError>((live, read_limits(rates).await?))
        };
        match beat.await {
            Ok((live, set)) => {
                outage.record_success();
                let rates = set.as_ref().map(|set| set.rates.clone()).unwrap_or_default();
                apply_fleet_state(&limits, live.len(), set, &mut last_logged);
                membership.note_heartbeat(live, rates, is_leaving);
            }
            Err(error) => {
                reply::note(&error);
                uses.failed(&error);
                outage.record_failure(error);
                conn = None;
            }
        }
        membership.wait_for_next_beat(BEAT).await;
    }
}

/// Applies the fleet's limits, and logs changes. Invalid limits change nothing, and are logged
/// once.
fn apply_fleet_state(
    limits: &Limits,
    gateways: usize,
    set: Result<SetLimits, String>,
    last_logged: &mut Option<Result<SetLimits, String>>,
) {
    let gateways = u32::try_from(gateways).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    let rates = match &set {
        Ok(set) => set.over(limits.configured()),
        Err(_) => limits.in_force().rates,
    };
    let is_new = last_logged.as_ref() != Some(&set);
    match &set {
        Ok(SetLimits { revision, changed: Some((_, who, reason)), .. }) if is_new => {
            let rates = set.iter().flat_map(|set| &set.rates);
            let rates: Vec<String> =
                rates.map(|(policy, rate)| format!("{policy}={}", rate_text(*rate))).collect();
            let rates = rates.join(" ");
            tracing::info!(revision, who, reason, rates, "the rates that ops have set are in force");
        }
        Err(why) if is_new => tracing::error!("the rates stay as they are: {why}"),
        _ => {}
    }
    if limits.put_in_force(rates, gateways) {
        tracing::info!(gateways, "the limits in force have changed");
    }
    *last_logged = Some(set);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
