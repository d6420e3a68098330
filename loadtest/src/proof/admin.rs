//! Calls the admin API of one gateway after the other: definition, audit, journal, support lookup, fleet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::failure::Failure;
use crate::client::options::Ledger;
use crate::client::{USER_AGENT, causes, tls, tokens};
use crate::plan::selection::Definition;
use crate::proof::ledger::{Journal, JournalReader};

/// A sale as operators see it, as far as a load test needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AdminSale {
    /// The latest change before this was answered.
    pub(crate) sequence: u64,
    pub(crate) phase: String,
    #[serde(default)]
    pub(crate) items: Vec<ItemTotal>,
    pub(crate) definition: Definition,
}

/// An item's stock; without a limit there is no total.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ItemTotal {
    pub(crate) item: String,
    pub(crate) total: Option<u64>,
}

/// The audit's answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Audit {
    pub(crate) sequence: u64,
    pub(crate) verdict: String,
    pub(crate) items: Vec<AuditItem>,
    #[serde(default)]
    pub(crate) problems: Vec<serde_json::Value>,
}

/// One item's ledger equation: free + aside + held + confirmed − total = drift.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
pub(crate) struct AuditItem {
    pub(crate) item: String,
    pub(crate) total: Option<i64>,
    pub(crate) free: Option<i64>,
    /// Set aside for buyers who wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) aside: Option<i64>,
    pub(crate) held: i64,
    pub(crate) confirmed: i64,
    pub(crate) drift: Option<i64>,
}

/// The support lookup of a buyer, as far as a load test needs it.
#[derive(Deserialize)]
struct SupportLookup {
    #[serde(default)]
    reservations: Vec<SupportReservation>,
}

#[derive(Deserialize)]
struct SupportReservation {
    id: String,
}

/// The live gateways that share the ledger, as far as a load test needs them.
#[derive(Debug, Deserialize)]
pub(crate) struct Fleet {
    pub(crate) gateways: BTreeMap<String, FleetMember>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FleetMember {
    pub(crate) listen: String,
    pub(crate) version: String,
    pub(crate) durability: String,
}

/// The way to the ops listeners: one at a time, the next one when it fails.
pub(crate) struct Admin {
    http: reqwest::Client,
    listeners: Vec<Url>,
    /// Which of them answered last.
    current: AtomicUsize,
    sale: String,
    bearer: String,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An audit reads all reservations of a sale.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A definition may have 50,000 stores inline.
const BODY_BYTES_MAX: usize = 256 << 20;
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const JOURNAL_PAGE: usize = 10_000;
/// Fifty million changes: beyond that the sale is not a rehearsal.
const JOURNAL_PAGES_MAX: usize = 5_000;

impl Admin {
    pub(crate) fn new(ledger: &Ledger) -> Result<Admin, Failure> {
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(USER_AGENT)
            .tls_backend_preconfigured(tls(ledger.ca_file.as_deref())?)
            .build()
            .map_err(|error| Failure::Outside(format!("the HTTP client can't be built: {error}")))?;
        let parsed =
            |ops: &String| Url::parse(ops).map_err(|error| Failure::Usage(format!("--ops {ops:?}: {error}")));
        let listeners = ledger.ops.iter().map(parsed).collect::<Result<_, _>>()?;
        let (sale, bearer) = (ledger.sale.clone(), tokens::operator(ledger)?);
        Ok(Admin { http, listeners, current: AtomicUsize::new(0), sale, bearer })
    }

    pub(crate) fn listeners(&self) -> &[Url] {
        &self.listeners
    }

    pub(crate) async fn sale(&self) -> Result<AdminSale, Failure> {
        self.get_json(&[]).await
    }

    /// Checks that this listener answers and takes the ops token.
    pub(crate) async fn check_listener(&self, listener: usize) -> Result<(), Failure> {
        self.get_of(&[listener], &["sales"], &[]).await.map(drop)
    }

    /// The version of the gateway at this listener, if its metrics show it.
    pub(crate) async fn version(&self, listener: usize) -> Option<String> {
        let url = self.listeners[listener].join("/metrics").ok()?;
        let (_, body) = self.get_once(url).await.ok().filter(|(status, _)| *status == StatusCode::OK)?;
        build_version(&body).map(str::to_owned)
    }

    /// The live gateways; `None` if no listener shows them.
    pub(crate) async fn fleet(&self) -> Option<Fleet> {
        let body = self.get_of(&self.in_turn(), &["fleet"], &[]).await.ok()?;
        serde_json::from_str(&body).ok()
    }

    pub(crate) async fn audit(&self) -> Result<Audit, Failure> {
        self.get_json(&["audit"]).await
    }

    /// The ids of a buyer's reservations in the support lookup.
    pub(crate) async fn look_up_support(&self, buyer: &str) -> Result<Vec<String>, Failure> {
        let seen: SupportLookup = self.get_json(&["buyers", buyer]).await?;
        Ok(seen.reservations.into_iter().map(|reservation| reservation.id).collect())
    }

