//! The lines of the live stream, as types; the OpenAPI document is made from them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::sale::Phase;
use crate::fleet::alarm::Level;
use crate::manage::audit::Counts;
use crate::ops::live::taps::{Latency, Taps};

/// One line. `hello` comes first, then `sale` if there is one, and `history`; then `now` each second. When the definition
/// changes, `sale` comes again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LiveLine<'a> {
    /// To whom, from whom.
    Hello(Hello<'a>),
    /// What hardly changes.
    Sale(SaleLine),
    /// What was seen before.
    History(History),
    /// The numbers.
    Now(Box<Now>),
}

/// To whom the stream goes, and what comes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hello<'a> {
    /// The name of the ops token: actions are pulled in it.
    pub who: &'a str,
    /// Of the gateway.
    pub version: &'a str,
    /// Of the page that this gateway has: another one is outdated.
    pub edition: &'a str,
    /// Whether it can draw charts: their library was there at build.
    pub charts: bool,
    /// Between two lines, in ms.
    pub every_ms: u64,
    /// The server's clock.
    pub server_time: String,
}

/// What a sale is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleLine {
    /// Its id.
    pub sale: String,
    /// Its name.
    pub name: String,
    /// Load tests may send load to it.
    pub rehearsal: bool,
    /// Of the definition.
    pub revision: u64,
    /// RFC 3339, milliseconds, UTC.
    pub opens_at: String,
    /// RFC 3339, milliseconds, UTC.
    pub closes_at: String,
    /// How long a hold lasts.
    pub hold_ms: u64,
    /// Models and packages; `now` has their numbers in the same order.
    pub items: Vec<ItemName>,
    /// How many stores there are.
    pub stores: usize,
    /// In how many cities.
    pub cities: usize,
    /// What ops can do, and what it does to buyers.
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
    /// Its word: of a sale the last part of its path; `limits` is `PATCH /admin/v1/limits`.
    pub action: &'static str,
    /// What it does to buyers.
    pub effect: &'static str,
}

/// The last quarter of an hour, as far as this gateway was there, in columns; null where something was not known.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct History {
    /// The server's clock, in ms.
    pub time: Vec<i64>,
    /// A second.
    pub won: Vec<Option<f64>>,
    /// A second.
    pub lost: Vec<Option<f64>>,
    /// A second: too early, or the sale was paused.
    pub early: Vec<Option<f64>>,
    /// A second: over a limit, or turned away.
    pub away: Vec<Option<f64>>,
    /// A second.
    pub unknown: Vec<Option<f64>>,
    /// Winners, ms.
    pub won_p50: Vec<Option<f64>>,
    /// Winners, ms.
    pub won_p99: Vec<Option<f64>>,
    /// All others, ms.
    pub lost_p50: Vec<Option<f64>>,
    /// All others, ms.
    pub lost_p99: Vec<Option<f64>>,
    /// What was left of all models with a limit.
    pub left: Vec<Option<i64>>,
    /// And of each of the first of them, by their order.
    pub left_of: Vec<Vec<Option<i64>>>,
}

/// One second.
#[derive(Debug, Serialize, ToSchema)]
pub struct Now {
    /// The server's clock: Redis's, as well as it is known.
    pub server_time: String,
    /// Whether it was read within the last second.
    pub clock_known: bool,
    /// All sales that this gateway knows.
    pub sales: Vec<SaleName>,
    /// The sale that is watched; null where there is none.
    #[schema(required)]
    pub sale: Option<SaleNow>,
    /// The rates that ops have set for all gateways; none where they are as configured.
    pub limits: Vec<LimitNow>,
    /// Taps and what they came to; null while the fleet can't be heard.
    #[schema(required)]
    pub taps: Option<Taps>,
    /// From a tap's head to its answer, over the last 10 s.
    pub latency: Latency,
    /// All gateways.
    pub gateways: Vec<GatewayNow>,
    /// What is wrong, the worst first.
    pub alarms: Vec<AlarmNow>,
}

