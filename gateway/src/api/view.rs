//! The JSON responses as types; the OpenAPI document is generated from them.

mod waiting;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::decision::Header;
use crate::domain::definition::{Meta, Sells};
use crate::domain::degrees::Degrees;
use crate::domain::price::{Price, PriceLine};
use crate::domain::reservation::{Reservation, State};
use crate::domain::rfc3339::rfc3339;
use crate::domain::sale::{Availability, Phase, SaleClock};
use crate::projection::read_model::{ReadModel, Sale};
pub use waiting::{BuyerSignupView, DrawView, SignupView, StandbyView};

/// A reservation as its buyer and services see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub struct ReservationView<'a> {
    /// Derived from sale, buyer and `Idempotency-Key`.
    pub id: &'a str,
    /// The sale's id.
    pub sale: &'a str,
    /// Counts the sale's reservations from 1 in the order in which they were taken.
    pub number: u64,
    /// Goes up by one with every change of what is reserved.
    pub version: u64,
    /// The current state.
    pub state: State,
    /// The model's id.
    pub model: &'a str,
    /// The packages' ids.
    pub packages: &'a [String],
    /// The store's id; null: still to be chosen.
    #[schema(required)]
    pub store: Option<&'a str>,
    /// Items requested with `accept_partial` that were sold out and left off: `package:ID`, `store:ID`.
    pub unavailable: &'a [String],
    /// The price.
    pub price: Price<'a>,
    /// When it was taken, by the server's clock.
    #[schema(format = DateTime)]
    pub held_at: String,
    /// When the hold ends, if the sale clock keeps running; null once it is not held any more.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// The server's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
}

impl<'a> ReservationView<'a> {
    /// A reservation at the instant that the header states.
    pub fn new(sale: &'a Sale, read_model: &'a ReadModel, r: &'a Reservation, header: &Header) -> Self {
        Self {
            id: &r.id,
            sale: &sale.id,
            number: r.number,
            version: r.version,
            state: r.state,
            model: &r.model,
            packages: &r.packages,
            store: r.store.as_deref(),
            unavailable: &r.unavailable,
            price: Price::new(&read_model.catalogue, r),
            held_at: rfc3339(r.held_at),
            expires_at: (r.state == State::Held).then(|| rfc3339(header.wall_time_of(r.deadline))),
            server_time: rfc3339(header.time),
        }
    }
}

impl ReservationView<'_> {
    /// As JSON, byte for byte what [`Serialize`] makes, in a tenth of the time. No value needs escaping
    /// (see the limits of ids, and the currency's three letters).
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(512);
        let mut digits = itoa::Buffer::new();
        put(&mut json, ["{\"id\":\"", self.id, "\",\"sale\":\"", self.sale, "\",\"number\":"]);
        put(&mut json, [digits.format(self.number)]);
        put(&mut json, [",\"version\":", digits.format(self.version), ",\"state\":\"", self.state.name()]);
        put(&mut json, ["\",\"model\":\"", self.model, "\",\"packages\":"]);
        put_list(&mut json, self.packages);
        match self.store {
            Some(store) => put(&mut json, [",\"store\":\"", store, "\",\"unavailable\":"]),
            None => put(&mut json, [",\"store\":null,\"unavailable\":"]),
        }
        put_list(&mut json, self.unavailable);
        let Price { currency, total, deposit, balance, lines } = &self.price;
        put(&mut json, [",\"price\":{\"currency\":\"", currency, "\",\"total\":", digits.format(*total)]);
        put(&mut json, [",\"deposit\":", digits.format(*deposit)]);
        put(&mut json, [",\"balance\":", digits.format(*balance), ",\"lines\":["]);
        let mut before = "{\"item\":\"";
        for PriceLine { item, amount } in lines {
            put(&mut json, [before, item, "\",\"amount\":", digits.format(*amount), "}"]);
            before = ",{\"item\":\"";
        }
        put(&mut json, ["]},\"held_at\":\"", &self.held_at]);
        match &self.expires_at {
            Some(at) => put(&mut json, ["\",\"expires_at\":\"", at, "\""]),
            None => put(&mut json, ["\",\"expires_at\":null"]),
        }
        put(&mut json, [",\"server_time\":\"", &self.server_time, "\"}"]);
        json
    }
}

