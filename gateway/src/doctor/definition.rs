//! Checks a definition for values that are valid but probably unintended.

use std::collections::{BTreeMap, BTreeSet};

use crate::doctor::memory::{PLACE_BYTES, SIGN_UP_BYTES, total};
use crate::doctor::report::{Findings, age, any, bytes, some};
use crate::domain::definition::{Definition, Model, SignupTerms, Terms};
use crate::domain::duration::DurationText;
use crate::domain::text::search_key;
use crate::terminal::time_text;

/// An opening that is further away is mostly a mistyped year.
const AWAY_MAX_S: i64 = 90 * 86_400;
/// Typing a card's number takes longer than a shorter hold.
const HOLD_MS_MIN: u64 = 120_000;
/// A payment may be in progress when a hold ends.
const GRACE_MS_MIN: u64 = 10_000;
/// Between the end of sign-up and the opening the entrants are fixed, the beacon is there, and an operator draws.
pub(super) const DRAW_MS_MIN: i64 = 600_000;
/// Of this many entrants the doctor names the memory: their number is not known before.
const ENTRANTS: u64 = 1_000_000;
/// Bytes of an entrant's rank in each gateway.
const RANK_BYTES: u64 = 8;

/// Runs every check that needs only the definition and the time.
pub(super) fn check(definition: &Definition, now_ms: i64, lines: &mut Findings) {
    dates(definition, now_ms, lines);
    terms(definition, lines);
    signup(definition, lines);
    standby(&definition.sale, lines);
    draw(definition, lines);
    models(definition, lines);
    packages(definition, lines);
    stores(definition, lines);
    names(definition, lines);
}

/// A ledger may have names that an older version accepted; two spellings of a city are two cities to readers.
fn names(definition: &Definition, lines: &mut Findings) {
    if let Some(odd) = any(definition.odd_texts().map(|(what, text)| format!("{what} is {text:?}"))) {
        let found = format!("with invisible characters, unusual white space or not in NFC: {odd}");
        let todo = "apply the definition again: the names are normalised, or refused with the line";
        lines.warn("names", found, todo);
    }
    let mut spellings: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for store in &definition.stores {
        spellings.entry(search_key(&store.city)).or_default().insert(&store.city);
    }
    let several = spellings.into_values().filter(|of_one| of_one.len() > 1);
    if let Some(several) = any(several.map(|of_one| Vec::from_iter(of_one).join(" and "))) {
        let found = format!("one city in several spellings: {several}");
        lines.warn("names", found, "a search finds all of them; write the city in one way");
    }
}

fn dates(definition: &Definition, now_ms: i64, lines: &mut Findings) {
    let (opens, closes) = (definition.sale.opens_at, definition.sale.closes_at);
    let away = |at: jiff::Timestamp| at.as_millisecond().saturating_sub(now_ms) / 1_000;
    let listed = |seconds: i64| age(seconds.unsigned_abs());
    let (until, left) = (away(opens), away(closes));
    let [opens, closes] = [opens, closes].map(|at| time_text(at.as_millisecond()));
    if left <= 0 {
        let found = format!("it was over {} ago, at {closes}", listed(left));
        let todo = "the sale accepts no more reservations: apply a definition with a later closes_at";
        lines.fail("dates", found, todo);
    } else if until <= 0 {
        let found =
            format!("it has been open for {}, since {opens}; it closes in {}", listed(until), listed(left));
        lines.warn("dates", found, "if it should not have opened yet: pause it, now");
    } else if until > AWAY_MAX_S {
        let found = format!("it opens in {}, at {opens}", listed(until));
        lines.warn("dates", found, "check month and year of opens_at");
    } else {
        let found =
            format!("it opens in {}, at {opens}, and closes {} later", listed(until), listed(left - until));
        lines.ok("dates", found);
    }
}

