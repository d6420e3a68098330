//! The reference: what a sale is and must answer, by the contract, in plain maps and a list. Knows no Redis.

use std::collections::{BTreeMap, BTreeSet};

use gateway::domain::definition::Definition;
use gateway::domain::identity::reservation_id;
use gateway::domain::reservation::{Reservation, State};
use gateway::ledger::admin::{Applied, Lever, Restocked};
use gateway::ledger::audit::{Counts, ItemReport};
use gateway::ledger::batch::Decision;
use gateway::ledger::changes::{Amendment, Change};
use gateway::ledger::scripts::Header;

use super::plan::{Op, START, Tap, Who};

/// How far one tick moves the sale clock, at most.
const STEP_MAX: i64 = 2_000;

/// A reservation and the request that made it.
#[derive(Debug, Clone)]
pub struct Claim {
    pub sub: &'static str,
    want: Tap,
    /// As the ledger has it: a hold that is over stays held until the sweep.
    is: Reservation,
}

/// A sale.
#[derive(Debug)]
pub struct Model {
    pub definition: Definition,
    pub revision: u64,
    pub sequence: u64,
    pub claims: Vec<Claim>,
    /// `None`: no limit.
    totals: BTreeMap<String, Option<i64>>,
    ever_taken: BTreeSet<String>,
    /// `TIME` as it is, and the latest that was noted: by each tick and with each change.
    time: i64,
    noted: i64,
    /// The sale clock at the last note, and `TIME` then.
    clock: i64,
    clock_at: i64,
    paused: bool,
    frozen: bool,
    closed: bool,
}

impl Model {
    /// Created by this definition.
    pub fn new(definition: Definition) -> Self {
        let totals = stocks(&definition)
            .into_iter()
            .map(|(item, n)| (item, n.map(signed)));
        Self {
            totals: totals.collect(),
            definition,
            revision: 1,
            sequence: 1,
            claims: Vec::new(),
            ever_taken: BTreeSet::new(),
            time: START,
            noted: START,
            clock: 0,
            clock_at: START,
            paused: false,
            frozen: false,
            closed: false,
        }
    }

    // Clocks.

    /// Moves `TIME`.
    pub fn pass(&mut self, ms: i64) -> i64 {
        self.time += ms;
        self.time
    }

    /// The time that opening and closing go by: it does not run backwards.
    fn now(&self) -> i64 {
        self.time.max(self.noted)
    }

    fn sale_clock(&self) -> i64 {
        let step = if self.frozen {
            0
        } else {
            (self.time - self.clock_at).clamp(0, STEP_MAX)
        };
        self.clock + step
    }

    /// A tick.
    pub fn tick(&mut self) -> Header {
        (self.clock, self.noted, self.clock_at) = (self.sale_clock(), self.now(), self.time);
        self.header()
    }

    fn changed(&mut self) -> Header {
        self.sequence += 1;
        self.tick()
    }

    /// What every answer begins with.
    pub fn header(&self) -> Header {
        Header {
            sequence: self.sequence,
            time: self.now(),
            sale_clock: self.sale_clock(),
            held: self.counts().held,
        }
    }

    fn is_over(&self, r: &Reservation) -> bool {
        let grace = signed(self.definition.sale.grace_ms);
        r.state == State::Held && self.sale_clock() >= r.deadline + grace
    }

    /// A reservation as every call must show it.
    fn shown(&self, r: &Reservation) -> Box<Reservation> {
        let state = if self.is_over(r) {
            State::Expired
        } else {
            r.state
        };
        Box::new(Reservation { state, ..r.clone() })
    }

    // Stock.

    fn taken(&self, item: &str, state: State) -> i64 {
        let takes = |c: &&Claim| c.is.state == state && c.is.items().iter().any(|i| i == item);
        i64::try_from(self.claims.iter().filter(takes).count()).unwrap()
    }

    fn taken_in_all(&self, item: &str) -> i64 {
        self.taken(item, State::Held) + self.taken(item, State::Confirmed)
    }

    fn is_gone(&self, item: &str) -> bool {
        self.totals[item].is_some_and(|total| total - self.taken_in_all(item) < 1)
    }

    fn unknown(&self, model: &str, packages: &[String], store: Option<&str>) -> Vec<String> {
        let definition = &self.definition;
        let fits = |id: &String| {
            let package = definition.packages.iter().find(|p| p.id == *id);
            package.is_some_and(|p| {
                p.models
                    .as_ref()
                    .is_none_or(|models| models.iter().any(|m| m == model))
            })
        };
        let mut list = Vec::new();
        if !definition.models.iter().any(|m| m.id == model) {
            list.push(format!("model:{model}"));
        }
        list.extend(
            packages
                .iter()
                .filter(|id| !fits(id))
                .map(|id| format!("package:{id}")),
        );
        if let Some(id) = store.filter(|id| !definition.stores.iter().any(|s| s.id == *id)) {
            list.push(format!("store:{id}"));
        }
        list
    }

