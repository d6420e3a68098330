//! Routes of the public API, and the order of the first checks of a request.

use std::cell::Cell;
use std::sync::Once;
use std::time::Instant;

use futures_util::FutureExt;
use hyper::Method;
use hyper::body::Incoming;
use hyper::http::request::Parts;

use crate::api::reservations::Caller;
use crate::api::stores::StoresWanted;
use crate::api::worker::Worker;
use crate::api::{draw, reservations, sales, signup, standby, stores};
use crate::domain::problem;
use crate::http::peer::Peer;
use crate::http::request;
use crate::http::request::query;
use crate::http::respond::{self, Answer, Refused};
use crate::telemetry::labels::{Route, Stage};
use crate::telemetry::record::CountedAs;

/// The methods of a resource, each with its route; other methods are counted under the first one.
type Calls = &'static [(&'static str, Route)];

const TIME: Calls = &[("GET", Route::Time), ("HEAD", Route::Time)];
const PROBLEM: Calls = &[("GET", Route::Problem), ("HEAD", Route::Problem)];
const DOCUMENT: Calls = &[("GET", Route::Document), ("HEAD", Route::Document)];
const SALES: Calls = &[("GET", Route::Sales), ("HEAD", Route::Sales)];
const SALE: Calls = &[("GET", Route::Sale), ("HEAD", Route::Sale)];
const CITIES: Calls = &[("GET", Route::Cities), ("HEAD", Route::Cities)];
const STORES: Calls = &[("GET", Route::Stores), ("HEAD", Route::Stores)];
const STORE: Calls = &[("GET", Route::Store), ("HEAD", Route::Store)];
const RESERVATIONS: Calls =
    &[("GET", Route::Reservations), ("HEAD", Route::Reservations), ("POST", Route::Reserve)];
const RESERVATION: Calls =
    &[("GET", Route::Reservation), ("HEAD", Route::Reservation), ("PATCH", Route::Amend)];
const SIGNUP: Calls =
    &[("GET", Route::Signup), ("HEAD", Route::Signup), ("PUT", Route::SignUp), ("DELETE", Route::Withdraw)];
const STANDBY: Calls = &[
    ("GET", Route::Standby),
    ("HEAD", Route::Standby),
    ("PUT", Route::JoinStandby),
    ("DELETE", Route::LeaveStandby),
];
const DRAW: Calls = &[("GET", Route::Draw), ("HEAD", Route::Draw)];
const CONFIRM: Calls = &[("POST", Route::Confirm)];
const CANCEL: Calls = &[("POST", Route::Cancel)];

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Path<'a> {
    calls: Calls,
    /// The sale, or the problem.
    name: &'a str,
    /// The reservation, or the store.
    id: &'a str,
}

fn path(text: &str) -> Option<Path<'_>> {
    if text == "/openapi.json" {
        return Some(Path { calls: DOCUMENT, name: "", id: "" });
    }
    let mut rest = Some(text.strip_prefix('/')?);
    // Byte by byte: paths are short, and setting up the fast search of `split` costs more than it saves.
    let mut parts = std::iter::from_fn(|| {
        let text = rest?;
        let slash = text.bytes().position(|b| b == b'/');
        rest = slash.map(|at| &text[at + 1..]);
        Some(&text[..slash.unwrap_or(text.len())])
    });
    let (calls, name, id) = match (parts.next()?, parts.next()?) {
        ("problems", name) => (PROBLEM, name, ""),
        ("v1", "time") => (TIME, "", ""),
        ("v1", "sales") => {
            let Some(sale) = parts.next() else { return Some(Path { calls: SALES, name: "", id: "" }) };
            match (parts.next(), parts.next(), parts.next()) {
                (None, ..) => (SALE, sale, ""),
                (Some("cities"), None, _) => (CITIES, sale, ""),
                (Some("stores"), None, _) => (STORES, sale, ""),
                (Some("stores"), Some(id), None) => (STORE, sale, id),
                (Some("draw"), None, _) => (DRAW, sale, ""),
                (Some("signup"), None, _) => (SIGNUP, sale, ""),
                (Some("standby"), None, _) => (STANDBY, sale, ""),
                (Some("reservations"), None, _) => (RESERVATIONS, sale, ""),
                (Some("reservations"), Some(id), None) => (RESERVATION, sale, id),
                (Some("reservations"), Some(id), Some("confirm")) => (CONFIRM, sale, id),
                (Some("reservations"), Some(id), Some("cancel")) => (CANCEL, sale, id),
                _ => return None,
            }
        }
        _ => return None,
    };
    parts.next().is_none().then_some(Path { calls, name, id })
}

impl Path<'_> {
    /// The route of a call; `None`: the path has other methods.
    fn call(self, method: &Method) -> Option<Route> {
        self.calls.iter().find(|(name, _)| *name == method.as_str()).map(|(_, route)| *route)
    }

    /// The methods, as `Allow` lists them.
    fn allow(self) -> String {
        self.calls.iter().map(|(method, _)| *method).collect::<Vec<_>>().join(", ")
    }
}