fn terms(definition: &Definition, lines: &mut Findings) {
    let sale = &definition.sale;
    if sale.rehearsal {
        let found = "rehearsal = true: load tests may send load to it";
        let todo = "apply it with rehearsal = false before the launch";
        lines.warn("rehearsal", found, todo);
    }
    let open_ms = sale.closes_at.as_millisecond().saturating_sub(sale.opens_at.as_millisecond());
    let hold = age(sale.hold_ms / 1_000);
    if sale.hold_ms < HOLD_MS_MIN {
        lines.warn("hold", format!("a hold lasts {hold}"), "a payment takes some minutes: hold = \"15m\"");
    } else if i64::try_from(sale.hold_ms).is_ok_and(|hold_ms| hold_ms >= open_ms) {
        let found = format!("a hold lasts {hold}, as long as the sale or longer");
        lines.warn("hold", found, "unpaid units are not free again before the end: set a shorter hold");
    } else if sale.grace_ms < GRACE_MS_MIN {
        let found = format!("a hold lasts {hold}, and a payment may be {} ms late", sale.grace_ms);
        lines.warn("hold", found, "payments in progress at the deadline are refunded: grace = \"60s\"");
    } else {
        lines.ok("hold", format!("a hold lasts {hold}, and {} of grace", age(sale.grace_ms / 1_000)));
    }
    let found = format!("{} a buyer, with {} attempts", sale.per_buyer, sale.attempts);
    if sale.attempts == sale.per_buyer {
        lines.warn("attempts", found, "a buyer who cancels or pays late can't try again: raise attempts");
    } else {
        lines.ok("attempts", found);
    }
}

fn signup(Definition { sale, signup, .. }: &Definition, lines: &mut Findings) {
    let Some(SignupTerms { opens_at, closes_at, required }) = signup else { return };
    let [from, until] = [opens_at, closes_at].map(|at| time_text(at.as_millisecond()));
    let whom = if *required { "only who has signed up can reserve" } else { "anyone can reserve" };
    let found = format!("sign-up from {from} to {until}; {whom}");
    if *opens_at >= sale.closes_at {
        lines.fail("sign-up", found, "it begins when the sale is over: check the year and the month");
    } else if *closes_at > sale.opens_at {
        let todo = "it goes on after the opening: end it before, unless late buyers shall sign up, too";
        lines.warn("sign-up", found, todo);
    } else {
        lines.ok("sign-up", found);
    }
}

fn standby(sale: &Terms, lines: &mut Findings) {
    if !sale.standby {
        return;
    }
    let most = sale.standby_max.map_or("any number".to_owned(), |most| format!("at most {most}"));
    let found =
        format!("{most} can wait for a model; a granted hold lasts {}", DurationText(sale.granted_hold_ms()));
    if sale.granted_hold_ms() < sale.hold_ms {
        let todo = "who waits is not looking at the screen: make `standby_hold` longer than `hold`";
        lines.warn("standby", found, todo);
    } else {
        lines.ok("standby", found);
    }
}

fn draw(Definition { sale, models, signup, draw, .. }: &Definition, lines: &mut Findings) {
    let (Some(_), Some(SignupTerms { closes_at, .. })) = (draw, signup) else { return };
    let left_ms = sale.opens_at.as_millisecond().saturating_sub(closes_at.as_millisecond());
    let found = format!("sign-up ends {} before the opening", age(left_ms.unsigned_abs() / 1_000));
    if left_ms < DRAW_MS_MIN {
        let todo = "the beacon has to come and `gateway draw` to run in between: end sign-up earlier";
        lines.warn("draw", found, todo);
    } else {
        lines.ok("draw", found);
    }
    let places = sale.standby_max.map(|most| most.saturating_mul(models.len() as u64));
    let [signups, ranks, queues] = [
        ENTRANTS * SIGN_UP_BYTES,
        ENTRANTS * RANK_BYTES,
        places.map_or(ENTRANTS, |most| most.min(ENTRANTS)).saturating_mul(PLACE_BYTES),
    ]
    .map(bytes);
    let found = format!(
        "a million entrants take {signups} of Redis as sign-ups, {queues} as places in standby queues, and {ranks} of each gateway"
    );
    if sale.standby_max.is_none() {
        let todo = "every entrant who gets no hold becomes a place: bound the queues with `standby_max`";
        lines.warn("draw-room", found, todo);
    } else {
        lines.ok("draw-room", found);
    }
}

