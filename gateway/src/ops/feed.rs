//! The journal on the ops listener: pages, waiting for news, and the leases of readers.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::domain::duration::milliseconds;
use crate::domain::identity::is_item_id;
use crate::domain::problem;
use crate::domain::rfc3339::rfc3339;
use crate::http::drain::Drain;
use crate::http::request::query;
use crate::http::respond::{self, Answer, Refused};
use crate::identify::ops_tokens::{Operator, Role};
use crate::manage::admin::{Fence, JournalPage, JournalRead, LeaseCall, LeaseOutcome};
use crate::ops::admin::{Ops, OpsCall, failed, number_of};
use crate::store::journal::Cursor;

/// Lines in one response.
const LINES_MAX: usize = 10_000;
/// Journal entries in one response: each has at least one line and, with the largest batches, some hundred.
const ENTRIES_MAX: usize = 100;
/// Readers that wait for news at a time.
pub const WAITING_MAX: usize = 200;
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often a waiting reader makes sure that the journal consumer still follows its sale. No call to Redis.
const FOLLOWED_LOOK: Duration = Duration::from_secs(1);
/// How often it reads again what the journal consumer can't tell: changes that are not protected yet, or a sale that this
/// gateway does not follow.
const UNKNOWN_LOOK: Duration = Duration::from_millis(250);
/// The ledger's latest change, for a reader that computes how far behind it is.
const SEQUENCE: HeaderName = HeaderName::from_static("launchgate-sequence");

const TTL_MS: std::ops::RangeInclusive<u64> = 1_000..=60_000;
const HOLDER_BYTES_MAX: usize = 128;
const STATE_BYTES_MAX: usize = 2_048;

/// What readers of the journal share.
pub struct Feed {
    waiting: Arc<Semaphore>,
    drain: Drain,
}

impl Feed {
    /// Its waits end once this drain begins.
    pub fn new(drain: Drain) -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING_MAX)), drain }
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, Refused> {
        self.waiting.clone().try_acquire_owned().map_err(|_| {
            let detail = format!(
                "{WAITING_MAX} readers of this gateway wait for changes already. Leave `wait` out, or use another gateway."
            );
            Refused::new(problem::TEMPORARY_REDUCED_CAPACITY, detail).retry_after(5_000)
        })
    }
}

/// Takes, renews or releases the lease of a reader.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The name under which one program at a time reads: 1 to 64 of `[A-Za-z0-9._-]`, not a lone hyphen.
    #[schema(pattern = "^([A-Za-z0-9._]|[A-Za-z0-9._-]{2,64})$", example = "orders")]
    pub reader: String,
    /// The program, different in each run: 1 to 128 visible ASCII characters without blanks.
    #[schema(pattern = "^[!-~]{1,128}$", example = "host-1:4711:3f9a")]
    pub holder: String,
    /// How long the lease lasts unless it is renewed, 1,000 to 60,000; 0 releases it.
    #[schema(maximum = 60_000, example = 15_000)]
    pub ttl_ms: u64,
    /// What the program says of itself, up to 2 KiB; `gateway doctor` shows `lag_ms` and `parked`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub state: serde_json::Map<String, serde_json::Value>,
}

/// A lease.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lease)]
pub struct LeaseView {
    /// The reader.
    pub reader: String,
    /// The program that has it.
    pub holder: String,
    /// Larger than that of every earlier holder.
    pub fence: u64,
    /// When it ends unless it is renewed; of a released one the time of its release.
    #[schema(format = DateTime)]
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl LeaseRequest {
    fn check(&self) -> Result<String, Refused> {
        if !is_item_id(&self.reader) {
            let detail =
                "a reader's name has 1 to 64 of the characters A-Z a-z 0-9 . _ - and is not a lone hyphen";
            return Err(Refused::invalid("/reader", detail));
        }
        let holder = self.holder.as_bytes();
        if !(1..=HOLDER_BYTES_MAX).contains(&holder.len()) || !holder.iter().all(u8::is_ascii_graphic) {
            let detail = format!("a holder has 1 to {HOLDER_BYTES_MAX} visible ASCII characters, no blanks");
            return Err(Refused::invalid("/holder", detail));
        }
        if self.ttl_ms != 0 && !TTL_MS.contains(&self.ttl_ms) {
            return Err(Refused::invalid("/ttl_ms", "ttl_ms must be 0 or a number from 1000 to 60000"));
        }
        let state = serde_json::to_string(&self.state).unwrap_or_default();
        if state.len() > STATE_BYTES_MAX {
            let detail = format!("state has {} bytes of JSON, more than {STATE_BYTES_MAX}", state.len());
            return Err(Refused::invalid("/state", detail));
        }
        Ok(state)
    }
}

fn wait_of(wait: Option<String>) -> Result<Duration, Refused> {
    let Some(wait) = wait else { return Ok(Duration::ZERO) };
    let parsed = milliseconds(&wait).map(Duration::from_millis).filter(|wait| *wait <= WAIT_MAX);
    parsed.ok_or_else(|| {
        let detail = format!("wait must be a duration of at most 60s, such as 25s or 2500ms, not {wait:?}.");
        Refused::new(problem::INVALID_REQUEST, detail)
    })
}

fn cursor_of(from: Option<String>) -> Result<Cursor, Refused> {
    let wrong = |detail: String| Refused::new(problem::INVALID_REQUEST, detail);
    let cursor = from.map(|from| Cursor::parse(&from)).transpose().map_err(wrong)?.unwrap_or(Cursor::START);
    if cursor.has_history() {
        return Ok(cursor);
    }
    Err(wrong(format!(
        "{cursor} names no history, so that a lost change could be skipped: continue from the whole `cursor` of the last \
         line that you have, or leave `from` out."
    )))
}

impl Ops {
    /// `GET /admin/v1/sales/{sale}/journal`
    pub(super) async fn journal(
        &self,
        sale: &str,
        parts: &Parts,
        operator: &Operator,
    ) -> Result<Answer, Refused> {
        let [from, limit, wait] = query(parts, ["from", "limit", "wait"])?;
        let cursor = cursor_of(from)?;
        let limit = number_of("limit", limit, LINES_MAX)?.unwrap_or(LINES_MAX);
        let wait = wait_of(wait)?;
        let page = if wait.is_zero() {
            self.read_page(sale, cursor, limit).await?
        } else {
            let _slot = self.feed.slot()?;
            tokio::select! {
                page = self.wait_for_page(sale, cursor, limit, Instant::now() + wait) => page?,
                () = self.tokens.clone().ended(operator.clone(), Role::Feed) => {
                    return Err(Refused::unknown_ops_token());
                }
            }
        };
        let text: String = page.lines.iter().take(limit).map(|(_, line)| format!("{line}\n")).collect();
        let mut answer = respond::text("application/x-ndjson", text);
        answer.headers_mut().insert(SEQUENCE, HeaderValue::from(page.sequence));
        Ok(answer)
    }

