//! The brake: shows and sets the rate limits of all gateways, and tells which gateways live.

use std::collections::BTreeMap;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::admit::limits::{InForce, Limits};
use crate::domain::policy::{Policy, Rates, rate_text};
use crate::domain::rfc3339::rfc3339;
use crate::fleet::limits_log::{self, LimitsEntry};
use crate::fleet::report::GatewayReport;
use crate::fleet::{self, LimitChange, SetLimits};
use crate::http::request;
use crate::http::respond::{self, Answer, Refused};
use crate::manage::admin::Actor;
use crate::ops::admin::{Ops, check_reason, failed, number_of};
use crate::store::keys::{FLEET, LIMITS, LIMITS_LOG};
use crate::store::scripts::Failure;
use crate::store::{Connection, checkout, scripts};

/// Other rates. A policy that is left out stays as it is (all of them: nothing changes); null puts its configured rate back in force.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsRequest {
    /// Of one buyer's calls: `RATE:BURST` in units a second and at once, or `off`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$", example = "10:50")]
    buyer: Option<Option<String>>,
    /// Of the calls without a token from one client address.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    address: Option<Option<String>>,
    /// Of wrong signatures of public keys from one client address.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    unverified: Option<Option<String>>,
    /// Of the new reservations of one sale, all gateways together.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    sale: Option<Option<String>>,
    /// Of all calls but those of services, all gateways together.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = r"^(off|([1-9][0-9]{0,7}|100000000):([1-9][0-9]{0,7}|100000000))$")]
    gateway: Option<Option<String>>,
    /// In words, at most 500 characters; it is kept beside the rates and in their log.
    #[serde(default)]
    #[schema(max_length = 500, pattern = r"^($|[^-]|-[\s\S])")]
    reason: Option<String>,
}

/// Null is something else than left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl LimitsRequest {
    fn change(&mut self) -> Result<LimitChange, Refused> {
        let mut change = LimitChange::default();
        for policy in Policy::ALL {
            let rate = match policy {
                Policy::Buyer => self.buyer.take(),
                Policy::Address => self.address.take(),
                Policy::Unverified => self.unverified.take(),
                Policy::Sale => self.sale.take(),
                Policy::Gateway => self.gateway.take(),
            };
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

/// The limits, of this gateway and as ops have set them for all.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsView {
    /// Counts what ops have changed; 0: nothing yet.
    pub revision: u64,
    /// Live gateways, as this one last heard: ceilings are divided by it.
    pub gateways: u32,
    /// Every policy.
    pub policies: Vec<LimitView>,
    /// The last change by ops.
    pub changed: Option<ChangedView>,
}

/// One policy.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitView {
    /// Its name, as clients are told.
    pub policy: &'static str,
    /// As this gateway is configured.
    pub configured: String,
    /// As ops have set it for all gateways; null where they have not.
    pub set: Option<String>,
    /// What is in force at this gateway; of a ceiling its share.
    pub in_force: String,
}

/// Who has changed the limits last, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedView {
    /// By Redis's clock.
    pub at: String,
    /// The name of the ops token, or the user of the command line.
    pub who: String,
    /// In words.
    pub reason: Option<String>,
}

impl ChangedView {
    /// Of what ops have set.
    #[must_use]
    pub fn of(set: &SetLimits) -> Option<Self> {
        let (at, who, reason) = set.changed.clone()?;
        Some(Self { at: rfc3339(at), who, reason })
    }
}

impl LimitsView {
    fn new(set: &SetLimits, configured: &Rates, in_force: &InForce) -> Self {
        let policy = |policy: Policy| LimitView {
            policy: policy.name(),
            configured: rate_text(configured.of(policy)),
            set: set.rates.get(policy.name()).map(|rate| rate_text(*rate)),
            in_force: rate_text(in_force.shares.of(policy)),
        };
        Self {
            revision: set.revision,
            gateways: in_force.gateways.get(),
            policies: Policy::ALL.into_iter().map(policy).collect(),
            changed: ChangedView::of(set),
        }
    }
}

/// What was done to the limits.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsLogView {
    /// The latest changes, the oldest of them first; 1,000 are kept.
    pub entries: Vec<LimitsEntry>,
}

/// The gateways that live, by an id that each makes up when it starts, with what each did in its last second.
#[derive(Debug, Serialize, ToSchema)]
pub struct FleetView {
    /// Those that have announced themselves in the last 5 s.
    pub gateways: BTreeMap<String, GatewayReport>,
}

/// The fleet, as it has announced itself. What another version of the gateway says is read as far as it goes.
#[must_use]
pub fn fleet_view(live: BTreeMap<String, String>) -> FleetView {
    let read = |(id, report): (String, String)| (id, serde_json::from_str(&report).unwrap_or_default());
    FleetView { gateways: live.into_iter().map(read).collect() }
}

impl Ops {
    /// `GET /admin/v1/limits`
    pub(super) async fn show_limits(&self) -> Result<Answer, Refused> {
        let set = self.with_redis(LIMITS, async |conn| fleet::read_limits(conn).await).await?;
        Ok(respond::ok(&self.limits_view(&set)))
    }

    /// `PATCH /admin/v1/limits`
    pub(super) async fn set_limits(
        &self,
        who: &str,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Answer, Refused> {
        let mut body: LimitsRequest = request::json(parts, body, self.limits(request::BODY_MAX)).await?;
        let change = body.change()?;
        let by = Actor { who: who.to_owned(), reason: check_reason(body.reason)? };
        if change.is_empty() {
            return self.show_limits().await;
        }
        let set = self.with_redis(LIMITS, async |conn| fleet::set_limits(conn, &change, &by).await).await?;
        tracing::info!(who, revision = set.revision, reason = by.reason, "limits set");
        // Here at once; the others take it in with their next beat.
        self.rates.put_in_force(set.over(self.rates.configured()), self.rates.in_force().gateways);
        Ok(respond::ok(&self.limits_view(&set)))
    }

    /// `GET /admin/v1/limits/log`
    pub(super) async fn limits_log(&self, limit: Option<&str>) -> Result<Answer, Refused> {
        let count = number_of(limit, limits_log::ENTRIES_MAX)?;
        let entries = self.with_redis(LIMITS_LOG, async |conn| limits_log::read(conn, count).await).await?;
        Ok(respond::ok(&LimitsLogView { entries }))
    }

    /// `GET /admin/v1/fleet`
    pub(super) async fn fleet(&self) -> Result<Answer, Refused> {
        let live = self.with_redis(FLEET, async |conn| Ok(Ok(fleet::live(conn).await?))).await?;
        Ok(respond::ok(&fleet_view(live)))
    }

    fn limits_view(&self, set: &SetLimits) -> LimitsView {
        let rates: &Limits = &self.rates;
        LimitsView::new(set, rates.configured(), &rates.in_force())
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
        outcome.await.map_err(|failure| failed("", &failure))
    }
}
