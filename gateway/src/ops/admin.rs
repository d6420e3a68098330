//! Handlers of the ops listener: health, metrics, and everything under `/admin/v1/`.

mod refusals;
mod served;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
pub(super) use refusals::{check_reason, failed, number_of};
use refusals::{frames_of, invalid_definition, nothing_here};

use crate::admit::limits::Limits;
use crate::api::reservations::{find_sale, sale_not_found};
use crate::api::view::ReservationView;
use crate::domain::decision::Shed;
use crate::domain::definition::{Definition, STOCK_MAX};
use crate::domain::problem;
use crate::http::peer::Peer;
use crate::http::request::{self, BodyLimits, query};
use crate::http::respond::{self, Answer, Refused};
use crate::http::server::Handler;
use crate::identify::ops_tokens::OpsTokens;
use crate::manage::admin::{Actor, Admin, ApplyOutcome, BuyerHistory, OperatorAction, RestockOutcome};
use crate::manage::audit;
use crate::ops::exposition::Exposition;
use crate::ops::health::Health;
use crate::ops::hosts::OpsHosts;
use crate::ops::live::{self, Live};
use crate::ops::roles::needed_role;
use crate::ops::view::{
    AppliedView, BuyerView, OperatorActionRequest, RestockRequest, RestockView, SaleDetail, SaleState,
    SaleStates, UnreadableSale,
};
use crate::projection::read_model::Sales;
use crate::store::journal::Cursor;
use crate::store::scripts::Failure;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::{AnswerClass, Connections};

/// A definition with 50,000 stores has some MiB.
const DEFINITION_MAX: usize = 16 * 1024 * 1024;
/// Journal entries in one response.
const LINES_MAX: usize = 10_000;
/// The state that handlers of the ops listener use.
pub struct Ops {
    /// The ops tokens.
    pub tokens: Arc<OpsTokens>,
    /// Admin access to the ledger.
    pub admin: Admin,
    /// The sales that this process follows.
    pub sales: Arc<Sales>,
    /// The rate limits of this gateway.
    pub rates: Arc<Limits>,
    /// Metrics of this gateway.
    pub metrics: Arc<Metrics>,
    /// Their text for Prometheus.
    pub exposition: Exposition,
    /// Readiness.
    pub health: Rc<Health>,
    /// The live page.
    pub live: Rc<Live>,
    /// Host names that this listener accepts.
    pub hosts: OpsHosts,
    /// From the end of a request's headers to the end of its body.
    pub body_timeout: Duration,
}

impl Handler for Ops {
    // A client whose definition is somewhat too large must get the refusal.
    const LINGER_BYTES_MAX: usize = 2 * DEFINITION_MAX;

