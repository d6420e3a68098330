//! A small reference gateway with one Redis, several memories that are up to a second old and a bad network: its
//! random histories are correct ones.

use fastrand::Rng;

use super::*;
use crate::base::requests::{AMEND, CANCEL, CONFIRM};
use crate::load::history::{Amend, Exchange, RefusedChange, WantedChange};

const HOLD_MS: i64 = 2_000;
const GRACE_MS: i64 = 500;
const CLOCK_ERROR_MS: i64 = 20;

/// What the read model shows of the ledger, from a time on.
#[derive(Clone)]
struct PastLedger {
    at: i64,
    free: BTreeMap<String, i64>,
    buyers: BTreeSet<String>,
    held: i64,
}

enum Decision {
    Holds(Box<Hold>),
    PurchaseLimit,
    /// Of what, and whether for good.
    SoldOut(Vec<String>, bool),
}

struct Reservation {
    key: usize,
    shown: Hold,
    taken_at: i64,
    deadline: i64,
}

/// What is wrong with a gateway.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    /// Refusals are by a read model that is younger than this.
    pub(crate) read_model_ms: i64,
    /// The read model does not know which buyers hold a reservation.
    pub(crate) forgets_buyers: bool,
}

pub(crate) const NONE: Faults = Faults { read_model_ms: 1, forgets_buyers: false };

struct Simulation {
    faults: Faults,
    rng: Rng,
    now: i64,
    /// Stops at times, like a frozen clock.
    sale_clock: i64,
    sequence: u64,
    totals: BTreeMap<String, i64>,
    reservations: Vec<Reservation>,
    past: Vec<PastLedger>,
    case: Case,
}

