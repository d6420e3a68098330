//! A small reference gateway with one Redis, several memories that are up to a second old and a bad network: its
//! random histories are correct ones.

use fastrand::Rng;

use super::*;
use crate::base::requests::{AMEND, CANCEL, CONFIRM};
use crate::load::history::{Amend, Exchange, RefusedChange, WantedChange};

mod later;

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
        waiting: vec![],
        signup: None,
        draw: None,
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
        let packages: Vec<&str> = shown.packages.iter().map(String::as_str).collect();
        let mut change = change(self.sequence, kind, &shown.id, &history.buyer, shown.number);
        change.at = time(self.now);
        change.version = u32::try_from(shown.version).unwrap();
        change.selected = selected(&shown.model, &packages, shown.store.as_deref());
        change.payment = (kind == Kind::Confirm).then(|| history.payment.as_str().into());
        change.set_held_at(shown.held_at.unwrap());
        self.case.changes.push(change);
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
                last.sequence = self.sequence;
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
