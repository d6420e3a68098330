//! The lines of the live stream as types; the OpenAPI document is generated from them.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::domain::sale::Condition;
use crate::fleet::alarm::Level;
use crate::identify::ops_tokens::Role;
use crate::manage::audit::Counts;
use crate::ops::live::taps::{Latency, Taps};
use crate::ops::rate_limits::policy_schema;
use crate::ops::view::{ActionView, DrawNow};

/// One line. `hello` comes first, then `sale` if there is one, and `history`; then `now` each second.
/// When the definition changes, `sale` comes again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LiveLine<'a> {
    /// The gateway and the user of the stream.
    Hello(Hello<'a>),
    /// The definition.
    Sale(SaleLine),
    /// The last quarter of an hour.
    History(History),
    /// The current numbers.
    Now(Box<Now>),
}

/// The gateway and the user of the stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hello<'a> {
    /// The name of the ops token; operator actions are logged under it.
    pub who: &'a str,
    /// The role of the token; with `watch` every operator action is refused.
    #[schema(schema_with = role_schema)]
    pub role: &'static str,
    /// The gateway's version.
    pub version: &'a str,
    /// The build of this gateway's page: a page of another edition is outdated.
    pub edition: &'a str,
    /// Whether charts are available: the build included their library.
    pub charts: bool,
    /// Interval of lines, in ms.
    pub every_ms: u64,
    /// The server's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
}

fn role_schema() -> Schema {
    let roles = [Role::Operate, Role::Watch].map(Role::name);
    Schema::Object(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(roles)).build())
}

/// The definition of a sale.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleLine {
    /// Its id.
    pub sale: String,
    /// Its name.
    pub name: String,
    /// Load tests may send load to it.
    pub rehearsal: bool,
    /// The revision of the definition.
    pub revision: u64,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub closes_at: String,
    /// How long a hold lasts.
    pub hold_ms: u64,
    /// Models and packages; `now` has their numbers in the same order.
    pub items: Vec<ItemName>,
    /// The number of stores.
    pub stores: usize,
    /// The number of cities.
    pub cities: usize,
    /// The operator actions, and their effects on buyers.
    pub actions: Vec<ActionEffect>,
}

/// A model or a package.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemName {
    /// `model:ID` or `package:ID`.
    pub item: String,
    /// Its name.
    pub name: String,
}

/// An operator action.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionEffect {
    /// Its name: the last part of its path; `limits` is `PATCH /admin/v1/limits`.
    pub action: &'static str,
    /// Its effect on buyers.
    pub effect: &'static str,
}

/// The last quarter of an hour, as far as this gateway ran, in columns; null where a value was unknown.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct History {
    /// The server's clock, in ms.
    pub time: Vec<i64>,
    /// Won taps a second.
    pub won: Vec<Option<f64>>,
    /// Lost taps a second.
    pub lost: Vec<Option<f64>>,
    /// Taps a second that came too early, or while the sale was paused.
    pub early: Vec<Option<f64>>,
    /// Taps a second that were rate-limited or shed.
    pub away: Vec<Option<f64>>,
    /// Taps a second with an unknown outcome.
    pub unknown: Vec<Option<f64>>,
    /// Median latency of winners, ms.
    pub won_p50: Vec<Option<f64>>,
    /// 99th percentile of winners, ms.
    pub won_p99: Vec<Option<f64>>,
    /// Median latency of all others, ms.
    pub lost_p50: Vec<Option<f64>>,
    /// 99th percentile of all others, ms.
    pub lost_p99: Vec<Option<f64>>,
    /// Free units of all models with a limit.
    pub left: Vec<Option<i64>>,
    /// Free units of each of the first models, in their order.
    pub left_of: Vec<Vec<Option<i64>>>,
}

/// The numbers of one second.
#[derive(Debug, Serialize, ToSchema)]
pub struct Now {
    /// The server's clock: the estimate of Redis's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
    /// Whether Redis's clock was read within the last second.
    pub clock_known: bool,
    /// All sales that this gateway follows.
    pub sales: Vec<SaleName>,
    /// The watched sale; null without one.
    #[schema(required)]
    pub sale: Option<SaleNow>,
    /// The rates that operators have set for all gateways; empty: all are as configured.
    pub limits: Vec<LimitNow>,
    /// Rates of taps by outcome; null without a recent heartbeat of the fleet.
    #[schema(required)]
    pub taps: Option<Taps>,
    /// From the head of a tap to its response, over the last 10 s.
    pub latency: Latency,
    /// All gateways.
    pub gateways: Vec<GatewayNow>,
    /// Alarms, the worst first.
    pub alarms: Vec<AlarmNow>,
}

/// A rate that an operator has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitNow {
    /// The policy.
    #[schema(schema_with = policy_schema)]
    pub policy: &'static str,
    /// `RATE:BURST`, or `off`.
    pub rate: String,
}

/// A sale that can be watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct SaleName {
    /// Its id.
    pub sale: String,
    /// Its name.
    pub name: String,
}