    /// Reservations by state.
    pub fn counts(&self) -> Counts {
        let count = |state| {
            u64::try_from(self.claims.iter().filter(|c| c.is.state == state).count()).unwrap()
        };
        Counts {
            held: count(State::Held),
            confirmed: count(State::Confirmed),
            cancelled: count(State::Cancelled),
            expired: count(State::Expired),
        }
    }

    /// What the audit must say of the items, in no order.
    pub fn items(&self) -> Vec<ItemReport> {
        let report = |(item, total): (&String, &Option<i64>)| ItemReport {
            item: item.clone(),
            total: *total,
            free: total.map(|total| total - self.taken_in_all(item)),
            held: self.taken(item, State::Held),
            confirmed: self.taken(item, State::Confirmed),
            drift: 0,
        };
        self.totals.iter().map(report).collect()
    }

    // Taps.

    /// A batch, each tap in its turn.
    pub fn reserve(&mut self, taps: &[Tap]) -> Vec<Decision> {
        let before = self.claims.len();
        let mut decisions: Vec<Decision> = taps.iter().map(|tap| self.decide(tap)).collect();
        let header = if self.claims.len() > before {
            self.changed()
        } else {
            self.header()
        };
        for decision in &mut decisions {
            match decision {
                Decision::Won(_, told) | Decision::Replayed(_, told) => *told = header,
                Decision::SoldOut { is_final, .. } => *is_final = header.held == 0,
                _ => {}
            }
        }
        decisions
    }

    fn decide(&mut self, tap: &Tap) -> Decision {
        let terms = &self.definition.sale;
        let later = Header::default();
        let mine = || self.claims.iter().filter(|c| c.sub == tap.buyer);
        if let Some(claim) = mine().find(|c| c.want.key == tap.key) {
            return match same_body(&claim.want, tap) {
                true => Decision::Replayed(self.shown(&claim.is), later),
                false => Decision::KeyReused,
            };
        }
        if self.is_closed() {
            return Decision::Closed;
        }
        if self.now() < terms.opens_at.as_millisecond() {
            return Decision::NotOpen(self.now());
        }
        if self.paused {
            return Decision::Paused;
        }
        let packages = owned(&tap.packages);
        let unknown = self.unknown(tap.model, &packages, Some(tap.store));
        if !unknown.is_empty() {
            return Decision::UnknownItem(unknown);
        }
        let counts = |r: &Reservation| r.state.takes_stock() && !self.is_over(r);
        let active: Vec<String> = mine()
            .filter(|c| counts(&c.is))
            .map(|c| c.is.id.clone())
            .collect();
        if active.len() >= terms.per_buyer as usize {
            return Decision::PurchaseLimit(active);
        }
        if mine().count() >= terms.attempts as usize {
            return Decision::PurchaseLimit(mine().map(|c| c.is.id.clone()).collect());
        }
        self.take(tap, packages)
    }

    fn take(&mut self, tap: &Tap, packages: Vec<String>) -> Decision {
        let model = format!("model:{}", tap.model);
        let mut gone: Vec<String> = packages.iter().map(|id| format!("package:{id}")).collect();
        gone.push(format!("store:{}", tap.store));
        gone.retain(|item| self.is_gone(item));
        let is_final = false;
        if self.is_gone(&model) {
            let others = if tap.partial { Vec::new() } else { gone };
            let items = [vec![model], others].concat();
            return Decision::SoldOut { items, is_final };
        }
        if !gone.is_empty() && !tap.partial {
            return Decision::SoldOut {
                items: gone,
                is_final,
            };
        }
        let left = |item: String| !gone.contains(&item);
        let is = Reservation {
            id: reservation_id(&self.definition.sale.id, tap.buyer, tap.key),
            buyer: String::new(),
            number: self.claims.len() as u64 + 1,
            version: 1,
            state: State::Held,
            model: tap.model.into(),
            packages: packages
                .into_iter()
                .filter(|id| left(format!("package:{id}")))
                .collect(),
            store: Some(tap.store.to_owned()).filter(|id| left(format!("store:{id}"))),
            unavailable: gone.clone(),
            fingerprint: String::new(),
            held_at: self.now(),
            deadline: self.sale_clock() + signed(self.definition.sale.hold_ms),
            payment: None,
            changes: Vec::new(),
        };
        self.ever_taken.extend(is.items());
        let won = Decision::Won(Box::new(is.clone()), Header::default());
        self.claims.push(Claim {
            sub: tap.buyer,
            want: tap.clone(),
            is,
        });
        won
    }