fn models(definition: &Definition, lines: &mut Findings) {
    let models = &definition.models;
    let names = |pick: &dyn Fn(&Model) -> bool| any(models.iter().filter(|m| pick(m)).map(|m| &m.id));
    if models.iter().all(|model| model.stock == Some(0)) {
        lines.fail("stock", "no model has stock", "nothing can be reserved: give the models a stock");
    } else if let Some(empty) = names(&|model| model.stock == Some(0)) {
        let found = format!("models without stock: {empty}");
        lines.warn("stock", found, "they are sold out from the start: give them a stock or leave them out");
    } else if let Some(endless) = names(&|model| model.stock.is_none()) {
        let found = format!("models without a limit: {endless}");
        lines.warn("stock", found, "they never sell out: give them a stock");
    } else {
        let units = total(models.iter().map(|model| model.stock)).unwrap_or_default();
        lines.ok("stock", format!("{units} of {} models", models.len()));
    }
    let deposit = definition.sale.deposit;
    if let Some(below) = names(&|model| model.price < deposit) {
        let found = format!("the deposit, {deposit}, is more than the price of {below}");
        lines.fail("prices", found, "prices and the deposit are in minor units: 99900 are 999.00");
    } else if let Some(free) = names(&|model| model.price == 0) {
        let found = format!("models with a price of 0: {free}");
        lines.warn("prices", found, "check the prices; they are in minor units");
    } else {
        let found = format!("in {}, with a deposit of {deposit} in minor units", definition.sale.currency);
        lines.ok("prices", found);
    }
}

fn packages(definition: &Definition, lines: &mut Findings) {
    let packages = &definition.packages;
    if let Some(empty) = any(packages.iter().filter(|p| p.stock == Some(0)).map(|p| &p.id)) {
        let todo = "they are sold out from the start: give them a stock or leave them out";
        lines.warn("packages", format!("packages without stock: {empty}"), todo);
    } else {
        lines.ok("packages", packages.len().to_string());
    }
}

fn stores(definition: &Definition, lines: &mut Findings) {
    let stores = &definition.stores;
    if stores.is_empty() {
        let found = "there are none: every reservation is made without a pick-up store";
        return lines.warn("stores", found, "if buyers choose one: [stores] file = \"stores.csv\"");
    }
    let empty: Vec<&str> = stores.iter().filter(|s| s.capacity == Some(0)).map(|s| s.id.as_str()).collect();
    let mut cities: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for store in stores {
        let city = cities.entry(&store.city).or_insert(Some(0));
        *city = city.and_then(|sum| Some(sum.saturating_add(store.capacity?)));
    }
    let units = total(definition.models.iter().map(|model| model.stock));
    let slots = total(stores.iter().map(|store| store.capacity));
    if empty.len() == stores.len() {
        let found = format!("none of {} has capacity", stores.len());
        return lines.fail("stores", found, "no unit can be picked up: check the column capacity");
    }
    if let (Some(units), Some(slots)) = (units, slots)
        && slots < units
    {
        let found = format!("their {slots} slots are fewer than the {units} cars");
        lines.fail("stores", found, "the last buyers get no store: add capacity or reduce the stock");
    } else {
        let slots = slots.map_or("slots without a limit".to_owned(), |slots| format!("{slots} slots"));
        lines.ok("stores", format!("{} in {} cities, {slots}", stores.len(), cities.len()));
    }
    if let Some(dry) = any(cities.iter().filter(|(_, slots)| **slots == Some(0)).map(|(city, _)| city)) {
        let found = format!("cities without capacity: {dry}");
        lines.warn("cities", found, "their stores are sold out from the start: add capacity");
    } else if !empty.is_empty() {
        let found = format!("{} stores without capacity: {}", empty.len(), some(&empty));
        lines.warn("cities", found, "they are sold out from the start: give them capacity or leave them out");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
