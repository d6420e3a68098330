//! Reads without a token: the list of sales, a sale and the time, served from the read model.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::IF_NONE_MATCH;
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use rustc_hash::FxHashMap;

use crate::api::view::{ListedSale, ProductView, SaleList, SaleView, TimeView};
use crate::domain::decision::Shed;
use crate::domain::definition::Meta;
use crate::domain::polling::poll_after_ms;
use crate::domain::rfc3339::rfc3339;
use crate::domain::sale::{Phase, SaleClock};
use crate::http::gzip::GzipCache;
use crate::http::respond::{self, Answer, Refused};
use crate::projection::read_model::{ReadModel, Sale, Sales};

/// Sales on the list; those that open last are left off.
const LISTED_MAX: usize = 1_000;

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
    etag: HeaderValue,
    body: Bytes,
}

/// A sale on the list.
struct Listed {
    of: Arc<ReadModel>,
    phase: Phase,
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.of, &other.of) && self.phase == other.phase
    }
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
    /// `GET /v1/sales/{sale}`, with the factor by which load stretches the interval of polls.
    pub fn answer(&self, sale: &Sale, parts: &Parts, poll_load: u32) -> Answer {
        let read_model = sale.read_model();
        let time = sale.best_time();
        let phase = shown_phase(sale, &read_model, time);
        let poll_after_ms = poll_after_ms(phase, read_model.controls.opens - time, poll_load);
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
        let listed = |sale: Arc<Sale>| {
            let read_model = sale.read_model();
            let phase = shown_phase(&sale, &read_model, sale.best_time());
            let is_shown = phase != Phase::Closed && read_model.catalogue.definition.sale.listed;
            is_shown.then_some(Listed { of: read_model, phase })
        };
        let of: Vec<Listed> = sales.all().into_iter().filter_map(listed).collect();
        let mut page = self.list.borrow_mut();
        let ListPage { etag, body, .. } = match &mut *page {
            Some(page) if page.of == of => page,
            page => page.insert(ListPage::new(of)),
        };
        Ok(gzip.answer(parts, etag, now, || body.clone()))
    }
}

impl ListPage {
    fn new(of: Vec<Listed>) -> Self {
        let view = |sale: &Listed| {
            let (terms, controls) = (&sale.of.catalogue.definition.sale, sale.of.controls);
            let listed = ListedSale {
                id: terms.id.clone(),
                name: terms.name.clone(),
                phase: sale.phase,
                opens_at: rfc3339(controls.opens),
                closes_at: rfc3339(controls.closes),
            };
            (controls.opens, listed)
        };
        let mut sales: Vec<_> = of.iter().map(view).collect();
        sales.sort_by(|(opens, a), (other, b)| opens.cmp(other).then_with(|| a.id.cmp(&b.id)));
        sales.truncate(LISTED_MAX);
        let list = SaleList { sales: sales.into_iter().map(|(_, sale)| sale).collect() };
        let body = serde_json::to_vec(&list).unwrap_or_default();
        Self { of, etag: weak_tag(&[&body]), body: body.into() }
    }
}

/// The phase that buyers see: a sale whose ledger can't be asked shows as paused, since its reservations would only
/// wait.
fn shown_phase(sale: &Sale, read_model: &ReadModel, time: i64) -> Phase {
    match read_model.phase(time) {
        Phase::Open | Phase::SoldOut if sale.is_unavailable() => Phase::Paused,
        phase => phase,
    }
}

/// A tag of these bytes, for pages that are also sent compressed.
pub(super) fn weak_tag(of: &[&[u8]]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    of.iter().for_each(|bytes| hasher.write(bytes));
    HeaderValue::try_from(format!("W/\"{:016x}\"", hasher.finish())).unwrap_or(HeaderValue::from_static(""))
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
    let product =
        |index, id: &String, name: &String, price, models: Option<&Vec<String>>, meta| ProductView {
            id: id.clone(),
            name: name.clone(),
            price,
            availability: read_model.availability(index),
            models: models.cloned(),
            meta,
        };
    let meta = |meta: &Option<Meta>| meta.clone();
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
        meta: meta(&terms.meta),
        models: models
            .map(|(index, m)| product(index, &m.id, &m.name, m.price, None, meta(&m.meta)))
            .collect(),
        packages: packages
            .map(|(index, p)| product(index, &p.id, &p.name, p.price, p.models.as_ref(), meta(&p.meta)))
            .collect(),
        server_time: String::new(),
    }
}
