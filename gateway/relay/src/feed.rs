//! Reads the journal from a gateway's ops listener, page by page.

pub(crate) mod lease;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use rustls::ClientConfig;
use serde::Deserialize;

use crate::change::Change;
use crate::failure::{Failure, causes};
use crate::status::Cause;

/// A gateway's ops listener, for one sale.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    http: reqwest::Client,
    base: Url,
    sale: String,
    token_file: PathBuf,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// In order; none: there is nothing new.
    pub(crate) changes: Vec<Change>,
    /// Up to which sequence there was something to read.
    pub(crate) sequence: Option<u64>,
}

/// Why there is no answer to go on with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FeedError {
    /// It may work later; not earlier than this.
    Transient { cause: Cause, text: String, after: Option<Duration> },
    /// The gateway knows no sale of this id, or not any more.
    SaleMissing,
    /// The ledger's history does not have the cursor: this is the last one that both have.
    Forked { common: String },
    /// Another relay has the lease.
    Held { holder: String, after: Option<Duration> },
    /// Trying again does not help.
    Fatal(Failure),
}

/// How long the gateway holds a request for news.
pub(crate) const WAIT: Duration = Duration::from_secs(25);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For an answer, beside what the gateway is asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The changes of a page, and so of a transaction.
const PAGE_LINES_MAX: usize = 1_000;
/// A line has one reservation: a few hundred bytes, with 16 packages of 64 characters some 4 KiB.
const LINE_BYTES_MAX: usize = 64 << 10;
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Of other answers.
const BODY_BYTES_MAX: usize = 64 << 10;
const TOKEN_BYTES_MAX: u64 = 4 << 10;
const SEQUENCE: &str = "launchgate-sequence";
const USER_AGENT: &str = concat!("launchgate-relay/", env!("CARGO_PKG_VERSION"));

/// What a problem has that is read here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    cursor: Option<String>,
    holder: String,
    retry_after_ms: Option<u64>,
}

