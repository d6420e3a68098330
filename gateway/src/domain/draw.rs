//! The arithmetic of a draw: pseudonyms, commitment, seed, tickets and ranks. Whoever has the published file repeats it.
//!
//! Lengths that precede a part of the seed are 8 bytes, the highest first, and so is the number of entrants. See the page
//! `draw.md` for the whole of it in words.

pub mod allocation;
pub mod merkle;

use std::fmt;

use hmac::{Hmac, Mac};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

use crate::domain::hex;
use crate::domain::label::label;

/// The most bytes of a reveal.
pub const REVEAL_BYTES_MAX: usize = 1_024;
/// The fewest: whoever can guess the reveal knows the seed as soon as the beacon is there.
pub const REVEAL_BYTES_MIN: usize = 16;
/// The most bytes of a beacon.
pub const BEACON_BYTES_MAX: usize = 1_024;

label! {
    /// How far a draw is.
    #[derive(serde::Serialize, utoipa::ToSchema)]
    #[serde(rename_all = "snake_case")]
    DrawStage:
    /// Its commitment stands; sign-up is not over.
    Announced "announced",
    /// The entrants are fixed, by their root.
    Fixed "fixed",
    /// The seed is there, and all ranks follow from it.
    Drawn "drawn",
    /// All that could be was allocated; what is left sells first-come.
    Allocated "allocated",
}

impl DrawStage {
    /// Of a draw whose steps were taken or not.
    pub fn of(is_fixed: bool, is_drawn: bool, is_allocated: bool) -> Self {
        match (is_fixed, is_drawn, is_allocated) {
            (false, ..) => Self::Announced,
            (true, false, _) => Self::Fixed,
            (true, true, false) => Self::Drawn,
            (true, true, true) => Self::Allocated,
        }
    }
}

/// A SHA-256.
pub type Hash = [u8; 32];

/// The secret of a sale from which its pseudonyms follow. It is never published.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

impl Secret {
    /// Reads it as the ledger has it.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode_exactly::<32>(text)?;
        Hmac::new_from_slice(&bytes).ok().map(Self)
    }

    /// The pseudonym of a buyer.
    pub fn pseudonym(&self, sub: &str) -> Pseudonym {
        let mac = self.0.clone().chain_update(sub).finalize().into_bytes();
        let mut pseudonym = [0; PSEUDONYM_BYTES];
        pseudonym.copy_from_slice(&mac[..PSEUDONYM_BYTES]);
        Pseudonym(pseudonym)
    }
}

/// Half of an HMAC-SHA-256, as RFC 2104, section 5, allows: no two of ten million are equal but once in 10^24 draws.
const PSEUDONYM_BYTES: usize = 16;

/// What a buyer is called in the published file: an HMAC of the `sub` with the sale's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym([u8; PSEUDONYM_BYTES]);

impl Pseudonym {
    /// Reads it as [`fmt::Display`] writes it.
    pub fn from_hex(text: &str) -> Option<Self> {
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        hex::decode_exactly(text).filter(|_| is_lower).map(Self)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first eight of them, in whose order pseudonyms are.
    pub fn start(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(&self.0))
    }
}

/// What stands in the definition before sign-up opens: it fixes the reveal.
pub fn commitment(reveal: &[u8]) -> Hash {
    Sha256::digest(reveal).into()
}

/// The one source of chance of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub Hash);

impl Seed {
    /// Of a sale whose entrants have this root and number.
    pub fn new(sale: &str, root: &Hash, entrants: u64, reveal: &[u8], beacon: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [sale.as_bytes(), root, &entrants.to_be_bytes(), reveal, beacon] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// What a buyer draws: the lowest comes first.
    pub fn ticket(&self, pseudonym: &Pseudonym) -> u64 {
        let hash = Sha256::new().chain_update(self.0).chain_update(pseudonym.0).finalize();
        hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

/// The order of all entrants: 8 bytes for each.
#[derive(Debug)]
pub struct Ranking {
    seed: Seed,
    tickets: Vec<u64>,
    /// Entrants of equal tickets, in order: among ten million there are none but once in 400,000 draws.
    ties: FxHashMap<u64, Vec<Pseudonym>>,
}

impl Ranking {
    /// Ranks entrants by their tickets of this seed, and those of equal ones by their pseudonyms.
    pub fn new(seed: Seed, entrants: &[Pseudonym]) -> Self {
        Self::by_tickets(seed, entrants, |pseudonym| seed.ticket(pseudonym))
    }

    fn by_tickets(seed: Seed, entrants: &[Pseudonym], ticket: impl Fn(&Pseudonym) -> u64) -> Self {
        let mut tickets: Vec<u64> = entrants.iter().map(&ticket).collect();
        tickets.sort_unstable();
        let mut ties: FxHashMap<u64, Vec<Pseudonym>> = FxHashMap::default();
        ties.extend(tickets.windows(2).filter(|two| two[0] == two[1]).map(|two| (two[0], Vec::new())));
        if !ties.is_empty() {
            for pseudonym in entrants {
                ties.entry(ticket(pseudonym)).and_modify(|equal| equal.push(*pseudonym));
            }
            ties.values_mut().for_each(|equal| equal.sort_unstable());
        }
        Self { seed, tickets, ties }
    }

    /// What it follows from.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// How many entrants there are.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// The place of an entrant, from 1; `None`: this is none.
    pub fn rank(&self, pseudonym: &Pseudonym) -> Option<u64> {
        self.place(self.seed.ticket(pseudonym), pseudonym)
    }

    fn place(&self, ticket: u64, pseudonym: &Pseudonym) -> Option<u64> {
        let before = self.tickets.partition_point(|other| *other < ticket);
        self.tickets.get(before).filter(|found| **found == ticket)?;
        let among = match self.ties.get(&ticket) {
            Some(equal) => equal.binary_search(pseudonym).ok()?,
            None => 0,
        };
        Some((before + among) as u64 + 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