    async fn read_page(&self, sale: &str, cursor: Cursor, limit: usize) -> Result<JournalPage, Refused> {
        let read = self.admin.journal(sale, cursor, limit.min(ENTRIES_MAX), Fence::Respect).await;
        match read.map_err(failed(sale))? {
            JournalRead::Page(page) => Ok(page),
            JournalRead::Forked(common) => Err(forked(&cursor, &common)),
        }
    }

    /// The first page with a line, or an empty one at the deadline or once the gateway drains.
    async fn wait_for_page(
        &self,
        sale: &str,
        cursor: Cursor,
        limit: usize,
        deadline: Instant,
    ) -> Result<JournalPage, Refused> {
        loop {
            // Subscribed before the read, so that no change is missed between.
            let followed = self.status.sales.get(sale);
            let consumed = followed.as_ref().map(|sale| sale.subscribe_consumed());
            let page = self.read_page(sale, cursor, limit).await?;
            if !page.lines.is_empty() {
                return Ok(page);
            }
            let news = async {
                match (&followed, consumed) {
                    (Some(followed), Some(mut consumed)) if !page.has_unprotected => loop {
                        let is_news = consumed.wait_for(|consumed| *consumed > page.sequence);
                        let looked = tokio::time::timeout(FOLLOWED_LOOK, is_news).await.is_ok();
                        let is_same =
                            self.status.sales.get(sale).is_some_and(|now| Arc::ptr_eq(&now, followed));
                        if looked || !is_same || !followed.is_trusted() {
                            return;
                        }
                    },
                    _ => std::future::pending().await,
                }
            };
            // A sale with a fault is read again at the interval of one that is not followed.
            let is_known = followed.as_ref().is_some_and(|sale| sale.is_trusted()) && !page.has_unprotected;
            let look = if is_known { WAIT_MAX } else { UNKNOWN_LOOK };
            tokio::select! {
                () = news => {}
                () = tokio::time::sleep(look) => {}
                () = tokio::time::sleep_until(deadline) => return Ok(page),
                () = self.feed.drain.begins() => return Ok(page),
            }
        }
    }

    /// `POST /admin/v1/sales/{sale}/journal/lease`
    pub(super) async fn lease(&self, sale: &str, call: OpsCall<'_>) -> Result<Answer, Refused> {
        let who = call.who;
        let request: LeaseRequest = call.json().await?;
        let state = request.check()?;
        let LeaseRequest { reader, holder, ttl_ms, .. } = request;
        let asked = LeaseCall { reader: &reader, holder: &holder, ttl_ms, state: &state };
        match self.admin.lease(sale, &asked).await.map_err(failed(sale))? {
            LeaseOutcome::Held { fence, until, is_new } => {
                if is_new {
                    tracing::info!(
                        sale,
                        actor = who,
                        reader,
                        holder,
                        fence,
                        "a reader of the journal took its lease"
                    );
                }
                Ok(respond::ok(&LeaseView { reader, holder, fence, expires_at: rfc3339(until) }))
            }
            LeaseOutcome::Other { holder, until, left_ms } => {
                let detail = format!(
                    "{holder} reads as {reader:?} at the moment. Wait for `Retry-After`, and try again."
                );
                let refused = Refused::new(problem::LEASE_HELD, detail).with("holder", holder);
                Err(refused.with("expires_at", rfc3339(until)).retry_after(left_ms))
            }
            LeaseOutcome::Full => {
                let detail = "The sale has 16 readers with a lease. Release one, or wait until one expires.";
                Err(Refused::new(problem::TEMPORARY_REDUCED_CAPACITY, detail).retry_after(10_000))
            }
        }
    }
}

/// 409: the ledger does not have the history of a reader's cursor.
fn forked(from: &Cursor, common: &Cursor) -> Refused {
    let detail = format!(
        "The ledger does not have the history of {from}: the change was lost, or the sale was purged and applied again. \
         Take back what you have of this sale after `cursor`, and continue from there."
    );
    Refused::new(problem::JOURNAL_FORKED, detail).with("cursor", common.to_string())
}
