//! Standby queues of the model: a list in the order of joining, and what is set aside.

use std::collections::BTreeMap;

use gateway::domain::decision::{Decision, PurchaseLimit};
use gateway::domain::identity::buyer_part;
use gateway::domain::reservation::Reservation;
use gateway::domain::standby::PlaceState;
use gateway::projection::read_model::PlaceNow;
use gateway::reserve::batch::JoinDecision;

use super::{Model, owned};
use crate::model::plan::{JoinRequest, Tap};

/// Who was ever in a queue.
#[derive(Debug, Clone)]
struct Place {
    wants: JoinRequest,
    number: u64,
    state: PlaceState,
    /// The granted reservation.
    id: Option<String>,
}

/// The queues of a sale.
#[derive(Debug, Clone, Default)]
pub struct Standby {
    places: BTreeMap<&'static str, Place>,
    last: u64,
    /// By item.
    aside: BTreeMap<String, i64>,
    pub(super) suspended: bool,
}

impl Model {
    fn has_standby(&self) -> bool {
        self.definition.sale.standby
    }

    /// Who waits for a model, in order.
    fn queue(&self, model: &str) -> Vec<&'static str> {
        let waits =
            |(_, p): &(&&'static str, &Place)| p.state == PlaceState::Waiting && p.wants.model == model;
        let mut queue: Vec<_> = self.standby.places.iter().filter(waits).collect();
        queue.sort_by_key(|(_, p)| p.number);
        queue.into_iter().map(|(buyer, _)| *buyer).collect()
    }

    pub(super) fn aside(&self, item: &str) -> i64 {
        self.standby.aside.get(item).copied().unwrap_or(0)
    }

    /// Whether the model's limit, or the model, can't go.
    pub(super) fn is_awaited(&self, item: &str) -> bool {
        item.strip_prefix("model:").is_some_and(|id| self.aside(item) > 0 || !self.queue(id).is_empty())
    }

    fn is_set_aside(&self, item: &str) -> bool {
        let Some(id) = item.strip_prefix("model:").filter(|_| self.has_standby()) else { return false };
        if self.is_before_allocation() {
            return false;
        }
        let is_limited = self.totals.get(item).copied().flatten().is_some();
        is_limited && (self.standby.suspended || self.is_allocating() || !self.queue(id).is_empty())
    }

    /// Units of these items came back.
    pub(super) fn set_aside(&mut self, returned: &[String]) {
        for item in returned {
            if self.is_set_aside(item) {
                *self.standby.aside.entry(item.clone()).or_default() += 1;
            }
        }
    }

    /// The total of an item goes up or down by so many, of which nobody has taken any.
    pub(super) fn shift(&mut self, item: &str, n: i64) {
        if n > 0 && self.is_set_aside(item) {
            *self.standby.aside.entry(item.to_owned()).or_default() += n;
        } else if n < 0 {
            let free = self.totals[item].unwrap() - self.adopted_all(item) - self.aside(item);
            let spared = (-n - free.max(0)).max(0);
            if spared > 0 {
                *self.standby.aside.get_mut(item).unwrap() -= spared;
            }
        }
    }

    /// Grants what is set aside of these items; how many it granted.
    pub fn grant(&mut self, items: &[String], most: usize) -> u64 {
        let has_opened = self.now() >= self.definition.sale.opens_at.as_millisecond();
        let is_open = has_opened && !self.is_closed() && !self.is_drawing();
        if !self.has_standby() || self.standby.suspended || !is_open || self.paused {
            return 0;
        }
        let mut models: Vec<String> = items.iter().filter(|item| self.aside(item) > 0).cloned().collect();
        models.sort();
        models.dedup();
        let (mut granted, mut changed) = (0, false);
        for item in models {
            while self.aside(&item) > 0 && granted < most {
                changed = true;
                let Some(buyer) = self.queue(&item["model:".len()..]).first().copied() else {
                    self.standby.aside.insert(item.clone(), 0);
                    break;
                };
                if self.limit_of(buyer).is_some() {
                    self.standby.places.get_mut(buyer).unwrap().state = PlaceState::Skipped;
                } else {
                    self.grant_to(buyer, &item);
                    granted += 1;
                }
            }
        }
        if changed {
            self.changed();
        }
        granted as u64
    }

