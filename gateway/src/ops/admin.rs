//! Handlers of the ops listener: health, metrics, and everything under `/admin/v1/`.

mod refusals;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
pub(super) use refusals::{actor, failed, number_of};
use refusals::{invalid_definition, nothing_here};
use serde::de::DeserializeOwned;

use crate::admit::limits::Limits;
use crate::api::reservations::find_sale;
use crate::api::standby::{no_standby, view as standby_view};
use crate::api::view::{BuyerSignupView, ReservationView};
use crate::domain::decision::Shed;
use crate::domain::definition::{Definition, STOCK_MAX};
use crate::domain::identity::BuyerHash;
use crate::domain::problem;
use crate::http::peer::Peer;
use crate::http::request::{self, BodyLimits, query};
use crate::http::respond::{self, Answer, Refused};
use crate::http::server::Handler;
use crate::identify::ops_tokens::{OpsTokens, Role};
use crate::manage::admin::{
    Admin, ApplyOutcome, BuyerHistory, LATE_DRAW, OperatorAction, Performed, RestockOutcome,
};
use crate::ops::exposition::Exposition;
use crate::ops::feed::Feed;
use crate::ops::health::Health;
use crate::ops::hosts::OpsHosts;
use crate::ops::live::{self, Live};
use crate::ops::paths::{READ, admin_path};
use crate::ops::status::GatewayStatus;
use crate::ops::view::{
    AppliedView, BuyerView, OperatorActionRequest, RestockRequest, RestockView, SaleDetail, SaleState,
    SaleStates, UnreadableSale,
};
use crate::store::scripts::Failure;
use crate::telemetry::labels::OpsRefusal;
use crate::telemetry::record::{AnswerClass, Connections};

/// A definition with 50,000 stores has some MiB.
const DEFINITION_MAX: usize = 32 * 1024 * 1024;
/// The largest number of lines that a client may ask of a live stream: a day.
const FRAMES_MAX: usize = 86_400;
/// How long the journal consumer may take to reach a change before the response is sent.
const SERVED_MAX: Duration = Duration::from_secs(5);
/// Interval of that check.
const SERVED_LOOK: Duration = Duration::from_millis(5);

/// The state that handlers of the ops listener use.
pub struct Ops {
    /// The ops tokens.
    pub tokens: Arc<OpsTokens>,
    /// Admin access to the ledger.
    pub admin: Admin,
    /// The rate limits of this gateway.
    pub rates: Arc<Limits>,
    /// The sales that this process follows, and its counters.
    pub status: GatewayStatus,
    /// The metrics as text for Prometheus.
    pub exposition: Exposition,
    /// Readiness.
    pub health: Rc<Health>,
    /// The live page.
    pub live: Rc<Live>,
    /// Readers of the journal.
    pub feed: Feed,
    /// Host names that this listener accepts.
    pub hosts: OpsHosts,
    /// From the end of a request's headers to the end of its body.
    pub body_timeout: Duration,
}

impl Handler for Ops {
    // A client whose definition is somewhat too large must get the refusal.
    const LINGER_BYTES_MAX: usize = 2 * DEFINITION_MAX;

    async fn answer(&self, peer: &Peer, parts: &Parts, body: Incoming, _: Instant) -> Answer {
        let mut answer = self.dispatch(peer, parts, body).await.unwrap_or_else(Refused::into_answer);
        // Browsers must not guess another content type.
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    fn connections(&self) -> &Connections {
        &self.status.metrics.ops_connections
    }

    // The requests of operators are not part of the public API's metrics: only connections are counted.
    fn answered(&self, _: &Parts, _: &Answer, _: Duration) {}

    fn refused(&self, _: Result<AnswerClass, Shed>) {}
}

/// A call that may change something: its caller and its body.
pub(super) struct OpsCall<'a> {
    pub(super) who: &'a str,
    parts: &'a Parts,
    body: Incoming,
    timeout: Duration,
}

impl OpsCall<'_> {
    fn limits(&self, bytes_max: usize) -> BodyLimits {
        BodyLimits { bytes_max, timeout: self.timeout }
    }

    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, Refused> {
        let limits = self.limits(request::BODY_MAX);
        request::json(self.parts, self.body, limits).await
    }
}