    async fn answer(&self, _: &Peer, parts: &Parts, body: Incoming, _: Instant) -> Answer {
        let mut answer = self.dispatch(parts, body).await.unwrap_or_else(Refused::into_answer);
        // Browsers must not guess another content type.
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    fn connections(&self) -> &Connections {
        &self.metrics.ops_connections
    }

    // The requests of operators are not part of the public API's metrics: only connections are counted.
    fn answered(&self, _: &Parts, _: &Answer, _: Duration) {}

    fn refused(&self, _: Result<AnswerClass, Shed>) {}
}

impl Ops {
    async fn dispatch(&self, parts: &Parts, body: Incoming) -> Result<Answer, Refused> {
        request::check_head(parts)?;
        let path = parts.uri.path();
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
        let need = |allowed: &[Method], text: &str| {
            if allowed.contains(&method) { Ok(()) } else { Err(Refused::method_not_allowed(text)) }
        };
        match path {
            "/livez" | "/readyz" | "/metrics" => {
                need(&[Method::GET], "GET, HEAD")?;
                return Ok(match path {
                    "/livez" => respond::text("text/plain; charset=utf-8", "alive\n"),
                    "/readyz" => self.ready().await,
                    _ => respond::text("text/plain; version=0.0.4; charset=utf-8", self.exposition.text()),
                });
            }
            _ => {}
        }
        // Health and metrics are for programs, which do not follow rebound names.
        self.hosts.check(parts)?;
        if let Some(answer) = live::page::file(path) {
            need(&[Method::GET], "GET, HEAD")?;
            return Ok(answer);
        }
        let rest = path.strip_prefix("/admin/v1/").ok_or_else(nothing_here)?;
        // Before any response that reveals what exists.
        let actor = self.tokens.authenticate(parts.headers.get(AUTHORIZATION).map(|v| v.as_bytes()));
        let operator = actor.ok_or_else(Refused::unknown_ops_token)?;
        let steps: Vec<&str> = rest.split('/').collect();
        let needed = needed_role(&method, &steps);
        if !operator.may(needed) {
            return Err(Refused::forbidden_role(needed.name()));
        }
        let actor = &operator.name;
        match steps[..] {
            ["limits"] => {
                need(&[Method::GET, Method::PATCH], "GET, HEAD, PATCH")?;
                return match method {
                    Method::PATCH => self.set_limits(actor, parts, body).await,
                    _ => {
                        let [] = query(parts, [])?;
                        self.show_limits().await
                    }
                };
            }
            ["limits", "log"] => {
                need(&[Method::GET], "GET, HEAD")?;
                let [limit] = query(parts, ["limit"])?;
                return self.limits_log(limit.as_deref()).await;
            }
            ["fleet"] => {
                need(&[Method::GET], "GET, HEAD")?;
                let [] = query(parts, [])?;
                return self.fleet().await;
            }
            ["live"] => {
                need(&[Method::GET], "GET, HEAD")?;
                let [sale, frames] = query(parts, ["sale", "frames"])?;
                let ended = self.tokens.clone().ended(operator.clone(), needed);
                return self.live.watch(actor, sale.as_deref(), frames_of(frames.as_deref())?, ended);
            }
            ["sales", _, "journal"] => {}
            ["sales", ..] => {
                let [] = query(parts, [])?;
            }
            _ => return Err(nothing_here()),
        }
        match steps[1..] {
            [] => {
                need(&[Method::GET], "GET, HEAD")?;
                self.list().await
            }
            [sale] => {
                need(&[Method::GET, Method::PUT], "GET, HEAD, PUT")?;
                if method == Method::PUT {
                    return self.apply(sale, actor, parts, body).await;
                }
                let (snapshot, definition) = self.admin.show(sale).await.map_err(|f| failed(sale, &f))?;
                Ok(respond::ok(&SaleDetail::new(&snapshot, definition)))
            }
            [sale, "audit"] => {
                need(&[Method::GET], "GET, HEAD")?;
                self.audit(sale).await
            }
            [sale, "journal"] => {
                need(&[Method::GET], "GET, HEAD")?;
                let [from, limit] = query(parts, ["from", "limit"])?;
                self.journal(sale, from.as_deref(), limit.as_deref()).await
            }
            [sale, "buyers", sub] => {
                need(&[Method::GET], "GET, HEAD")?;
                let sub = percent_decode_str(sub).decode_utf8().map_err(|_| nothing_here())?;
                self.buyer(sale, &sub).await
            }
            [sale, "restock"] => {
                need(&[Method::POST], "POST")?;
                self.restock(sale, actor, parts, body).await
            }
            [sale, word] => {
                let action = OperatorAction::parse(word).ok_or_else(nothing_here)?;
                need(&[Method::POST], "POST")?;
                self.perform(sale, action, actor, parts, body).await
            }
            _ => Err(nothing_here()),
        }
    }

    async fn ready(&self) -> Answer {
        let reasons = self.health.reasons().await;
        if reasons.is_empty() {
            respond::text("text/plain; charset=utf-8", "ready\n")
        } else {
            respond::not_ready(&reasons.join("; "))
        }
    }