impl Feed {
    /// Checks the URL and the token's file; connects to nothing yet.
    pub(crate) fn new(
        from_ops: &str,
        sale: &str,
        token_file: PathBuf,
        tls: ClientConfig,
    ) -> Result<Self, Failure> {
        let wrong = || {
            Failure::Usage(format!(
                "--from-ops: expected http://HOST:PORT or https://HOST:PORT, without user and path, found {from_ops:?}"
            ))
        };
        let base = Url::parse(from_ops).map_err(|_| wrong())?;
        let is_base = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && base.username().is_empty()
            && base.password().is_none()
            && base.path() == "/"
            && base.query().is_none();
        if !is_base {
            return Err(wrong());
        }
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(USER_AGENT)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| {
                Failure::Outside(format!("the HTTP client can't be built: {}", causes(&error)))
            })?;
        let feed = Self { http, base, sale: sale.to_owned(), token_file };
        feed.token()?;
        Ok(feed)
    }

    /// The changes after a cursor, up to a full page; with `wait` the gateway waits for some. One answer has at most a
    /// hundred entries: a transaction for each would make the database's disk the limit.
    pub(crate) async fn read(&self, from: &str, wait: Duration) -> Result<Read, FeedError> {
        let mut read = self.read_once(from, PAGE_LINES_MAX, wait).await?;
        while let Some(last) = read.changes.last()
            && read.sequence.is_some_and(|newest| newest > last.sequence)
            && let room @ 1.. = PAGE_LINES_MAX.saturating_sub(read.changes.len())
        {
            // An error is found again after what is there.
            let Ok(more) = self.read_once(&last.cursor, room, Duration::ZERO).await else { break };
            if more.changes.is_empty() {
                break;
            }
            read.changes.extend(more.changes);
            read.sequence = more.sequence;
        }
        Ok(read)
    }

    async fn read_once(&self, from: &str, lines: usize, wait: Duration) -> Result<Read, FeedError> {
        let mut url = self.url(&["journal"]);
        url.query_pairs_mut().append_pair("from", from).append_pair("limit", &lines.to_string());
        if !wait.is_zero() {
            url.query_pairs_mut().append_pair("wait", &format!("{}s", wait.as_secs()));
        }
        let request = self.http.get(url).timeout(wait + ANSWER_TIMEOUT);
        let (response, text) = self.send(request, PAGE_BYTES_MAX).await?;
        let sequence = response.headers().get(SEQUENCE).and_then(|value| value.to_str().ok()?.parse().ok());
        let changes = parse(&text, from).map_err(|text| FeedError::Transient {
            cause: Cause::GatewayAnswer,
            text: format!("the gateway's answer can't be read: {text}"),
            after: None,
        })?;
        Ok(Read { changes, sequence })
    }

    /// The token, as the file has it now.
    fn token(&self) -> Result<String, Failure> {
        let path = self.token_file.display();
        let wrong = |what: &str| {
            Failure::Usage(format!(
                "--token-file {path}: expected one line, TOKEN or NAME TOKEN [ROLE], found {what}"
            ))
        };
        let unread = |error: std::io::Error| Failure::Usage(format!("--token-file {path}: {error}"));
        if std::fs::metadata(&self.token_file).map_err(unread)?.len() > TOKEN_BYTES_MAX {
            return Err(wrong("a large file"));
        }
        let text = std::fs::read_to_string(&self.token_file).map_err(unread)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or_else(|| wrong("none"))?;
        if lines.next().is_some() {
            return Err(wrong("several"));
        }
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [token] | [_, token] | [_, token, _] => Ok(token.to_owned()),
            _ => Err(wrong("more words")),
        }
    }

    fn url(&self, steps: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(["admin", "v1", "sales", &self.sale]).extend(steps);
        }
        url
    }

    /// The answer, if it is a 200.
    async fn send(&self, request: RequestBuilder, bytes_max: usize) -> Result<(Response, String), FeedError> {
        // `new` has read a good one: the file is being replaced, and not in one step.
        let token = self.token().map_err(|failure| FeedError::Transient {
            cause: Cause::TokenFile,
            text: failure.to_string(),
            after: None,
        })?;
        let mut response = request.bearer_auth(token).send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let text =
            body(&mut response, if status == StatusCode::OK { bytes_max } else { BODY_BYTES_MAX }).await?;
        if status == StatusCode::OK { Ok((response, text)) } else { Err(self.refused(&response, &text)) }
    }

    /// What another status than 200 means.
    fn refused(&self, response: &Response, text: &str) -> FeedError {
        let status = response.status();
        let problem: Problem = serde_json::from_str(text).unwrap_or_default();
        let kind = problem.kind.strip_prefix("/problems/").unwrap_or(&problem.kind);
        let detail = if problem.detail.is_empty() {
            status.to_string()
        } else {
            format!("{status}: {}", problem.detail)
        };
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let after = problem.retry_after_ms.map(Duration::from_millis).or(header.map(Duration::from_secs));
        let usage = |text: String| FeedError::Fatal(Failure::Usage(text));
        match (status, kind) {
            (StatusCode::CONFLICT, "journal-forked") if problem.cursor.is_some() => {
                FeedError::Forked { common: problem.cursor.unwrap_or_default() }
            }
            (StatusCode::CONFLICT, "lease-held") => FeedError::Held { holder: problem.holder, after },
            (StatusCode::UNAUTHORIZED, _) => usage(format!(
                "the gateway does not know the token in --token-file {} ({detail}): put one of its ops tokens there",
                self.token_file.display()
            )),
            (StatusCode::FORBIDDEN, _) => usage(format!(
                "the token in --token-file {} may not read the journal ({detail}): it needs the role `feed` or `operate`",
                self.token_file.display()
            )),
            (StatusCode::NOT_FOUND, "sale-not-found") => FeedError::SaleMissing,
            (StatusCode::NOT_FOUND, _) => usage(format!(
                "{} has no journal of a sale there ({detail}): expected the ops listener of a gateway of this version",
                self.base
            )),
            (StatusCode::BAD_REQUEST, _) => usage(format!("the gateway refuses the request ({detail})")),
            _ if status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) =>
            {
                let text = format!("the gateway can't serve just now ({detail})");
                FeedError::Transient { cause: Cause::GatewayUnavailable, text, after }
            }
            _ => FeedError::Fatal(Failure::Outside(format!(
                "the gateway gave an unexpected answer ({detail})"
            ))),
        }
    }
}

fn unreachable(error: &reqwest::Error) -> FeedError {
    let text = format!("the gateway can't be reached: {}", causes(error));
    FeedError::Transient { cause: Cause::GatewayUnreachable, text, after: None }
}

/// The whole body, if it is not too large.
async fn body(response: &mut Response, bytes_max: usize) -> Result<String, FeedError> {
    let answer = |text: String| FeedError::Transient { cause: Cause::GatewayAnswer, text, after: None };
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(answer(format!("the gateway's answer has more than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| answer("the gateway's answer is not UTF-8".to_owned()))
}

/// The changes of a page. Each must come after the one before, and the first one after the cursor.
fn parse(text: &str, from: &str) -> Result<Vec<Change>, String> {
    let mut before = crate::change::position(from).unwrap_or_default();
    let mut changes = Vec::new();
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("its last line is cut".to_owned());
    }
    for (number, line) in (1..).zip(text.lines()) {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("line {number} has more than {LINE_BYTES_MAX} bytes"));
        }
        let change = Change::parse(line).map_err(|error| format!("line {number}: {error}"))?;
        if change.position() <= before {
            return Err(format!("line {number}: {} does not come after what was read before", change.cursor));
        }
        before = change.position();
        changes.push(change);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
