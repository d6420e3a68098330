//! Routes of the public API, and the order of the first checks of a request.

use std::cell::Cell;
use std::sync::Once;
use std::time::Instant;

use futures_util::FutureExt;
use hyper::Method;
use hyper::body::Incoming;
use hyper::http::request::Parts;

use crate::api::reservations::Caller;
use crate::api::sales::StoresWanted;
use crate::api::worker::Worker;
use crate::api::{reservations, sales};
use crate::domain::problem;
use crate::http::peer::Peer;
use crate::http::request;
use crate::http::request::query;
use crate::http::respond::{self, Answer, Refused};
use crate::telemetry::labels::{Route, Stage};

/// The resource that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path<'a> {
    Time,
    Problem(&'a str),
    Sale(&'a str),
    Stores(&'a str),
    Reservations(&'a str),
    Reservation(&'a str, &'a str),
    Confirm(&'a str, &'a str),
    Cancel(&'a str, &'a str),
}

fn path(text: &str) -> Option<Path<'_>> {
    let mut rest = Some(text.strip_prefix('/')?);
    // Byte by byte: paths are short, and setting up the fast search of `split` costs more than it saves.
    let mut parts = std::iter::from_fn(|| {
        let text = rest?;
        let slash = text.bytes().position(|b| b == b'/');
        rest = slash.map(|at| &text[at + 1..]);
        Some(&text[..slash.unwrap_or(text.len())])
    });
    let found = match (parts.next()?, parts.next()?) {
        ("problems", name) => Path::Problem(name),
        ("v1", "time") => Path::Time,
        ("v1", "sales") => {
            let sale = parts.next()?;
            match (parts.next(), parts.next(), parts.next()) {
                (None, ..) => Path::Sale(sale),
                (Some("stores"), None, _) => Path::Stores(sale),
                (Some("reservations"), None, _) => Path::Reservations(sale),
                (Some("reservations"), Some(id), None) => Path::Reservation(sale, id),
                (Some("reservations"), Some(id), Some("confirm")) => Path::Confirm(sale, id),
                (Some("reservations"), Some(id), Some("cancel")) => Path::Cancel(sale, id),
                _ => return None,
            }
        }
        _ => return None,
    };
    parts.next().is_none().then_some(found)
}

impl Path<'_> {
    fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Time | Self::Problem(_) | Self::Sale(_) | Self::Stores(_) => &["GET", "HEAD"],
            Self::Reservations(_) => &["GET", "HEAD", "POST"],
            Self::Reservation(..) => &["GET", "HEAD", "PATCH"],
            Self::Confirm(..) | Self::Cancel(..) => &["POST"],
        }
    }

    fn route(self, method: &Method) -> Route {
        match self {
            Self::Time => Route::Time,
            Self::Problem(_) => Route::Problem,
            Self::Sale(_) => Route::Sale,
            Self::Stores(_) => Route::Stores,
            Self::Reservations(_) if method == Method::POST => Route::Reserve,
            Self::Reservations(_) => Route::Reservations,
            Self::Reservation(..) if method == Method::PATCH => Route::Amend,
            Self::Reservation(..) => Route::Reservation,
            Self::Confirm(..) => Route::Confirm,
            Self::Cancel(..) => Route::Cancel,
        }
    }
}

/// The route that a request is counted under.
#[must_use]
pub fn route(parts: &Parts) -> Route {
    path(parts.uri.path()).map_or(Route::None, |path| path.route(&parts.method))
}

/// Answers one request on the public listener; `arrived` is when its head arrived.
pub async fn answer(worker: &Worker, peer: &Peer, parts: &Parts, body: Incoming, arrived: Instant) -> Answer {
    let cors = &worker.shared.cors;
    let origin = cors.origin(parts);
    if peer.may_be_unlisted_proxy(&parts.headers) {
        note_unlisted_proxy(worker, peer);
    }
    let path = path(parts.uri.path());
    let mut answer = match path.and_then(|path| cors.preflight(origin.as_ref(), parts, path.methods())) {
        Some(preflight) => preflight,
        None => {
            let is_counted = Cell::new(false);
            let answer = dispatch(worker, (peer, arrived), path, parts, body, &is_counted).await;
            if answer.is_err() && !is_counted.get() {
                // A refusal costs its address as much as any call without a token. It stays the same,
                // because request errors come before limits.
                let _ = worker.admit_anonymous(peer, parts, arrived);
            }
            answer.unwrap_or_else(Refused::into_answer)
        }
    };
    cors.mark(&mut answer, origin);
    answer.body_mut().route = Some(path.map_or(Route::None, |path| path.route(&parts.method)));
    answer
}

