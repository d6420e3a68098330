//! Rate limits of the whole fleet: shows and sets them, and lists the live gateways.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::domain::policy::{Policy, rate_text};
use crate::domain::rfc3339::rfc3339;
use crate::fleet::limits_log::{self, LimitsEntry};
use crate::fleet::report::GatewayReport;
use crate::fleet::{self, LimitChange, SetLimits};
use crate::http::respond::{self, Answer, Refused};
use crate::ops::admin::{Ops, OpsCall, actor, failed, number_of};
use crate::store::keys::{FLEET, LIMITS, LIMITS_LOG};
use crate::store::scripts::Failure;
use crate::store::{Connection, checkout, scripts};

/// New rates. A policy that is left out stays as it is; null restores its configured rate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsRequest {
    /// Calls of one buyer: `RATE:BURST` in units a second and at once, or `off`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$", example = "10:50")]
    buyer: Option<Option<String>>,
    /// Calls without a token from one client address.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    address: Option<Option<String>>,
    /// Tokens with a wrong signature from one client address.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    unverified: Option<Option<String>>,
    /// New reservations of one sale, all gateways together: `RATE:BURST` in reservations a second and at once.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    sale: Option<Option<String>>,
    /// All calls but those of services, all gateways together.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    gateway: Option<Option<String>>,
    /// The reason, at most 500 characters; it is kept beside the rates and in their log.
    #[serde(default)]
    #[schema(max_length = 500, pattern = r"^($|[^-]|-[\s\S])")]
    reason: Option<String>,
}

/// Distinguishes null from a member that is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl LimitsRequest {
    fn change(&self) -> Result<LimitChange, Refused> {
        let mut change = LimitChange::default();
        let rates = [
            (Policy::Buyer, &self.buyer),
            (Policy::Address, &self.address),
            (Policy::Unverified, &self.unverified),
            (Policy::Sale, &self.sale),
            (Policy::Gateway, &self.gateway),
        ];
        for (policy, rate) in rates {
            if let Some(rate) = rate {
                let name = policy.name();
                change
                    .add(name, rate.as_deref().unwrap_or("default"))
                    .map_err(|why| Refused::invalid(&format!("/{name}"), format!("{why}.")))?;
            }
        }
        Ok(change)
    }
}

/// The schema of a policy's name.
pub(crate) fn policy_schema() -> Schema {
    Schema::Object(
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Policy::ALL.map(Policy::name)))
            .build(),
    )
}

/// The rate limits of this gateway, and those set for all gateways.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub struct LimitsView {
    /// Number of changes by operators; 0: none yet.
    pub revision: u64,
    /// Live gateways, as of the last heartbeat: ceilings are divided by it.
    pub gateways: u32,
    /// Every policy.
    pub policies: Vec<LimitView>,
    /// The last change by an operator.
    pub changed: Option<ChangedView>,
}

/// One policy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limit)]
pub struct LimitView {
    /// Its name in responses.
    #[schema(schema_with = policy_schema)]
    pub policy: &'static str,
    /// What a rate counts: `units`, of the policy `sale` `reservations`.
    pub unit: &'static str,
    /// Whose calls a rate limits, and where: `of each sale at all gateways together`.
    pub scope: &'static str,
    /// The rate in this gateway's configuration.
    pub configured: String,
    /// The rate that an operator set for all gateways; null where there is none.
    pub set: Option<String>,
    /// The rate in force at this gateway; of a ceiling its share.
    pub in_force: String,
}

/// The last change of the rate limits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Changed)]
pub struct ChangedView {
    /// By Redis's clock.
    #[schema(format = DateTime)]
    pub at: String,
    /// The name of the ops token, or the user of the command line.
    pub who: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
}

impl ChangedView {
    /// The last change, if there is one.
    pub fn of(set: &SetLimits) -> Option<Self> {
        let (at, who, reason) = set.changed.clone()?;
        Some(Self { at: rfc3339(at), who, reason })
    }
}

/// The log of rate limit changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitsLog)]
pub struct LimitsLogView {
    /// The latest changes, oldest first; 1,000 are kept.
    pub entries: Vec<LimitsEntry>,
}

/// The live gateways by the id that each generates at its start, with their work in the last second.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fleet)]
pub struct FleetView {
    /// Gateways with a heartbeat in the last 5 s.
    pub gateways: BTreeMap<String, GatewayReport>,
}

impl Ops {
    /// `GET /admin/v1/limits`
    pub(super) async fn show_limits(&self) -> Result<Answer, Refused> {
        let set = self.with_redis(LIMITS, async |conn| fleet::read_limits(conn).await).await?;
        Ok(respond::ok(&self.limits_view(&set)))
    }

    /// `PATCH /admin/v1/limits`
    pub(super) async fn set_limits(&self, call: OpsCall<'_>) -> Result<Answer, Refused> {
        let who = call.who;
        let body: LimitsRequest = call.json().await?;
        let change = body.change()?;
        let by = actor(who, body.reason)?;
        if change.is_empty() {
            return self.show_limits().await;
        }
        let set = self.with_redis(LIMITS, async |conn| fleet::set_limits(conn, &change, &by).await).await?;
        tracing::info!(actor = who, revision = set.revision, reason = by.reason, "limits set");
        // Here at once; the other gateways apply it with their next heartbeat.
        self.rates.put_in_force(set.over(self.rates.configured()), self.rates.in_force().gateways);
        Ok(respond::ok(&self.limits_view(&set)))
    }

    /// `GET /admin/v1/limits/log`
    pub(super) async fn limits_log(&self, limit: Option<String>) -> Result<Answer, Refused> {
        let count = number_of("limit", limit, limits_log::ENTRIES_MAX)?.unwrap_or(limits_log::ENTRIES_MAX);
        let entries = self.with_redis(LIMITS_LOG, async |conn| limits_log::read(conn, count).await).await?;
        Ok(respond::ok(&LimitsLogView { entries }))
    }

    /// `GET /admin/v1/fleet`
    pub(super) async fn fleet(&self) -> Result<Answer, Refused> {
        let gateways = self.with_redis(FLEET, async |conn| Ok(Ok(fleet::live(conn).await?))).await?;
        Ok(respond::ok(&FleetView { gateways }))
    }

    fn limits_view(&self, set: &SetLimits) -> LimitsView {
        let (configured, in_force) = (self.rates.configured(), self.rates.in_force());
        let policy = |policy: Policy| LimitView {
            policy: policy.name(),
            unit: policy.unit(),
            scope: policy.scope(),
            configured: rate_text(configured.of(policy)),
            set: set.rates.get(policy.name()).map(|rate| rate_text(*rate)),
            in_force: rate_text(in_force.shares.of(policy)),
        };
        LimitsView {
            revision: set.revision,
            gateways: in_force.gateways.get(),
            policies: Policy::ALL.into_iter().map(policy).collect(),
            changed: ChangedView::of(set),
        }
    }

    async fn with_redis<T>(
        &self,
        key: &str,
        call: impl AsyncFnOnce(&mut Connection) -> redis::RedisResult<Result<T, String>>,
    ) -> Result<T, Refused> {
        let outcome = async {
            let mut conn = checkout(self.admin.pool(), key).await?;
            let read = call(&mut conn).await.map_err(Failure::from)?;
            read.map_err(|why| Failure::Refused(scripts::Refusal::Damaged(why)))
        };
        outcome.await.map_err(failed(""))
    }
}
