//! Checks a definition: one pass over the tree that finds every mistake.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use jiff::Timestamp;

use crate::domain::definition::node::{
    Field, FieldPath, Mistakes, Node, RawValue, SourcePosition, shortened,
};
use crate::domain::definition::rules::{self, DefinitionSource, RuleResult};
use crate::domain::definition::table::Table;
use crate::domain::definition::{
    Definition, DrawTerms, MODELS_MAX, Mistake, Model, PACKAGES_MAX, PRICE_MAX, Package, STOCK_MAX,
    STORES_MAX, Sells, SignupTerms, Store, Terms, meta,
};

const NAME_CHARS_MAX: usize = 200;
/// Of a city and of a province.
const PLACE_CHARS_MAX: usize = 100;
const ADDRESS_CHARS_MAX: usize = 200;
/// Of the words that say what the beacon of a draw is.
const BEACON_CHARS_MAX: usize = 500;
const HOLD_MS: RangeInclusive<u64> = 1_000..=24 * 3_600_000;
const GRACE_MS: RangeInclusive<u64> = 0..=3_600_000;
const GRACE_MS_DEFAULT: u64 = 60_000;
const PER_BUYER_DEFAULT: u32 = 1;
const ATTEMPTS_DEFAULT: u32 = 5;
/// The limit of `per_buyer` and `attempts`.
const TIMES_MAX: u32 = 100;
/// The keys of `[sale]`, of a model, a package, `[signup]`, `[draw]` and a store.
const TERMS: &str = "id, name, opens_at, closes_at, hold, grace, per_buyer, attempts, currency, deposit, rehearsal, \
     sells, standby, standby_hold, standby_max, configure_until, listed, meta";
const MODEL: &str = "id, name, price, stock, meta";
const PACKAGE: &str = "id, name, price, stock, models, meta";
const SIGNUP: &str = "opens_at, closes_at, required";
const DRAW: &str = "commitment, beacon";
const STORE: &str = "id, name, city, capacity, province, address, lat, lng";

