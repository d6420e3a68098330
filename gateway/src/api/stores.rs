//! Reads of a sale's stores: searches, one store, the cities; served from the read model.

use std::cell::RefCell;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::IF_NONE_MATCH;
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::api::sales::weak_tag;
use crate::domain::catalogue::Catalogue;
use crate::domain::degrees::Degrees;
use crate::domain::problem;
use crate::domain::sale::Availability;
use crate::domain::stores::{Cursor, FoundStores, Spot, StoreQuery};
use crate::http::gzip::GzipCache;
use crate::http::request::known_query;
use crate::http::respond::{self, Answer, Refused};
use crate::projection::read_model::{ReadModel, Sale};

/// Stores on a page by default, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 500;
/// Characters of a text that a query looks for.
const TEXT_CHARS_MAX: usize = 100;

/// The filter and page of a store list.
pub struct StoresWanted {
    pub(crate) query: StoreQuery,
    cursor: Option<String>,
}

impl StoresWanted {
    /// Parses the query.
    pub fn read(parts: &Parts) -> Result<Self, Refused> {
        const NAMES: [&str; 7] = ["city", "province", "q", "near", "available", "limit", "cursor"];
        let [city, province, text, near, available, limit, cursor] = known_query(parts, NAMES)?;
        // An empty field of a form filters nothing.
        let [city, province, text, near] =
            [city, province, text, near].map(|value| value.filter(|value| !value.is_empty()));
        let mut query = StoreQuery::new(PAGE);
        for (name, text) in [("city", &city), ("province", &province), ("q", &text)] {
            if text.as_ref().is_some_and(|text| text.chars().nth(TEXT_CHARS_MAX).is_some()) {
                return Err(wrong(name, &format!("has at most {TEXT_CHARS_MAX} characters.")));
            }
        }
        city.iter().for_each(|city| query.city(city));
        province.iter().for_each(|province| query.province(province));
        text.iter().for_each(|text| query.text(text));
        if let Some(near) = near {
            let spot = spot(&near);
            let what =
                "is a latitude from -90 to 90 and a longitude from -180 to 180, such as 23.1291,113.2644.";
            query.near = Some(spot.ok_or_else(|| wrong("near", what))?);
        }
        query.only_available = match available.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong("available", "is true or false.")),
        };
        match limit.map(|limit| limit.parse::<usize>()) {
            None => {}
            Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => query.limit = limit,
            Some(_) => return Err(wrong("limit", &format!("is a number from 1 to {PAGE_MAX}."))),
        }
        Ok(Self { query, cursor })
    }

    /// Reads the cursor: a store's id, near a point a distance and a place. It stays valid when stores are added.
    fn cursor(&self, catalogue: &Catalogue) -> Result<Option<Cursor>, Refused> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        if self.query.near.is_some() {
            let parsed = cursor.split_once('.').and_then(|(square, place)| {
                Some(Cursor::From(u64::from_str_radix(square, 16).ok()?, place.parse().ok()?))
            });
            return parsed
                .map(Some)
                .ok_or_else(|| wrong("cursor", "is not `next` of a search near a point."));
        }
        let store = catalogue.index_of_id("store", cursor).and_then(|index| catalogue.store_of(index));
        let store = store.ok_or_else(|| wrong("cursor", "is not a store of this sale."))?;
        Ok(Some(Cursor::After(store)))
    }
}

fn spot(near: &str) -> Option<Spot> {
    let (lat, lng) = near.split_once(',')?;
    let part = |text: &str, most| Degrees::new(text.trim().parse().ok()?, most);
    Some(Spot::new(part(lat, 90)?, part(lng, 180)?))
}

fn wrong(name: &str, what: &str) -> Refused {
    Refused::new(problem::INVALID_REQUEST, format!("{name} {what}"))
}

/// `GET /v1/sales/{sale}/stores`
pub fn search(
    sale: &Sale,
    wanted: StoresWanted,
    parts: &Parts,
    gzip: &GzipCache,
    now: Instant,
) -> Result<Answer, Refused> {
    let read_model = sale.read_model();
    let catalogue = &read_model.catalogue;
    let cursor = wanted.cursor(catalogue)?;
    let FoundStores { stores, next } = catalogue.stores().search(&wanted.query, &read_model.stores, cursor);
    let next = next.map(|next| match next {
        Cursor::After(store) => catalogue.definition.stores[store].id.clone(),
        Cursor::From(square, place) => format!("{square:x}.{place}"),
    });
    let shown = digest(sale.incarnation(), &read_model, &stores).to_le_bytes();
    let etag = tag(sale, &read_model, &[b"stores", &shown, next.as_deref().unwrap_or_default().as_bytes()]);
    Ok(gzip.answer(parts, &etag, now, || page(&read_model, &stores, next.as_deref())))
}

