//! Holds what came of a request: the reply, or why there is none.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::client::trace::Trace;

/// A complete answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// The seconds of `Retry-After`.
    pub(crate) retry_after: Option<u64>,
    pub(crate) replayed: bool,
    pub(crate) location: Option<String>,
    /// The `ETag`.
    pub(crate) tag: Option<String>,
    /// The gateway's `X-Request-Id`, which its log lines have.
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) body: String,
}

/// What came of sending a request once.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Which gateway was asked, from 0 in the order of `--gateway`.
    pub(crate) gateway: usize,
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// How long its client would have waited.
    pub(crate) patience: Duration,
    /// The `traceparent` of this try.
    pub(crate) trace: Trace,
    /// The reply, or why there is none.
    pub(crate) reply: Result<Reply, Lost>,
}

impl Answer {
    pub(crate) fn status(&self) -> Option<u16> {
        self.reply.as_ref().ok().map(|reply| reply.status)
    }

    /// What a 200 has in its body, if it can be read.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        let reply = self.reply.as_ref().ok().filter(|reply| reply.status == 200)?;
        serde_json::from_str(&reply.body).ok()
    }
}

impl Reply {
    /// Takes what matters of a header field; of a field that is there twice, the first.
    pub(super) fn note_field(&mut self, name: &str, value: &[u8]) {
        const LONGEST: usize = "idempotency-replayed".len();
        let mut lower = [0; LONGEST];
        let Some(lower) = lower.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        // As any client, which can't use other characters in these fields.
        let is_text = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let Some(text) = std::str::from_utf8(value).ok().filter(|_| is_text) else { return };
        match &*lower {
            b"content-type" if self.content_type.is_empty() => text.clone_into(&mut self.content_type),
            b"retry-after" if self.retry_after.is_none() => self.retry_after = text.parse().ok(),
            b"idempotency-replayed" => self.replayed |= text == "true",
            b"location" => _ = self.location.get_or_insert_with(|| text.to_owned()),
            b"etag" => _ = self.tag.get_or_insert_with(|| text.to_owned()),
            b"x-request-id" => _ = self.request_id.get_or_insert_with(|| text.into()),
            _ => {}
        }
    }

    pub(super) fn set_body(&mut self, bytes: Vec<u8>) {
        self.body = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    #[error("not sent: the deadline was over")]
    NotSent,
    #[error("no answer before the deadline of the run")]
    CutShort,
    #[error("no answer within {0} ms")]
    TimedOut(u128),
    #[error("{0}")]
    Broken(String),
}

impl Lost {
    /// One of few, for counting.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Lost::NotSent => "not sent",
            Lost::CutShort => "cut short by the end of the run",
            Lost::TimedOut(_) => "no answer in time",
            Lost::Broken(_) if self.is_port_exhaustion() => "no free port",
            Lost::Broken(text) if text.contains("refused") => "connection refused",
            Lost::Broken(text) if text.contains("Too many open files") => "no free descriptor",
            Lost::Broken(_) => "connection broken",
        }
    }

    /// The kernel had no port left for another connection to that address.
    pub(crate) fn is_port_exhaustion(&self) -> bool {
        matches!(self, Lost::Broken(text) if text.contains("Cannot assign requested address"))
    }
}
