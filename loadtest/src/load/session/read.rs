//! Reads what an app shows: the sale, the server's clock, the stores of a city.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::base::clock::RoundTrip;
use crate::base::requests::{LOOK, STORES, TIME};
use crate::client::Request;
use crate::load::session::Session;
use crate::plan::selection::StorePage;

/// The sale as an app reads it. What an app can't do without must be there.
#[derive(Clone, Debug, Deserialize)]
pub struct SalePage {
    id: String,
    /// `upcoming`, `open`, `paused`, `sold_out` or `closed`.
    pub phase: String,
    /// After how many milliseconds the server asks an app to look again.
    #[serde(default)]
    pub poll_after_ms: u64,
    models: Vec<Shown>,
    /// Buyers can wait for what is sold out.
    #[serde(default)]
    pub standby: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Shown {
    id: String,
    availability: String,
}

/// The answer of `/v1/time`.
#[derive(Deserialize)]
pub(crate) struct PublicTime {
    pub(crate) server_time: Timestamp,
}

/// Polling apps without a word from the server.
const POLL_DEFAULT_MS: u64 = 2_000;

impl SalePage {
    /// Whether something of this model is left, as far as the page shows.
    pub fn has_left(&self, model: &str) -> bool {
        self.models.iter().any(|shown| shown.id == model && shown.availability != "sold_out")
    }
}

impl Session {
    /// One reading of the server's clock.
    pub(crate) async fn read_time(&mut self) {
        let request = Request::get("/v1/time".to_owned());
        let answer = self.send(&request).await;
        let time: Option<PublicTime> = answer.json();
        self.record_read(TIME, &request, &answer, time.is_some());
        if let Some(time) = time {
            let (sent, received) = (answer.sent, answer.sent + answer.took);
            self.buyer.trips.push(RoundTrip { sent, received, server_time: time.server_time });
        }
    }

    /// Looks at the sale, as an app polls it: with the tag of what it has. Returns what it shows, if it answered.
    pub(crate) async fn look(&mut self) -> Option<&SalePage> {
        let mut request = Request::get(format!("/v1/sales/{}", self.load.sale));
        request.tag = self.page.as_ref().and_then(|(_, tag)| tag.clone());
        let answer = self.send(&request).await;
        let is_seen = match answer.reply.as_ref() {
            Ok(reply) if reply.status == 304 => request.tag.is_some(),
            Ok(reply) if reply.status == 200 => match serde_json::from_str::<SalePage>(&reply.body) {
                Ok(page) if page.id == self.load.sale => {
                    self.page = Some((page, reply.tag.clone()));
                    true
                }
                _ => false,
            },
            _ => false,
        };
        self.record_read(LOOK, &request, &answer, is_seen);
        self.page.as_ref().filter(|_| is_seen).map(|(page, _)| page)
    }

    /// How long an app waits for its next look: what the server asks for, and a random part less.
    pub(crate) fn poll_pause(&mut self) -> Duration {
        let asked = self.page.as_ref().map(|(page, _)| page.poll_after_ms).filter(|ms| *ms > 0);
        let asked = asked.unwrap_or(POLL_DEFAULT_MS);
        Duration::from_millis(asked).mul_f64(0.5 + self.buyer.rng.f64() / 2.0)
    }

    /// Looks once more, after as long as the server asks for: whether something of the wanted model is there again.
    pub(crate) async fn sees_something_come_back(&mut self) -> bool {
        let pause = self.poll_pause();
        if !self.rest(pause).await {
            return false;
        }
        let model = self.buyer.selection.model.clone();
        self.look().await.is_some_and(|page| page.has_left(&model))
    }

    /// Browses the stores of a city and picks one that has room.
    pub(crate) async fn browse(&mut self) -> Option<String> {
        let city = self.load.catalogue.choose_city(&mut self.buyer.rng);
        let filter = city.map(|city| format!("city={}&", escaped(city))).unwrap_or_default();
        let stores = self.list_stores(&format!("{filter}available=true&limit=50")).await?.stores;
        self.buyer.rng.choice(&stores).map(|store| store.id.clone())
    }

    /// Lists stores by this query.
    pub(crate) async fn list_stores(&mut self, query: &str) -> Option<StorePage> {
        let request = Request::get(format!("/v1/sales/{}/stores?{query}", self.load.sale));
        let answer = self.send(&request).await;
        let page: Option<StorePage> = answer.json();
        self.record_read(STORES, &request, &answer, page.is_some());
        page
    }
}

/// For a query: whatever a name is made of must survive it.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
