//! A buyer: who he is, how he decides, and what he was told.

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
    /// In the whole run; which gateway he talks to comes from it.
    pub(crate) number: usize,
    pub(crate) scenario: Scenario,
    /// The token's `sub`.
    pub(crate) sub: String,
    /// The `Authorization` of his requests.
    pub(crate) bearer: String,
    pub(crate) selection: Selection,
    pub(crate) after: After,
    /// He taps twice with one key.
    pub(crate) twice: bool,
    pub(crate) rng: Rng,
    /// What he knows of the server's clock.
    trips: Vec<RoundTrip>,
    key_prefix: String,
    keys: usize,
    /// One for each key that he used.
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
    /// All of a buyer's choices come from the seed and his number, not from how the run goes.
    pub(crate) fn new(
        person: &Person,
        token: BuyerToken,
        seed: u64,
        catalogue: &Catalogue,
        behaviour: &Behaviour,
    ) -> Buyer {
        let mut rng = Rng::with_seed(seed ^ (person.number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
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

    /// Percent of the times, by his own dice.
    pub(crate) fn rolls(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// A key that he has not used before.
    pub(crate) fn new_key(&mut self) -> String {
        self.keys += 1;
        match self.keys {
            1 => self.key_prefix.clone(),
            n => format!("{}-{n}", self.key_prefix),
        }
    }

    /// He has asked for the time: two readings are enough, the better one counts.
    pub(crate) fn note_time(&mut self, trip: RoundTrip) {
        self.trips.push(trip);
    }

    /// The server's clock as he estimates it.
    pub(crate) fn clock(&self) -> Option<ServerClock> {
        ServerClock::estimate(&self.trips)
    }

    /// How long he thinks before his next step.
    pub(crate) fn think(&mut self, behaviour: &Behaviour) -> Duration {
        let [shortest, longest] = behaviour.think.map(|span| u64::try_from(span.0.as_millis()).unwrap_or(0));
        Duration::from_millis(self.rng.u64(shortest..=longest.max(shortest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::profile::Profile;
    use crate::plan::selection::Definition;

    fn buyer(number: usize, seed: u64) -> Buyer {
        let definition: Definition = serde_json::from_value(serde_json::json!({
            "sale": {"id": "s"}, "model": [{"id": "a", "stock": 9}, {"id": "b", "stock": 9}],
        }))
        .unwrap();
        let profile = Profile::load(None, &[]).unwrap();
        let catalogue = Catalogue::new(&definition, &profile.buyers, vec![]).unwrap();
        let token = BuyerToken::unsigned(format!("b{number}"));
        let person = Person { number, scenario: Scenario::Spike, account: number };
        Buyer::new(&person, token, seed, &catalogue, &profile.buyers)
    }

    #[test]
    fn a_seed_decides_everything() {
        for n in 0..50 {
            let (mut one, mut same) = (buyer(n, 7), buyer(n, 7));
            assert_eq!((&one.selection, one.after, one.twice), (&same.selection, same.after, same.twice));
            let key = one.new_key();
            assert!(key == same.new_key() && key != one.new_key() && key.len() <= 60);
        }
        assert!((0..50).any(|n| buyer(n, 7).after != buyer(n, 8).after));
        assert_ne!(buyer(0, 7).new_key(), buyer(0, 8).new_key());
    }

    #[test]
    fn winners_do_as_the_percentages_say() {
        let count = |after| (0..1000).filter(|n| buyer(*n, 3).after == after).count();
        assert!((550..650).contains(&count(After::Confirm)));
        assert!((70..130).contains(&count(After::Cancel)));
    }
}
