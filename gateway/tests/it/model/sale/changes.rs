//! Models the calls on a reservation: list, confirm, cancel, PATCH, and the sweep.

use gateway::domain::decision::Header;
use gateway::domain::reservation::{Reservation, State};
use gateway::reserve::changes::{Amendment, Change, Payment};

use super::{Model, sorted};
use crate::model::plan::Role;

impl Model {
    /// A buyer's own, and what goes before every list.
    pub fn list(&mut self, sub: &str) -> (Vec<Reservation>, Header) {
        if self.claims.iter().any(|c| c.sub == sub && self.is_over(&c.is)) {
            self.late();
        }
        let mine = self.claims.iter().filter(|c| c.sub == sub);
        (mine.map(|c| *self.shown(&c.is)).collect(), self.header())
    }

    pub fn id_of(&self, which: usize) -> String {
        self.claims[which].is.id.clone()
    }

    pub fn version_of(&self, which: usize) -> u64 {
        self.claims[which].is.version
    }

    /// A confirm.
    pub fn confirm(&mut self, which: usize, payment: Payment<'_>) -> Change {
        let Payment { reference, version, accepts_late } = payment;
        let r = &self.claims[which].is;
        let (shown, is_due) = (self.shown(r), self.is_over(r));
        let has_ended = matches!(shown.state, State::Cancelled | State::Expired);
        let payment = Some(reference.to_owned());
        match shown.state {
            State::Confirmed if r.payment == payment => Change::Done(shown, self.header()),
            State::Confirmed => Change::PaymentConflict(shown),
            _ if has_ended && !(accepts_late && r.payment.is_none()) => self.not_held(which, shown),
            _ if version != r.version => {
                if is_due {
                    self.late();
                }
                Change::Changed(shown)
            }
            _ if has_ended && !self.can_be_taken_again(which, is_due) => {
                let is = Reservation { payment, ..*shown };
                self.replace(which, is.clone());
                Change::NotHeld(Box::new(is))
            }
            _ => {
                self.ever_taken.extend(shown.items());
                if has_ended && !is_due {
                    self.take_back_from_aside(&shown.items());
                }
                self.replace(which, Reservation { state: State::Confirmed, payment, ..*shown })
            }
        }
    }

    /// Whether its buyer has room for it, and all of it is there: before the sweep it is.
    fn can_be_taken_again(&self, which: usize, is_due: bool) -> bool {
        let claim = &self.claims[which];
        let others = self.claims.iter().filter(|c| c.sub == claim.sub && c.is.id != claim.is.id);
        let others = others.filter(|c| c.is.state.takes_stock() && !self.is_over(&c.is)).count();
        let is_gone = |item: &String| match self.is_kept_for_entrants(item) {
            true => self.aside(item) < 1,
            false => self.is_gone(item),
        };
        let is_there = is_due || !claim.is.items().iter().any(is_gone);
        others < self.definition.sale.per_buyer as usize && is_there
    }

    /// A cancel.
    pub fn cancel(&mut self, which: usize, role: Role) -> Change {
        let shown = self.shown(&self.claims[which].is);
        match (role, shown.state) {
            (Role::Stranger, _) => Change::NotFound,
            (_, State::Cancelled) => Change::Done(shown, self.header()),
            (_, State::Held) | (Role::Service, State::Confirmed) => {
                self.replace(which, Reservation { state: State::Cancelled, ..*shown })
            }
            _ => self.not_held(which, shown),
        }
    }

    /// Refused; what is so for being late stays so.
    fn not_held(&mut self, which: usize, shown: Box<Reservation>) -> Change {
        if self.is_over(&self.claims[which].is) {
            self.late();
        }
        Change::NotHeld(shown)
    }

    /// A PATCH.
    pub fn amend(&mut self, which: usize, role: Role, wanted: &Amendment) -> Change {
        let now = self.shown(&self.claims[which].is);
        if matches!(role, Role::Stranger) {
            return Change::NotFound;
        }
        if !now.state.takes_stock() {
            return self.not_held(which, now);
        }
        let mut next = now.clone();
        if let Some(model) = &wanted.model {
            next.model.clone_from(model);
        }
        if let Some(packages) = &wanted.packages {
            if sorted(packages) != sorted(&now.packages) {
                next.packages.clone_from(packages);
            }
            next.unavailable.retain(|item| !item.starts_with("package:"));
        }
        if let Some(store) = &wanted.store {
            next.store = Some(store.clone());
            next.unavailable.retain(|item| !item.starts_with("store:"));
        }
        let mut unknown = self.unknown(&next.model, &next.packages, next.store.as_deref());
        // What stays as it is is not judged again.
        let stays = |id: &&String| next.model == now.model && now.packages.contains(id);
        let packages = next.packages.iter().filter(stays).map(|id| format!("package:{id}"));
        let store = next.store.iter().filter(|_| next.store == now.store).map(|id| format!("store:{id}"));
        let same: Vec<String> = packages.chain(store).collect();
        unknown.retain(|item| !same.contains(item));
        let is_outdated = wanted.version.is_some_and(|version| version != now.version);
        if !(unknown.is_empty() || is_outdated) {
            return Change::UnknownItem(unknown);
        }
        let is_in_time = match now.state {
            State::Held => self.sale_clock() < now.deadline,
            _ => {
                let until = self.definition.sale.configure_until;
                until.is_some_and(|until| self.now() < until.as_millisecond())
            }
        };
        if !(is_in_time || matches!(role, Role::Service)) {
            self.late();
            return Change::NotHeld(now);
        }
        if is_outdated {
            return Change::Changed(now);
        }
        if next == now {
            return Change::Done(now, self.header());
        }
        let (old, new) = (now.items(), next.items());
        let items: Vec<String> =
            new.iter().filter(|i| !old.contains(i) && self.is_gone_or_reserved(i)).cloned().collect();
        if !items.is_empty() {
            let is_final = self.counts().held == 0;
            return Change::SoldOut { items, is_final };
        }
        self.ever_taken.extend(new);
        next.version += 1;
        self.replace(which, *next)
    }

    fn replace(&mut self, which: usize, is: Reservation) -> Change {
        let taken = |r: &Reservation| if r.state.takes_stock() { r.items() } else { Vec::new() };
        let (before, after) = (taken(&self.claims[which].is), taken(&is));
        let returned: Vec<String> = before.into_iter().filter(|item| !after.contains(item)).collect();
        self.set_aside(&returned);
        self.claims[which].is = is.clone();
        let header = self.changed();
        self.grant(&returned, returned.len());
        Change::Done(Box::new(is), header)
    }

    /// Sweeps until nothing is due: how many holds that ends.
    pub fn sweep(&mut self) -> u64 {
        let over: Vec<bool> = self.claims.iter().map(|c| self.is_over(&c.is)).collect();
        let mut returned = Vec::new();
        let mut ended = 0;
        for (claim, _) in self.claims.iter_mut().zip(over).filter(|(_, over)| *over) {
            claim.is.state = State::Expired;
            returned.extend(claim.is.items());
            ended += 1;
        }
        self.set_aside(&returned);
        self.swept = (returned, ended);
        ended
    }

    /// The changes that a sweep was made of.
    pub fn swept_in(&mut self, changes: u64) {
        for _ in 0..changes {
            self.changed();
        }
        // In the same step, if one step ended all of them, as in histories with standby queues.
        let (returned, ended) = std::mem::take(&mut self.swept);
        self.grant(&returned, usize::try_from(ended).unwrap());
    }
}
