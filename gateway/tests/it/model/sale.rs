//! Models a sale by the contract, in plain maps and a list, without Redis.

mod changes;
mod draw;
mod operator_actions;
mod sign_ups;
mod standby;

use std::collections::{BTreeMap, BTreeSet};

use gateway::domain::decision::{Decision, Header};
use gateway::domain::definition::Definition;
use gateway::domain::identity::reservation_id;
use gateway::domain::reservation::{Reservation, State};
use gateway::manage::audit::{Counts, ItemReport};

use super::plan::{Op, START, Tap};
use draw::Draw;
use sign_ups::SignUps;
use standby::Standby;

/// How far one tick moves the sale clock, at most.
const STEP_MAX: i64 = 2_000;

/// A reservation and the request that made it.
#[derive(Debug, Clone)]
pub struct Claim {
    pub sub: &'static str,
    pub want: Tap,
    /// As the ledger has it: a hold that is over stays held until the sweep.
    is: Reservation,
}

/// A sale.
#[derive(Debug, Clone)]
pub struct Model {
    pub definition: Definition,
    pub revision: u64,
    pub sequence: u64,
    pub claims: Vec<Claim>,
    /// `None`: no limit.
    totals: BTreeMap<String, Option<i64>>,
    ever_taken: BTreeSet<String>,
    sign_ups: SignUps,
    standby: Standby,
    draw: Option<Draw>,
    /// What the sweep that is under way has returned, and how many holds it has ended.
    swept: (Vec<String>, u64),
    /// `TIME` as it is, and the latest that was noted: by each tick and with each change.
    time: i64,
    noted: i64,
    /// The sale clock at the last note, and `TIME` then.
    clock: i64,
    clock_at: i64,
    /// Both as of the last change.
    changed_at: Clocks,
    /// The latest by which a gateway has refused something for being late.
    late_at: Clocks,
    paused: bool,
    frozen: bool,
    closed: bool,
}

/// What a ledger's state has of its clocks: the latest `TIME` that was noted, and the sale clock then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clocks {
    noted: i64,
    clock: i64,
}

