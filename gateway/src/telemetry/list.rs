//! The list of all metrics: only these are exported, and each of them from the start.
//!
//! Every gateway exports the ledger gauges: query `max by (sale, item)`, never the sum.

pub use prometheus_client::metrics::MetricType as MetricKind;
use serde::{Serialize, Serializer};

use crate::domain::decision::Shed;
use crate::domain::draw::DrawStage;
use crate::domain::sale::Condition;
use crate::telemetry::labels::{Ended, Listener, OpsRefusal, Outcome, Route, Slo, Stage, User, WatchedFile};
use crate::telemetry::taps::TapResult;

/// A label and its values: a list or a kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// A fixed list, each value exported from the start.
    pub values: Option<&'static [&'static str]>,
    /// Any value of this kind.
    pub open: Option<&'static str>,
}

/// One metric.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Metric {
    /// The whole name; of a histogram without `_bucket`.
    pub name: &'static str,
    /// Its type.
    #[serde(rename = "type", serialize_with = "kind_name")]
    pub kind: MetricKind,
    /// The unit.
    pub unit: &'static str,
    /// Its labels, in the order of the values.
    pub labels: &'static [Label],
    /// Upper bounds of a histogram; the last bucket has none.
    pub buckets: &'static [f64],
    /// The condition under which it is exported.
    pub only_when: Option<&'static str>,
    /// The help text, one sentence.
    pub help: &'static str,
}

fn kind_name<S: Serializer>(kind: &MetricKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

const fn fixed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Some(values), open: None }
}

const fn open(name: &'static str, what: &'static str) -> Label {
    Label { name, values: None, open: Some(what) }
}

const ROUTE: Label = fixed("route", Route::NAMES);
const OUTCOME: Label = fixed("outcome", Outcome::NAMES);
const LISTENER: Label = fixed("listener", Listener::NAMES);
const USER: Label = fixed("user", User::NAMES);
const SLO: Label = fixed("slo", Slo::NAMES);
const SALE: Label = open("sale", "the id of a sale");
const ITEM: Label = open("item", "model:ID or package:ID, never a store");

/// The rate limit policies, by name.
pub const POLICIES: &[&str] = &["buyer", "address", "unverified", "sale", "gateway"];
/// The results of replaying a change that Redis lost.
pub const REPLAYED_AS: &[&str] = &["appended", "lost"];
/// The causes of missing log lines, in the order of [`crate::telemetry::log::missing_lines`].
pub const LOG_MISSING_FOR: &[&str] = &["dropped", "limited"];
/// The availability of an item, in the order of [`crate::domain::sale::Availability`].
pub const AVAILABILITIES: &[&str] = &["in_stock", "low", "sold_out"];
/// The states of an item's units.
pub const STOCK_STATES: &[&str] = &["total", "free", "held", "confirmed"];
/// The states of the slots of all stores with a limit.
pub const SLOT_STATES: &[&str] = &["total", "free"];
/// The states of reservations, in the ledger's order.
pub const RESERVATION_STATES: &[&str] = &["held", "confirmed", "cancelled", "expired"];

/// Buckets of response times, in seconds.
pub const ANSWER_BUCKETS: [f64; 13] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Buckets of stages, in seconds: some take microseconds.
pub const STAGE_BUCKETS: [f64; 18] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
/// Buckets of batches, in taps.
pub const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// The threshold of the latency objective, in seconds; one of the buckets.
pub const LATENCY_OBJECTIVE: f64 = 0.25;

macro_rules! metrics {
    ($(
        $constant:ident $kind:ident $name:literal $unit:literal [$($label:expr),*]
        $(buckets $buckets:ident)? $(only $only:literal)? $help:literal
    )*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: concat!("launchgate_", $name),
                kind: MetricKind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                buckets: metrics!(@buckets $($buckets)?),
                only_when: metrics!(@only $($only)?),
                help: $help,
            };
        )*
        /// All metrics.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
    (@buckets $buckets:ident) => { &$buckets };
    (@buckets) => { &[] };
    (@only $only:literal) => { Some($only) };
    (@only) => { None };
}

