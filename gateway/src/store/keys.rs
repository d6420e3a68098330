//! The names of all keys in Redis, in one place, so that the hash tag can't drift.

/// The set of all sale ids, outside of every sale's slot.
pub const SALES: &str = "lg:sales";
/// The heartbeats of gateways.
pub const FLEET: &str = "lg:fleet";
/// The rates that ops set.
pub const LIMITS: &str = "lg:limits";
/// The log of rate changes. Its hash tag is the whole name of [`LIMITS`]: one slot, one atomic
/// step.
pub const LIMITS_LOG: &str = "{lg:limits}:log";

/// Purged sales, with operator and reason.
pub const PURGED: &str = "lg:purged";

/// The number of slots of a Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// The slot of a key: the text in its first pair of braces decides, if it is not empty; otherwise
/// the whole key.
pub fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    // CRC-16/XMODEM, as Redis Cluster uses it.
    let crc = hashed.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(byte) << 8,
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 },
        )
    });
    crc % SLOTS
}

/// How many keys every script gets.
const COUNT: usize = 10;

/// The keys of one sale, in the order that every script expects (see `lua/ledger.lua`). They share
/// the hash tag `{SALE}`: one slot of a Redis Cluster, one atomic step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    all: [String; COUNT],
    recovery: String,
    readers: String,
    slot: u16,
}

impl Keys {
    /// The keys of this sale.
    pub fn of(sale: &str) -> Self {
        Self::named(|part| format!("lg:{{{sale}}}:{part}"))
    }

    /// The keys for an import before it replaces these, in the same slot.
    pub fn staged(sale: &str) -> Self {
        Self::named(|part| format!("lg:{{{sale}}}:import:{part}"))
    }

    fn named(name: impl Fn(&str) -> String) -> Self {
        let (all, recovery, readers) = (PARTS.map(&name), name("recovery"), name("readers"));
        let slot = slot_of(&all[0]);
        Self { all, recovery, readers, slot }
    }

    /// The id of the sale: their hash tag.
    pub fn sale(&self) -> &str {
        let rest = self.all[0].split_once('{').map_or("", |(_, rest)| rest);
        rest.split_once('}').map_or("", |(sale, _)| sale)
    }

    /// Their slot in a Redis Cluster.
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// All keys, as `KEYS`.
    pub fn all(&self) -> &[String; COUNT] {
        &self.all
    }

    /// The hash of recovery reports. No script of the sale gets it.
    pub fn recovery(&self) -> &str {
        &self.recovery
    }

    /// The hash of the leases of the journal's readers. No script of the sale gets it.
    pub fn readers(&self) -> &str {
        &self.readers
    }
}

macro_rules! parts {
    ($($index:literal $part:ident, $doc:literal;)*) => {
        const PARTS: [&str; COUNT] = [$(stringify!($part)),*];

        impl Keys {
            $(#[doc = $doc]
            pub fn $part(&self) -> &str {
                &self.all[$index]
            })*
        }
    };
}

parts! {
    0 state, "The hash of clocks, controls and counts.";
    1 stock, "The hash of live counters.";
    2 records, "The hash of records, one field for each buyer.";
    3 journal, "The stream of changes.";
    4 taken, "The set of items that came back.";
    5 totals, "The hash of totals.";
    6 definition, "The definition as last applied.";
    7 signups, "The hash of sign-ups, one field for each buyer.";
    8 standby, "The hash of places in the standby queues, one field for each buyer.";
    9 queue, "The sorted set of who waits.";
}

#[cfg(test)]
mod tests;
