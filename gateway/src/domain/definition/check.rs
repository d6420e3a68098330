//! Checks a definition: one pass over the tree that finds every mistake.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use crate::domain::definition::node::{
    Field, FieldPath, Mistakes, Node, RawValue, SourcePosition, shortened,
};
use crate::domain::definition::rules::{self, DefinitionSource, RuleResult};
use crate::domain::definition::table::Table;
use crate::domain::definition::{
    Definition, MODELS_MAX, Mistake, Model, PACKAGES_MAX, PRICE_MAX, Package, STOCK_MAX, STORES_MAX, Store,
    Terms,
};

const NAME_CHARS_MAX: usize = 200;
const CITY_CHARS_MAX: usize = 100;
const HOLD_MS: RangeInclusive<u64> = 1_000..=24 * 3_600_000;
const GRACE_MS: RangeInclusive<u64> = 0..=3_600_000;
const GRACE_MS_DEFAULT: u64 = 60_000;
const PER_BUYER_DEFAULT: u32 = 1;
const ATTEMPTS_DEFAULT: u32 = 5;
/// The limit of `per_buyer` and `attempts`.
const TIMES_MAX: u32 = 100;

pub(super) fn finish(definition: Option<Definition>, mistakes: Mistakes) -> Result<Definition, Vec<Mistake>> {
    let mistakes = mistakes.into_list();
    match definition {
        Some(definition) if mistakes.is_empty() => Ok(definition),
        _ => Err(mistakes),
    }
}

/// Checks the tree. `None` only if a mistake was found.
pub(super) fn definition(
    root: &Node<'_>,
    source: DefinitionSource,
    mistakes: &mut Mistakes,
) -> Option<Definition> {
    let keys = ["sale", "model", "package", "stores"];
    let root = Table::open(root, &FieldPath::Root, &keys, mistakes)?;
    let sale = terms(&root, source, mistakes);
    let models = list(&root, "model", 1..=MODELS_MAX, mistakes, |node, way, mistakes| {
        model(node, way, source, mistakes)
    });
    let known = model_ids(&root);
    let packages = list(&root, "package", 0..=PACKAGES_MAX, mistakes, |node, way, mistakes| {
        package(node, way, &known, source, mistakes)
    });
    let stores = list(&root, "stores", 0..=STORES_MAX, mistakes, |node, way, mistakes| {
        store(node, way, source, mistakes)
    });
    Some(Definition { sale: sale?, models: models?, packages: packages?, stores: stores? })
}

fn terms(root: &Table<'_, '_>, source: DefinitionSource, mistakes: &mut Mistakes) -> Option<Terms> {
    let Some(field) = root.field("sale") else {
        mistakes.missing(root.place, root.way, "the table `sale` is missing".to_owned());
        return None;
    };
    let keys = [
        "id",
        "name",
        "opens_at",
        "closes_at",
        "hold",
        "grace",
        "per_buyer",
        "attempts",
        "currency",
        "deposit",
        "rehearsal",
    ];
    let way = FieldPath::Key(root.way, "sale");
    let table = Table::open(&field.value, &way, &keys, mistakes)?;
    let id = table.needed("id", mistakes, rules::sale_id);
    let name = table.needed("name", mistakes, |value| name(value, source));
    let opens_at = table.needed("opens_at", mistakes, rules::instant);
    let closes_at = table.needed("closes_at", mistakes, |value| {
        let closes_at = rules::instant(value)?;
        if opens_at.is_some_and(|opens_at| closes_at <= opens_at) {
            return Err("must be later than `opens_at`".to_owned());
        }
        Ok(closes_at)
    });
    let hold_ms = table.needed("hold", mistakes, |value| rules::duration(value, HOLD_MS));
    let grace_ms = table.or("grace", GRACE_MS_DEFAULT, mistakes, |value| rules::duration(value, GRACE_MS));
    let per_buyer =
        table.or("per_buyer", PER_BUYER_DEFAULT, mistakes, |value| rules::whole(value, 1..=TIMES_MAX));
    let attempts_min = per_buyer.unwrap_or(1);
    let attempts = table.or("attempts", ATTEMPTS_DEFAULT.max(attempts_min), mistakes, |value| {
        rules::whole(value, attempts_min..=TIMES_MAX)
    });
    let currency = table.needed("currency", mistakes, rules::currency);
    let deposit = table.or("deposit", 0, mistakes, price);
    let rehearsal = table.or("rehearsal", false, mistakes, rules::boolean);
    Some(Terms {
        id: id?,
        name: name?,
        opens_at: opens_at?,
        closes_at: closes_at?,
        hold_ms: hold_ms?,
        grace_ms: grace_ms?,
        per_buyer: per_buyer?,
        attempts: attempts?,
        currency: currency?,
        deposit: deposit?,
        rehearsal: rehearsal?,
    })
}

