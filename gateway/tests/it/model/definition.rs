//! The definition of a random sale, and its edits.

use gateway::domain::definition::{Definition, DrawTerms, Model, Package, Sells, SignupTerms, Store, Terms};
use jiff::Timestamp;

use super::draw::committed;
use super::plan::{Edit, History, START};

impl History {
    /// The definition that the sale begins with.
    pub fn definition(&self, sale: &str) -> Definition {
        let named = |id: &str| format!("The {id}");
        let model = |id: &str, stock| Model { id: id.into(), name: named(id), price: 100, stock, meta: None };
        let package = |id: &str, stock, models: Option<Vec<String>>| Package {
            id: id.into(),
            name: named(id),
            price: 10,
            stock,
            models,
            meta: None,
        };
        let store = |id: &str, capacity| store_in(id.into(), named(id), "Guangzhou", capacity);
        Definition {
            sale: Terms {
                id: sale.into(),
                name: "A sale".into(),
                opens_at: instant(self.opens_in),
                closes_at: instant(86_400_000),
                hold_ms: 5_000,
                grace_ms: 2_000,
                per_buyer: self.per_buyer,
                attempts: self.attempts,
                currency: "CNY".into(),
                deposit: 1,
                rehearsal: true,
                sells: if self.draws { Sells::Draw } else { Sells::FirstCome },
                configure_until: self.configure_in.map(|ms| instant(ms).max(instant(self.opens_in) + TICK)),
                standby: self.queues.is_some(),
                standby_hold_ms: self.queues.map(|(hold, _)| hold),
                standby_max: self.queues.and_then(|(_, most)| most),
                listed: true,
                meta: None,
            },
            models: vec![model("m1", self.stocks[0]), model("m2", self.stocks[1])],
            packages: vec![
                package("p1", self.stocks[2], Some(vec!["m1".into()])),
                package("p2", self.stocks[3], None),
            ],
            stores: vec![store("s1", self.stocks[4]), store("s2", self.stocks[5])],
            signup: self.signup.map(|(opens_in, closes_in, required)| SignupTerms {
                opens_at: instant(opens_in),
                closes_at: instant(closes_in),
                required,
            }),
            draw: self.draws.then(|| DrawTerms { commitment: committed(), beacon: "a die".into() }),
        }
    }
}

/// The file after these edits; only ever one that the rules of definitions allow.
pub fn edited(before: &Definition, edits: &[Edit]) -> Definition {
    let mut after = before.clone();
    for edit in edits {
        match *edit {
            Edit::Stock(item, stock) => set_stock(&mut after, item, stock),
            Edit::Remove(item) => remove(&mut after, item),
            Edit::Rename(n) => after.sale.name = format!("Sale {n}"),
            Edit::Attempts(n) => after.sale.attempts = n.max(after.sale.per_buyer),
            Edit::ClosesIn(ms) => {
                after.sale.closes_at = instant(ms).max(after.sale.opens_at + TICK);
            }
            Edit::ConfigureIn(ms) => {
                let until = ms.map(|ms| instant(ms).max(after.sale.opens_at + TICK));
                after.sale.configure_until = until;
            }
            Edit::Locked(0) => {
                let least =
                    after.signup.as_ref().filter(|_| after.draw.is_some()).map(|signup| signup.closes_at);
                after.sale.opens_at = (after.sale.opens_at - TICK).max(least.unwrap_or(Timestamp::MIN));
            }
            Edit::Locked(1) => after.sale.hold_ms += 1_000,
            Edit::Locked(2) => after.sale.grace_ms += 1_000,
            Edit::Locked(3) => after.sale.per_buyer = 1,
            Edit::Locked(4) => after.sale.currency = "EUR".into(),
            Edit::Locked(5) => after.sale.deposit += 1,
            Edit::Locked(_) => after.models[0].price += 1,
        }
    }
    after
}

const TICK: jiff::SignedDuration = jiff::SignedDuration::from_millis(1_000);

fn instant(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(START + ms).unwrap()
}

fn store_in(id: String, name: String, city: &str, capacity: Option<u64>) -> Store {
    Store { id, name, city: city.into(), capacity, province: None, address: None, lat: None, lng: None }
}

fn set_stock(definition: &mut Definition, item: &str, stock: Option<u64>) {
    let (kind, id) = item.split_once(':').unwrap();
    let (id, name) = (id.to_owned(), id.to_owned());
    match kind {
        "model" => match definition.models.iter_mut().find(|m| m.id == id) {
            Some(model) => model.stock = stock,
            None => definition.models.push(Model { id, name, price: 100, stock, meta: None }),
        },
        "package" => match definition.packages.iter_mut().find(|p| p.id == id) {
            Some(package) => package.stock = stock,
            None => {
                definition.packages.push(Package { id, name, price: 10, stock, models: None, meta: None })
            }
        },
        _ => match definition.stores.iter_mut().find(|s| s.id == id) {
            Some(store) => store.capacity = stock,
            None => definition.stores.push(store_in(id, name, "Shanghai", stock)),
        },
    }
}

fn remove(definition: &mut Definition, item: &str) {
    let (kind, id) = item.split_once(':').unwrap();
    match kind {
        // There must be a model, and packages can fit only models that are there.
        "model" if definition.models.iter().any(|m| m.id != id) => {
            definition.models.retain(|m| m.id != id);
            for package in &mut definition.packages {
                if package.models.as_ref().is_some_and(|fits| fits.iter().any(|m| m == id)) {
                    package.models = None;
                }
            }
        }
        "model" => {}
        "package" => definition.packages.retain(|p| p.id != id),
        _ => definition.stores.retain(|s| s.id != id),
    }
}
