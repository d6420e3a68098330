//! Holds a buyer's identity, random decisions and histories.

use std::time::Duration;

use fastrand::Rng;

use crate::base::clock::{RoundTrip, ServerClock};
use crate::base::scenario::Scenario;
use crate::client::tokens::BuyerToken;
use crate::load::history::TapHistory;
use crate::plan::Person;
use crate::plan::profile::Behaviour;
use crate::plan::selection::{Catalogue, Selection};

/// A buyer.
pub(crate) struct Buyer {
    /// In the whole run; it decides the gateway.
    pub(crate) number: usize,
    pub(crate) scenario: Scenario,
    /// The token's `sub`.
    pub(crate) sub: String,
    /// The `Authorization` of the buyer's requests.
    pub(crate) bearer: String,
    pub(crate) selection: Selection,
    pub(crate) after: After,
    /// He taps twice with one key.
    pub(crate) twice: bool,
    pub(crate) rng: Rng,
    /// Readings of the server's clock: two are enough, the better one counts.
    pub(crate) trips: Vec<RoundTrip>,
    key_prefix: String,
    keys: usize,
    /// One for each key that was used.
    pub(crate) history: Vec<TapHistory>,
}

/// What a winner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Confirm,
    Cancel,
    Abandon,
}

impl Buyer {
    /// All of a buyer's choices come from the seed and the buyer's number, not from how the run goes.
    pub(crate) fn new(
        person: &Person,
        token: BuyerToken,
        seed: u64,
        catalogue: &Catalogue,
        behaviour: &Behaviour,
    ) -> Buyer {
        let mut rng = chances(seed, person);
        let selection = catalogue.choose(&mut rng, behaviour.accept_partial);
        let after = match rng.u32(0..100) {
            roll if roll < behaviour.confirm => After::Confirm,
            roll if roll < behaviour.confirm + behaviour.cancel => After::Cancel,
            _ => After::Abandon,
        };
        Buyer {
            number: person.number,
            scenario: person.scenario,
            sub: token.sub,
            bearer: token.bearer,
            selection,
            after,
            twice: rng.u32(0..100) < behaviour.twice,
            rng,
            trips: Vec::new(),
            key_prefix: format!("lt-{seed:x}-{}", person.number),
            keys: 0,
            history: Vec::new(),
        }
    }

    /// One who only looks: such a buyer needs no token and wants nothing, and thousands come in a second.
    pub(crate) fn only_looks(person: &Person, seed: u64) -> Buyer {
        Buyer {
            number: person.number,
            scenario: person.scenario,
            sub: String::new(),
            bearer: String::new(),
            selection: Selection::default(),
            after: After::Abandon,
            twice: false,
            rng: chances(seed, person),
            trips: Vec::new(),
            key_prefix: String::new(),
            keys: 0,
            history: Vec::new(),
        }
    }

    /// A key that this buyer has not used before.
    pub(crate) fn new_key(&mut self) -> String {
        self.keys += 1;
        match self.keys {
            1 => self.key_prefix.clone(),
            n => format!("{}-{n}", self.key_prefix),
        }
    }

    /// The estimate of the server's clock.
    pub(crate) fn clock(&self) -> Option<ServerClock> {
        ServerClock::estimate(&self.trips)
    }

    /// The think time before the next step.
    pub(crate) fn think(&mut self, behaviour: &Behaviour) -> Duration {
        let [shortest, longest] = behaviour.think.map(|span| u64::try_from(span.0.as_millis()).unwrap_or(0));
        Duration::from_millis(self.rng.u64(shortest..=longest.max(shortest)))
    }
}

fn chances(seed: u64, person: &Person) -> Rng {
    Rng::with_seed(seed ^ (person.number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
mod tests;