async fn dispatch(
    worker: &Worker,
    (peer, arrived): (&Peer, Instant),
    path: Option<Path<'_>>,
    parts: &Parts,
    body: Incoming,
    is_counted: &Cell<bool>,
) -> Result<Answer, Refused> {
    request::check_head(parts)?;
    let path = path.ok_or_else(nothing_here)?;
    // HEAD is handled as GET: hyper, or `http2.rs` for HTTP/2, drops the body.
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    if !path.methods().contains(&method.as_str()) {
        return Err(Refused::method_not_allowed(&path.methods().join(", ")));
    }
    let anonymous = || {
        is_counted.set(true);
        worker.admit_anonymous(peer, parts, arrived)
    };
    let caller = || {
        // From here the limits by buyer, or those for invalid tokens, count the call.
        is_counted.set(true);
        Ok(Caller::new(worker, worker.identify(peer, parts, arrived)?, arrived))
    };
    match path {
        Path::Time => {
            let [] = query(parts, [])?;
            anonymous()?;
            Ok(sales::time(time(worker, arrived)))
        }
        Path::Problem(name) => {
            let [] = query(parts, [])?;
            anonymous()?;
            explain(name)
        }
        Path::Sale(id) => {
            let sale = worker.sale(id)?;
            anonymous()?;
            Ok(worker.pages.answer(&sale, parts))
        }
        Path::Stores(id) => {
            let wanted = StoresWanted::read(parts)?;
            let sale = worker.sale(id)?;
            anonymous()?;
            sales::stores(&sale, wanted)
        }
        Path::Reservations(sale) if method == Method::POST => {
            let caller = caller()?;
            worker.recorder.stage(Stage::Identify, arrived.elapsed());
            let answer = reservations::reserve(&caller, sale, parts, body).await;
            caller.count_refusal(answer)
        }
        // Boxed, so that the future of a tap is small.
        _ => {
            let caller = caller()?;
            let answer = of_reservation(&caller, (path, method), parts, body).boxed_local().await;
            caller.count_refusal(answer)
        }
    }
}

/// Answers a call on an existing reservation.
async fn of_reservation(
    caller: &Caller<'_>,
    (path, method): (Path<'_>, &Method),
    parts: &Parts,
    body: Incoming,
) -> Result<Answer, Refused> {
    let [] = query(parts, [])?;
    match path {
        Path::Reservations(sale) => reservations::list(caller, sale).await,
        Path::Reservation(sale, id) if method == Method::PATCH => {
            reservations::amend(caller, (sale, id), parts, body).await
        }
        Path::Reservation(sale, id) => reservations::get(caller, (sale, id)).await,
        Path::Confirm(sale, id) => reservations::confirm(caller, (sale, id), parts, body).await,
        Path::Cancel(sale, id) => reservations::cancel(caller, (sale, id)).await,
        Path::Time | Path::Problem(_) | Path::Sale(_) | Path::Stores(_) => Err(nothing_here()),
    }
}

/// Counts a request whose forwarding header is ignored, and logs a warning for the first.
#[cold]
fn note_unlisted_proxy(worker: &Worker, peer: &Peer) {
    static WARNED: Once = Once::new();
    worker.recorder.forwarded_ignored.add(1);
    WARNED.call_once(|| {
        tracing::warn!(
            peer = %peer.address(),
            "a request has Forwarded or X-Forwarded-For and comes from an address that is not in --trusted-proxies: the \
             header is ignored, and all clients behind this address share its limits. If it is a proxy of yours, list it"
        );
    });
}

/// Redis's clock as some sale last read it, else this host's.
fn time(worker: &Worker, now: Instant) -> i64 {
    let sales = worker.shared.sales.all();
    sales
        .iter()
        .find(|sale| sale.time(now).is_some())
        .map_or_else(|| jiff::Timestamp::now().as_millisecond(), |sale| sale.best_time())
}

fn nothing_here() -> Refused {
    Refused::new(problem::NOT_FOUND, "No call of this API has this path.")
}

/// `GET /problems/{name}`: the page that a refusal's `type` names.
fn explain(name: &str) -> Result<Answer, Refused> {
    let kind = problem::ALL.iter().find(|kind| kind.name == name).ok_or_else(nothing_here)?;
    let text = format!("{} ({})\n\n{}\n", kind.title, kind.status, kind.explanation);
    Ok(respond::text("text/plain; charset=utf-8", text))
}

#[cfg(test)]
mod tests;