impl Model {
    /// Created by this definition.
    pub fn new(definition: Definition) -> Self {
        let totals = stocks(&definition).into_iter().map(|(item, n)| (item, n.map(signed)));
        Self {
            totals: totals.collect(),
            definition,
            revision: 1,
            sequence: 1,
            claims: Vec::new(),
            ever_taken: BTreeSet::new(),
            sign_ups: SignUps::default(),
            standby: Standby::default(),
            draw: None,
            swept: Default::default(),
            time: START,
            noted: START,
            clock: 0,
            clock_at: START,
            changed_at: Clocks { noted: START, clock: 0 },
            late_at: Clocks { noted: 0, clock: 0 },
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

    fn is_closed(&self) -> bool {
        self.closed || self.now() >= self.definition.sale.closes_at.as_millisecond()
    }

    fn sale_clock(&self) -> i64 {
        let step = if self.frozen { 0 } else { (self.time - self.clock_at).clamp(0, STEP_MAX) };
        self.clock + step
    }

    /// A tick.
    pub fn tick(&mut self) -> Header {
        (self.clock, self.noted, self.clock_at) = (self.sale_clock(), self.now(), self.time);
        self.header()
    }

    fn changed(&mut self) -> Header {
        self.sequence += 1;
        let header = self.tick();
        self.changed_at = self.clocks();
        header
    }

    /// As they are noted.
    pub fn clocks(&self) -> Clocks {
        Clocks { noted: self.noted, clock: self.clock }
    }

    /// Something is refused for being late, or shown as over: the clocks are noted, and gateways remember them.
    fn late(&mut self) {
        self.tick();
        self.late_at = self.clocks();
    }

    /// Its answer reached no gateway.
    pub fn late_unanswered(&mut self, before: &Self) {
        self.late_at = before.late_at;
    }

    /// Redis returned with these clocks and its epoch was adopted. Nothing else changed: no
    /// acknowledged change is lost.
    pub fn crashed(&mut self, then: Clocks) {
        self.noted = then.noted.max(self.changed_at.noted).max(self.late_at.noted);
        self.clock = then.clock.max(self.changed_at.clock).max(self.late_at.clock);
        self.noted = self.now();
        self.clock_at = self.time;
        self.sequence += 1;
        self.changed_at = self.clocks();
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
        let state = if self.is_over(r) { State::Expired } else { r.state };
        Box::new(Reservation { state, ..r.clone() })
    }

    // Stock.

    fn taken(&self, item: &str, state: State) -> i64 {
        let takes = |c: &&Claim| c.is.state == state && c.is.items().iter().any(|i| i == item);
        i64::try_from(self.claims.iter().filter(takes).count()).unwrap()
    }

    fn adopted_all(&self, item: &str) -> i64 {
        self.taken(item, State::Held) + self.taken(item, State::Confirmed)
    }

    fn is_gone(&self, item: &str) -> bool {
        self.totals[item].is_some_and(|total| total - self.adopted_all(item) - self.aside(item) < 1)
    }

    fn unknown(&self, model: &str, packages: &[String], store: Option<&str>) -> Vec<String> {
        let definition = &self.definition;
        let fits = |id: &String| {
            let package = definition.packages.iter().find(|p| p.id == *id);
            package.is_some_and(|p| p.models.as_ref().is_none_or(|models| models.iter().any(|m| m == model)))
        };
        let mut list = Vec::new();
        if !definition.models.iter().any(|m| m.id == model) {
            list.push(format!("model:{model}"));
        }
        list.extend(packages.iter().filter(|id| !fits(id)).map(|id| format!("package:{id}")));
        if let Some(id) = store.filter(|id| !definition.stores.iter().any(|s| s.id == *id)) {
            list.push(format!("store:{id}"));
        }
        list
    }

    /// Reservations by state.
    pub fn counts(&self) -> Counts {
        let count =
            |state| u64::try_from(self.claims.iter().filter(|c| c.is.state == state).count()).unwrap();
        Counts {
            held: count(State::Held),
            confirmed: count(State::Confirmed),
            cancelled: count(State::Cancelled),
            expired: count(State::Expired),
        }
    }

    /// The items that the audit must show, unordered.
    pub fn items(&self) -> Vec<ItemReport> {
        let report = |(item, total): (&String, &Option<i64>)| ItemReport {
            item: item.clone(),
            total: *total,
            free: total.map(|total| total - self.adopted_all(item) - self.aside(item)),
            aside: Some(self.aside(item)).filter(|aside| *aside != 0),
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
        let is_over = |id: &str| self.claims.iter().any(|c| c.is.id == id && self.is_over(&c.is));
        let goes_by_clocks = |decision: &Decision| match decision {
            Decision::Closed => true,
            Decision::Replayed(r, _) => is_over(&r.id),
            _ => false,
        };
        if decisions.iter().any(goes_by_clocks) {
            self.late();
        }
        let header = if self.claims.len() > before { self.changed() } else { self.header() };
        for decision in &mut decisions {
            match decision {
                Decision::Won(_, answered) | Decision::Replayed(_, answered) => *answered = header,
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
        if self.now() < terms.opens_at.as_millisecond() || self.is_drawing() {
            return Decision::NotOpen(self.now());
        }
        if self.paused {
            return Decision::Paused;
        }
        if !self.may_reserve(tap.buyer) {
            return Decision::NotSignedUp;
        }
        let packages = owned(&tap.packages);
        let unknown = self.unknown(tap.model, &packages, tap.store);
        if !unknown.is_empty() {
            return Decision::UnknownItem(unknown);
        }
        if let Some((limit, ids)) = self.limit_of(tap.buyer) {
            return Decision::PurchaseLimit(limit, ids);
        }
        self.take(tap, packages)
    }

    fn take(&mut self, tap: &Tap, packages: Vec<String>) -> Decision {
        let model = format!("model:{}", tap.model);
        let mut gone: Vec<String> = packages.iter().map(|id| format!("package:{id}")).collect();
        gone.extend(tap.store.map(|id| format!("store:{id}")));
        gone.retain(|item| self.is_gone(item));
        let is_final = false;
        if self.is_gone(&model) {
            let others = if tap.partial { Vec::new() } else { gone };
            let items = [vec![model], others].concat();
            return Decision::SoldOut { items, is_final };
        }
        if !gone.is_empty() && !tap.partial {
            return Decision::SoldOut { items: gone, is_final };
        }
        let id = reservation_id(&self.definition.sale.id, tap.buyer, tap.key);
        let is = self.hold(id, tap.clone(), packages, gone, self.definition.sale.hold_ms);
        Decision::Won(Box::new(is), Header::default())
    }

    /// Whether an item is in the definition, and can be had.
    fn is_there(&self, item: &str) -> bool {
        self.totals.contains_key(item) && !self.is_gone(item)
    }

    /// Takes of what is wanted the model, and packages and store as far as they are there.
    fn hold(
        &mut self,
        id: String,
        want: Tap,
        packages: Vec<String>,
        unavailable: Vec<String>,
        hold_ms: u64,
    ) -> Reservation {
        let is = Reservation {
            id,
            buyer: "".into(),
            number: self.claims.len() as u64 + 1,
            version: 1,
            state: State::Held,
            model: want.model.into(),
            packages: packages.into_iter().filter(|id| self.is_there(&format!("package:{id}"))).collect(),
            store: want.store.map(str::to_owned).filter(|id| self.is_there(&format!("store:{id}"))),
            unavailable,
            fingerprint: String::new(),
            held_at: self.now(),
            deadline: self.sale_clock() + signed(hold_ms),
            payment: None,
            changes: Vec::new(),
        };
        self.ever_taken.extend(is.items());
        self.claims.push(Claim { sub: want.buyer, want, is: is.clone() });
        is
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
            let active = self.claims.iter().filter(|c| c.sub == sub).filter(counts).count();
            if active > self.definition.sale.per_buyer as usize {
                return Err(format!("{sub} has {active} reservations after {op:?}"));
            }
        }
        Ok(())
    }
}

fn stocks(definition: &Definition) -> BTreeMap<String, Option<u64>> {
    let models = definition.models.iter().map(|m| (format!("model:{}", m.id), m.stock));
    let packages = definition.packages.iter().map(|p| (format!("package:{}", p.id), p.stock));
    let stores = definition.stores.iter().map(|s| (format!("store:{}", s.id), s.capacity));
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
