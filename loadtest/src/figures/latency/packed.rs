//! Keeps latencies of which there are many sets in a tenth of the RAM, once hardly any more come.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::figures::Latency;

/// Latencies that are recorded, then packed.
#[derive(Clone, Debug, Default)]
pub(crate) struct PackedLatency {
    open: Latency,
    /// The HDR format without compression: microseconds to make, as this happens while all who record wait.
    packed: Vec<u8>,
}

impl PackedLatency {
    pub(crate) fn record(&mut self, took: Duration) {
        self.open.record(took);
    }

    /// All that were recorded.
    pub(crate) fn whole(&self) -> Latency {
        let mut whole = Latency::from_bytes(&self.packed).unwrap_or_default();
        whole.add(&self.open);
        whole
    }

    pub(crate) fn pack(&mut self) {
        if self.open.count() > 0
            && let Ok(packed) = self.whole().to_bytes()
        {
            *self = PackedLatency { open: Latency::default(), packed };
        }
    }

    /// About so much RAM it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.packed.len() + self.open.bytes()
    }

    pub(crate) fn add(&mut self, other: &PackedLatency) {
        self.open.add(&other.whole());
        self.pack();
    }
}

impl Serialize for PackedLatency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut packed = self.clone();
        packed.pack();
        serializer.serialize_str(&STANDARD.encode(packed.packed))
    }
}

impl<'de> Deserialize<'de> for PackedLatency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PackedLatency, D::Error> {
        let text = String::deserialize(deserializer)?;
        let packed = STANDARD.decode(text).map_err(D::Error::custom)?;
        Latency::from_bytes(&packed).map_err(D::Error::custom)?;
        Ok(PackedLatency { open: Latency::default(), packed })
    }
}
