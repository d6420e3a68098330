//! The draw of the model: a sorted list of entrants, and how many of them were served.

use gateway::domain::choice::Choice;
use gateway::domain::draw::merkle::{MerkleTree, leaf};
use gateway::domain::draw::{Hash, Pseudonym, Secret, Seed};
use gateway::domain::hex;
use gateway::domain::identity::buyer_part;
use gateway::domain::signup::choices_to_word;
use gateway::manage::admin::DrawOutcome;

use super::Model;
use crate::model::plan::{BUYERS, JoinRequest, MODELS, PACKAGES, STORES, Tap};

/// A draw.
#[derive(Debug, Clone)]
pub struct Draw {
    secret: Secret,
    fixed: bool,
    seed: Option<Seed>,
    allocated: usize,
    is_over: bool,
}

/// The constant of this id.
fn known(all: &[&'static str], id: &str) -> &'static str {
    all.iter().find(|known| **known == id).unwrap()
}

impl Model {
    /// The ledger has this secret.
    pub fn draws_with(&mut self, secret: Secret) {
        self.draw = Some(Draw { secret, fixed: false, seed: None, allocated: 0, is_over: false });
    }

    /// Whether nobody can reserve yet.
    pub(super) fn is_drawing(&self) -> bool {
        self.draw.as_ref().is_some_and(|draw| !draw.is_over)
    }

    /// Whether what comes back is set aside.
    pub(super) fn is_allocating(&self) -> bool {
        self.draw.as_ref().is_some_and(|draw| !draw.is_over && draw.allocated > 0)
    }

    /// Whether all that is free of an item is for the entrants.
    pub(super) fn is_reserved_for_draw(&self, item: &str) -> bool {
        self.is_allocating() && item.starts_with("model:")
    }

    /// The same of one with a limit: what comes back of it is set aside.
    pub(super) fn is_kept_for_entrants(&self, item: &str) -> bool {
        self.is_reserved_for_draw(item) && self.total(item).is_some()
    }

    pub(super) fn is_gone_or_reserved(&self, item: &str) -> bool {
        self.is_gone(item) || self.is_kept_for_entrants(item)
    }

    /// Whether units that come back are free, since the draw has not begun to allocate.
    pub(super) fn is_before_allocation(&self) -> bool {
        self.draw.as_ref().is_some_and(|draw| !draw.is_over && draw.allocated == 0)
    }

    /// Whether its entrants are fixed.
    pub fn has_entrants(&self) -> bool {
        self.draw.as_ref().is_some_and(|draw| draw.fixed)
    }

    /// How many entrants were given something by the draw.
    pub fn drawn(&self) -> usize {
        self.draw.as_ref().map_or(0, |draw| draw.allocated)
    }

    /// All entrants, by pseudonym.
    fn entrants(&self) -> Vec<(Pseudonym, &'static str)> {
        let Some(draw) = &self.draw else { return Vec::new() };
        let signed_up = BUYERS.into_iter().filter(|buyer| self.sign_up_of(buyer).is_some());
        let mut entrants: Vec<_> = signed_up.map(|buyer| (draw.secret.pseudonym(buyer), buyer)).collect();
        entrants.sort();
        entrants
    }

    fn root(&self) -> (Hash, u64) {
        let mut tree = MerkleTree::default();
        for (pseudonym, buyer) in self.entrants() {
            let choices = choices_to_word(&self.sign_up_of(buyer).unwrap().choices);
            tree.add(leaf(&pseudonym, &choices));
        }
        (tree.root(), tree.leaves())
    }

    /// An operator draws.
    pub fn draw_with(&mut self, reveal: &[u8], beacon: &[u8]) -> DrawOutcome {
        let Some(draw) = self.draw.clone() else { return DrawOutcome::None };
        if !draw.fixed {
            return DrawOutcome::Unfixed;
        }
        let (root, count) = self.root();
        let seed = Seed::new(&self.definition.sale.id, &root, count, reveal, beacon);
        let text = |seed: Seed| hex::encode(&seed.0);
        match draw.seed {
            Some(before) if before == seed => DrawOutcome::Done { seed: text(seed), is_new: false },
            Some(before) => DrawOutcome::Drawn(text(before)),
            None if self.is_closed() => DrawOutcome::Closed,
            None => {
                self.draw.as_mut().unwrap().seed = Some(seed);
                self.changed();
                DrawOutcome::Done { seed: text(seed), is_new: true }
            }
        }
    }

    /// A gateway takes its next step: fixes the entrants, or serves so many.
    pub fn follow_draw(&mut self, batch: usize) {
        let Some(draw) = self.draw.clone() else { return };
        let terms = self.definition.signup.as_ref().unwrap();
        if !draw.fixed {
            if self.now() >= terms.closes_at.as_millisecond() && !self.closed {
                self.draw.as_mut().unwrap().fixed = true;
                self.changed();
            }
            return;
        }
        let Some(seed) = draw.seed else { return };
        let is_open = self.now() >= self.definition.sale.opens_at.as_millisecond() && !self.is_closed();
        if draw.is_over || !is_open || self.paused {
            return;
        }
        let mut order = self.entrants();
        order.sort_by_key(|(pseudonym, _)| (seed.ticket(pseudonym), *pseudonym));
        let served: Vec<_> = order.iter().skip(draw.allocated).take(batch).collect();
        let (claims, last) = (self.claims.len(), self.last_place());
        served.iter().for_each(|(_, buyer)| self.serve(buyer));
        let (won, waits) = (self.claims.len() > claims, self.last_place() > last);
        let entries =
            usize::from(won) + usize::from(waits) + usize::from(!won && !waits && !served.is_empty());
        for _ in 0..entries {
            self.changed();
        }
        self.draw.as_mut().unwrap().allocated += served.len();
        if self.draw.as_ref().unwrap().allocated == order.len() {
            self.draw.as_mut().unwrap().is_over = true;
            self.changed();
        }
    }

    /// A hold of the first choice that is free, or a place in the queue of the first one.
    fn serve(&mut self, buyer: &'static str) {
        let part = buyer_part(&self.definition.sale.id, buyer);
        let key = redis::Script::new(&format!("lg:{{{}}}:state {part} draw", self.definition.sale.id));
        let id = format!("{part}{}", &key.get_hash()[..12]);
        if self.has_place(buyer) || self.claims.iter().any(|claim| claim.is.id == id) {
            return;
        }
        let choices = self.sign_up_of(buyer).unwrap().choices;
        let is_free = |choice: &&Choice| self.is_there(&format!("model:{}", choice.model));
        let Some(choice) = choices.iter().find(is_free) else {
            let first = &choices[0];
            let wants = JoinRequest {
                buyer,
                model: known(&MODELS, &first.model),
                packages: first.packages.iter().map(|id| known(&PACKAGES, id)).collect(),
                store: first.store.as_ref().map(|id| known(&STORES, id)),
            };
            if self.may_wait(wants.model) {
                self.add_place(wants);
            }
            return;
        };
        let extras = choice.packages.iter().map(|id| format!("package:{id}"));
        let extras = extras.chain(choice.store.iter().map(|id| format!("store:{id}")));
        // What the definition has no more is left off in silence.
        let unavailable: Vec<String> =
            extras.filter(|item| self.totals.contains_key(item) && self.is_gone(item)).collect();
        // No request has made it.
        let want = Tap {
            buyer,
            key: "",
            model: known(&MODELS, &choice.model),
            packages: choice.packages.iter().map(|id| known(&PACKAGES, id)).collect(),
            store: choice.store.as_ref().map(|id| known(&STORES, id)),
            partial: true,
        };
        self.hold(id, want, choice.packages.clone(), unavailable, self.definition.sale.hold_ms);
    }
}
