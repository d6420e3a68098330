//! Every metric of a gateway, as one list: what is not in it is not shown, and what is in it is there from the start.
//!
//! Ledger gauges are exported by every gateway: ask for `max by (sale, item)`, never for the sum.

use serde_json::json;

use crate::domain::decision::Shed;
use crate::telemetry::labels::{Ended, Listener, Outcome, Route, Slo, Stage, User, WatchedFile};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl MetricKind {
    /// As Prometheus has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label and what it can be.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All of them.
    pub values: Values,
}

/// The values of a label.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These, each of them there from the start.
    Known(&'static [&'static str]),
    /// Whatever there is of this.
    Open(&'static str),
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The whole name; of a histogram without `_bucket`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What is counted or measured.
    pub unit: &'static str,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [Label],
    /// Upper bounds of a histogram; the last bucket has none.
    pub buckets: &'static [f64],
    /// The condition under which it is there.
    pub only_when: Option<&'static str>,
    /// One sentence.
    pub help: &'static str,
}

const fn known(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Known(values) }
}

const fn open(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::Open(what) }
}

const ROUTE: Label = known("route", Route::NAMES);
const OUTCOME: Label = known("outcome", Outcome::NAMES);
const LISTENER: Label = known("listener", Listener::NAMES);
const USER: Label = known("user", User::NAMES);
const SLO: Label = known("slo", Slo::NAMES);
const SALE: Label = open("sale", "the id of a sale");
const ITEM: Label = open("item", "model:ID or package:ID, never a store");

/// The policies of limits, by name.
pub const POLICIES: &[&str] = &["buyer", "address", "unverified", "sale", "gateway"];
/// What became of a change that Redis had lost.
pub const REPLAYED_AS: &[&str] = &["appended", "lost"];
/// Why a log line was not written, in the order of [`crate::telemetry::log::missing_lines`].
pub const LOG_MISSING_FOR: &[&str] = &["dropped", "limited"];
/// The phases of a sale, in the order of [`crate::domain::sale::Phase`].
pub const PHASES: &[&str] = &["upcoming", "open", "paused", "sold_out", "closed"];
/// What buyers are told of an item, in the order of [`crate::domain::sale::Availability`].
pub const AVAILABILITIES: &[&str] = &["in_stock", "low", "sold_out"];
/// What may be had of an item, and what has become of the rest.
pub const STOCK_STATES: &[&str] = &["total", "free", "held", "confirmed"];
/// What of the slots of all stores with a limit.
pub const SLOT_STATES: &[&str] = &["total", "free"];
/// The states of reservations, in the ledger's order.
pub const RESERVATION_STATES: &[&str] = &["held", "confirmed", "cancelled", "expired"];

/// Of answers, in seconds.
pub const ANSWER_BUCKETS: [f64; 13] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Of stages, in seconds: some take microseconds.
pub const STAGE_BUCKETS: [f64; 18] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
/// Of batches, in taps.
pub const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// Until when a tap's answer is soon: the bucket that the latency objective counts up to, in seconds.
pub const SOON: f64 = 0.25;

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
        /// All of them.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
    (@buckets $buckets:ident) => { &$buckets };
    (@buckets) => { &[] };
    (@only $only:literal) => { Some($only) };
    (@only) => { None };
}