impl Ops {
    /// Counts and logs a call that is refused for its token, which is never shown.
    fn refused_token(&self, peer: &Peer, reason: OpsRefusal, name: Option<&str>) {
        self.status.metrics.ops_refused[reason as usize].add(1);
        let reason = OpsRefusal::NAMES[reason as usize];
        tracing::warn!(address = %peer.address(), reason, name, "an ops token is refused");
    }

    async fn dispatch(&self, peer: &Peer, parts: &Parts, body: Incoming) -> Result<Answer, Refused> {
        request::check_head(parts)?;
        let path = parts.uri.path();
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
        let need = |allowed: &str| match allowed.split(", ").any(|allowed| allowed == method.as_str()) {
            true => Ok(()),
            false => Err(Refused::method_not_allowed(allowed)),
        };
        if matches!(path, "/livez" | "/readyz" | "/metrics") {
            need(READ)?;
            return Ok(match path {
                "/livez" => respond::text("text/plain; charset=utf-8", "alive\n"),
                "/readyz" => self.ready().await,
                _ => respond::text("text/plain; version=0.0.4; charset=utf-8", self.exposition.text()),
            });
        }
        // Health and metrics are for programs, which do not follow rebound names.
        self.hosts.check(parts)?;
        if let Some(answer) = live::page::file(path) {
            need(READ)?;
            return Ok(answer);
        }
        let rest = path.strip_prefix("/admin/v1/").ok_or_else(nothing_here)?;
        // Before any response that reveals what exists.
        let actor = self.tokens.authenticate(parts.headers.get(AUTHORIZATION).map(|v| v.as_bytes()));
        let Some(operator) = actor else {
            self.refused_token(peer, OpsRefusal::Unknown, None);
            return Err(Refused::unknown_ops_token());
        };
        let steps: Vec<&str> = rest.split('/').collect();
        let known = admin_path(&steps);
        // Unknown paths need the role with all rights, and so do writes, but for a reader's own lease.
        let is_lease = matches!(steps[..], [_, _, "journal", "lease"]);
        let known_role = known.filter(|_| method == Method::GET || is_lease);
        let needed = known_role.map_or(Role::Operate, |(_, role)| role);
        if !operator.may(needed) {
            self.refused_token(peer, OpsRefusal::Role, Some(&operator.name));
            return Err(Refused::forbidden_role(needed.name()));
        }
        // Of the calls on sales only the journal has parameters.
        if steps[0] == "sales" && !matches!(steps[..], [_, _, "journal"]) {
            let [] = query(parts, [])?;
        }
        need(known.ok_or_else(nothing_here)?.0)?;
        let call = OpsCall { who: &operator.name, parts, body, timeout: self.body_timeout };
        match steps[..] {
            ["limits"] if method == Method::PATCH => self.set_limits(call).await,
            ["limits"] => {
                let [] = query(parts, [])?;
                self.show_limits().await
            }
            ["limits", "log"] => {
                let [limit] = query(parts, ["limit"])?;
                self.limits_log(limit).await
            }
            ["fleet"] => {
                let [] = query(parts, [])?;
                self.fleet().await
            }
            ["live"] => {
                let [sale, frames] = query(parts, ["sale", "frames"])?;
                let frames = number_of("frames", frames, FRAMES_MAX)?;
                let ended = self.tokens.clone().changed(operator.clone());
                self.live.watch(&operator, sale.as_deref(), frames, ended)
            }
            ["sales"] => self.list().await,
            ["sales", sale] if method == Method::PUT => self.apply(sale, call).await,
            ["sales", sale] => {
                let sale = self.admin.show(sale).await.map_err(failed(sale))?;
                Ok(respond::ok(&SaleDetail::new(sale)))
            }
            ["sales", sale, "audit"] => Ok(respond::ok(&self.admin.audit(sale).await.map_err(failed(sale))?)),
            ["sales", sale, "journal"] => self.journal(sale, parts, &operator).await,
            ["sales", sale, "journal", "lease"] => self.lease(sale, call).await,
            ["sales", sale, "buyers", sub] => {
                let sub = percent_decode_str(sub).decode_utf8().map_err(|_| nothing_here())?;
                self.buyer(sale, &sub).await
            }
            ["sales", sale, "restock"] => self.restock(sale, call).await,
            ["sales", sale, word] => {
                let action = OperatorAction::parse(word).ok_or_else(nothing_here)?;
                self.perform(sale, action, call).await
            }
            _ => Err(nothing_here()),
        }
    }