/// Checks the tree; all mistakes, with those found before.
pub(super) fn check(
    root: &Node<'_>,
    source: DefinitionSource,
    mistakes: Mistakes,
) -> Result<Definition, Vec<Mistake>> {
    let definition = definition(root, source, &mistakes);
    let mistakes = mistakes.into_list();
    definition.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

/// The definition in the tree; with placeholders and gaps where a mistake was found, `None` where no more can be
/// checked.
fn definition(root: &Node<'_>, source: DefinitionSource, mistakes: &Mistakes) -> Option<Definition> {
    let words = |value: &RawValue<'_>, chars_max| rules::words(value, chars_max, source);
    let name = |value: &RawValue<'_>| words(value, NAME_CHARS_MAX);
    let root = Table::open(root, &FieldPath::Root, "sale, model, package, stores, signup, draw", mistakes)?;
    let sale = terms(&root, name);
    let models = list(&root, "model", 1..=MODELS_MAX, MODEL, |table| Model {
        id: table.needed("id", rules::item_id),
        name: table.needed("name", name),
        price: table.needed("price", price),
        stock: table.may("stock", stock),
        meta: meta::read(table),
    });
    let known = model_ids(&root);
    let packages = list(&root, "package", 0..=PACKAGES_MAX, PACKAGE, |table| Package {
        id: table.needed("id", rules::item_id),
        name: table.needed("name", name),
        price: table.needed("price", price),
        stock: table.may("stock", stock),
        models: table.field("models").map(|field| fits(table, field, &known)),
        meta: meta::read(table),
    });
    let stores = list(&root, "stores", 0..=STORES_MAX, STORE, |table| store(table, source));
    let signup = root.field("signup").and_then(|field| signup(&root, field));
    let draw = root.field("draw").and_then(|field| draw(&root, field, words));
    let sale = sale?;
    check_sells(&root, &sale, signup.as_ref());
    Some(Definition { sale, models, packages, stores, signup, draw })
}

fn draw(
    root: &Table<'_, '_>,
    field: &Field<'_>,
    words: impl Fn(&RawValue<'_>, usize) -> RuleResult<String>,
) -> Option<DrawTerms> {
    let way = FieldPath::Key(root.way, "draw");
    let table = Table::open(&field.value, &way, DRAW, root.mistakes)?;
    Some(DrawTerms {
        commitment: table.needed("commitment", rules::sha256),
        beacon: table.needed("beacon", |value| words(value, BEACON_CHARS_MAX)),
    })
}

/// A draw has entrants, who sign up before it; who comes away without a hold waits in a queue.
fn check_sells(root: &Table<'_, '_>, sale: &Terms, signup: Option<&SignupTerms>) {
    let sells = root.field("sale").and_then(|sale| key_of(&sale.value, "sells"));
    let Some(sells) = sells.filter(|_| sale.sells == Sells::Draw) else {
        if let Some(field) = root.field("draw") {
            let what = "`draw` needs `sells = \"draw\"` in `sale`".to_owned();
            root.mistakes.wrong(field.place, &FieldPath::Key(root.way, "draw"), what);
        }
        return;
    };
    let way = FieldPath::Key(&FieldPath::Key(root.way, "sale"), "sells");
    let lacking = |what: &str| {
        root.mistakes.wrong(sells.place, &way, format!("`sells = \"draw\"` needs {what}"));
    };
    for table in ["signup", "draw"] {
        if root.field(table).is_none() {
            lacking(&format!("the table `{table}`"));
        }
    }
    if !sale.standby {
        lacking("`standby = true`: who comes away without a hold waits");
    }
    if signup.is_some_and(|signup| signup.closes_at > sale.opens_at) {
        lacking("the end of sign-up, `signup.closes_at`, not to be later than `opens_at`");
    }
}

fn signup(root: &Table<'_, '_>, field: &Field<'_>) -> Option<SignupTerms> {
    let way = FieldPath::Key(root.way, "signup");
    let table = Table::open(&field.value, &way, SIGNUP, root.mistakes)?;
    let opens_at = table.required("opens_at", rules::instant);
    Some(SignupTerms {
        opens_at: opens_at.unwrap_or_default(),
        closes_at: table.needed("closes_at", |value| later_than(opens_at, value)),
        required: table.may("required", rules::boolean).unwrap_or(false),
    })
}

fn later_than(opens_at: Option<Timestamp>, value: &RawValue<'_>) -> RuleResult<Timestamp> {
    let instant = rules::instant(value)?;
    if opens_at.is_some_and(|opens_at| instant <= opens_at) {
        return Err("must be later than `opens_at`".to_owned());
    }
    Ok(instant)
}

fn terms(root: &Table<'_, '_>, name: impl Fn(&RawValue<'_>) -> RuleResult<String>) -> Option<Terms> {
    let Some(field) = root.field("sale") else {
        root.mistakes.missing(root.place, root.way, "the table `sale` is missing".to_owned());
        return None;
    };
    let way = FieldPath::Key(root.way, "sale");
    let table = Table::open(&field.value, &way, TERMS, root.mistakes)?;
    let id = table.needed("id", rules::sale_id);
    let name = table.needed("name", name);
    let opens_at = table.required("opens_at", rules::instant);
    let later = |value: &RawValue<'_>| later_than(opens_at, value);
    let closes_at = table.needed("closes_at", later);
    let hold_ms = table.needed("hold", |value| rules::duration(value, HOLD_MS));
    let grace_ms = table.may("grace", |value| rules::duration(value, GRACE_MS)).unwrap_or(GRACE_MS_DEFAULT);
    let per_buyer =
        table.may("per_buyer", |value| rules::whole(value, 1..=TIMES_MAX)).unwrap_or(PER_BUYER_DEFAULT);
    let attempts = table.may("attempts", |value| rules::whole(value, per_buyer..=TIMES_MAX));
    let standby = table.may("standby", rules::boolean).unwrap_or(false);
    for key in ["standby_hold", "standby_max"] {
        if let Some(field) = table.field(key).filter(|_| !standby) {
            let what = format!("`{key}` needs `standby = true`");
            table.mistakes.wrong(field.value.place, &FieldPath::Key(table.way, key), what);
        }
    }
    Some(Terms {
        id,
        name,
        opens_at: opens_at.unwrap_or_default(),
        closes_at,
        hold_ms,
        grace_ms,
        per_buyer,
        attempts: attempts.unwrap_or(ATTEMPTS_DEFAULT.max(per_buyer)),
        currency: table.needed("currency", rules::currency),
        deposit: table.may("deposit", price).unwrap_or(0),
        rehearsal: table.may("rehearsal", rules::boolean).unwrap_or(false),
        sells: table.may("sells", rules::sells).unwrap_or_default(),
        standby,
        standby_hold_ms: table.may("standby_hold", |value| rules::duration(value, HOLD_MS)),
        standby_max: table.may("standby_max", |value| rules::whole(value, 1..=STOCK_MAX)),
        configure_until: table.may("configure_until", later),
        listed: table.may("listed", rules::boolean).unwrap_or(true),
        meta: meta::read(&table),
    })
}

fn store(table: &Table<'_, '_>, source: DefinitionSource) -> Store {
    let words = |chars_max| move |value: &RawValue<'_>| rules::words(value, chars_max, source);
    for (key, other) in [("lat", "lng"), ("lng", "lat")] {
        if table.field(key).is_none() && table.field(other).is_some() {
            let what = format!("`{key}` is missing; `{other}` is there");
            table.mistakes.missing(table.place, table.way, what);
        }
    }
    Store {
        id: table.needed("id", rules::item_id),
        name: table.needed("name", words(NAME_CHARS_MAX)),
        city: table.needed("city", words(PLACE_CHARS_MAX)),
        capacity: table.may("capacity", stock),
        province: table.may("province", words(PLACE_CHARS_MAX)),
        address: table.may("address", words(ADDRESS_CHARS_MAX)),
        lat: table.may("lat", |value| rules::degrees(value, 90)),
        lng: table.may("lng", |value| rules::degrees(value, 180)),
    }
}

/// The models that a package fits.
fn fits(table: &Table<'_, '_>, field: &Field<'_>, known: &HashSet<&str>) -> Vec<String> {
    let way = FieldPath::Key(table.way, "models");
    let nodes = match &field.value.value {
        RawValue::List(nodes) if !nodes.is_empty() => nodes,
        _ => {
            let what =
                "`models` must be a list of at least one model's id; left out, the package fits every model";
            table.mistakes.wrong(field.value.place, &way, what.to_owned());
            return Vec::new();
        }
    };
    let mut models = Vec::with_capacity(nodes.len());
    let mut seen = HashSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let way = FieldPath::Index(&way, index);
        match rules::item_id(&node.value) {
            Err(what) => table.mistakes.wrong(node.place, &way, format!("a model's id {what}")),
            Ok(id) if !known.contains(id.as_str()) => {
                table.mistakes.missing(node.place, &way, format!("there is no model {id:?}"));
            }
            Ok(id) if !seen.insert(id.clone()) => {
                table.mistakes.wrong(node.place, &way, format!("the model {id:?} is named twice"));
            }
            Ok(id) => models.push(id),
        }
    }
    models
}

fn price(value: &RawValue<'_>) -> RuleResult<u64> {
    rules::whole(value, 0..=PRICE_MAX)
}

fn stock(value: &RawValue<'_>) -> RuleResult<u64> {
    rules::whole(value, 0..=STOCK_MAX)
}

/// The `id`s of all models, valid or not: a reference to an invalid id is not reported again.
fn model_ids<'n>(root: &Table<'n, '_>) -> HashSet<&'n str> {
    let nodes = match root.field("model").map(|field| &field.value.value) {
        Some(RawValue::List(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    nodes.iter().filter_map(id_of).map(|(id, _)| id).collect()
}

/// The value of a key in a table.
fn key_of<'n, 'a>(node: &'n Node<'a>, key: &str) -> Option<&'n Node<'a>> {
    let RawValue::Table(fields) = &node.value else { return None };
    fields.iter().find(|field| field.key == key).map(|field| &field.value)
}

/// The text and position of a table's `id`.
fn id_of<'n, 'a>(node: &'n Node<'a>) -> Option<(&'n str, SourcePosition<'a>)> {
    let node = key_of(node, "id")?;
    let RawValue::Text(id) = &node.value else {
        return None;
    };
    Some((id, node.place))
}

/// A list of tables with these keys and unique ids, each read by `read`.
fn list<T>(
    root: &Table<'_, '_>,
    key: &str,
    count: RangeInclusive<usize>,
    keys: &str,
    read: impl Fn(&Table<'_, '_>) -> T,
) -> Vec<T> {
    let (way, mistakes) = (FieldPath::Key(root.way, key), root.mistakes);
    let nodes = match root.field(key) {
        None => &[],
        Some(Field { value: Node { value: RawValue::List(nodes), .. }, .. }) => nodes.as_slice(),
        Some(field) => {
            let what = format!("`{key}` must be a list of tables, in TOML `[[{key}]]`");
            mistakes.wrong(field.value.place, &way, what);
            return Vec::new();
        }
    };
    if nodes.len() < *count.start() {
        let what = format!("at least {} `{key}` is needed, in TOML `[[{key}]]`", count.start());
        mistakes.missing(root.place, root.way, what);
        return Vec::new();
    }
    if let Some(node) = nodes.get(*count.end()) {
        let what = format!("at most {} of `{key}` are possible, there are {}", count.end(), nodes.len());
        mistakes.wrong(node.place, &FieldPath::Index(&way, *count.end()), what);
        return Vec::new();
    }
    let mut all = Vec::with_capacity(nodes.len());
    let mut firsts = HashMap::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let item_way = FieldPath::Index(&way, index);
        all.extend(Table::open(node, &item_way, keys, mistakes).as_ref().map(&read));
        let Some((id, place)) = id_of(node) else {
            continue;
        };
        match firsts.entry(id) {
            Entry::Vacant(entry) => drop(entry.insert((index, place))),
            Entry::Occupied(entry) => {
                let (first, first_place) = entry.get();
                let first = first_place.text(&FieldPath::Key(&FieldPath::Index(&way, *first), "id"));
                let what = format!("the id {:?} is already taken by {first}", shortened(id));
                mistakes.wrong(place, &FieldPath::Key(&item_way, "id"), what);
            }
        }
    }
    all
}