fn put<const N: usize>(json: &mut Vec<u8>, texts: [&str; N]) {
    texts.into_iter().for_each(|text| json.extend_from_slice(text.as_bytes()));
}

fn put_list(json: &mut Vec<u8>, ids: &[String]) {
    json.push(b'[');
    for (n, id) in ids.iter().enumerate() {
        put(json, [if n == 0 { "\"" } else { ",\"" }, id, "\""]);
    }
    json.push(b']');
}

/// The caller's own reservations.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationList<'a> {
    /// In the order in which they were taken.
    pub reservations: Vec<ReservationView<'a>>,
    /// The server's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
}

/// The server's clock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Time)]
pub struct TimeView {
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub server_time: String,
}

/// A sale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sale)]
pub struct SaleView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// closed > upcoming > paused > sold_out > open.
    pub phase: Phase,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub closes_at: String,
    /// How long a hold lasts.
    pub hold_seconds: f64,
    /// How long after its deadline a hold can still be confirmed or cancelled.
    pub grace_seconds: f64,
    /// Reservations that a buyer may have.
    pub per_buyer: u32,
    /// Reservations that a buyer can ever start.
    pub attempts: u32,
    /// ISO 4217.
    #[schema(example = "CNY")]
    pub currency: String,
    /// To be paid at once, in minor units of the currency.
    pub deposit: u64,
    /// `frozen`: an operator has stopped the time of all holds.
    pub clock: SaleClock,
    /// When to ask again; clients wait a random half to all of it.
    pub poll_after_ms: u64,
    /// `first-come`: to taps, in their order. `draw`: to those who signed up, in the order of a draw.
    pub sells: Sells,
    /// Left out: the sale takes no sign-ups.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub signup: Option<SignupView>,
    /// Whether buyers can wait for models that are sold out.
    pub standby: bool,
    /// What apps show besides, as in the definition; left out where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub meta: Option<Meta>,
    /// The models.
    pub models: Vec<ProductView>,
    /// The packages.
    pub packages: Vec<ProductView>,
    /// The server's clock. Not part of the `ETag`.
    #[schema(format = DateTime)]
    pub server_time: String,
}

/// A model or a package.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Minor units of the sale's currency.
    pub price: u64,
    /// How much is left.
    pub availability: Availability,
    /// The models that a package fits; left out: every model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub models: Option<Vec<String>>,
    /// What apps show besides, as in the definition; left out where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub meta: Option<Meta>,
}

/// The sales that are not over.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleList {
    /// By `opens_at`.
    pub sales: Vec<ListedSale>,
}

/// A sale on the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedSale {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// upcoming, or open, paused, sold_out.
    pub phase: Phase,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub closes_at: String,
}

/// The cities that have stores.
#[derive(Debug, Serialize, ToSchema)]
pub struct CityList<'a> {
    /// In the order of their first stores in the definition.
    pub cities: Vec<CityView<'a>>,
}

/// A city.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = City)]
pub struct CityView<'a> {
    /// Its province; null where the definition has none.
    #[schema(required)]
    pub province: Option<&'a str>,
    /// Its name.
    pub city: &'a str,
    /// How many stores it has.
    pub stores: usize,
    /// That of the store with the most left.
    pub availability: Availability,
}

/// A page of stores.
#[derive(Debug, Serialize, ToSchema)]
pub struct StorePage<'a> {
    /// The nearest first with `near`, otherwise in the definition's order. There may be fewer than `limit`, also none,
    /// before the last page.
    pub stores: Vec<StoreView<'a>>,
    /// The cursor of the next page; null on the last.
    #[schema(required)]
    pub next: Option<String>,
}

/// A store.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Store)]
pub struct StoreView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its province; null where the definition has none.
    #[schema(required)]
    pub province: Option<&'a str>,
    /// Its city.
    pub city: &'a str,
    /// Where it is in its city; null where the definition has none.
    #[schema(required)]
    pub address: Option<&'a str>,
    /// Its latitude in degrees; null where the definition has none.
    #[schema(required, value_type = Option<f64>)]
    pub lat: Option<Degrees>,
    /// Its longitude in degrees.
    #[schema(required, value_type = Option<f64>)]
    pub lng: Option<Degrees>,
    /// How many pick-up slots are left.
    pub availability: Availability,
    /// With `near`: metres from that point, over the ground.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub distance_m: Option<u32>,
}

#[cfg(test)]
mod tests;
