//! The body of an answer, which also carries what the answer is counted as.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};

use crate::ops::metrics::labels::Route;
use crate::ops::metrics::record::Told;

/// Bytes, and what they tell.
#[derive(Debug)]
pub struct Body {
    bytes: Source,
    /// What the answer told.
    pub told: Told,
    /// The route that it answers, once that is known.
    pub route: Option<Route>,
}

/// Where the bytes come from.
enum Source {
    /// They are all there.
    All(Full<Bytes>),
    /// They come one after the other. Whoever must know until when holds on to something that is kept as long.
    Stream(Box<Streamed>),
}

struct Streamed {
    bytes: Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = Infallible>>>,
    kept: Vec<Box<dyn Any>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(bytes) => bytes.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Body {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>, told: Told) -> Self {
        Self { bytes: Source::All(Full::new(bytes.into())), told, route: None }
    }

    /// Bytes that come one after the other.
    #[must_use]
    pub fn stream(
        bytes: impl hyper::body::Body<Data = Bytes, Error = Infallible> + 'static,
        told: Told,
    ) -> Self {
        Self {
            bytes: Source::Stream(Box::new(Streamed { bytes: Box::pin(bytes), kept: Vec::new() })),
            told,
            route: None,
        }
    }

    /// Keeps this for as long as bytes are still to come: not at all, if they are there.
    pub(super) fn keep(&mut self, thing: impl Any) {
        if let Source::Stream(stream) = &mut self.bytes {
            stream.kept.push(Box::new(thing));
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.bytes {
            Source::All(bytes) => Pin::new(bytes).poll_frame(cx),
            Source::Stream(stream) => stream.bytes.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.bytes {
            Source::All(bytes) => bytes.is_end_stream(),
            Source::Stream(stream) => stream.bytes.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.bytes {
            Source::All(bytes) => bytes.size_hint(),
            Source::Stream(stream) => stream.bytes.size_hint(),
        }
    }
}