    /// The complete journal, in order.
    pub(crate) async fn journal(&self) -> Result<Journal, Failure> {
        let limit = JOURNAL_PAGE.to_string();
        let mut journal = JournalReader::default();
        let mut cursor: Option<String> = None;
        for _ in 0..JOURNAL_PAGES_MAX {
            let mut query = vec![("limit", limit.as_str())];
            query.extend(cursor.as_deref().map(|cursor| ("from", cursor)));
            let page = self.get(&["journal"], &query).await?;
            let mut last = None;
            for line in page.lines().filter(|line| !line.trim().is_empty()) {
                let at = journal.read_line(line).map_err(|error| {
                    Failure::Outside(format!("a journal line can't be read: {error}: {line}"))
                })?;
                last = Some(at);
            }
            match last {
                None => return Ok(journal.finish()),
                Some(last) if cursor.as_ref() == Some(&last) => {
                    return Err(Failure::Outside(format!("the journal does not get past {last}")));
                }
                Some(last) => cursor = Some(last),
            }
        }
        Err(Failure::Outside(format!("the journal has no end within {JOURNAL_PAGES_MAX} pages")))
    }

    /// Free cars by the gateway's metrics; `None` without an answer, or if a model has no limit.
    pub(crate) async fn cars_left(&self) -> Option<u64> {
        let listener = self.current.load(Relaxed);
        let url = self.listeners[listener].join("/metrics").ok()?;
        let Ok((status, body)) = self.get_once(url).await else {
            self.current.store((listener + 1) % self.listeners.len(), Relaxed);
            return None;
        };
        let mine = format!("launchgate_stock_units{{sale=\"{}\",item=\"model:", self.sale);
        let is_mine = |line: &&str| line.starts_with(&mine) && line.contains("state=\"free\"");
        let mut free = body.lines().filter(is_mine).peekable();
        free.peek()?;
        (status == StatusCode::OK)
            .then(|| free.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
    }

    async fn get_json<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        let path = self.sale_path(path);
        let body = self.get_of(&self.in_turn(), &path, &[]).await?;
        serde_json::from_str(&body).map_err(|error| {
            let url = url(&self.listeners[self.current.load(Relaxed)], &path, &[]);
            Failure::Outside(format!("{url} answered what can't be read: {error}"))
        })
    }

    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<String, Failure> {
        self.get_of(&self.in_turn(), &self.sale_path(path), query).await
    }

    fn sale_path<'a>(&'a self, path: &[&'a str]) -> Vec<&'a str> {
        ["sales", &self.sale].iter().chain(path).copied().collect()
    }

    /// All listeners, that which answered last first.
    fn in_turn(&self) -> Vec<usize> {
        let (first, all) = (self.current.load(Relaxed), self.listeners.len());
        (first..first + all).map(|listener| listener % all).collect()
    }

    /// Asks these listeners in turn until one answers, a few times: gateways that are still busy with the load must not
    /// turn a good run into a failed one.
    async fn get_of(
        &self,
        listeners: &[usize],
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let mut pause = FIRST_PAUSE;
        let mut troubles = Vec::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            troubles.clear();
            // How many of them say so: one that has lost the sale or its tokens does not speak for the others.
            let (mut rejected, mut missing) = (0, 0);
            for listener in listeners {
                let url = url(&self.listeners[*listener], path, query);
                troubles.push(match self.get_once(url.clone()).await {
                    Ok((StatusCode::OK, body)) => {
                        self.current.store(*listener, Relaxed);
                        return Ok(body);
                    }
                    Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)) => {
                        rejected += 1;
                        format!(
                            "{url} rejects the ops token: check that --ops-token-file belongs to this gateway"
                        )
                    }
                    Ok((StatusCode::NOT_FOUND, _)) => {
                        missing += 1;
                        format!("{url} is not found: is --sale right, and has the sale been applied?")
                    }
                    Ok((status, body)) => format!("{url}: {status} {}", crate::load::history::clip(&body)),
                    Err(error) => format!("{url}: {error}"),
                });
            }
            if rejected == listeners.len() {
                return Err(Failure::Usage(troubles.join("; ")));
            }
            if missing == listeners.len() {
                return Err(Failure::NotFound(troubles.join("; ")));
            }
        }
        Err(Failure::Outside(troubles.join("; ")))
    }

    async fn get_once(&self, url: Url) -> Result<(StatusCode, String), String> {
        let request = self.http.get(url).header("authorization", &self.bearer);
        let mut response = request.send().await.map_err(|error| causes(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(format!("the answer is longer than {BODY_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map(|body| (status, body)).map_err(|_| "the answer is not UTF-8".to_owned())
    }
}

/// A call of the admin API.
fn url(listener: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = listener.clone();
    // `push` escapes: a buyer's sub may have slashes. An http URL always has segments.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(["admin", "v1"]).extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// The version that a gateway's metrics show.
fn build_version(metrics: &str) -> Option<&str> {
    let line = metrics.lines().find(|line| line.starts_with("launchgate_build_info{"))?;
    let (_, rest) = line.split_once("version=\"")?;
    rest.split_once('"').map(|(version, _)| version)
}

#[cfg(test)]
mod tests;
