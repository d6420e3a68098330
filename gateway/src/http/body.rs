//! The body of an answer, which also carries what the answer is counted as.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};

use crate::ops::metrics::labels::Route;
use crate::ops::metrics::record::Told;

/// Bytes that are all there, and what they tell.
#[derive(Debug)]
pub struct Body {
    bytes: Full<Bytes>,
    /// What the answer told.
    pub told: Told,
    /// The route that it answers, once that is known.
    pub route: Option<Route>,
}

impl Body {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>, told: Told) -> Self {
        Self { bytes: Full::new(bytes.into()), told, route: None }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.bytes).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}
