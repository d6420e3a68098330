//! Models the calls on a reservation: list, confirm, cancel, PATCH, and the sweep.

use gateway::domain::decision::Header;
use gateway::domain::reservation::{Reservation, State};
use gateway::reserve::changes::{Amendment, Change};

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

    /// A confirm, of the version as it is or beside it.
    pub fn confirm(&mut self, which: usize, payment: &str, version_off: i64) -> Change {
        let r = &self.claims[which].is;
        let shown = self.shown(r);
        match shown.state {
            State::Confirmed if r.payment.as_deref() == Some(payment) => Change::Done(shown, self.header()),
            State::Confirmed => Change::PaymentConflict(shown),
            State::Cancelled | State::Expired => self.not_held(which, shown),
            State::Held if version_off != 0 => Change::Changed(shown),
            State::Held => {
                let payment = Some(payment.to_owned());
                self.replace(which, Reservation { state: State::Confirmed, payment, ..*shown })
            }
        }
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
        if self.is_over(&self.claims[which].is) || shown.state == State::Held {
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
        if !unknown.is_empty() {
            return Change::UnknownItem(unknown);
        }
        let in_time = now.state == State::Held && self.sale_clock() < now.deadline;
        let store_only = (&next.model, &next.packages) == (&now.model, &now.packages);
        let may_late = matches!(role, Role::Service) && store_only;
        if !(in_time || may_late) {
            return self.not_held(which, now);
        }
        if next == now {
            return Change::Done(now, self.header());
        }
        let (old, new) = (now.items(), next.items());
        let items: Vec<String> =
            new.iter().filter(|i| !old.contains(i) && self.is_gone(i)).cloned().collect();
        if !items.is_empty() {
            let is_final = self.counts().held == 0;
            return Change::SoldOut { items, is_final };
        }
        self.ever_taken.extend(new);
        next.version += 1;
        self.replace(which, *next)
    }

    fn replace(&mut self, which: usize, is: Reservation) -> Change {
        self.claims[which].is = is.clone();
        Change::Done(Box::new(is), self.changed())
    }

    /// Sweeps until nothing is due: how many holds that ends.
    pub fn sweep(&mut self) -> u64 {
        let over: Vec<bool> = self.claims.iter().map(|c| self.is_over(&c.is)).collect();
        let mut ended = 0;
        for (claim, _) in self.claims.iter_mut().zip(over).filter(|(_, over)| *over) {
            claim.is.state = State::Expired;
            ended += 1;
        }
        ended
    }

    /// The changes that a sweep was made of.
    pub fn swept_in(&mut self, changes: u64) {
        for _ in 0..changes {
            self.changed();
        }
    }
}