    // Calls on a reservation.

    /// A buyer's own, and what goes before every list.
    pub fn list(&self, sub: &str) -> (Vec<Reservation>, Header) {
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
            State::Confirmed if r.payment.as_deref() == Some(payment) => {
                Change::Done(shown, self.header())
            }
            State::Confirmed => Change::PaymentConflict(shown),
            State::Cancelled | State::Expired => Change::NotHeld(shown),
            State::Held if version_off != 0 => Change::Changed(shown),
            State::Held => {
                let payment = Some(payment.to_owned());
                self.replace(
                    which,
                    Reservation {
                        state: State::Confirmed,
                        payment,
                        ..*shown
                    },
                )
            }
        }
    }

    /// A cancel.
    pub fn cancel(&mut self, which: usize, who: Who) -> Change {
        let shown = self.shown(&self.claims[which].is);
        match (who, shown.state) {
            (Who::Stranger, _) => Change::NotFound,
            (_, State::Cancelled) => Change::Done(shown, self.header()),
            (_, State::Held) | (Who::Service, State::Confirmed) => self.replace(
                which,
                Reservation {
                    state: State::Cancelled,
                    ..*shown
                },
            ),
            _ => Change::NotHeld(shown),
        }
    }

    /// A PATCH.
    pub fn amend(&mut self, which: usize, who: Who, wanted: &Amendment) -> Change {
        let now = self.shown(&self.claims[which].is);
        if matches!(who, Who::Stranger) {
            return Change::NotFound;
        }
        if !now.state.takes_stock() {
            return Change::NotHeld(now);
        }
        let mut next = now.clone();
        if let Some(model) = &wanted.model {
            next.model.clone_from(model);
        }
        if let Some(packages) = &wanted.packages {
            if sorted(packages) != sorted(&now.packages) {
                next.packages.clone_from(packages);
            }
            next.unavailable
                .retain(|item| !item.starts_with("package:"));
        }
        if let Some(store) = &wanted.store {
            next.store = Some(store.clone());
            next.unavailable.retain(|item| !item.starts_with("store:"));
        }
        let unknown = self.unknown(&next.model, &next.packages, next.store.as_deref());
        if !unknown.is_empty() {
            return Change::UnknownItem(unknown);
        }
        let in_time = now.state == State::Held && self.sale_clock() < now.deadline;
        let store_only = (&next.model, &next.packages) == (&now.model, &now.packages);
        if !in_time && !(matches!(who, Who::Service) && store_only) {
            return Change::NotHeld(now);
        }
        if next == now {
            return Change::Done(now, self.header());
        }
        let (old, new) = (now.items(), next.items());
        let items: Vec<String> = new
            .iter()
            .filter(|i| !old.contains(i) && self.is_gone(i))
            .cloned()
            .collect();
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

    // Levers and definitions.

    fn is_closed(&self) -> bool {
        self.closed || self.now() >= self.definition.sale.closes_at.as_millisecond()
    }

    /// Whether that changed something.
    pub fn pull(&mut self, lever: Lever) -> bool {
        let (is, shall_be) = match lever {
            Lever::Pause => (self.paused, true),
            Lever::Resume => (self.paused, false),
            Lever::Freeze => (self.frozen, true),
            Lever::Unfreeze => (self.frozen, false),
            Lever::Close => (self.closed, true),
        };
        if is == shall_be {
            return false;
        }
        // The clock stops, or goes on, from this very instant on.
        self.changed();
        match lever {
            Lever::Pause | Lever::Resume => self.paused = shall_be,
            Lever::Freeze | Lever::Unfreeze => self.frozen = shall_be,
            Lever::Close => self.closed = shall_be,
        }
        true
    }

    /// The total of an item with a limit.
    pub fn total(&self, item: &str) -> Option<i64> {
        self.totals.get(item).copied().flatten()
    }

    /// A restock.
    pub fn restock(&mut self, item: &str, total: u64, was: u64) -> Restocked {
        let (total, was) = (signed(total), signed(was));
        let taken = self.taken_in_all(item);
        match self.totals.get(item) {
            None => Restocked::UnknownItem,
            Some(None) => Restocked::NoLimit,
            Some(&Some(now)) if now != total && now != was => Restocked::Changed { total: now },
            Some(&Some(now)) if now != total && total < taken => Restocked::Taken { taken },
            Some(&Some(now)) => {
                if now != total {
                    self.totals.insert(item.to_owned(), Some(total));
                    self.changed();
                }
                Restocked::Done {
                    total,
                    free: total - taken,
                }
            }
        }
    }

    /// Applies a definition. Lists that have no order by contract are sorted.
    pub fn apply(&mut self, after: &Definition) -> Applied {
        let before = &self.definition;
        if before == after {
            return Applied::Unchanged(self.revision);
        }
        let locked = locked(before, after);
        if !locked.is_empty() && !self.claims.is_empty() {
            return Applied::Locked(locked);
        }
        if self.is_closed() && before.sale.closes_at != after.sale.closes_at {
            return Applied::Locked(vec!["closes_at".into()]);
        }
        let (old, new) = (stocks(before), stocks(after));
        let removed: Vec<String> = old
            .keys()
            .filter(|item| !new.contains_key(*item))
            .cloned()
            .collect();
        let used: Vec<String> = removed
            .iter()
            .filter(|item| self.ever_taken.contains(*item))
            .cloned()
            .collect();
        if !used.is_empty() {
            return Applied::ItemTaken(used);
        }
        let mut totals = self.totals.clone();
        totals.retain(|item, _| !removed.contains(item));
        for (item, stock) in &new {
            let was = old.get(item).copied();
            if was == Some(*stock) {
                continue;
            }
            // What was restocked meanwhile stays: only the difference between the files counts.
            let restocked = match was {
                Some(Some(was)) => self.totals[item].map_or(0, |total| total - signed(was)),
                _ => 0,
            };
            totals.insert(item.clone(), stock.map(|n| signed(n) + restocked));
        }
        let short: Vec<(String, u64)> = totals
            .iter()
            .filter(|(item, total)| {
                old.get(*item) != new.get(*item)
                    && total.is_some_and(|n| n < self.taken_in_all(item))
            })
            .map(|(item, _)| (item.clone(), self.taken_in_all(item).unsigned_abs()))
            .collect();
        if !short.is_empty() {
            return Applied::StockTaken(short);
        }
        self.totals = totals;
        self.definition = after.clone();
        self.revision += 1;
        self.changed();
        Applied::Updated(self.revision)
    }

    /// What must hold whatever happened.
    pub fn check(&self, op: &Op) -> Result<(), String> {
        for item in self.items() {
            if item.free.is_some_and(|free| free < 0) {
                return Err(format!("{} is oversold after {op:?}", item.item));
            }
        }
        let counts = |c: &&Claim| c.is.state.takes_stock() && !self.is_over(&c.is);
        for sub in super::plan::BUYERS {
            let active = self
                .claims
                .iter()
                .filter(|c| c.sub == sub)
                .filter(counts)
                .count();
            if active > self.definition.sale.per_buyer as usize {
                return Err(format!("{sub} has {active} reservations after {op:?}"));
            }
        }
        Ok(())
    }
}