fn model(
    node: &Node<'_>,
    way: &FieldPath<'_>,
    source: DefinitionSource,
    mistakes: &mut Mistakes,
) -> Option<Model> {
    let table = Table::open(node, way, &["id", "name", "price", "stock"], mistakes)?;
    let id = table.needed("id", mistakes, rules::item_id);
    let name = table.needed("name", mistakes, |value| name(value, source));
    let price = table.needed("price", mistakes, price);
    let stock = table.may("stock", mistakes, stock);
    Some(Model { id: id?, name: name?, price: price?, stock: stock? })
}

fn package(
    node: &Node<'_>,
    way: &FieldPath<'_>,
    known: &HashSet<&str>,
    source: DefinitionSource,
    mistakes: &mut Mistakes,
) -> Option<Package> {
    let table = Table::open(node, way, &["id", "name", "price", "stock", "models"], mistakes)?;
    let id = table.needed("id", mistakes, rules::item_id);
    let name = table.needed("name", mistakes, |value| name(value, source));
    let price = table.needed("price", mistakes, price);
    let stock = table.may("stock", mistakes, stock);
    let models = match table.field("models") {
        Some(field) => fits(field, &FieldPath::Key(way, "models"), known, mistakes).map(Some),
        None => Some(None),
    };
    Some(Package { id: id?, name: name?, price: price?, stock: stock?, models: models? })
}

/// The models that a package fits.
fn fits(
    field: &Field<'_>,
    way: &FieldPath<'_>,
    known: &HashSet<&str>,
    mistakes: &mut Mistakes,
) -> Option<Vec<String>> {
    let nodes = match &field.value.value {
        RawValue::List(nodes) if !nodes.is_empty() => nodes,
        _ => {
            let what =
                "`models` must be a list of at least one model's id; left out, the package fits every model";
            mistakes.wrong(field.value.place, way, what.to_owned());
            return None;
        }
    };
    let mut models = Vec::with_capacity(nodes.len());
    let mut seen = HashSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let way = FieldPath::Index(way, index);
        match rules::item_id(&node.value) {
            Err(what) => mistakes.wrong(node.place, &way, format!("a model's id {what}")),
            Ok(id) if !known.contains(id.as_str()) => {
                mistakes.missing(node.place, &way, format!("there is no model {id:?}"));
            }
            Ok(id) if !seen.insert(id.clone()) => {
                mistakes.wrong(node.place, &way, format!("the model {id:?} is named twice"));
            }
            Ok(id) => models.push(id),
        }
    }
    (models.len() == nodes.len()).then_some(models)
}

fn store(
    node: &Node<'_>,
    way: &FieldPath<'_>,
    source: DefinitionSource,
    mistakes: &mut Mistakes,
) -> Option<Store> {
    let table = Table::open(node, way, &["id", "name", "city", "capacity"], mistakes)?;
    let id = table.needed("id", mistakes, rules::item_id);
    let name = table.needed("name", mistakes, |value| name(value, source));
    let city = table.needed("city", mistakes, |value| rules::words(value, CITY_CHARS_MAX, source));
    let capacity = table.may("capacity", mistakes, stock);
    Some(Store { id: id?, name: name?, city: city?, capacity: capacity? })
}

fn name(value: &RawValue<'_>, source: DefinitionSource) -> RuleResult<String> {
    rules::words(value, NAME_CHARS_MAX, source)
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

/// The text and position of a table's `id`.
fn id_of<'n, 'a>(node: &'n Node<'a>) -> Option<(&'n str, SourcePosition<'a>)> {
    let RawValue::Table(fields) = &node.value else {
        return None;
    };
    let node = &fields.iter().find(|field| field.key == "id")?.value;
    let RawValue::Text(id) = &node.value else {
        return None;
    };
    Some((id, node.place))
}

/// A list of tables with ids, each read by `read`.
fn list<T>(
    root: &Table<'_, '_>,
    key: &str,
    count: RangeInclusive<usize>,
    mistakes: &mut Mistakes,
    mut read: impl FnMut(&Node<'_>, &FieldPath<'_>, &mut Mistakes) -> Option<T>,
) -> Option<Vec<T>> {
    let way = FieldPath::Key(root.way, key);
    let nodes = match root.field(key) {
        None => &[],
        Some(Field { value: Node { value: RawValue::List(nodes), .. }, .. }) => nodes.as_slice(),
        Some(field) => {
            mistakes.wrong(
                field.value.place,
                &way,
                format!("`{key}` must be a list of tables, in TOML `[[{key}]]`"),
            );
            return None;
        }
    };
    if nodes.len() < *count.start() {
        let what = format!("at least {} `{key}` is needed, in TOML `[[{key}]]`", count.start());
        mistakes.missing(root.place, root.way, what);
        return None;
    }
    if let Some(node) = nodes.get(*count.end()) {
        let what = format!("at most {} of `{key}` are possible, there are {}", count.end(), nodes.len());
        mistakes.wrong(node.place, &FieldPath::Index(&way, *count.end()), what);
        return None;
    }
    let mut all = Vec::with_capacity(nodes.len());
    let mut firsts = HashMap::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let item_way = FieldPath::Index(&way, index);
        all.extend(read(node, &item_way, mistakes));
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
    (all.len() == nodes.len()).then_some(all)
}