    async fn ready(&self) -> Answer {
        let reasons = self.health.reasons().await;
        if !reasons.is_empty() {
            return respond::not_ready(&reasons.join("; "));
        }
        // A gateway is ready although the ledger does not serve one of its sales: the others go on.
        let mut sales = self.status.sales.all();
        sales.sort_by(|a, b| a.id.cmp(&b.id));
        let mut text = "ready\n".to_owned();
        for sale in sales {
            text += &format!("{}: {}\n", sale.id, sale.condition().name());
        }
        respond::text("text/plain; charset=utf-8", text)
    }

    async fn list(&self) -> Result<Answer, Refused> {
        let ids = self.admin.list().await.map_err(failed(""))?;
        let (mut sales, mut unreadable) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match self.admin.show(&id).await {
                Ok(sale) => sales.push(SaleState::new(&sale)),
                // A damaged sale must not hide the others.
                Err(Failure::Refused(refusal)) => {
                    unreadable.push(UnreadableSale { sale: id, problem: refusal.to_string() });
                }
                Err(failure) => return Err(failed(&id)(failure)),
            }
        }
        Ok(respond::ok(&SaleStates { sales, unreadable }))
    }

    async fn apply(&self, sale: &str, call: OpsCall<'_>) -> Result<Answer, Refused> {
        let (by, limits) = (actor(call.who, None)?, call.limits(DEFINITION_MAX));
        let bytes = request::json_bytes(call.parts, call.body, limits).await?;
        let definition = Definition::from_json(&bytes).map_err(|mistakes| invalid_definition(&mistakes))?;
        let id = &definition.sale.id;
        if id != sale {
            let detail = format!("The path names the sale {sale:?}, the definition {id:?}.");
            return Err(Refused::invalid("/sale/id", detail));
        }
        let (outcome, revision) = match self.admin.apply(&definition, &by).await.map_err(failed(sale))? {
            ApplyOutcome::Created => ("created", 1),
            ApplyOutcome::Updated(revision) => ("updated", revision),
            ApplyOutcome::Unchanged(revision) => ("unchanged", revision),
            ApplyOutcome::Locked(fields) => {
                let detail = format!("These can't change any more: {}.", fields.join(", "));
                return Err(Refused::new(problem::DEFINITION_LOCKED, detail).with("fields", fields));
            }
            ApplyOutcome::Late => {
                return Err(Refused::new(problem::DEFINITION_LOCKED, LATE_DRAW).with("fields", ["draw"]));
            }
            ApplyOutcome::ItemTaken(items) => {
                let list = items.join(", ");
                let detail = format!("These were taken by buyers and can't be removed: {list}.");
                return Err(Refused::new(problem::DEFINITION_LOCKED, detail).with("items", items));
            }
            ApplyOutcome::StockTaken(taken) => {
                let list: Vec<String> =
                    taken.iter().map(|(item, taken)| format!("{item} ({taken})")).collect();
                let detail = format!("More than the new total is taken of: {}.", list.join(", "));
                let items: Vec<String> = taken.into_iter().map(|(item, _)| item).collect();
                return Err(Refused::new(problem::STOCK_TAKEN, detail).with("items", items));
            }
        };
        tracing::info!(sale, actor = by.who, outcome, revision, "definition applied");
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
        call: OpsCall<'_>,
    ) -> Result<Answer, Refused> {
        let (who, limits) = (call.who, call.limits(request::BODY_MAX));
        let body: OperatorActionRequest = request::optional_json(call.parts, call.body, limits).await?;
        let by = actor(who, body.reason)?;
        let done = self.admin.perform(sale, action, &by).await.map_err(failed(sale))?;
        if done == Performed::NoStandby {
            return Err(no_standby());
        }
        tracing::info!(sale, actor = who, action = action.name(), ?done, "operator action done");
        // It is in force even if this gateway does not show it yet.
        self.is_served(sale).await?;
        let sale = self.admin.show(sale).await.map_err(failed(sale))?;
        Ok(respond::ok(&SaleState::new(&sale)))
    }

    async fn restock(&self, sale: &str, call: OpsCall<'_>) -> Result<Answer, Refused> {
        let who = call.who;
        let body: RestockRequest = call.json().await?;
        for (pointer, total) in [("/total", body.total), ("/was", body.was)] {
            if total > STOCK_MAX {
                let detail = format!("A total must be a number from 0 to {STOCK_MAX}.");
                return Err(Refused::invalid(pointer, detail));
            }
        }
        let by = actor(who, body.reason)?;
        let item = body.item;
        let done = self.admin.restock(sale, &item, body.total, body.was, &by).await;
        match done.map_err(failed(sale))? {
            RestockOutcome::Done { total, free } => {
                tracing::info!(sale, actor = who, item, total, "restocked");
                self.is_served(sale).await?;
                Ok(respond::ok(&RestockView { item, total, free }))
            }
            RestockOutcome::UnknownItem => {
                let detail = format!("The sale has no item {item:?}.");
                Err(Refused::new(problem::UNKNOWN_ITEM, detail).with("items", [item]))
            }
            RestockOutcome::NoLimit => {
                let detail = format!("{item} has no limit; give it a stock in the definition first.");
                Err(Refused::new(problem::STOCK_CHANGED, detail))
            }
            RestockOutcome::Changed { total } => {
                let (was, new) = (body.was, body.total);
                let detail = format!("The total of {item} is {total}, neither {was} nor {new}.");
                Err(Refused::new(problem::STOCK_CHANGED, detail).with("total", total))
            }
            RestockOutcome::Taken { taken } => {
                let detail = format!("{taken} of {item} are taken, more than {}.", body.total);
                Err(Refused::new(problem::STOCK_TAKEN, detail).with("items", [item]).with("taken", taken))
            }
        }
    }

    /// Waits until this gateway shows a sale as the ledger has it now, so that later reads include the
    /// change. `false`: it took too long.
    async fn is_served(&self, sale: &str) -> Result<bool, Refused> {
        // The change is made: an error must not say that it is not.
        let (incarnation, sequence) = self.admin.look(sale).await.map_err(|_| Refused::unknown())?;
        let is_shown = || {
            let shown = self.status.sales.get(sale).filter(|shown| shown.incarnation() == incarnation);
            shown.is_some_and(|shown| shown.read_model().sequence >= sequence)
        };
        let wait = async {
            while !is_shown() {
                tokio::time::sleep(SERVED_LOOK).await;
            }
        };
        Ok(tokio::time::timeout(SERVED_MAX, wait).await.is_ok())
    }

    async fn buyer(&self, sale: &str, sub: &str) -> Result<Answer, Refused> {
        let followed = find_sale(&self.status.sales, sale)?;
        let BuyerHistory { incarnation, reservations: list, header, sign_up, lines: journal } =
            self.admin.buyer(sale, sub).await.map_err(failed(sale))?;
        if followed.incarnation() != incarnation {
            // The prices would be those of another sale.
            return Err(Refused::not_taken(Shed::Unread));
        }
        let read_model = followed.read_model();
        let closes_at = read_model.catalogue.definition.signup.as_ref().map(|terms| terms.closes_at);
        let reservations =
            list.iter().map(|r| ReservationView::new(&followed, &read_model, r, &header)).collect();
        Ok(respond::ok(&BuyerView {
            sale: sale.to_owned(),
            buyer: sub.to_owned(),
            sequence: header.sequence,
            reservations,
            standby: followed.place(&BuyerHash::new(sale, sub)).map(|place| standby_view(&followed, place)),
            signup: sign_up.as_ref().zip(closes_at).map(|(sign_up, at)| {
                // The reservation is above.
                BuyerSignupView::new(sign_up, at, followed.drawn_place(sub), None)
            }),
            journal,
        }))
    }
}