/// A digest of all that a page shows of these stores besides the definition. Its seed is known to no client, so none can
/// search for two pages with the same; and for 500 stores it takes a fraction of what [`weak_tag`] would.
fn digest(seed: &str, read_model: &ReadModel, stores: &[(usize, Option<u32>)]) -> u64 {
    /// An odd number without a pattern: the digits of the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let seed = FxBuildHasher.hash_one(seed);
    stores.iter().fold(seed, |digest, (store, distance)| {
        let shown = (*store << 2 | read_model.stores.of(*store) as usize) as u64;
        let word = shown << 32 | u64::from(distance.unwrap_or(u32::MAX));
        let product = u128::from(digest ^ word) * u128::from(FACTOR);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = product as u64 ^ (product >> 64) as u64;
        folded
    })
}

/// A page as JSON: byte for byte what serde makes of [`crate::api::view::StorePage`], in a tenth of the time.
fn page(read_model: &ReadModel, stores: &[(usize, Option<u32>)], next: Option<&str>) -> Bytes {
    let mut json = String::with_capacity(64 + stores.len() * 256);
    json.push_str("{\"stores\":[");
    for (n, store) in stores.iter().enumerate() {
        if n > 0 {
            json.push(',');
        }
        push_store(&mut json, read_model, *store);
    }
    match next {
        Some(next) => ["],\"next\":\"", next, "\"}"].into_iter().for_each(|text| json.push_str(text)),
        None => json.push_str("],\"next\":null}"),
    }
    json.into()
}

fn push_store(json: &mut String, read_model: &ReadModel, (store, distance): (usize, Option<u32>)) {
    json.push_str(read_model.catalogue.stores().head(store));
    json.push_str(read_model.stores.of(store).name());
    json.push('"');
    if let Some(distance) = distance {
        json.push_str(",\"distance_m\":");
        json.push_str(itoa::Buffer::new().format(distance));
    }
    json.push('}');
}

/// A tag of what follows from the definition's stores and from these bytes, the kind of the page first.
fn tag(sale: &Sale, read_model: &ReadModel, bytes: &[&[u8]]) -> HeaderValue {
    let stores = read_model.catalogue.stores().digest().to_le_bytes();
    let parts: Vec<&[u8]> =
        [sale.incarnation().as_bytes(), &stores].into_iter().chain(bytes.iter().copied()).collect();
    weak_tag(&parts)
}

/// `GET /v1/sales/{sale}/stores/{id}`
pub fn one(sale: &Sale, id: &str, parts: &Parts) -> Result<Answer, Refused> {
    let read_model = sale.read_model();
    let catalogue = &read_model.catalogue;
    let store = catalogue.index_of_id("store", id).and_then(|index| catalogue.store_of(index));
    let store = store.ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        Refused::new(problem::STORE_NOT_FOUND, format!("This sale has no store {id:?}."))
    })?;
    let mut json = String::with_capacity(256);
    push_store(&mut json, &read_model, (store, None));
    let etag = tag(sale, &read_model, &[b"store", json.as_bytes()]);
    Ok(respond::cached(json.into(), &etag, parts.headers.get(IF_NONE_MATCH)))
}

/// The lists of cities as bytes, kept per worker until a city's level or the definition changes.
///
/// To make one again takes less than to send it, since only levels are put into texts that are there: no pause between
/// two of them is needed.
#[derive(Default)]
pub struct CityPages {
    by_sale: RefCell<FxHashMap<String, CityPage>>,
}

struct CityPage {
    catalogue: Arc<Catalogue>,
    levels: Arc<[Availability]>,
    etag: HeaderValue,
    body: Bytes,
}

impl CityPages {
    /// `GET /v1/sales/{sale}/cities`
    pub fn answer(&self, sale: &Sale, parts: &Parts, gzip: &GzipCache, now: Instant) -> Answer {
        let read_model = sale.read_model();
        let mut pages = self.by_sale.borrow_mut();
        let page = match pages.get_mut(&sale.id) {
            Some(page)
                if Arc::ptr_eq(&page.catalogue, &read_model.catalogue)
                    && Arc::ptr_eq(&page.levels, read_model.stores.cities()) =>
            {
                page
            }
            _ => pages.entry(sale.id.clone()).insert_entry(CityPage::new(sale, &read_model)).into_mut(),
        };
        gzip.answer(parts, &page.etag, now, || page.body.clone())
    }
}

impl CityPage {
    fn new(sale: &Sale, read_model: &ReadModel) -> Self {
        let (catalogue, levels) = (read_model.catalogue.clone(), read_model.stores.cities().clone());
        let shown: Vec<u8> = levels.iter().map(|level| *level as u8).collect();
        let etag = tag(sale, read_model, &[b"cities", &shown]);
        Self { etag, body: cities(read_model), levels, catalogue }
    }
}

/// The cities as JSON: byte for byte what serde makes of [`crate::api::view::CityList`].
fn cities(read_model: &ReadModel) -> Bytes {
    let (index, levels) = (read_model.catalogue.stores(), read_model.stores.cities());
    let mut json = String::with_capacity(16 + levels.len() * 128);
    json.push_str("{\"cities\":[");
    for (city, level) in levels.iter().enumerate() {
        let between = if city > 0 { "," } else { "" };
        [between, index.city_head(city), level.name(), "\"}"]
            .into_iter()
            .for_each(|text| json.push_str(text));
    }
    json.push_str("]}");
    json.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
