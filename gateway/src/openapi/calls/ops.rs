//! The calls of the ops listener: the source of its OpenAPI document.

use hyper::Method;
use serde_json::json;
use utoipa::openapi::Required;

use crate::domain::operator_action::{LIMITS_EFFECT, OperatorAction, RESTOCK_EFFECT};
use crate::domain::problem;
use crate::manage::audit::AuditReport;
use crate::openapi::call::{Auth, Call, Content, call};
use crate::openapi::examples;
use crate::ops::feed::{LeaseRequest, LeaseView};
use crate::ops::live::frame::LiveLine;
use crate::ops::rate_limits::{FleetView, LimitsLogView, LimitsRequest, LimitsView};
use crate::ops::view::{
    AppliedView, BuyerView, OperatorActionRequest, RestockRequest, RestockView, SaleDetail, SaleState,
    SaleStates,
};

/// The groups of calls on the ops listener.
pub(crate) const OPS_TAGS: &[(&str, &str)] = &[
    ("health", "Probes and metrics: no token needed."),
    ("definitions", "Sales as operators see them: definition, totals, live numbers."),
    ("actions", "Operator actions: each has an optional reason, and an entry in the journal."),
    ("support", "What the support desk, audits and other systems read."),
    ("fleet", "The live gateways and their rate limits."),
];