/// A sale's numbers, all at one sequence.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleNow {
    /// What it does now: its phase, or why the ledger serves none of it.
    pub state: Condition,
    /// New reservations are stopped.
    pub paused: bool,
    /// The sale clock is frozen.
    pub frozen: bool,
    /// Closed by an operator action.
    pub closed: bool,
    /// Grants to the standby queues are suspended.
    pub suspended: bool,
    /// How many buyers wait for each model, in the order of the `sale` line; left out without standby queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub waiting: Option<Vec<u64>>,
    /// How many buyers are signed up; left out where the sale takes no sign-ups.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub signed_up: Option<u64>,
    /// How far the draw is; left out where the sale has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub draw: Option<DrawNow>,
    /// Who paused it; null while it is not paused.
    #[schema(required)]
    pub pause: Option<ActionView>,
    /// The sequence of the ledger.
    pub sequence: u64,
    /// The age of these numbers.
    pub age_ms: u64,
    /// Reservations by state.
    pub reservations: Counts,
    /// Models and packages, in the order of the `sale` line.
    pub items: Vec<ItemNow>,
    /// All models together.
    pub ledger: LedgerBalance,
    /// All stores together.
    pub stores: StoresNow,
    /// The cities with the fewest slots left, by share.
    pub fullest: Vec<CityNow>,
    /// The cities with the most slots left, by share.
    pub emptiest: Vec<CityNow>,
    /// The latest changes, the newest first.
    pub journal: Vec<JournalLine>,
}

/// An item's numbers: `total = free + held + confirmed`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ItemNow {
    /// Total units; null: no limit.
    #[schema(required)]
    pub total: Option<i64>,
    /// Free units; null: no limit.
    #[schema(required)]
    pub free: Option<i64>,
    /// Units that are set aside for buyers who wait.
    pub aside: i64,
    /// Units in holds.
    pub held: i64,
    /// Units in confirmed reservations.
    pub confirmed: i64,
}

/// The balance of all models together, and its verdict.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerBalance {
    /// `balanced`, `drift`, or `unknown` while the ledger can't be read, or was not for over a second.
    pub verdict: &'static str,
    /// Total units of all models; null if one of them has no limit.
    #[schema(required)]
    pub total: Option<i64>,
    /// Free units; null if a model has no limit.
    #[schema(required)]
    pub free: Option<i64>,
    /// Units that are set aside for buyers who wait.
    pub aside: i64,
    /// Units in holds.
    pub held: i64,
    /// Units in confirmed reservations.
    pub confirmed: i64,
    /// `free + aside + held + confirmed − total`.
    pub drift: i64,
    /// This gateway's last full audit; null before the first.
    #[schema(required)]
    pub audit: Option<AuditNow>,
}

/// A full audit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditNow {
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// Whether every item balanced.
    pub balanced: bool,
}

/// All stores together.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct StoresNow {
    /// Stores with more than a tenth of their slots left, or without a limit.
    pub in_stock: usize,
    /// Stores with a tenth or less.
    pub low: usize,
    /// Stores without free slots.
    pub sold_out: usize,
    /// Slots of stores with a limit.
    pub slots: i64,
    /// Free slots.
    pub free: i64,
}

/// A city's slots, of its stores with a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CityNow {
    /// Its name.
    pub city: String,
    /// All slots.
    pub slots: i64,
    /// Free slots.
    pub free: i64,
}

/// A change as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JournalLine {
    /// The sequence of the ledger.
    pub sequence: u64,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// Whether an operator made it.
    pub ops: bool,
    /// The text.
    pub text: String,
}

/// The state of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// Ready for traffic.
    Ready,
    /// Alive and not ready.
    NotReady,
    /// Draining.
    Draining,
    /// No report for 3 s.
    Silent,
    /// No report for 5 s.
    Gone,
    /// Drained and ended.
    Left,
}

/// A gateway.
#[derive(Debug, Serialize, ToSchema)]
pub struct GatewayNow {
    /// The id that it generated at its start.
    pub id: String,
    /// Whether this stream comes from it.
    pub here: bool,
    /// Its public listener.
    pub listen: String,
    /// Its version.
    pub version: String,
    /// Its state.
    pub state: GatewayState,
    /// Why it is not ready.
    pub why: String,
    /// Taps a second; null where unknown.
    #[schema(required)]
    pub taps: Option<f64>,
    /// Won taps a second; null where unknown.
    #[schema(required)]
    pub won: Option<f64>,
    /// Time since its last report.
    pub report_age_ms: u64,
    /// Time since it started.
    pub uptime_ms: u64,
    /// Number of its alarms.
    pub alarms: usize,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlarmNow {
    /// Its severity.
    pub level: Level,
    /// Its kind.
    pub name: String,
    /// The sale, where it is about one.
    #[schema(required)]
    pub sale: Option<String>,
    /// The text.
    pub text: String,
    /// The gateways that raise it; empty for an alarm of the fleet.
    pub gateways: Vec<String>,
}