/// A rate that ops have set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitNow {
    /// Whose.
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
    /// closed > upcoming > paused > sold_out > open.
    pub phase: Phase,
    /// New reservations are stopped.
    pub paused: bool,
    /// The sale clock is stopped.
    pub frozen: bool,
    /// Closed by an operator action.
    pub closed: bool,
    /// Of the ledger.
    pub sequence: u64,
    /// How old this is.
    pub age_ms: u64,
    /// By state.
    pub reservations: Counts,
    /// Models and packages, in the order of the `sale` line.
    pub items: Vec<ItemNow>,
    /// All models together.
    pub ledger: LedgerBalance,
    /// All stores together.
    pub stores: StoresNow,
    /// The cities with the fewest slots left, by share.
    pub fullest: Vec<CityNow>,
    /// And those with the most.
    pub emptiest: Vec<CityNow>,
    /// The latest changes, the newest first.
    pub journal: Vec<JournalLine>,
}

/// An item's numbers: `total = free + held + confirmed`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ItemNow {
    /// null: no limit.
    #[schema(required)]
    pub total: Option<i64>,
    /// null: no limit.
    #[schema(required)]
    pub free: Option<i64>,
    /// In holds.
    pub held: i64,
    /// Paid.
    pub confirmed: i64,
}

/// The equation of all models together, and what is known of its truth.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerBalance {
    /// `balanced`, `drift`, or `unknown` while the ledger can't be read, or was not for over a second.
    pub verdict: &'static str,
    /// Of all models; null if one of them has no limit.
    #[schema(required)]
    pub total: Option<i64>,
    /// Likewise.
    #[schema(required)]
    pub free: Option<i64>,
    /// Cars in holds.
    pub held: i64,
    /// Cars that are paid.
    pub confirmed: i64,
    /// `free + held + confirmed − total`.
    pub drift: i64,
    /// The last full audit of this gateway; null before the first.
    #[schema(required)]
    pub audit: Option<AuditNow>,
}

/// A full audit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditNow {
    /// When, RFC 3339.
    pub at: String,
    /// Whether all balanced.
    pub balanced: bool,
}

/// All stores together.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct StoresNow {
    /// Stores with more than a tenth of their slots left, or without a limit.
    pub in_stock: usize,
    /// A tenth or less.
    pub low: usize,
    /// None.
    pub sold_out: usize,
    /// Slots of stores with a limit.
    pub slots: i64,
    /// Those that are left.
    pub free: i64,
}

/// A city's slots, of its stores with a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CityNow {
    /// Its name.
    pub city: String,
    /// All slots.
    pub slots: i64,
    /// Those that are left.
    pub free: i64,
}

/// A change in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JournalLine {
    /// Of the ledger.
    pub sequence: u64,
    /// RFC 3339.
    pub at: String,
    /// Whether somebody of ops did it.
    pub ops: bool,
    /// What happened.
    pub text: String,
}

/// How a gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// Gets traffic.
    Ready,
    /// Lives, and shall get none.
    NotReady,
    /// On its way out.
    Draining,
    /// Was not heard for 3 s.
    Silent,
    /// Was not heard for 5 s.
    Gone,
    /// Drained, and ended.
    Left,
}

/// A gateway.
#[derive(Debug, Serialize, ToSchema)]
pub struct GatewayNow {
    /// That it made up when it started.
    pub id: String,
    /// Whether the stream comes from it.
    pub here: bool,
    /// Where it listens for apps.
    pub listen: String,
    /// Of the program.
    pub version: String,
    /// How it is.
    pub state: GatewayState,
    /// Why it is not ready.
    pub why: String,
    /// A second; null where that is not known.
    #[schema(required)]
    pub taps: Option<f64>,
    /// A second; null where that is not known.
    #[schema(required)]
    pub won: Option<f64>,
    /// Since its last report.
    pub heard_ms: u64,
    /// Since it started.
    pub uptime_ms: u64,
    /// Alarms of its own.
    pub alarms: usize,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlarmNow {
    /// How bad it is.
    pub level: Level,
    /// Which kind of alarm it is.
    pub name: String,
    /// The sale, where it is about one.
    #[schema(required)]
    pub sale: Option<String>,
    /// What is wrong, in words.
    pub text: String,
    /// The gateways that say so; none where it is about all.
    pub gateways: Vec<String>,
}
