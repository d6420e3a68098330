//! The differences between two definitions of a sale, for the apply script.

use std::collections::HashMap;

use crate::domain::definition::Definition;

/// Differences in fields that are locked once a reservation exists, since buyers rely on them.
pub(crate) fn locked_differences(before: &Definition, after: &Definition) -> Vec<String> {
    let (b, a) = (&before.sale, &after.sale);
    let mut fields = Vec::new();
    for (differs, field) in [
        (b.opens_at != a.opens_at, "opens_at"),
        (b.hold_ms != a.hold_ms, "hold"),
        (b.grace_ms != a.grace_ms, "grace"),
        (b.per_buyer != a.per_buyer, "per_buyer"),
        (b.currency != a.currency, "currency"),
        (b.deposit != a.deposit, "deposit"),
    ] {
        if differs {
            fields.push(field.to_owned());
        }
    }
    let prices = |definition: &Definition| -> HashMap<String, u64> {
        let models = definition.models.iter().map(|m| (format!("model:{}", m.id), m.price));
        models.chain(definition.packages.iter().map(|p| (format!("package:{}", p.id), p.price))).collect()
    };
    let old = prices(before);
    let mut changed: Vec<String> = prices(after)
        .into_iter()
        .filter(|(item, price)| old.get(item).is_some_and(|p| p != price))
        .map(|(item, _)| format!("price of {item}"))
        .collect();
    changed.sort();
    fields.extend(changed);
    fields
}

/// The items with a different stock, as the apply script expects them.
pub(crate) fn stock_differences(before: Option<&Definition>, after: &Definition) -> Vec<String> {
    let stocks = |definition: &Definition| -> Vec<(String, Option<u64>)> {
        let models = definition.models.iter().map(|m| (format!("model:{}", m.id), m.stock));
        let packages = definition.packages.iter().map(|p| (format!("package:{}", p.id), p.stock));
        let stores = definition.stores.iter().map(|s| (format!("store:{}", s.id), s.capacity));
        models.chain(packages).chain(stores).collect()
    };
    let word = |stock: Option<u64>| stock.map(|n| n.to_string()).unwrap_or_default();
    let mut old: HashMap<String, Option<u64>> = before.map(stocks).unwrap_or_default().into_iter().collect();
    let mut args = Vec::new();
    for (item, stock) in stocks(after) {
        match old.remove(&item) {
            Some(was) if was == stock => {}
            Some(was) => args.extend([item, word(was), word(stock)]),
            None => args.extend([item, "-".into(), word(stock)]),
        }
    }
    for (item, was) in old {
        args.extend([item, word(was), "-".into()]);
    }
    args
}
