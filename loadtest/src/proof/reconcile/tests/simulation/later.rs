//! What becomes of the reservations of the simulation: buyers pay, cancel and amend; holds expire; an operator restocks.

use super::*;

impl Simulation {
    /// A buyer with a shown hold pays, cancels or amends.
    pub(super) fn settle(&mut self) {
        if self.reservations.is_empty() {
            return;
        }
        let n = self.rng.usize(0..self.reservations.len());
        let key = self.reservations[n].key;
        let history = &self.case.history[key];
        if history.holds.is_empty() || history.confirm != Step::NotTried || history.cancel != Step::NotTried {
            return;
        }
        match self.rng.u32(0..3) {
            0 => self.case.history[key].confirm = self.end(n, key, Kind::Confirm, "confirmed"),
            1 => self.case.history[key].cancel = self.end(n, key, Kind::Cancel, "cancelled"),
            _ => self.amend(n, key),
        }
    }

    fn end(&mut self, n: usize, key: usize, kind: Kind, state: &str) -> Step {
        let refused = self.reservations[n].shown.state != "held" || self.is_over(&self.reservations[n]);
        if !refused {
            let shown = &mut self.reservations[n].shown;
            (shown.state, shown.expires_at) = (state.to_owned(), None);
            self.write(kind, n);
        }
        match self.is_lost(key) {
            true => Step::Unknown,
            false if refused => {
                let name = if kind == Kind::Confirm { CONFIRM } else { CANCEL };
                self.refuse(n, key, (name, "reservation-not-held"), &[])
            }
            false => Step::Done,
        }
    }

    /// The refusal of a change, with what it asked for that the reservation did not have; of that all is sold out.
    fn refuse(&mut self, n: usize, key: usize, (request, why): (&str, &str), gone: &[String]) -> Step {
        let answer =
            SoldOut { items: gone.to_vec(), last: false, asked: time(self.now), answered: time(self.now) };
        let history = &mut self.case.history[key];
        let began = history.log.exchanges.first().map(|exchange| exchange.at);
        history.refused.push(RefusedChange {
            request: request.to_owned(),
            reservation: self.reservations[n].shown.id.clone(),
            why: why.to_owned(),
            version: None,
            wanted: gone.to_vec(),
            answer,
            after_lost: false,
            after_settling: false,
            as_service: false,
            began,
        });
        Step::Refused(why.to_owned())
    }

    fn amend(&mut self, n: usize, key: usize) {
        let mut new = self.reservations[n].shown.clone();
        new.store = self.rng.bool().then(|| "s".to_owned());
        new.packages = if self.rng.bool() { vec!["p".to_owned()] } else { vec![] };
        let wanted =
            WantedChange { model: None, packages: Some(new.packages.clone()), store: new.store.clone() };
        let old = items(&self.reservations[n].shown);
        let free = self.free();
        let gone: Vec<String> =
            items(&new).into_iter().filter(|item| !old.contains(item) && free[item] < 1).collect();
        let mut refused = None;
        if new.state != "held" || self.sale_clock >= self.reservations[n].deadline {
            refused = Some("reservation-not-held");
        } else if !gone.is_empty() {
            refused = Some("sold-out");
        } else if items(&new) != old {
            new.version += 1;
            new.price = Some(prices().price(&new.model, &new.packages));
            self.reservations[n].shown = new.clone();
            self.write(Kind::Amend, n);
        }
        let (step, shown) = match (self.is_lost(key), refused) {
            (true, _) => (Step::Unknown, None),
            (false, Some(why)) => {
                let gone = if why == "sold-out" { gone.as_slice() } else { &[] };
                (self.refuse(n, key, (AMEND, why), gone), None)
            }
            (false, None) => (Step::Done, Some(new)),
        };
        let reservation = self.reservations[n].shown.id.clone();
        self.case.history[key].amends.push(Amend { reservation, wanted, step, shown });
    }

    /// What is over expires, all in one entry.
    pub(super) fn sweep(&mut self) {
        let over: Vec<_> =
            (0..self.reservations.len()).filter(|n| self.is_over(&self.reservations[*n])).collect();
        let sequence = self.sequence + 1;
        let before = self.past.len();
        for n in &over {
            assert!(self.now - self.reservations[*n].taken_at >= HOLD_MS + GRACE_MS);
            let shown = &mut self.reservations[*n].shown;
            (shown.state, shown.expires_at) = ("expired".to_owned(), None);
            self.sequence = sequence - 1;
            self.write(Kind::Expire, *n);
        }
        // The states between them were not visible.
        if let Some(last) = self.past.pop() {
            self.past.truncate(before.min(self.past.len()));
            self.past.push(last);
        }
    }

    pub(super) fn restock(&mut self) {
        let item = self.rng.choice(self.totals.keys()).cloned().unwrap();
        let was = self.totals[&item];
        let taken = was - self.free()[&item];
        let total = (was + self.rng.i64(-1..=1)).max(taken).max(1);
        if total != was {
            self.sequence += 1;
            let action = restock(self.sequence, &item, total as u64, was as u64);
            self.case.operator_actions.push(OperatorAction { at: time(self.now), ..action });
            self.totals.insert(item, total);
            self.remember();
        }
    }
}
