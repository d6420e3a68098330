//! The unchanging part of each store's JSON, made once: a page of 500 stores is put together from them.

use serde::Serialize;

use crate::domain::definition::Store;
use crate::domain::degrees::Degrees;

/// The members of a store that only a definition changes, in the order of the API.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    name: &'a str,
    province: Option<&'a str>,
    city: &'a str,
    address: Option<&'a str>,
    lat: Option<Degrees>,
    lng: Option<Degrees>,
}

/// `{"id":"…",…,"availability":"` of every store.
#[derive(Debug)]
pub(super) struct StoreHeads {
    text: String,
    /// Where the text of each store ends.
    ends: Box<[usize]>,
}

impl StoreHeads {
    pub(super) fn new(stores: &[Store]) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(stores.len()));
        for Store { id, name, city, province, address, lat, lng, .. } in stores {
            let (province, address) = (province.as_deref(), address.as_deref());
            let head = Head { id, name, province, city, address, lat: *lat, lng: *lng };
            let head = serde_json::to_string(&head).unwrap_or_default();
            text.push_str(head.strip_suffix('}').unwrap_or_default());
            text.push_str(",\"availability\":\"");
            ends.push(text.len());
        }
        text.shrink_to_fit();
        Self { text, ends: ends.into() }
    }

    pub(super) fn of(&self, store: usize) -> &str {
        let begin = store.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin..self.ends[store]]
    }
}
