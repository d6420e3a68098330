//! Reads without a token: the list of sales, a sale and the time, served from the read model.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::IF_NONE_MATCH;
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use rustc_hash::FxHashMap;

use crate::api::view::{ListedSale, SaleList, SaleView, SignupView, TimeView};
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::Shed;
use crate::domain::definition::{Definition, SignupTerms};
use crate::domain::polling::poll_after_ms;
use crate::domain::rfc3339::rfc3339;
use crate::domain::sale::{Availability, Phase, SaleClock, SaleControls};
use crate::http::gzip::GzipCache;
use crate::http::respond::{self, Answer, Refused};
use crate::projection::read_model::{ReadModel, Sale, Sales};

/// Sales on the list; those that open last are left off.
const LISTED_MAX: usize = 1_000;
/// How long the list is served without a look at the sales, for each of them. A look takes a hundredth of it, so that
/// thousands of sales make no read of a busy worker dear; and it shows a change 10 ms late at most for a thousand.
const LOOK_AGAIN: Duration = Duration::from_micros(10);

/// `GET /v1/time`
pub fn time(now: i64) -> Answer {
    respond::ok(&TimeView { server_time: rfc3339(now) })
}

/// The pages of sales as bytes, kept per worker until they change.
#[derive(Default)]
pub struct Pages {
    by_sale: RefCell<FxHashMap<String, Page>>,
    list: RefCell<Option<ListPage>>,
}

/// The list of sales.
struct ListPage {
    of: Vec<Listed>,
    /// Until then nothing is looked at.
    fresh_until: Instant,
    etag: HeaderValue,
    body: Bytes,
}

/// All that the list shows of a sale.
struct Listed {
    of: Arc<Catalogue>,
    phase: Phase,
    opens: i64,
    closes: i64,
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        let shown = |listed: &Self| (listed.phase, listed.opens, listed.closes);
        Arc::ptr_eq(&self.of, &other.of) && shown(self) == shown(other)
    }
}

struct Page {
    /// The latest read model that it shows.
    of: Arc<ReadModel>,
    phase: Phase,
    poll_after_ms: u64,
    /// How many are signed up.
    signed_up: u64,
    etag: HeaderValue,
    /// The whole body as of the millisecond of the last read: at a launch, many reads share it.
    cached: (i64, Bytes),
    /// Its length up to the value of `server_time`, the last member.
    head: usize,
}

impl Pages {
    /// `GET /v1/sales/{sale}`, with the factor by which load stretches the interval of polls.
    pub fn answer(&self, sale: &Sale, parts: &Parts, poll_load: u32) -> Answer {
        let read_model = sale.read_model();
        let time = sale.best_time();
        let phase = shown_phase(sale, &read_model, time);
        let poll_after_ms = poll_after_ms(phase, read_model.controls.opens - time, poll_load);
        let signed_up = read_model.sign_ups.shown(time);
        let mut pages = self.by_sale.borrow_mut();
        let page = match pages.get_mut(&sale.id) {
            Some(page)
                if page.phase == phase
                    && page.poll_after_ms == poll_after_ms
                    && page.signed_up == signed_up
                    && shows_the_same(&page.of, &read_model) =>
            {
                page.of = read_model;
                page
            }
            _ => {
                let page = Page::new(sale.incarnation(), read_model, (phase, poll_after_ms, signed_up), time);
                pages.entry(sale.id.clone()).insert_entry(page).into_mut()
            }
        };
        if page.cached.0 != time {
            let head = &page.cached.1[..page.head];
            page.cached = (time, [head, rfc3339(time).as_bytes(), b"\"}"].concat().into());
        }
        respond::cached(page.cached.1.clone(), &page.etag, parts.headers.get(IF_NONE_MATCH))
    }

    /// `GET /v1/sales`
    pub fn list(
        &self,
        sales: &Sales,
        parts: &Parts,
        gzip: &GzipCache,
        now: Instant,
    ) -> Result<Answer, Refused> {
        if !sales.is_listed() {
            return Err(Refused::not_taken(Shed::Unread));
        }
        let mut page = self.list.borrow_mut();
        let ListPage { etag, body, .. } = match &mut *page {
            Some(page) if now < page.fresh_until => page,
            page => {
                let sales = sales.all();
                let fresh_until = now + LOOK_AGAIN * u32::try_from(sales.len()).unwrap_or(u32::MAX);
                let of: Vec<Listed> = sales.iter().filter_map(|sale| Listed::of(sale)).collect();
                match page {
                    Some(page) if page.of == of => {
                        page.fresh_until = fresh_until;
                        page
                    }
                    page => page.insert(ListPage::new(of, fresh_until)),
                }
            }
        };
        Ok(gzip.answer(parts, etag, now, || body.clone()))
    }
}