metrics! {
    REQUESTS Counter "requests_total" "requests" [ROUTE, OUTCOME]
        "Responses on the public listener, by route and outcome: a problem's name, or ok, won, replayed."
    DURATIONS Histogram "request_duration_seconds" "seconds" [OUTCOME] buckets ANSWER_BUCKETS
        "From a request's head to its response, on the public listener."
    TAPS Counter "taps_total" "taps" [SALE, OUTCOME]
        "Responses to taps by sale and outcome; a tap of a sale that this gateway does not follow counts in requests_total only."
    TAP_DURATIONS Histogram "tap_duration_seconds" "seconds" [SALE, fixed("result", TapResult::NAMES)] buckets ANSWER_BUCKETS
        "From a tap's head to its response by sale: won or replayed, refused for good, or undecided (429, 500, 503)."
    STAGES Histogram "stage_duration_seconds" "seconds" [fixed("stage", Stage::NAMES)] buckets STAGE_BUCKETS
        "The stages of a new reservation: identify, read model, its completion before a refusal, queue, Redis, response."
    BATCHES Histogram "batch_taps" "taps" [] buckets BATCH_BUCKETS
        "Taps that went to Redis together, one observation a script call."
    WAITING Gauge "taps_waiting" "taps" []
        "Taps in the queue for a batch, of all workers and sales."
    IN_FLIGHT Gauge "requests_in_flight" "requests" []
        "In-flight permits in use: requests that ask the ledger, those in the queue included."
    IN_FLIGHT_MAX Gauge "requests_in_flight_max" "requests" []
        "In-flight permits of the gateway; each worker has an equal share."
    SHED Counter "shed_total" "requests" [fixed("reason", Shed::NAMES)]
        "Requests that were certainly not carried out (503), by reason; connections over a cap may be closed without a response."
    LIMITED Counter "limited_total" "requests" [fixed("policy", POLICIES)]
        "Requests over a rate limit (429), by policy."
    OPS_REFUSED Counter "ops_tokens_refused_total" "requests" [fixed("reason", OpsRefusal::NAMES)]
        "Admin calls that were refused for their token: it is missing or not in the file, or its role does not allow the call."
    FORWARDED_IGNORED Counter "forwarded_ignored_total" "requests" []
        "Requests with Forwarded or X-Forwarded-For from peers that are not in --trusted-proxies: the header was ignored."
    CONNECTIONS Gauge "connections_open" "connections" [LISTENER]
        "Open connections."
    CONNECTIONS_MAX Gauge "connections_max" "connections" [LISTENER]
        "Connections that may be open at a time, of the whole process."
    CONNECTED Counter "connections_total" "connections" [LISTENER]
        "Accepted connections."
    ENDED Counter "connections_ended_total" "connections" [LISTENER, fixed("reason", Ended::NAMES)]
        "Closed connections, by reason."
    SLO_REQUESTS Counter "slo_requests_total" "requests" [SLO]
        "Responses that an objective counts: no client errors and no rate limits."
    SLO_GOOD Counter "slo_good_total" "requests" [SLO]
        "The good ones of these: availability, all but 500 and 503; latency, taps answered within 250 ms."
    REDIS_CONNECTS Counter "redis_connects_total" "connections" [USER]
        "Opened connections to Redis, by their user in the gateway."
    REDIS_ERRORS Counter "redis_errors_total" "errors" [USER]
        "Connections to Redis that failed or were given up, and calls without a reply."
    REDIS_UP Gauge "redis_up" "1 or 0" [USER]
        "1 while Redis replies on every connection of this user."
    REDIS_UNREADABLE Counter "redis_unreadable_total" "replies" []
        "Replies of Redis that could not be parsed: each counts as a failure, and the outcome of its call as unknown."
    SNAPSHOT_AGE Gauge "snapshot_age_seconds" "seconds" [SALE]
        "Time since the journal consumer last had all of the sale's journal. Refusals do not use it: each waits for a read of its own."
    STOCK Gauge "stock_units" "units" [SALE, ITEM, fixed("state", STOCK_STATES)]
        "Stock of a model or package at the consumer's sequence; total and free only where it has a limit."
    STORES Gauge "stores" "stores" [SALE, fixed("availability", AVAILABILITIES)]
        "Stores by the availability of their pick-up slots."
    STORE_SLOTS Gauge "store_slots" "slots" [SALE, fixed("state", SLOT_STATES)]
        "Pick-up slots of all stores with a limit together."
    RESERVATIONS Gauge "reservations" "reservations" [SALE, fixed("state", RESERVATION_STATES)]
        "Reservations by state."
    SIGNED_UP Gauge "signed_up" "buyers" [SALE]
        only "the sale takes sign-ups"
        "Buyers who are signed up."
    SIGNUP_CLOSES Gauge "signup_closes_timestamp_seconds" "seconds" [SALE]
        only "the sale takes sign-ups"
        "When sign-up ends."
    DRAW_STAGE Gauge "draw_stage" "1 or 0" [SALE, fixed("stage", DrawStage::NAMES)]
        only "the sale sells by a draw"
        "1 for the draw's present stage: announced, its entrants are fixed, drawn, or all is allocated."
    DRAW_ENTRANTS Gauge "draw_entrants" "buyers" [SALE]
        only "the sale sells by a draw"
        "Entrants of the draw; 0 until they are fixed."
    DRAW_ALLOCATED Gauge "draw_allocated" "buyers" [SALE]
        only "the sale sells by a draw"
        "Entrants, in order of rank, who were allocated a hold or a place in a standby queue, or could be given neither."
    STANDBY_WAITING Gauge "standby_waiting" "buyers" [SALE, ITEM]
        only "the sale has standby queues"
        "Buyers who wait for a model."
    STANDBY_ASIDE Gauge "standby_aside" "units" [SALE, ITEM]
        only "the sale has standby queues"
        "Units of a model that came back and are kept for the buyers who wait: neither free nor held."
    STANDBY_SUSPENDED Gauge "standby_suspended" "1 or 0" [SALE]
        only "the sale has standby queues"
        "1 while grants to the standby queues are suspended by an operator action."
    PHASE Gauge "sale_phase" "1 or 0" [SALE, fixed("phase", Condition::NAMES)]
        "1 for the sale's present phase; fenced or halted in place of it while the ledger does not serve the sale."
    PAUSED Gauge "sale_paused_info" "1" [SALE, open("by", "an ops token or a user"), open("reason", "the operator's reason, cut")]
        only "the sale is paused"
        "Who paused the sale, and why."
    FROZEN Gauge "sale_frozen" "1 or 0" [SALE]
        "1 while the sale clock is frozen by an operator action."
    OPENS Gauge "sale_opens_timestamp_seconds" "seconds" [SALE]
        "When the sale opens."
    CLOSES Gauge "sale_closes_timestamp_seconds" "seconds" [SALE]
        "When the sale closes."
    LEDGER_TIME Gauge "ledger_timestamp_seconds" "seconds" [SALE]
        "The clock of Redis, as this gateway estimates it."
    SEQUENCE Gauge "ledger_sequence" "changes" [SALE]
        "The sequence of the sale that this gateway's consumer has read."
    DRIFT Gauge "ledger_drift" "units" [SALE]
        "Sum of the absolute drifts of all items, and 1 for each problem, in the last audit; -1 before the first."
    AUDITED Gauge "ledger_audited_timestamp_seconds" "seconds" [SALE]
        "When the last audit was made; 0 before the first."
    OVERSOLD Gauge "ledger_oversold_units" "units" [SALE]
        "Units taken above the total, of all items with a limit, stores included."
    DIFFER Gauge "ledger_counters_differ" "1 or 0" [SALE]
        "1 while the live counters differ from the journal; compared at every tick."
    FAULT Gauge "ledger_fault" "1 or 0" [SALE]
        "1 while the ledger refuses the sale, or its journal can't be read."
    REPLAYED Counter "ledger_replayed_total" "changes" [SALE, fixed("change", REPLAYED_AS)]
        "Changes that this gateway replayed after Redis lost them: the original change, or a marker for one that no gateway had."
    HOLDS_DUE Gauge "holds_due" "reservations" [SALE]
        "Holds past deadline and grace that no sweep has ended: a lower bound, from the oldest batch."
    OLDEST_DUE Gauge "oldest_due_seconds" "seconds" [SALE]
        "Time since the oldest of these holds became due, on the sale clock; 0 without any."
    SWEEP_LAG Gauge "sweep_lag_seconds" "seconds" [SALE]
        "Time since this gateway last ticked the sale clock and swept."
    BUILD Gauge "build_info" "1" [open("version", "the version of the program"), open("redis_scripts", "a digest of all scripts")]
        "The version of the gateway, and the digest of its Redis scripts."
    SERVE_INFO Gauge "serve_info" "1" [
        open("durability", "a level of --durability"), open("workers", "a number"), open("token_keys", "hs256 or jwks")
    ]
        "Options of the gateway that all gateways of a fleet should share."
    READY Gauge "ready" "1 or 0" []
        "1 while /readyz answers 200."
    BUSY Counter "worker_busy_seconds_total" "seconds" [open("worker", "the number of a worker, from 0")]
        "Busy time of a worker; its rate is the share of a core that it uses."
    FLEET Gauge "fleet_gateways" "gateways" []
        "Live gateways, as of the last heartbeat."
    FLEET_VERSIONS Gauge "fleet_versions" "versions" []
        "Different versions among them."
    CERTIFICATE Gauge "certificate_expiry_timestamp_seconds" "seconds" [LISTENER]
        only "the listener has TLS"
        "When the certificate in use, or the first of its chain to expire, expires."
    TOKEN_KEY Gauge "token_key_expiry_timestamp_seconds" "seconds" []
        only "a key of the JWKS has an exp"
        "When the first key of the JWKS to expire expires."
    FILE_REJECTED Gauge "file_rejected" "1 or 0" [fixed("file", WatchedFile::NAMES)]
        only "the option names a file that is reloaded"
        "1 while the present content of the file is invalid, and its former content stays in force."
    CLOCK_OFFSET Gauge "clock_offset_seconds" "seconds" []
        only "the clock of Redis was read"
        "The clock of Redis minus the clock of this host, read once a second."
    CPU Counter "process_cpu_seconds_total" "seconds" []
        "CPU time of the process."
    MEMORY Gauge "process_resident_memory_bytes" "bytes" []
        "Resident memory of the process."
    FDS Gauge "process_open_fds" "descriptors" []
        "Open file descriptors."
    FDS_MAX Gauge "process_max_fds" "descriptors" []
        "The limit of open file descriptors."
    STARTED Gauge "process_start_time_seconds" "seconds" []
        "When the process started."
    LOG_MISSING Counter "log_lines_missing_total" "lines" [fixed("reason", LOG_MISSING_FOR)]
        "Log lines that were not written: standard error was not read, or a call site exceeded its limit."
    THREADS Gauge "process_threads" "threads" []
        "Threads of the process."
}

/// The list as JSON, for checks of dashboards and rules.
pub fn document() -> serde_json::Value {
    serde_json::to_value(ALL).unwrap_or_default()
}

/// The list as text: a line for each metric and one for its help.
pub fn table() -> String {
    let label = |label: &Label| match label.values {
        Some(values) => format!("{}=\"{}\"", label.name, values.join("|")),
        None => format!("{}=<{}>", label.name, label.open.unwrap_or_default()),
    };
    let line = |metric: &Metric| {
        let labels: Vec<_> = metric.labels.iter().map(label).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(", ")) };
        let bounds: Vec<_> = metric.buckets.iter().map(ToString::to_string).collect();
        let bounds = if bounds.is_empty() { String::new() } else { format!(", up to {}", bounds.join(" ")) };
        let only = metric.only_when.map_or(String::new(), |when| format!(" Only when {when}."));
        format!(
            "{}{labels}\n    {} of {}{bounds}. {}{only}\n",
            metric.name,
            metric.kind.as_str(),
            metric.unit,
            metric.help
        )
    };
    ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
