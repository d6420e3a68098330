//! Entry points for `gateway/fuzz`: parsers without a socket. Only with the feature `fuzzing`.

use std::net::IpAddr;

use futures_util::FutureExt;
use hyper::Request;
use hyper::http::{HeaderMap, HeaderName, HeaderValue};
use redis::Value;
use serde::Deserialize;

use crate::api::bodies::{AmendRequest, ReserveRequest};
use crate::api::reservations;
use crate::api::stores::StoresWanted;
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::{Decision, Header, ReserveCommand};
use crate::domain::reservation::Reservation;
use crate::http::peer::{Peer, TrustedProxies};
use crate::http::respond::Refused;
use crate::http::{proxy_header, request};
use crate::projection::read_model::ReadModel;
use crate::projection::snapshot::Snapshot;
use crate::reserve::batch;
use crate::reserve::changes::{self, Change};
use crate::store::keys::Keys;
use crate::store::record::read_record;
use crate::store::scripts::{self, Failure};
use crate::telemetry::request_id::RequestId;

/// A problem's JSON.
fn describe(refused: Refused) -> String {
    format!("{}}}", refused.body())
}

/// Parses a body, before the limits of its members are checked.
pub fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    request::parse(bytes).map_err(describe)
}

/// Parses the body of a tap.
pub fn reserve_body(bytes: &[u8]) -> Result<ReserveRequest<'_>, String> {
    reservations::reserve_request(bytes).map_err(describe)
}

/// Parses the body of a PATCH.
pub fn amend_body(bytes: &[u8]) -> Result<AmendRequest<'_>, String> {
    reservations::amend_request(bytes).map_err(describe)
}

/// Checks a request target. `None`: not a valid URI. `Err`: the JSON of the problem. `Ok`: the page
/// limit of a stores query.
pub fn stores_query(target: &[u8]) -> Option<Result<usize, String>> {
    let (parts, ()) = Request::builder().uri(target).body(()).ok()?.into_parts();
    let wanted = request::check_head(&parts).and_then(|()| StoresWanted::read(&parts));
    Some(wanted.map(|wanted| wanted.query.limit).map_err(describe))
}

/// Parses a PROXY header: the address, and its length in bytes; `None` if there is no valid one.
pub fn proxy_header(bytes: &[u8]) -> Option<(Option<IpAddr>, usize)> {
    let mut stream = bytes;
    // All bytes are present, so the future never waits.
    let address = proxy_header::read(&mut stream).now_or_never()?.ok()?;
    Some((address, bytes.len() - stream.len()))
}

/// The client address of a request from this peer with these header lines, names and values.
pub fn client(peer: IpAddr, proxies: &[&str], lines: &[(&str, &[u8])]) -> Option<IpAddr> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::try_from(*name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(Peer::new(peer, &TrustedProxies::parse(proxies).ok()?).client(&headers))
}

/// The request id and `traceresponse` for these two header values from this peer; `None` if a
/// header can't contain them.
pub fn marks(
    peer: IpAddr,
    proxies: &[&str],
    id: &[u8],
    trace: &[u8],
) -> Option<(String, String, Option<String>)> {
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-request-id", id), ("traceparent", trace)] {
        headers.insert(name, HeaderValue::from_bytes(value).ok()?);
    }
    let request =
        RequestId::of(Peer::new(peer, &TrustedProxies::parse(proxies).ok()?).is_trusted(), &headers);
    let mut answer = HeaderMap::new();
    request.mark(&mut answer);
    let text = |name: &str| answer.get(name)?.to_str().ok().map(ToOwned::to_owned);
    Some((request.id(), text("x-request-id")?, text("traceresponse")))
}

/// Checks a script's reply for the ledger's refusals.
pub fn accept(reply: Vec<Value>) -> Result<Vec<Value>, Failure> {
    scripts::accept(reply)
}

/// Decodes a reply of the reserve script for these taps; `None` if it is not a valid reply.
pub fn decisions(taps: &[ReserveCommand], catalogue: &Catalogue, reply: &[Value]) -> Option<Vec<Decision>> {
    batch::decisions(taps, catalogue, reply)
}

/// Decodes a reply of the scripts confirm, cancel and amend for this reservation.
pub fn change(id: &str, reply: &[Value]) -> Result<Change, Failure> {
    changes::read_change(id, reply).map(|(change, _)| change)
}

/// Decodes a reply of the reservations script for this buyer.
pub fn record(sale: &str, buyer_part: &str, reply: &[Value]) -> Result<(Vec<Reservation>, Header), Failure> {
    let (reservations, header, _) = read_record(&Keys::of(sale), buyer_part, reply)?;
    Ok((reservations, header))
}

/// Decodes a reply of the snapshot script for this sale.
pub fn snapshot(sale: &str, reply: &[Value]) -> Result<ReadModel, Failure> {
    Snapshot::of(reply, 3)?.into_read_model(&Keys::of(sale), None)
}