impl Listed {
    /// `None`: the list does not show it.
    fn of(sale: &Sale) -> Option<Self> {
        let read_model = sale.read_model();
        let phase = shown_phase(sale, &read_model, sale.best_time());
        let (of, SaleControls { opens, closes, .. }) = (read_model.catalogue.clone(), read_model.controls);
        let is_shown = phase != Phase::Closed && of.definition.sale.listed;
        is_shown.then_some(Self { of, phase, opens, closes })
    }
}

impl ListPage {
    fn new(of: Vec<Listed>, fresh_until: Instant) -> Self {
        let view = |sale: &Listed| {
            let terms = &sale.of.definition.sale;
            let listed = ListedSale {
                id: terms.id.clone(),
                name: terms.name.clone(),
                phase: sale.phase,
                opens_at: rfc3339(sale.opens),
                closes_at: rfc3339(sale.closes),
            };
            (sale.opens, listed)
        };
        let mut sales: Vec<_> = of.iter().map(view).collect();
        sales.sort_by(|(opens, a), (other, b)| opens.cmp(other).then_with(|| a.id.cmp(&b.id)));
        sales.truncate(LISTED_MAX);
        let list = SaleList { sales: sales.into_iter().map(|(_, sale)| sale).collect() };
        let body = serde_json::to_vec(&list).unwrap_or_default();
        Self { of, fresh_until, etag: weak_tag(&[b"sales", &body]), body: body.into() }
    }
}

/// The phase that buyers see.
fn shown_phase(sale: &Sale, read_model: &ReadModel, time: i64) -> Phase {
    read_model.phase(time).shown_to_buyers(sale.ledger_stop())
}

/// A tag of these bytes, for pages that are also sent compressed.
pub(super) fn weak_tag(of: &[&[u8]]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    of.iter().for_each(|bytes| hasher.write(bytes));
    HeaderValue::try_from(format!("W/\"{:016x}\"", hasher.finish())).unwrap_or(HeaderValue::from_static(""))
}

/// Whether two read models have the same page, but for phase and `poll_after_ms`. Most changes of a sale are none of
/// its page.
fn shows_the_same(a: &Arc<ReadModel>, b: &Arc<ReadModel>) -> bool {
    let shown = |read_model: &ReadModel| {
        let SaleControls { opens, closes, frozen, .. } = read_model.controls;
        (opens, closes, frozen)
    };
    Arc::ptr_eq(a, b)
        || (Arc::ptr_eq(&a.catalogue, &b.catalogue) && shown(a) == shown(b) && levels(a).eq(levels(b)))
}

/// The levels of all models and packages.
fn levels(read_model: &ReadModel) -> impl Iterator<Item = Availability> {
    (0..read_model.catalogue.first_store()).map(|product| read_model.availability(product))
}

impl Page {
    fn new(
        incarnation: &str,
        read_model: Arc<ReadModel>,
        (phase, poll_after_ms, signed_up): (Phase, u64, u64),
        time: i64,
    ) -> Self {
        let products = read_model.catalogue.products();
        let view = view(&read_model, phase, poll_after_ms, signed_up);
        let sale = serde_json::to_string(&view).unwrap_or_default();
        let sale = sale.strip_suffix(NO_PRODUCTS).unwrap_or_default();
        let shown: Vec<u8> = levels(&read_model).map(|level| level as u8).collect();
        let mut hasher = DefaultHasher::new();
        // Another incarnation of the same sale id must never match an older ETag. The digest stands for the texts that
        // may be long.
        hasher.write(incarnation.as_bytes());
        hasher.write(sale.as_bytes());
        hasher.write(&products.digest().to_le_bytes());
        hasher.write(&shown);
        let mut body = String::with_capacity(sale.len() + products.bytes_max() + 64);
        body.push_str(sale);
        products.push_members(&mut body, levels(&read_model));
        body.push_str(",\"server_time\":\"");
        let head = body.len();
        [&*rfc3339(time), "\"}"].into_iter().for_each(|text| body.push_str(text));
        Self {
            of: read_model,
            phase,
            poll_after_ms,
            signed_up,
            etag: HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()))
                .unwrap_or(HeaderValue::from_static("")),
            cached: (time, body.into()),
            head,
        }
    }
}

/// The end of a [`view`] as JSON.
const NO_PRODUCTS: &str = "\"models\":[],\"packages\":[],\"server_time\":\"\"}";

/// The page without `meta`, products and time.
fn view(read_model: &ReadModel, phase: Phase, poll_after_ms: u64, count: u64) -> SaleView {
    let Definition { sale: terms, signup, .. } = &read_model.catalogue.definition;
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
        sells: terms.sells,
        signup: signup.as_ref().map(|SignupTerms { opens_at, closes_at, required }| SignupView {
            opens_at: rfc3339(opens_at.as_millisecond()),
            closes_at: rfc3339(closes_at.as_millisecond()),
            required: *required,
            count,
        }),
        standby: terms.standby,
        meta: None,
        models: Vec::new(),
        packages: Vec::new(),
        server_time: String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