pub(crate) fn ops_calls() -> Vec<Call> {
    let open = |id, path, texts| call(id, Method::GET, path, texts, Auth::Anyone);
    let admin = |id, method, path, texts| {
        call(id, method, path, texts, Auth::OpsToken).or(&[problem::MISDIRECTED_REQUEST])
    };
    let mut calls = vec![
        open(("health", "showLivePage"), "/", ("The live page", "For a browser; the page asks for an ops token."))
            .text("text/html", "The page.", "<!doctype html>")
            .or(&[problem::MISDIRECTED_REQUEST]),
        open(("health", "checkLive"), "/livez", ("Liveness", "Whether to restart the process."))
            .text("text/plain", "The process is alive.", "ok\n"),
        open(("health", "checkReady"), "/readyz", ("Readiness for traffic", "Whether a balancer may send taps here."))
            .text("text/plain", "Ready.", "ready\n")
            .good(
                503,
                "Not ready; the body has the reasons.",
                Content::Text("text/plain", json!({"type": "string"}), "not ready: Redis does not answer\n".into()),
            ),
        open(
            ("health", "getMetrics"),
            "/metrics",
            ("For Prometheus", "In Prometheus's text format, 0.0.4; `gateway metrics` lists every metric."),
        )
        .text("text/plain", "The metrics of this gateway.", "launchgate_ready 1\n"),
        admin(
            ("fleet", "getLimits"),
            Method::GET,
            "/admin/v1/limits",
            ("The rate limits", "Configured, set by operators, and in force at this gateway."),
        )
        .json::<LimitsView>("At this gateway.", examples::limits()),
        admin(
            ("fleet", "setLimits"),
            Method::PATCH,
            "/admin/v1/limits",
            ("Set rate limits of all gateways, without a restart", LIMITS_EFFECT),
        )
        .body::<LimitsRequest>(Required::True, examples::limits_request())
        .json::<LimitsView>(
            "In force here at once, at the other gateways within a second or so.",
            examples::limits(),
        )
        .or(&[problem::OUTCOME_UNKNOWN]),
        admin(
            ("fleet", "getLimitsLog"),
            Method::GET,
            "/admin/v1/limits/log",
            ("The log of rate limit changes", "Who set which rates, when and why; the latest 1,000 changes are kept."),
        )
        .query(&[("limit", "The number of latest entries, 1 to 1,000.")])
        .json::<LimitsLogView>("Oldest first.", examples::limits_log()),
        admin(
            ("fleet", "getFleet"),
            Method::GET,
            "/admin/v1/fleet",
            ("The live gateways", "Each with its work in its last second."),
        )
        .json::<FleetView>("Gateways with a heartbeat in the last 5 s.", examples::fleet()),
        admin(
            ("support", "watchLive"),
            Method::GET,
            "/admin/v1/live",
            ("The stream of the live page", "A line a second: `hello`, `history`, `sale`, then `now` every second."),
        )
        .query(&[
            ("sale", "The sale; left out: the one that is open or opens next."),
            ("frames", "The number of `now` lines after which the stream ends, 1 to 86,400; left out: no end."),
        ])
        .lines::<LiveLine<'_>>(
            "JSON objects, a line each.",
            "{\"kind\":\"hello\",\"who\":\"alice\",\"role\":\"operate\",\"version\":\"0.1.0\",\"edition\":\"5f2c81f0\",\"charts\":true,\"every_ms\":1000,\"server_time\":\"2026-11-09T12:00:00.050Z\"}\n",
        )
        .or(&[problem::SALE_NOT_FOUND]),
        admin(
            ("definitions", "listSalesAsOperator"),
            Method::GET,
            "/admin/v1/sales",
            ("All sales, live", "By id; unreadable sales in a list of their own."),
        )
        .json::<SaleStates>("The sales.", examples::sale_states()),
        admin(
            ("definitions", "getSaleAsOperator"),
            Method::GET,
            "/admin/v1/sales/{sale}",
            ("A sale: definition and live numbers", "All numbers at one sequence."),
        )
        .json::<SaleDetail>("The sale.", examples::sale_detail()),
        admin(
            ("definitions", "applyDefinition"),
            Method::PUT,
            "/admin/v1/sales/{sale}",
            (
                "Apply a definition",
                "Creates or changes the sale; harmless when repeated. A total changes by what changed in the definition since it was last applied.",
            ),
        )
        .named_body("Definition", Required::True, examples::definition())
        .json::<AppliedView>(
            "The outcome; this gateway serves the sale in that revision.",
            examples::applied(),
        )
        .or(&[problem::DEFINITION_LOCKED, problem::STOCK_TAKEN, problem::OUTCOME_UNKNOWN]),
        admin(
            ("actions", "restock"),
            Method::POST,
            "/admin/v1/sales/{sale}/restock",
            ("Set the total of an item", RESTOCK_EFFECT),
        )
        .body::<RestockRequest>(Required::True, examples::restock_request())
        .json::<RestockView>("Also when the total already has this value.", examples::restocked())
        .or(&[
            problem::STOCK_CHANGED,
            problem::STOCK_TAKEN,
            problem::UNKNOWN_ITEM,
            problem::OUTCOME_UNKNOWN,
        ]),
        admin(
            ("support", "getBuyer"),
            Method::GET,
            "/admin/v1/sales/{sale}/buyers/{sub}",
            ("A buyer, for the support desk", "Reservations and journal entries, read in one step."),
        )
        .json::<BuyerView<'_>>("What the ledger has of this buyer.", examples::buyer()),
        admin(
            ("support", "auditSale"),
            Method::GET,
            "/admin/v1/sales/{sale}/audit",
            ("Audit that every item balances", "Exact, also of a live sale: what changes meanwhile is judged by the journal."),
        )
        .json::<AuditReport>("The report; the verdict is `balanced` or `drift`.", examples::audit()),
        admin(
            ("support", "readJournal"),
            Method::GET,
            "/admin/v1/sales/{sale}/journal",
            ("Every change, in order", "One JSON object a line, as `gateway journal` prints it."),
        )
        .query(&[
            ("from", "The `cursor` of the last line that the reader has; `0-0` or left out: the start."),
            ("limit", "Lines, 1 to 10,000. There may be fewer; continue from the last `cursor` until there are none."),
            ("wait", "How long to wait for a change if there is none, at most `60s`."),
        ])
        .text(
            "application/x-ndjson",
            "The lines.",
            examples::journal().to_string() + "\n",
        )
        .header("Launchgate-Sequence", "integer", "The sequence of the ledger's latest change.", 4_711)
        .or(&[problem::JOURNAL_FORKED]),
        admin(
            ("support", "leaseReader"),
            Method::POST,
            "/admin/v1/sales/{sale}/journal/lease",
            (
                "Take, renew or release a reader's lease",
                "One program at a time has the lease of a reader's name. Its `fence` is larger than that of every earlier holder.",
            ),
        )
        .body::<LeaseRequest>(Required::True, examples::lease_request())
        .json::<LeaseView>("The caller has the lease, or has released it.", examples::lease())
        .or(&[problem::LEASE_HELD, problem::OUTCOME_UNKNOWN]),
    ];
    for (action, id, path, summary) in [
        (OperatorAction::Pause, "pause", "/admin/v1/sales/{sale}/pause", "Stop new reservations"),
        (OperatorAction::Resume, "resume", "/admin/v1/sales/{sale}/resume", "Accept new reservations again"),
        (
            OperatorAction::Freeze,
            "freeze",
            "/admin/v1/sales/{sale}/freeze",
            "Stop the sale clock: no hold expires",
        ),
        (OperatorAction::Unfreeze, "unfreeze", "/admin/v1/sales/{sale}/unfreeze", "Resume the sale clock"),
        (OperatorAction::Close, "close", "/admin/v1/sales/{sale}/close", "Stop new reservations for good"),
        (
            OperatorAction::SuspendStandby,
            "suspendStandby",
            "/admin/v1/sales/{sale}/standby-suspend",
            "Stop grants to the standby queues",
        ),
        (
            OperatorAction::ResumeStandby,
            "resumeStandby",
            "/admin/v1/sales/{sale}/standby-resume",
            "Resume grants to the standby queues",
        ),
    ] {
        calls.push(
            admin(("actions", id), Method::POST, path, (summary, action.effect()))
                .body::<OperatorActionRequest>(Required::False, examples::action_request())
                .json::<SaleState>("The new state; repeating is harmless.", examples::sale_state(id))
                .or(&[problem::OUTCOME_UNKNOWN]),
        );
    }
    calls
}
