//! Traces of requests (W3C Trace Context): a trace for each request, a span for each try.

use std::fmt::{self, Display, Formatter};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The `traceparent` of one try. Kept as numbers: a run has millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    id: u128,
    span: u64,
    is_sampled: bool,
}

/// A trace for a request and all its tries. Drawn apart from the seed: a run that is repeated is another trace.
pub(crate) fn new_trace_id() -> u128 {
    fastrand::u128(1..)
}

impl Trace {
    /// One more try of a request.
    pub(super) fn of_try(id: u128, is_sampled: bool) -> Trace {
        Trace { id, span: fastrand::u64(1..), is_sampled }
    }

    fn parse(text: &str) -> Option<Trace> {
        let (id, rest) = text.strip_prefix("00-")?.split_once('-')?;
        let (span, flags) = rest.split_once('-')?;
        Some(Trace {
            id: u128::from_str_radix(id, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            is_sampled: flags == "01",
        })
    }
}

impl Display for Trace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Trace { id, span, is_sampled } = self;
        write!(f, "00-{id:032x}-{span:016x}-{:02x}", u8::from(*is_sampled))
    }
}

impl Serialize for Trace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Trace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Trace, D::Error> {
        let text = String::deserialize(deserializer)?;
        Trace::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("expected 00-TRACE-SPAN-FLAGS, found {text:?}")))
    }
}

#[cfg(test)]
mod tests;