    fn grant_to(&mut self, buyer: &'static str, item: &str) {
        let wants = self.standby.places[buyer].wants.clone();
        *self.standby.aside.get_mut(item).unwrap() -= 1;
        let sale = &self.definition.sale.id;
        let part = buyer_part(sale, buyer);
        // Of the entry that this grant makes.
        let key = redis::Script::new(&format!("lg:{{{sale}}}:state {part} {}", self.sequence + 1));
        let key = key.get_hash()[..12].to_owned();
        let mut unavailable: Vec<String> = wants.packages.iter().map(|id| format!("package:{id}")).collect();
        unavailable.extend(wants.store.map(|id| format!("store:{id}")));
        unavailable.retain(|item| !self.is_there(item));
        let id = format!("{part}{key}");
        let place = self.standby.places.get_mut(buyer).unwrap();
        (place.state, place.id) = (PlaceState::Granted, Some(id.clone()));
        // No request has made it.
        let want = Tap {
            buyer,
            key: "",
            model: wants.model,
            packages: wants.packages,
            store: wants.store,
            partial: true,
        };
        let packages = owned(&want.packages);
        self.hold(id, want, packages, unavailable, self.definition.sale.granted_hold_ms());
    }

    /// A batch of requests to join, each in its turn.
    pub fn join(&mut self, requests: &[JoinRequest]) -> Vec<JoinDecision> {
        let before = self.clone();
        let (mut positions, mut changed) = (BTreeMap::new(), false);
        let mut decisions = Vec::new();
        for request in requests {
            let (decision, is_change) = self.decide_join(request, &before, &mut positions);
            changed |= is_change;
            decisions.push(decision);
        }
        if decisions.contains(&JoinDecision::Refused(Decision::Closed)) {
            self.late();
        }
        if changed {
            self.changed();
        }
        decisions
    }

