//! The draw of a sale as this process follows it: entrants, seed, how far its allocation is, and the ranks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::domain::draw::{DrawStage, Hash, Pseudonym, Ranking, Secret, Seed};
use crate::domain::hex;
use crate::domain::sale::{Phase, SaleControls};
use crate::projection::read_model::{ReadModel, Sale, lock};
use crate::store::journal::Entry;

/// A draw at one sequence.
#[derive(Debug, Clone)]
pub struct DrawState {
    /// From which the pseudonyms follow.
    pub secret: Secret,
    /// The entrants, once they are fixed.
    pub entrants: Option<Entrants>,
    /// The result, once it is drawn.
    pub drawn: Option<Drawn>,
}

/// The entrants of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrants {
    /// See [`crate::domain::draw::merkle`].
    pub root: Hash,
    /// How many there are.
    pub count: u64,
}

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// In hexadecimal.
    pub reveal: String,
    /// In hexadecimal.
    pub beacon: String,
    /// What follows from both and the entrants.
    pub seed: Seed,
}

impl DrawState {
    /// From the fields of the state; `Err` names the one that can't be read.
    pub(crate) fn from_state(state: &HashMap<String, String>) -> Result<Self, &'static str> {
        let text = |field: &str| state.get(field).map(String::as_str);
        let hash = |field| text(field).and_then(hex::decode_exactly::<32>);
        let is_set = |field| text(field).is_some_and(|sequence| sequence != "0");
        let entrants = || {
            let count = text("entrants").and_then(|n| n.parse().ok()).ok_or("entrants")?;
            Ok::<_, &str>(Entrants { root: hash("draw_root").ok_or("draw_root")?, count })
        };
        let drawn = || {
            let reveal = text("draw_reveal").ok_or("draw_reveal")?.to_owned();
            let beacon = text("draw_beacon").ok_or("draw_beacon")?.to_owned();
            Ok::<_, &str>(Drawn { reveal, beacon, seed: Seed(hash("draw_seed").ok_or("draw_seed")?) })
        };
        Ok(Self {
            secret: text("draw_secret").and_then(Secret::from_hex).ok_or("draw_secret")?,
            entrants: is_set("fixed_in").then(entrants).transpose()?,
            drawn: is_set("drawn_in").then(drawn).transpose()?,
        })
    }

    /// Notes an entry of the journal; one that can't be read changes nothing, and the audit reports it.
    pub(crate) fn note(&mut self, entry: &Entry) {
        let hash = |name: &str| entry.field(name).and_then(hex::decode_exactly::<32>);
        match entry.kind.as_str() {
            "entrants" => {
                let count = entry.field("entrants").and_then(|n| n.parse().ok());
                self.entrants = hash("root").zip(count).map(|(root, count)| Entrants { root, count });
            }
            "draw" => {
                let text = |name: &str| entry.field(name).unwrap_or_default().to_owned();
                let (reveal, beacon) = (text("reveal"), text("beacon"));
                self.drawn = hash("seed").map(|seed| Drawn { reveal, beacon, seed: Seed(seed) });
            }
            _ => {}
        }
    }
}

/// What a process knows of a draw besides the journal.
#[derive(Default)]
pub(super) struct LocalDraw {
    ranking: ArcSwapOption<Ranking>,
    /// To how many entrants something was allocated when [`Sale::allocation_stalled`] was last asked, and since when.
    moved: Mutex<Option<(u64, Instant)>>,
}

impl ReadModel {
    /// How many entrants the draw has; 0 until they are fixed.
    pub fn entrants(&self) -> u64 {
        self.draw.as_ref().and_then(|draw| draw.entrants).map_or(0, |entrants| entrants.count)
    }

    /// How far the draw is; `None`: the sale has none.
    pub fn draw_stage(&self) -> Option<DrawStage> {
        let draw = self.draw.as_ref()?;
        Some(DrawStage::of(draw.entrants.is_some(), draw.drawn.is_some(), !self.controls.is_drawing))
    }
}

impl Sale {
    /// The order that follows from this seed; `None`: this gateway still ranks.
    pub fn ranking(&self, seed: Seed) -> Option<Arc<Ranking>> {
        self.draw.ranking.load_full().filter(|ranking| ranking.seed() == seed)
    }

    /// Stores the order of the draw.
    pub(crate) fn set_ranking(&self, ranking: Arc<Ranking>) {
        self.draw.ranking.store(Some(ranking));
    }

    /// For how long the allocation has not moved although it can; `None`: it can't, or need not. Asked at least once a second.
    pub fn allocation_stalled(&self, now: Instant) -> Option<Duration> {
        let read_model = self.read_model();
        let SaleControls { paused, opens, .. } = read_model.controls;
        let time = self.best_time();
        let can_move = read_model.draw_stage() == Some(DrawStage::Drawn)
            && read_model.phase(time) == Phase::Upcoming
            && time >= opens
            && !paused
            && self.ledger_stop().is_none();
        let allocated = read_model.allocated;
        let mut moved = lock(&self.draw.moved);
        let since = moved.filter(|(before, _)| *before == allocated).map_or(now, |(_, since)| since);
        *moved = can_move.then_some((allocated, since));
        can_move.then(|| now.saturating_duration_since(since))
    }

    /// The pseudonym of a buyer, and the rank once it is known; `None`: the sale has no draw.
    pub fn drawn_place(&self, sub: &str) -> Option<(Pseudonym, Option<u64>)> {
        let draw = self.read_model().draw.clone()?;
        let pseudonym = draw.secret.pseudonym(sub);
        let rank = || self.ranking(draw.drawn.as_ref()?.seed)?.rank(&pseudonym);
        Some((pseudonym, rank()))
    }
}
