//! Queries the gateways before the load: clock, sale, stores, and validity of the tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::clock::{self, RoundTrip, ServerClock};
use crate::base::failure::Failure;
use crate::client::options::Target;
use crate::client::tokens::Tokens;
use crate::client::{Client, Request};
use crate::load::session::{PublicTime, escaped};
use crate::plan::selection::{Store, StorePage};

/// The sale as buyers see it.
#[derive(Debug, Deserialize)]
pub(super) struct PublicSale {
    pub(super) phase: String,
    pub(super) opens_at: Timestamp,
}

const CLOCK_READINGS: usize = 12;
/// A clock that is off by more than this makes tokens that have expired, and reports that fit no log.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(60);
/// Pages of 500: all stores that a sale can have.
const STORE_PAGES_MAX: usize = 100;
const PREPARING_TIMEOUT: Duration = Duration::from_secs(10);
/// A gateway learns of a new sale, or of all when it is started, within a second or so.
const SHOWN_POLL: Duration = Duration::from_millis(50);

/// Asks for the time on one connection several times; the first call also opens it.
pub(super) async fn read_clock(client: &Arc<Client>) -> Result<ServerClock, Failure> {
    let mut trips = Vec::new();
    for _ in 0..CLOCK_READINGS {
        let sent = Instant::now();
        let time: PublicTime = get(client, 0, "/v1/time").await?;
        trips.push(RoundTrip { sent, received: Instant::now(), server_time: time.server_time });
    }
    let clock = ServerClock::estimate(&trips)
        .ok_or_else(|| Failure::Outside("the server's clock can't be read".to_owned()))?;
    let ours = Timestamp::now();
    let off = ours.duration_since(clock.at(Instant::now()));
    if off.unsigned_abs() > CLOCK_OFF_MAX {
        let direction = if off.is_negative() { "behind" } else { "ahead of" };
        let off = off.abs().round(Unit::Second).unwrap_or(off);
        return Err(Failure::Outside(format!(
            "this machine's clock shows {}, {off:#} {direction} the server's: synchronise it (NTP) first, since tokens and reports depend on it",
            clock::to_the_ms(ours),
        )));
    }
    Ok(clock)
}

/// Waits until every gateway shows the sale as it was defined last: one that was applied a moment
/// ago is in the ledger before each gateway has read of it.
pub(super) async fn wait_until_shown(
    client: &Arc<Client>,
    sale: &str,
    opens_at: Option<Timestamp>,
) -> Result<PublicSale, Failure> {
    let path = format!("/v1/sales/{sale}");
    let limit = Instant::now() + PREPARING_TIMEOUT;
    let mut gateway = 0;
    loop {
        let shown: Result<PublicSale, Failure> = get(client, gateway, &path).await;
        match shown {
            Ok(shown) if opens_at.is_none_or(|opens_at| opens_at == shown.opens_at) => {
                gateway += 1;
                if gateway == client.gateways() {
                    return Ok(shown);
                }
                continue;
            }
            Ok(_) | Err(Failure::Usage(_)) if Instant::now() < limit => {}
            Ok(shown) => {
                return Err(Failure::Outside(format!(
                    "{} shows an opening at {}, but the definition has another one",
                    client.gateway(gateway),
                    shown.opens_at
                )));
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(SHOWN_POLL).await;
    }
}

pub(super) async fn read_stores(client: &Arc<Client>, sale: &str) -> Result<Vec<Store>, Failure> {
    let mut stores = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..STORE_PAGES_MAX {
        let mut path = format!("/v1/sales/{sale}/stores?limit=500");
        if let Some(cursor) = &cursor {
            path = format!("{path}&cursor={}", escaped(cursor));
        }
        let page: StorePage = get(client, 0, &path).await?;
        stores.extend(page.stores);
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    Ok(stores)
}

/// Checks a buyer's and the service's token at every gateway before any load: a run of 401 answers shows nothing.
pub(super) async fn check_tokens(
    client: &Arc<Client>,
    target: &Target,
    tokens: &Tokens,
) -> Result<(), Failure> {
    let source = if target.tokens.is_some() { "--tokens" } else { "--auth-secret-file" };
    let service = if target.tokens.is_some() { "--service-token-file" } else { source };
    let buyer = (tokens.of(0).bearer, source, "a buyer's");
    let service = tokens.service.clone().map(|bearer| (bearer, service, "the payment service's"));
    for (bearer, source, owner) in [buyer].into_iter().chain(service) {
        let path = format!("/v1/sales/{}/reservations/none", target.ledger.sale);
        let request = Request { bearer: Some(bearer), ..Request::get(path) };
        for gateway in 0..client.gateways() {
            let limit = Instant::now() + PREPARING_TIMEOUT;
            let answer = client.send(gateway, &request, PREPARING_TIMEOUT, limit).await;
            let gateway = client.gateway(gateway);
            let reply = answer.reply.map_err(|lost| Failure::Outside(format!("{gateway}: {lost}")))?;
            if matches!(reply.status, 401 | 403) {
                return Err(Failure::Usage(format!(
                    "{gateway} rejects {owner} token: check that {source} belongs to this gateway"
                )));
            }
        }
    }
    Ok(())
}

pub(super) async fn get<T: DeserializeOwned>(
    client: &Arc<Client>,
    gateway: usize,
    path: &str,
) -> Result<T, Failure> {
    let limit = Instant::now() + PREPARING_TIMEOUT;
    let url = format!("{}{path}", client.gateway(gateway));
    loop {
        let request = Request::get(path.to_owned());
        let answer = client.send(gateway, &request, PREPARING_TIMEOUT, limit).await;
        let reply = answer.reply.map_err(|error| Failure::Outside(format!("{url}: {error}")))?;
        match reply.status {
            200 => {
                return serde_json::from_str(&reply.body).map_err(|error| {
                    Failure::Outside(format!("{url} answered what can't be read: {error}"))
                });
            }
            404 => return Err(Failure::Usage(format!("{url} is not found"))),
            // One that has just been started has not read the ledger yet.
            503 if Instant::now() < limit => tokio::time::sleep(SHOWN_POLL).await,
            status => {
                return Err(Failure::Outside(format!("{url} answered {status}: {}", reply.body.trim())));
            }
        }
    }
}