    fn decide_join(
        &mut self,
        request: &JoinRequest,
        before: &Self,
        positions: &mut BTreeMap<&'static str, u64>,
    ) -> (JoinDecision, bool) {
        let JoinRequest { buyer, model, packages, store } = request;
        if !self.has_standby() {
            return (JoinDecision::None, false);
        }
        let refused = |decision| (JoinDecision::Refused(decision), false);
        let place = self.standby.places.get(buyer).cloned();
        let waits = place.clone().filter(|place| place.state == PlaceState::Waiting);
        // Of who joined before this batch: as it was then.
        let position = |positions: &BTreeMap<&'static str, u64>| {
            let place = &before.standby.places.get(buyer);
            positions.get(buyer).copied().unwrap_or_else(|| {
                let queue = before.queue(place.unwrap().wants.model);
                queue.iter().position(|other| other == buyer).unwrap() as u64 + 1
            })
        };
        if waits.as_ref().is_some_and(|place| place.wants == *request) {
            return (JoinDecision::Waiting(position(positions)), false);
        }
        if let Some(place) = place.as_ref().filter(|place| place.state == PlaceState::Granted) {
            let claim = self.claims.iter().find(|c| Some(&c.is.id) == place.id.as_ref()).unwrap();
            let has_all = place.wants == *request || self.limit_of(buyer).is_some();
            if claim.is.state.takes_stock() && !self.is_over(&claim.is) && has_all {
                let model = place.wants.model.to_owned();
                return (JoinDecision::Granted(model, Box::new(claim.is.clone())), false);
            }
        }
        if self.is_closed() {
            return refused(Decision::Closed);
        }
        if self.now() < self.definition.sale.opens_at.as_millisecond() || self.is_drawing() {
            return refused(Decision::NotOpen(self.now()));
        }
        if self.paused {
            return refused(Decision::Paused);
        }
        if !self.may_reserve(buyer) {
            return refused(Decision::NotSignedUp);
        }
        let unknown = self.unknown(model, &owned(packages), *store);
        if !unknown.is_empty() {
            return refused(Decision::UnknownItem(unknown));
        }
        if let Some(place) = waits.as_ref().filter(|place| place.wants.model == *model) {
            let place = Place { wants: request.clone(), ..place.clone() };
            self.standby.places.insert(buyer, place);
            return (JoinDecision::Waiting(position(positions)), true);
        }
        if let Some((limit, ids)) = self.limit_of(buyer) {
            return refused(Decision::PurchaseLimit(limit, ids));
        }
        let item = format!("model:{model}");
        if !self.is_gone(&item) {
            return (JoinDecision::NotSoldOut, false);
        }
        if !self.has_room(model) {
            return (JoinDecision::Full, false);
        }
        self.add_place(request.clone());
        let position = self.queue(model).len() as u64;
        positions.insert(buyer, position);
        (if waits.is_some() { JoinDecision::Waiting(position) } else { JoinDecision::Joined(position) }, true)
    }

    fn has_room(&self, model: &str) -> bool {
        (self.queue(model).len() as u64) < self.definition.sale.standby_max.unwrap_or(u64::MAX)
    }

    /// Whether someone to whom the draw gave nothing can wait for this model.
    pub(super) fn may_wait(&self, model: &str) -> bool {
        self.total(&format!("model:{model}")).is_some() && self.has_room(model)
    }

    pub(super) fn last_place(&self) -> u64 {
        self.standby.last
    }

    /// A late payment takes units that came back while a draw allocates.
    pub(super) fn take_back_from_aside(&mut self, items: &[String]) {
        for item in items.iter().filter(|item| self.is_kept_for_entrants(item)).cloned().collect::<Vec<_>>() {
            *self.standby.aside.get_mut(&item).unwrap() -= 1;
        }
    }

    pub(super) fn has_place(&self, buyer: &str) -> bool {
        self.standby.places.contains_key(buyer)
    }

    /// At the end of its queue.
    pub(super) fn add_place(&mut self, wants: JoinRequest) {
        self.standby.last += 1;
        let (number, state) = (self.standby.last, PlaceState::Waiting);
        self.standby.places.insert(wants.buyer, Place { wants, number, state, id: None });
    }

    /// The limit that a buyer has reached, and the ids that count.
    pub(super) fn limit_of(&self, buyer: &str) -> Option<(PurchaseLimit, Vec<String>)> {
        let terms = &self.definition.sale;
        let mine = || self.claims.iter().filter(|c| c.sub == buyer);
        let counts = |r: &Reservation| r.state.takes_stock() && !self.is_over(r);
        let active: Vec<String> = mine().filter(|c| counts(&c.is)).map(|c| c.is.id.clone()).collect();
        if active.len() >= terms.per_buyer as usize {
            return Some((PurchaseLimit::PerBuyer, active));
        }
        let has_all = mine().count() >= terms.attempts as usize;
        has_all.then(|| (PurchaseLimit::Attempts, mine().map(|c| c.is.id.clone()).collect()))
    }

    /// A buyer leaves the queue.
    pub fn leave(&mut self, buyer: &str) {
        let waits = self.standby.places.get(buyer).is_some_and(|place| place.state == PlaceState::Waiting);
        if waits {
            self.standby.places.remove(buyer);
            self.changed();
        }
    }

    /// A buyer's place as gateways show it.
    pub fn place_of(&self, buyer: &str) -> Option<PlaceNow> {
        let Place { wants, state, id, .. } = self.standby.places.get(buyer)?;
        let position = self.queue(wants.model).iter().position(|other| *other == buyer);
        Some(PlaceNow {
            model: wants.model.to_owned(),
            state: *state,
            position: position.map_or(0, |n| n as u64 + 1),
            reservation: id.clone(),
        })
    }

    /// How many wait; `None`: the sale has no standby queues.
    pub fn waiting(&self) -> Option<u64> {
        let waits = |place: &&Place| place.state == PlaceState::Waiting;
        self.has_standby().then(|| self.standby.places.values().filter(waits).count() as u64)
    }
}