pub(crate) fn history(seed: u64, faults: Faults) -> Case {
    let mut rng = Rng::with_seed(seed);
    let totals = [("model:a", 3), ("model:b", 2), ("package:p", 3), ("package:q", 1), ("store:s", 4)];
    let totals: BTreeMap<String, i64> = totals.map(|(item, total)| (item.to_owned(), total)).into();
    let mut terms = terms();
    terms.hold = Duration::from_millis(HOLD_MS as u64);
    terms.grace = Duration::from_millis(GRACE_MS as u64);
    terms.per_buyer = rng.u64(1..=2);
    let case = Case {
        terms,
        totals_before: totals.iter().map(|(item, total)| (item.clone(), Some(*total as u64))).collect(),
        audit: Audit { sequence: 0, verdict: "balanced".to_owned(), items: vec![], problems: vec![] },
        changes: vec![],
        operator_actions: vec![],
        history: vec![],
        support: HashMap::new(),
    };
    let mut simulation = Simulation {
        faults,
        rng,
        now: at(0).as_millisecond(),
        sale_clock: 0,
        sequence: 10,
        totals,
        reservations: vec![],
        past: vec![],
        case,
    };
    simulation.remember();
    for _ in 0..150 {
        simulation.step();
    }
    simulation.finish()
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn items(hold: &Hold) -> Vec<String> {
    let packages = hold.packages.iter().map(|package| format!("package:{package}"));
    let store = hold.store.iter().map(|store| format!("store:{store}"));
    std::iter::once(format!("model:{}", hold.model)).chain(packages).chain(store).collect()
}

impl Simulation {
    fn step(&mut self) {
        let passed = if self.rng.u32(0..4) == 0 { 0 } else { self.rng.i64(0..300) };
        self.now += passed;
        if self.rng.u32(0..10) > 0 {
            self.sale_clock += passed;
        }
        match self.rng.u32(0..100) {
            0..35 => self.tap(),
            35..50 => self.tap_together(),
            50..80 => self.settle(),
            80..97 => self.sweep(),
            _ => self.restock(),
        }
    }

    fn free(&self) -> BTreeMap<String, i64> {
        let mut free = self.totals.clone();
        let alive = |r: &&Reservation| matches!(r.shown.state.as_str(), "held" | "confirmed");
        for item in self.reservations.iter().filter(alive).flat_map(|r| items(&r.shown)) {
            *free.get_mut(&item).unwrap() -= 1;
        }
        free
    }

    fn remember(&mut self) {
        let held = self.reservations.iter().filter(|r| r.shown.state == "held").count() as i64;
        let buyers = self.reservations.iter().map(|r| self.case.history[r.key].buyer.clone()).collect();
        self.past.push(PastLedger { at: self.now, free: self.free(), buyers, held });
    }

    fn write(&mut self, kind: Kind, reservation: usize) {
        self.sequence += 1;
        let Reservation { key, shown, .. } = &self.reservations[reservation];
        let history = &self.case.history[*key];
        self.case.changes.push(Change {
            at: time(self.now),
            held_at: shown.held_at.unwrap(),
            version: shown.version,
            model: shown.model.clone(),
            packages: shown.packages.clone(),
            store: shown.store.clone(),
            payment: (kind == Kind::Confirm).then(|| history.payment.clone()),
            ..change(self.sequence, kind, &shown.id, &history.buyer, shown.number)
        });
        self.remember();
    }

    fn is_over(&self, r: &Reservation) -> bool {
        r.shown.state == "held" && self.sale_clock >= r.deadline + GRACE_MS
    }

    fn is_lost(&mut self, key: usize) -> bool {
        let lost = self.rng.u32(0..5) == 0;
        let answer = if lost { "none: timed out" } else { "200 {}" }.to_owned();
        let exchange = Exchange::new(time(self.now), 1.0, "POST".to_owned(), answer);
        self.case.history[key].log.push(exchange);
        lost
    }

    /// Two taps, which are one entry if both of them win.
    fn tap_together(&mut self) {
        let (sequence, seen) = (self.sequence, self.past.len());
        self.tap();
        self.tap();
        if self.sequence == sequence + 2 {
            self.sequence -= 1;
            self.past.remove(seen);
            if let Some(last) = self.case.changes.last_mut() {
                last.id = format!("{}-0", self.sequence);
            }
        }
    }

    /// A tap with a new key or one of old.
    fn tap(&mut self) {
        let key = match self.case.history.len() {
            known if known > 0 && self.rng.bool() => self.rng.usize(0..known),
            known => {
                let choose = |rng: &mut Rng, list: &[&str]| (*rng.choice(list).unwrap()).to_owned();
                let mut packages = vec!["p".to_owned(), "q".to_owned()];
                packages.truncate(self.rng.usize(0..=2));
                let selection = Selection {
                    model: choose(&mut self.rng, &["a", "a", "b"]),
                    packages,
                    store: self.rng.bool().then(|| "s".to_owned()),
                    accept_partial: self.rng.bool(),
                };
                let buyer = format!("b{}", self.rng.u32(0..8));
                self.case.history.push(TapHistory::new(
                    buyer,
                    format!("k{known}"),
                    Scenario::BOTS,
                    selection,
                ));
                known
            }
        };
        let (asked, answered) = (self.now - self.rng.i64(0..200), self.now + self.rng.i64(0..200));
        let skew = self.rng.i64(-CLOCK_ERROR_MS..=CLOCK_ERROR_MS);
        let decision = self.ask_memory(key).unwrap_or_else(|| self.ask_redis(key));
        let history = &mut self.case.history[key];
        let is_lost = self.rng.u32(0..5) == 0;
        let answer =
            if is_lost { "503 {\"type\":\"/problems/outcome-unknown\"}" } else { "201 {}" }.to_owned();
        history.log.push(Exchange::new(time(asked + skew), 1.0, String::new(), answer));
        if is_lost {
            if history.holds.is_empty() {
                history.outcome = Some(Outcome::Unknown);
            }
            return;
        }
        let outcome = match decision {
            Decision::Holds(hold) => {
                history.holds.push(*hold);
                Outcome::Won
            }
            Decision::PurchaseLimit => Outcome::PurchaseLimit,
            Decision::SoldOut(items, last) => {
                let (asked, answered) = (time(asked + skew), time(answered + skew));
                history.sold_out.push(SoldOut { items, last, asked, answered });
                Outcome::SoldOut
            }
        };
        if history.holds.is_empty() || outcome == Outcome::Won {
            history.outcome = Some(outcome);
        }
    }

    /// Sold out, as a gateway's read model has it.
    fn ask_memory(&mut self, key: usize) -> Option<Decision> {
        let seen_at = self.now - self.rng.i64(0..self.faults.read_model_ms);
        let memory = self.past.iter().rfind(|snapshot| snapshot.at <= seen_at)?;
        let history = &self.case.history[key];
        let is_known = memory.buyers.contains(&history.buyer) && !self.faults.forgets_buyers;
        if self.rng.bool() || is_known {
            return None;
        }
        let gone = gone(&memory.free, &history.selection, true);
        (!gone.is_empty()).then_some(Decision::SoldOut(gone, memory.held == 0))
    }

    fn ask_redis(&mut self, key: usize) -> Decision {
        if let Some(r) = self.reservations.iter().find(|r| r.key == key) {
            let mut shown = r.shown.clone();
            if self.is_over(r) {
                (shown.state, shown.expires_at) = ("expired".to_owned(), None);
            }
            return Decision::Holds(shown.into());
        }
        let (buyer, selection) =
            (self.case.history[key].buyer.clone(), self.case.history[key].selection.clone());
        let own: Vec<_> =
            self.reservations.iter().filter(|r| self.case.history[r.key].buyer == buyer).collect();
        let alive = own
            .iter()
            .filter(|r| r.shown.state == "confirmed" || (r.shown.state == "held" && !self.is_over(r)));
        let terms = &self.case.terms;
        if alive.count() as u64 >= terms.per_buyer || own.len() as u64 >= terms.attempts {
            return Decision::PurchaseLimit;
        }
        let free = self.free();
        let refused = gone(&free, &selection, true);
        if !refused.is_empty() {
            let held = self.reservations.iter().any(|r| r.shown.state == "held");
            return Decision::SoldOut(refused, !held);
        }
        let unavailable = gone(&free, &selection, false);
        let left_off = |kind: &str, id: &String| unavailable.contains(&format!("{kind}:{id}"));
        let number = self.reservations.len() as u64 + 1;
        let shown = Hold {
            model: selection.model,
            packages: selection.packages.into_iter().filter(|id| !left_off("package", id)).collect(),
            store: selection.store.filter(|id| !left_off("store", id)),
            unavailable,
            held_at: Some(time(self.now)),
            expires_at: Some(time(self.now + HOLD_MS)),
            server_time: Some(time(self.now)),
            ..hold(&format!("r{number}"), number)
        };
        let shown = Hold { price: Some(prices().price(&shown.model, &shown.packages)), ..shown };
        let deadline = self.sale_clock + HOLD_MS;
        self.reservations.push(Reservation { key, shown: shown.clone(), taken_at: self.now, deadline });
        self.write(Kind::Reserve, number as usize - 1);
        Decision::Holds(shown.into())
    }

    /// A buyer with a shown hold pays, cancels or amends.
    fn settle(&mut self) {
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
    fn sweep(&mut self) {
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

    fn restock(&mut self) {
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

    fn finish(mut self) -> Case {
        let counted = |item: &String, state: &str| {
            let all = self.reservations.iter().filter(|r| r.shown.state == state);
            all.filter(|r| items(&r.shown).contains(item)).count() as i64
        };
        self.case.audit.sequence = self.sequence;
        self.case.audit.items = self
            .totals
            .iter()
            .map(|(item, total)| audited(item, *total, counted(item, "held"), counted(item, "confirmed")))
            .collect();
        self.case
    }
}

/// The sold-out items of a selection: all that decide, or all.
fn gone(free: &BTreeMap<String, i64>, selection: &Selection, decides: bool) -> Vec<String> {
    let wanted = Hold {
        model: selection.model.clone(),
        packages: selection.packages.clone(),
        store: selection.store.clone(),
        ..hold("", 0)
    };
    let decisive = if decides && selection.accept_partial { 1 } else { usize::MAX };
    items(&wanted).into_iter().take(decisive).filter(|item| free[item] < 1).collect()
}
