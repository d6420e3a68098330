//! The body of a response, with what metrics count it under.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};

use crate::telemetry::record::{AnswerClass, CountedAs};

/// The body of a response.
pub struct Body {
    bytes: BodySource,
    /// The outcome.
    pub class: AnswerClass,
    /// Its route and its sale, once they are determined.
    pub counted: Option<CountedAs>,
}

/// The source of the bytes.
enum BodySource {
    /// All bytes are present.
    All(Full<Bytes>),
    /// The bytes arrive one chunk after the other.
    Stream(Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = Infallible>>>),
}

impl Body {
    /// A body of these bytes.
    pub fn new(bytes: impl Into<Bytes>, class: AnswerClass) -> Self {
        Self { bytes: BodySource::All(Full::new(bytes.into())), class, counted: None }
    }

    /// A body whose bytes arrive one chunk after the other.
    pub fn stream(
        bytes: impl hyper::body::Body<Data = Bytes, Error = Infallible> + 'static,
        class: AnswerClass,
    ) -> Self {
        Self { bytes: BodySource::Stream(Box::pin(bytes)), class, counted: None }
    }

    /// The same body without bytes, for the response to a HEAD.
    pub(super) fn without_bytes(self) -> Self {
        Self { bytes: BodySource::All(Full::default()), ..self }
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
            BodySource::All(bytes) => Pin::new(bytes).poll_frame(cx),
            BodySource::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.bytes {
            BodySource::All(bytes) => bytes.is_end_stream(),
            BodySource::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.bytes {
            BodySource::All(bytes) => bytes.size_hint(),
            BodySource::Stream(stream) => stream.size_hint(),
        }
    }
}
