//! Reads without a token: the sale, its stores and the time, served from the read model.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::IF_NONE_MATCH;
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use rustc_hash::FxHashMap;

use crate::api::view::{ProductView, SaleView, StorePage, StoreView, TimeView};
use crate::domain::rfc3339::rfc3339;
use crate::domain::sale::{Availability, Phase, SaleClock, poll_after_ms};
use crate::http::request::known_query;
use crate::http::respond::{self, Answer, Refused};
use crate::projection::read_model::{ReadModel, Sale};

/// Stores on a page by default, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 500;

/// `GET /v1/time`
pub fn time(now: i64) -> Answer {
    respond::ok(&TimeView { server_time: rfc3339(now) })
}

/// The sale's page as bytes, kept per worker until the sale changes.
#[derive(Default)]
pub struct Pages {
    by_sale: RefCell<FxHashMap<String, Page>>,
}

struct Page {
    of: Arc<ReadModel>,
    phase: Phase,
    poll_after_ms: u64,
    etag: HeaderValue,
    /// The body up to the value of `server_time`, its last member.
    head: Bytes,
    /// The whole body as of the millisecond of the last read: at a launch, many reads share it.
    cached: (i64, Bytes),
}

impl Pages {
    /// `GET /v1/sales/{sale}`
    pub fn answer(&self, sale: &Sale, parts: &Parts) -> Answer {
        let read_model = sale.read_model();
        let time = sale.best_time();
        // A sale whose ledger can't be asked shows as paused: its reservations would only wait.
        let phase = match read_model.phase(time) {
            Phase::Open | Phase::SoldOut if sale.is_unavailable() => Phase::Paused,
            phase => phase,
        };
        let poll_after_ms = poll_after_ms(phase, read_model.controls.opens - time);
        let mut pages = self.by_sale.borrow_mut();
        let page = match pages.get_mut(&sale.id) {
            Some(p)
                if Arc::ptr_eq(&p.of, &read_model)
                    && p.phase == phase
                    && p.poll_after_ms == poll_after_ms =>
            {
                p
            }
            _ => {
                let page = Page::new(sale.incarnation(), read_model, phase, poll_after_ms);
                pages.entry(sale.id.clone()).insert_entry(page).into_mut()
            }
        };
        if page.cached.0 != time {
            page.cached = (time, [&page.head[..], rfc3339(time).as_bytes(), b"\"}"].concat().into());
        }
        respond::cached(page.cached.1.clone(), Some(&page.etag), parts.headers.get(IF_NONE_MATCH))
    }
}

impl Page {
    fn new(incarnation: &str, read_model: Arc<ReadModel>, phase: Phase, poll_after_ms: u64) -> Self {
        let mut head = serde_json::to_string(&view(&read_model, phase, poll_after_ms)).unwrap_or_default();
        // `server_time` is empty here: the closing `"}` is cut off.
        head.truncate(head.len().saturating_sub(2));
        let mut hasher = DefaultHasher::new();
        // Another incarnation of the same sale id must never match an older ETag.
        hasher.write(incarnation.as_bytes());
        hasher.write(head.as_bytes());
        Self {
            of: read_model,
            phase,
            poll_after_ms,
            etag: HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()))
                .unwrap_or(HeaderValue::from_static("")),
            head: head.into(),
            cached: (i64::MIN, Bytes::new()),
        }
    }
}

fn view(read_model: &ReadModel, phase: Phase, poll_after_ms: u64) -> SaleView {
    let definition = &read_model.catalogue.definition;
    let terms = &definition.sale;
    let product = |index, id: &String, name: &String, price, models: Option<&Vec<String>>| ProductView {
        id: id.clone(),
        name: name.clone(),
        price,
        availability: read_model.availability(index),
        models: models.cloned(),
    };
    let models = definition.models.iter().enumerate();
    let packages = (definition.models.len()..).zip(&definition.packages);
    #[expect(clippy::cast_precision_loss, reason = "a hold lasts at most a day, and grace an hour")]
    let seconds = |ms: u64| ms as f64 / 1000.0;
    SaleView {
        id: terms.id.clone(),
        name: terms.name.clone(),
        phase,
        opens_at: rfc3339(read_model.controls.opens),
        closes_at: rfc3339(read_model.controls.closes),
        hold_seconds: seconds(terms.hold_ms),
        grace_seconds: seconds(terms.grace_ms),
        per_buyer: terms.per_buyer,
        attempts: terms.attempts,
        currency: terms.currency.clone(),
        deposit: terms.deposit,
        clock: if read_model.controls.frozen { SaleClock::Frozen } else { SaleClock::Running },
        poll_after_ms,
        models: models.map(|(index, m)| product(index, &m.id, &m.name, m.price, None)).collect(),
        packages: packages
            .map(|(index, p)| product(index, &p.id, &p.name, p.price, p.models.as_ref()))
            .collect(),
        server_time: String::new(),
    }
}

/// The filter and page of a store list.
pub struct StoresWanted {
    city: Option<String>,
    only_available: bool,
    /// Stores on the page, at most.
    pub(crate) limit: usize,
    cursor: Option<String>,
}

impl StoresWanted {
    /// Parses the query.
    pub fn read(parts: &Parts) -> Result<Self, Refused> {
        let [city, available, limit, cursor] = known_query(parts, ["city", "available", "limit", "cursor"])?;
        let only_available = match available.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong("available", "is true or false.")),
        };
        let limit = match limit.map(|limit| limit.parse::<usize>()) {
            None => PAGE,
            Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => limit,
            Some(_) => return Err(wrong("limit", &format!("is a number from 1 to {PAGE_MAX}."))),
        };
        Ok(Self { city, only_available, limit, cursor })
    }
}

fn wrong(name: &str, what: &str) -> Refused {
    Refused::new(crate::domain::problem::INVALID_REQUEST, format!("{name} {what}"))
}

/// `GET /v1/sales/{sale}/stores`
pub fn stores(sale: &Sale, wanted: StoresWanted) -> Result<Answer, Refused> {
    let StoresWanted { city, only_available, limit, cursor } = wanted;
    let read_model = sale.read_model();
    let catalogue = &read_model.catalogue;
    // A cursor is the last store of the page before: it stays valid when stores are added or removed.
    let after = match cursor {
        None => None,
        Some(id) => Some(
            catalogue
                .index_of_id("store", &id)
                .ok_or_else(|| wrong("cursor", "is not a store of this sale."))?,
        ),
    };
    let mut found = catalogue
        .stores_in(city.as_deref())
        .filter(|index| after.is_none_or(|after| *index > after))
        .filter(|index| !only_available || read_model.availability(*index) != Availability::SoldOut)
        .take(limit + 1)
        .map(|index| {
            let store = catalogue.store_at(index);
            let (id, name, city) = (store.id.clone(), store.name.clone(), store.city.clone());
            StoreView { id, name, city, availability: read_model.availability(index) }
        })
        .collect::<Vec<_>>();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|store| store.id.clone());
    let body = serde_json::to_vec(&StorePage { stores: found, next }).unwrap_or_default();
    Ok(respond::cached(body.into(), None, None))
}