/// What a request is counted under.
pub fn counted_as(worker: &Worker, parts: &Parts) -> CountedAs {
    path_counted_as(worker, path(parts.uri.path()), &parts.method)
}

fn path_counted_as(worker: &Worker, path: Option<Path<'_>>, method: &Method) -> CountedAs {
    let Some(path) = path else { return CountedAs { route: Route::None, taps: None } };
    let route = path.call(method).unwrap_or(path.calls[0].1);
    let taps = (route == Route::Reserve).then(|| worker.taps(path.name)).flatten();
    CountedAs { route, taps }
}

/// Answers one request on the public listener; `arrived` is when its head arrived.
pub async fn answer(worker: &Worker, peer: &Peer, parts: &Parts, body: Incoming, arrived: Instant) -> Answer {
    let cors = &worker.shared.cors;
    let origin = cors.origin(parts);
    if peer.may_be_unlisted_proxy(&parts.headers) {
        note_unlisted_proxy(worker, peer);
    }
    let path = path(parts.uri.path());
    let mut answer = match path.and_then(|path| cors.preflight(origin.as_ref(), parts, || path.allow())) {
        Some(preflight) => preflight,
        None => {
            let is_counted = Cell::new(false);
            let answer = dispatch(worker, (peer, arrived), path, parts, body, &is_counted).await;
            if answer.is_err() && !is_counted.get() {
                // A refusal costs as much as any call that needs no token. It stays the same, because
                // request errors come before limits.
                let _ = worker.admit_open(peer, parts, arrived);
            }
            answer.unwrap_or_else(Refused::into_answer)
        }
    };
    cors.mark(&mut answer, origin);
    answer.body_mut().counted = Some(path_counted_as(worker, path, &parts.method));
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
    let route = path.call(&parts.method).ok_or_else(|| Refused::method_not_allowed(&path.allow()))?;
    let open = || {
        is_counted.set(true);
        worker.admit_open(peer, parts, arrived)
    };
    let caller = || {
        // From here the limits by buyer, or those for invalid tokens, count the call.
        is_counted.set(true);
        Ok(Caller::new(worker, worker.identify(peer, parts, arrived)?, arrived))
    };
    match route {
        Route::Time => {
            let [] = query(parts, [])?;
            open()?;
            Ok(sales::time(time(worker, arrived)))
        }
        Route::Problem => {
            let [] = query(parts, [])?;
            open()?;
            explain(path.name)
        }
        Route::Document => {
            open()?;
            Ok(worker.shared.document.answer(parts))
        }
        Route::Sale => {
            let sale = worker.sale(path.name)?;
            open()?;
            Ok(worker.pages.answer(&sale, parts, worker.shared.poll_load.note(arrived)))
        }
        Route::Sales => {
            open()?;
            worker.pages.list(&worker.shared.sales, parts, &worker.gzip, arrived)
        }
        Route::Cities => {
            let sale = worker.sale(path.name)?;
            open()?;
            Ok(worker.cities.answer(&sale, parts, &worker.gzip, arrived))
        }
        Route::Stores => {
            let wanted = StoresWanted::read(parts)?;
            let sale = worker.sale(path.name)?;
            open()?;
            stores::search(&sale, wanted, parts, &worker.gzip_searches, arrived)
        }
        Route::Store => {
            let sale = worker.sale(path.name)?;
            open()?;
            stores::one(&sale, path.id, parts)
        }
        Route::Draw => {
            let sale = worker.sale(path.name)?;
            open()?;
            draw::get(&sale, parts)
        }
        Route::Reserve => {
            let caller = caller()?;
            worker.recorder.stage(Stage::Identify, arrived.elapsed());
            let answer = reservations::reserve(&caller, path.name, parts, body).await;
            caller.count_refusal(answer)
        }
        // Boxed, so that the future of a tap is small.
        _ => {
            let caller = caller()?;
            let answer = of_caller(&caller, path, route, parts, body).boxed_local().await;
            caller.count_refusal(answer)
        }
    }
}

/// Answers a call on what its caller has, or on what a service carries out.
async fn of_caller(
    caller: &Caller<'_>,
    Path { name: sale, id, .. }: Path<'_>,
    route: Route,
    parts: &Parts,
    body: Incoming,
) -> Result<Answer, Refused> {
    let [] = query(parts, [])?;
    match route {
        Route::Reservations => reservations::list(caller, sale).await,
        Route::Reservation => reservations::get(caller, (sale, id)).await,
        Route::Amend => reservations::amend(caller, (sale, id), parts, body).await,
        Route::Confirm => reservations::confirm(caller, (sale, id), parts, body).await,
        Route::Cancel => reservations::cancel(caller, (sale, id)).await,
        Route::Signup => signup::get(caller, sale).await,
        Route::SignUp => signup::put(caller, sale, parts, body).await,
        Route::Withdraw => signup::withdraw(caller, sale).await,
        Route::Standby => standby::get(caller, sale).await,
        Route::JoinStandby => standby::put(caller, sale, parts, body).await,
        Route::LeaveStandby => standby::leave(caller, sale).await,
        _ => Err(nothing_here()),
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