    pub(super) fn limits(&self, bytes_max: usize) -> BodyLimits {
        BodyLimits { bytes_max, timeout: self.body_timeout }
    }

    async fn list(&self) -> Result<Answer, Refused> {
        let ids = self.admin.list().await.map_err(|f| failed("", &f))?;
        let (mut sales, mut unreadable) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match self.admin.show(&id).await {
                Ok((snapshot, definition)) => sales.push(SaleState::new(&snapshot, &definition)),
                // A damaged sale must not hide the others.
                Err(Failure::Refused(refusal)) => {
                    unreadable.push(UnreadableSale { sale: id, problem: refusal.to_string() });
                }
                Err(failure) => return Err(failed(&id, &failure)),
            }
        }
        Ok(respond::ok(&SaleStates { sales, unreadable }))
    }

    async fn apply(&self, sale: &str, actor: &str, parts: &Parts, body: Incoming) -> Result<Answer, Refused> {
        let bytes = request::json_bytes(parts, body, self.limits(DEFINITION_MAX)).await?;
        let definition = Definition::from_json(&bytes).map_err(|mistakes| invalid_definition(&mistakes))?;
        if definition.sale.id != sale {
            let detail =
                format!("The path names the sale {sale:?}, the definition {:?}.", definition.sale.id);
            return Err(Refused::invalid("/sale/id", detail));
        }
        let by = Actor { who: actor.to_owned(), reason: None };
        let applied = self.admin.apply(&definition, &by).await.map_err(|f| failed(sale, &f))?;
        let (outcome, revision) = match applied {
            ApplyOutcome::Created => ("created", 1),
            ApplyOutcome::Updated(revision) => ("updated", revision),
            ApplyOutcome::Unchanged(revision) => ("unchanged", revision),
            ApplyOutcome::Locked(fields) => {
                let detail = format!("These can't change any more: {}.", fields.join(", "));
                return Err(Refused::new(problem::DEFINITION_LOCKED, detail).with("fields", fields));
            }
            ApplyOutcome::ItemTaken(items) => {
                let detail =
                    format!("These were taken by buyers and can't be removed: {}.", items.join(", "));
                return Err(Refused::new(problem::DEFINITION_LOCKED, detail).with("items", items));
            }
            ApplyOutcome::StockTaken(items) => {
                let class: Vec<String> =
                    items.iter().map(|(item, taken)| format!("{item} ({taken})")).collect();
                let detail = format!("More than the new total is taken of: {}.", class.join(", "));
                let items: Vec<String> = items.into_iter().map(|(item, _)| item).collect();
                return Err(Refused::new(problem::STOCK_TAKEN, detail).with("items", items));
            }
        };
        tracing::info!(sale, actor, outcome, revision, "definition applied");
        if !self.is_served(sale).await? {
            let detail = "The definition is in the ledger, but this gateway does not serve it yet: its journal consumer is behind, \
                see /readyz and the log. Send it again: that changes nothing, and succeeds once the sale is served.";
            return Err(Refused::new(problem::OUTCOME_UNKNOWN, detail).retry_after(1_000));
        }
        Ok(respond::ok(&AppliedView { sale: sale.to_owned(), revision, outcome }))
    }

