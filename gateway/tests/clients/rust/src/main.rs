//! Walks through a reservation with the client that progenitor generates, refusals included.

use std::num::NonZeroU64;

use futures_util::TryStreamExt;
use progenitor_client::{ByteStream, Error};
use serde::de::DeserializeOwned;

use client::{Client, types};

/// What progenitor generates.
#[allow(clippy::all, mismatched_lifetime_syntaxes, unused, reason = "it is generated")]
mod client {
    include!(concat!(env!("OUT_DIR"), "/client.rs"));
}

const SALE: &str = "small";

/// A client that sends this token, or none.
fn client(url: &str, token: Option<&str>) -> Client {
    let mut headers = reqwest::header::HeaderMap::new();
    if let Some(token) = token {
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let http = reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap();
    Client::new_with_client(url, http)
}

/// The problem of a refusal. The client has the type of each, and hands out the bytes of `application/problem+json`.
async fn refused<T: std::fmt::Debug, P: DeserializeOwned>(
    result: Result<T, Error<ByteStream>>,
    status: u16,
) -> P {
    match result {
        Err(Error::ErrorResponse(refusal)) => {
            assert_eq!(refusal.status(), status);
            let chunks: Vec<_> = refusal.into_inner().into_inner().try_collect().await.unwrap();
            serde_json::from_slice(&chunks.concat()).unwrap()
        }
        other => panic!("expected a refusal with {status}, found {other:?}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let url = variable("WALK_URL");
    let anyone = client(&url, None);
    let buyer = client(&url, Some(&variable("WALK_BUYER")));
    let service = client(&url, Some(&variable("WALK_SERVICE")));

    let now = anyone.get_time().send().await.unwrap().server_time;
    let sale = anyone.get_sale().sale(SALE).send().await.unwrap();
    assert_eq!(sale.phase, types::Phase::Open);
    assert!(sale.opens_at < now && now < sale.closes_at);
    let stores = anyone.list_stores().sale(SALE).city("GUANGZHOU").available(true).send().await.unwrap();
    assert_eq!(stores.stores[0].id.as_str(), "gz-0001");
    assert_eq!(stores.stores.len(), 1, "the other store is sold out");

    let reserve = |key: &'static str, model: &'static str, store: &'static str| {
        let body = types::ReserveRequest::builder()
            .model(model)
            .packages(vec!["cover".parse::<types::ItemId>().unwrap()])
            .store(store.parse::<types::ItemId>().unwrap());
        buyer.reserve().sale(SALE).idempotency_key(key).body(body).send()
    };
    let sold_out: types::ProblemSoldOut = refused(reserve("first", "air-white", "gz-0002").await, 409).await;
    assert_eq!(sold_out.items, ["store:gz-0002"]);
    let held = reserve("walk", "air-white", "gz-0001").await.unwrap();
    assert_eq!((held.status().as_u16(), held.state, held.version), (201, types::State::Held, 1));
    assert_eq!(held.expires_at.unwrap() - held.held_at, chrono::Duration::minutes(2));
    let again = reserve("walk", "air-white", "gz-0001").await.unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.id, held.id);
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let own = buyer.list_reservations().sale(SALE).send().await.unwrap();
    assert_eq!(own.reservations.len(), 1);

    let id = held.id.as_str();
    let amend = || {
        let body = types::AmendRequest::builder()
            .store("sh-0001".parse::<types::ItemId>().unwrap())
            .version(NonZeroU64::MIN);
        buyer.amend_reservation().sale(SALE).id(id).body(body).send()
    };
    let amended = amend().await.unwrap();
    assert_eq!((amended.store.as_deref(), amended.version), (Some("sh-0001"), 2));
    let changed: types::ProblemReservationChanged = refused(amend().await, 409).await;
    assert_eq!(changed.version, 2);

    let confirm = async |client: &Client, payment: &'static str| {
        let call = client.confirm_reservation().sale(SALE).id(id);
        call.body_map(|body| body.payment(payment).version(2_u64)).send().await
    };
    let _: types::ProblemForbidden = refused(confirm(&buyer, "pay-1").await, 403).await;
    let confirmed = confirm(&service, "pay-1").await.unwrap();
    assert_eq!((confirmed.state, confirmed.expires_at), (types::State::Confirmed, None));
    let conflict: types::ProblemPaymentConflict = refused(confirm(&service, "pay-2").await, 409).await;
    assert_eq!(conflict.state, types::State::Confirmed);

    let reused: types::ProblemIdempotencyKeyReused =
        refused(reserve("walk", "air-white", "bj-0001").await, 422).await;
    assert_eq!(reused.status, 422);
    let unknown: types::ProblemUnknownItem = refused(reserve("other", "air-red", "gz-0001").await, 422).await;
    assert_eq!(unknown.items, ["model:air-red", "package:cover"]);
    let limit: types::ProblemPurchaseLimit =
        refused(reserve("other", "air-white", "gz-0001").await, 409).await;
    assert_eq!(
        (limit.reason, limit.reservations[0].as_str()),
        (types::ProblemPurchaseLimitReason::PerBuyer, id)
    );

    let cancelled = service.cancel_reservation().sale(SALE).id(id).send().await.unwrap();
    assert_eq!(cancelled.state, types::State::Cancelled);
    let not_held: types::ProblemReservationNotHeld = refused(confirm(&service, "pay-1").await, 409).await;
    assert_eq!(not_held.state, types::State::Cancelled);
    let read = service.get_reservation().sale(SALE).id(id).send().await.unwrap();
    assert_eq!(read.into_inner().state, types::State::Cancelled);

    let _: types::ProblemUnauthenticated =
        refused(anyone.list_reservations().sale(SALE).send().await, 401).await;
    let _: types::ProblemSaleNotFound = refused(anyone.get_sale().sale("none").send().await, 404).await;
    println!("the Rust client: 1 reservation, 10 refusals");
}