metrics! {
    REQUESTS Counter "requests_total" "requests" [ROUTE, OUTCOME]
        "Answers on the public listener, by route and by what they told: a problem's name, or ok, won, replayed."
    DURATIONS Histogram "request_duration_seconds" "seconds" [OUTCOME] buckets ANSWER_BUCKETS
        "From a request's head to its answer, on the public listener."
    STAGES Histogram "stage_duration_seconds" "seconds" [known("stage", Stage::NAMES)] buckets STAGE_BUCKETS
        "The parts of a new reservation's way: who asks, what the read model says, until it is complete for a refusal, the line, Redis, the answer."
    BATCHES Histogram "batch_taps" "taps" [] buckets BATCH_BUCKETS
        "Taps that went to Redis together, one observation a script call."
    WAITING Gauge "taps_waiting" "taps" []
        "Taps in line for their batch, of all workers and sales."
    IN_FLIGHT Gauge "requests_in_flight" "requests" []
        "Requests that ask the ledger, those in line among them."
    IN_FLIGHT_MAX Gauge "requests_in_flight_max" "requests" []
        "Requests that may ask the ledger at a time; each worker has an equal share."
    SHED Counter "shed_total" "requests" [known("reason", Shed::NAMES)]
        "Requests that were certainly not carried out (503), by reason; of connections, some were just closed."
    LIMITED Counter "limited_total" "requests" [known("policy", POLICIES)]
        "Requests over a limit (429), by policy."
    FORWARDED_IGNORED Counter "forwarded_ignored_total" "requests" []
        "Requests with Forwarded or X-Forwarded-For from peers that are not in --trusted-proxies: the header was ignored."
    CONNECTIONS Gauge "connections_open" "connections" [LISTENER]
        "Open connections."
    CONNECTIONS_MAX Gauge "connections_max" "connections" [LISTENER]
        "Connections that may be open at a time, of the whole process."
    CONNECTED Counter "connections_total" "connections" [LISTENER]
        "Connections that came."
    ENDED Counter "connections_ended_total" "connections" [LISTENER, known("reason", Ended::NAMES)]
        "Connections that ended, by how."
    SLO_REQUESTS Counter "slo_requests_total" "requests" [SLO]
        "Answers that an objective counts: not what clients do wrong, and not limits."
    SLO_GOOD Counter "slo_good_total" "requests" [SLO]
        "Of these the good ones: availability, all but 500 and 503; latency, taps answered within 250 ms."
    REDIS_CONNECTS Counter "redis_connects_total" "connections" [USER]
        "Connections to Redis that were opened, by who in the gateway uses them."
    REDIS_ERRORS Counter "redis_errors_total" "errors" [USER]
        "Connections to Redis that could not be opened or were given up, and calls without an answer."
    REDIS_UP Gauge "redis_up" "1 or 0" [USER]
        "1 while Redis answers; of the lanes, all of them."
    REDIS_UNREADABLE Counter "redis_unreadable_total" "replies" []
        "Replies of Redis that could not be read: each was taken for a failure, and its call for unknown."
    SNAPSHOT_AGE Gauge "snapshot_age_seconds" "seconds" [SALE]
        "Since the journal consumer last had all of the sale's journal. A refusal does not go by it: it waits for a round of its own."
    STOCK Gauge "stock_units" "units" [SALE, ITEM, known("state", STOCK_STATES)]
        "Stock of a model or package at the followed sequence; total and free only where it has a limit."
    STORES Gauge "stores" "stores" [SALE, known("availability", AVAILABILITIES)]
        "Stores by what buyers are told of their pick-up slots."
    STORE_SLOTS Gauge "store_slots" "slots" [SALE, known("state", SLOT_STATES)]
        "Pick-up slots of all stores with a limit together."
    RESERVATIONS Gauge "reservations" "reservations" [SALE, known("state", RESERVATION_STATES)]
        "Reservations by state."
    PHASE Gauge "sale_phase" "1 or 0" [SALE, known("phase", PHASES)]
        "1 for the phase that the sale is in."
    FROZEN Gauge "sale_frozen" "1 or 0" [SALE]
        "1 while the sale clock is stopped by an operator action."
    OPENS Gauge "sale_opens_timestamp_seconds" "seconds" [SALE]
        "When the sale opens."
    CLOSES Gauge "sale_closes_timestamp_seconds" "seconds" [SALE]
        "When the sale closes."
    LEDGER_TIME Gauge "ledger_timestamp_seconds" "seconds" [SALE]
        "The clock of Redis, as known here."
    SEQUENCE Gauge "ledger_sequence" "changes" [SALE]
        "The latest change of the sale that this gateway has followed."
    DRIFT Gauge "ledger_drift" "units" [SALE]
        "Sum of the absolute drifts of all items, and 1 for each problem, in the last audit; -1 before the first."
    AUDITED Gauge "ledger_audited_timestamp_seconds" "seconds" [SALE]
        "When the last audit was made; 0 before the first."
    OVERSOLD Gauge "ledger_oversold_units" "units" [SALE]
        "What was taken above the total, of all items with a limit, stores among them."
    DIFFER Gauge "ledger_counters_differ" "1 or 0" [SALE]
        "1 while the live counters differ from what the journal says; compared with every tick."
    FAULT Gauge "ledger_fault" "1 or 0" [SALE]
        "1 while the ledger refuses the sale, or its journal can't be followed."
    REPLAYED Counter "ledger_replayed_total" "changes" [SALE, known("change", REPLAYED_AS)]
        "Changes that this gateway has appended again after Redis had lost them: as they were, or in the place of one that nobody knew."
    HOLDS_DUE Gauge "holds_due" "reservations" [SALE]
        "Holds whose deadline and grace are over and that no sweep has ended yet: at least so many, those of the oldest batch."
    OLDEST_DUE Gauge "oldest_due_seconds" "seconds" [SALE]
        "How long the oldest of them has been due, on the sale clock; 0 without any."
    SWEEP_LAG Gauge "sweep_lag_seconds" "seconds" [SALE]
        "Since this gateway last ticked the sale clock and swept."
    BUILD Gauge "build_info" "1" [open("version", "of the program"), open("redis_scripts", "a hash of all scripts")]
        "Which program this is, and which scripts it runs in Redis."
    READY Gauge "ready" "1 or 0" []
        "1 while /readyz says so."
    BUSY Counter "worker_busy_seconds_total" "seconds" [open("worker", "the number of a worker, from 0")]
        "Time that a worker was not waiting; its rate is the share of a core that it uses."
    FLEET Gauge "fleet_gateways" "gateways" []
        "Live gateways, as this one heard last."
    FLEET_VERSIONS Gauge "fleet_versions" "versions" []
        "Different versions among them."
    CERTIFICATE Gauge "certificate_expiry_timestamp_seconds" "seconds" [LISTENER]
        only "the listener has TLS"
        "When the certificate in use, or the first of its chain, ends."
    TOKEN_KEY Gauge "token_key_expiry_timestamp_seconds" "seconds" []
        only "a key of the JWKS has an exp"
        "When the first key of the JWKS ends."
    FILE_REJECTED Gauge "file_rejected" "1 or 0" [known("file", WatchedFile::NAMES)]
        only "the option names a file that is read again"
        "1 while the present content of the file can't be used, and its former content stays in force."
    CLOCK_OFFSET Gauge "clock_offset_seconds" "seconds" []
        only "the clock of Redis was read"
        "The clock of Redis minus the clock of this host, read once a second."
    CPU Counter "process_cpu_seconds_total" "seconds" []
        "CPU time of the process."
    MEMORY Gauge "process_resident_memory_bytes" "bytes" []
        "Memory that the process has."
    FDS Gauge "process_open_fds" "descriptors" []
        "Open file descriptors."
    FDS_MAX Gauge "process_max_fds" "descriptors" []
        "File descriptors that the process may have open."
    STARTED Gauge "process_start_time_seconds" "seconds" []
        "When the process started."
    LOG_MISSING Counter "log_lines_missing_total" "lines" [known("reason", LOG_MISSING_FOR)]
        "Log lines that were not written: nothing read standard error, or one place in the code had too many."
    THREADS Gauge "process_threads" "threads" []
        "Threads of the process."
}

/// The list as JSON, for what checks dashboards and rules.
#[must_use]
pub fn document() -> serde_json::Value {
    let label = |label: &Label| match label.values {
        Values::Known(values) => json!({"name": label.name, "values": values, "open": null}),
        Values::Open(what) => json!({"name": label.name, "values": null, "open": what}),
    };
    let metric = |metric: &Metric| {
        json!({
            "name": metric.name,
            "type": metric.kind.word(),
            "unit": metric.unit,
            "labels": metric.labels.iter().map(label).collect::<Vec<_>>(),
            "buckets": metric.buckets,
            "only_when": metric.only_when,
            "help": metric.help,
        })
    };
    ALL.iter().map(metric).collect()
}

/// The list for a reader: a line for each metric and one for its help.
#[must_use]
pub fn table() -> String {
    let label = |label: &Label| match label.values {
        Values::Known(values) => format!("{}=\"{}\"", label.name, values.join("|")),
        Values::Open(what) => format!("{}=<{what}>", label.name),
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
            metric.kind.word(),
            metric.unit,
            metric.help
        )
    };
    ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