    async fn perform(
        &self,
        sale: &str,
        action: OperatorAction,
        actor: &str,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Answer, Refused> {
        let body: OperatorActionRequest =
            request::optional_json(parts, body, self.limits(request::BODY_MAX)).await?;
        let by = Actor { who: actor.to_owned(), reason: check_reason(body.reason)? };
        let changed = self.admin.perform(sale, action, &by).await.map_err(|f| failed(sale, &f))?;
        tracing::info!(sale, actor, action = action.name(), changed, "operator action done");
        // It is in force even if this gateway does not show it yet.
        self.is_served(sale).await?;
        let (snapshot, definition) = self.admin.show(sale).await.map_err(|f| failed(sale, &f))?;
        Ok(respond::ok(&SaleState::new(&snapshot, &definition)))
    }

    async fn restock(
        &self,
        sale: &str,
        actor: &str,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Answer, Refused> {
        let body: RestockRequest = request::json(parts, body, self.limits(request::BODY_MAX)).await?;
        for (pointer, total) in [("/total", body.total), ("/was", body.was)] {
            if total > STOCK_MAX {
                let detail = format!("A total must be a number from 0 to {STOCK_MAX}.");
                return Err(Refused::invalid(pointer, detail));
            }
        }
        let by = Actor { who: actor.to_owned(), reason: check_reason(body.reason)? };
        let item = body.item;
        let done =
            self.admin.restock(sale, &item, body.total, body.was, &by).await.map_err(|f| failed(sale, &f))?;
        match done {
            RestockOutcome::Done { total, free } => {
                tracing::info!(sale, actor, item, total, "restocked");
                self.is_served(sale).await?;
                Ok(respond::ok(&RestockView { item, total, free }))
            }
            RestockOutcome::UnknownItem => {
                Err(Refused::new(problem::UNKNOWN_ITEM, format!("The sale has no item {item:?}."))
                    .with("items", [item]))
            }
            RestockOutcome::NoLimit => Err(Refused::new(
                problem::STOCK_CHANGED,
                format!("{item} has no limit; give it a stock in the definition first."),
            )),
            RestockOutcome::Changed { total } => {
                let detail =
                    format!("The total of {item} is {total}, neither {} nor {}.", body.was, body.total);
                Err(Refused::new(problem::STOCK_CHANGED, detail).with("total", total))
            }
            RestockOutcome::Taken { taken } => {
                let detail = format!("{taken} of {item} are taken, more than {}.", body.total);
                Err(Refused::new(problem::STOCK_TAKEN, detail).with("items", [item]).with("taken", taken))
            }
        }
    }

    async fn audit(&self, sale: &str) -> Result<Answer, Refused> {
        let report = audit::audit(self.admin.pool(), self.admin.scripts(), sale)
            .await
            .map_err(|f| failed(sale, &f))?;
        Ok(respond::ok(&report))
    }

    async fn journal(&self, sale: &str, from: Option<&str>, limit: Option<&str>) -> Result<Answer, Refused> {
        let wrong = |detail: String| Refused::new(problem::INVALID_REQUEST, detail);
        let cursor = from.map(Cursor::parse).transpose().map_err(wrong)?.unwrap_or(Cursor::START);
        let limit = number_of(limit, LINES_MAX)?;
        if !self.admin.exists(sale).await.map_err(|f| failed(sale, &f))? {
            return Err(sale_not_found(sale));
        }
        // An entry has at least one line and, with the largest batches, some hundred.
        let lines = self.admin.journal(sale, cursor, limit.min(100)).await.map_err(|f| failed(sale, &f))?;
        let text: String = lines.iter().take(limit).map(|(_, line)| format!("{line}\n")).collect();
        Ok(respond::text("application/x-ndjson", text))
    }

    async fn buyer(&self, sale: &str, sub: &str) -> Result<Answer, Refused> {
        let followed = find_sale(&self.sales, sale)?;
        let BuyerHistory { incarnation, reservations: list, header, lines: journal } =
            self.admin.buyer(sale, sub).await.map_err(|f| failed(sale, &f))?;
        if followed.incarnation() != incarnation {
            // The prices would be those of another sale.
            return Err(Refused::not_taken(Shed::Unread));
        }
        let read_model = followed.read_model();
        let reservations =
            list.iter().map(|r| ReservationView::new(&followed, &read_model, r, &header)).collect();
        Ok(respond::ok(&BuyerView {
            sale: sale.to_owned(),
            buyer: sub.to_owned(),
            sequence: header.sequence,
            reservations,
            journal,
        }))
    }
}
