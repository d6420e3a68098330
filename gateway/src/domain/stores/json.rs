//! The unchanging part of each store's and each city's JSON, made once: a page is put together from them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Serialize;

use crate::domain::definition::Store;
use crate::domain::degrees::Degrees;

/// The members of a store that only a definition changes, in the order of the API.
#[derive(Serialize)]
struct StoreHead<'a> {
    id: &'a str,
    name: &'a str,
    province: Option<&'a str>,
    city: &'a str,
    address: Option<&'a str>,
    lat: Option<Degrees>,
    lng: Option<Degrees>,
}

/// The members of a city that only a definition changes, in the order of the API.
#[derive(Serialize)]
pub(super) struct CityHead<'a> {
    /// As in its first store.
    pub(super) province: Option<&'a str>,
    /// As in its first store.
    pub(super) city: &'a str,
    /// How many stores it has.
    pub(super) stores: usize,
}

/// `{…,"availability":"` of every store or city.
#[derive(Debug)]
pub(super) struct Heads {
    text: String,
    /// Where the text of each ends.
    ends: Box<[usize]>,
}

impl Heads {
    pub(super) fn of_stores(stores: &[Store]) -> Self {
        Self::new(stores.iter().map(|Store { id, name, city, province, address, lat, lng, .. }| {
            let (province, address) = (province.as_deref(), address.as_deref());
            StoreHead { id, name, province, city, address, lat: *lat, lng: *lng }
        }))
    }

    pub(super) fn new(members: impl Iterator<Item = impl Serialize>) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for members in members {
            let members = serde_json::to_string(&members).unwrap_or_default();
            text.push_str(members.strip_suffix('}').unwrap_or_default());
            text.push_str(",\"availability\":\"");
            ends.push(text.len());
        }
        text.shrink_to_fit();
        Self { text, ends: ends.into() }
    }

    pub(super) fn of(&self, n: usize) -> &str {
        let begin = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin..self.ends[n]]
    }

    /// A digest of all of them, the same at every gateway.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        hasher.finish()
    }
}