fn locked(before: &Definition, after: &Definition) -> Vec<String> {
    let (b, a) = (&before.sale, &after.sale);
    let mut fields = vec![
        (b.opens_at != a.opens_at, "opens_at".to_owned()),
        (b.hold_ms != a.hold_ms, "hold".into()),
        (b.grace_ms != a.grace_ms, "grace".into()),
        (b.per_buyer != a.per_buyer, "per_buyer".into()),
        (b.currency != a.currency, "currency".into()),
        (b.deposit != a.deposit, "deposit".into()),
    ];
    for model in &after.models {
        let other =
            |m: &&gateway::domain::definition::Model| m.id == model.id && m.price != model.price;
        fields.push((
            before.models.iter().any(|m| other(&m)),
            format!("price of model:{}", model.id),
        ));
    }
    let mut fields: Vec<String> = fields
        .into_iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, f)| f)
        .collect();
    fields.sort();
    fields
}

fn stocks(definition: &Definition) -> BTreeMap<String, Option<u64>> {
    let models = definition
        .models
        .iter()
        .map(|m| (format!("model:{}", m.id), m.stock));
    let packages = definition
        .packages
        .iter()
        .map(|p| (format!("package:{}", p.id), p.stock));
    let stores = definition
        .stores
        .iter()
        .map(|s| (format!("store:{}", s.id), s.capacity));
    models.chain(packages).chain(stores).collect()
}

fn same_body(a: &Tap, b: &Tap) -> bool {
    let body = |t: &Tap| (t.model, t.store, t.partial, sorted(&t.packages));
    body(a) == body(b)
}

fn sorted<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort();
    list
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap()
}
