//! The differences between two definitions of a sale, for the apply script.

use std::collections::HashMap;

use crate::domain::definition::{Definition, Sells};

/// Differences in fields that are locked once a reservation exists, since buyers rely on them.
pub(crate) fn locked_differences(before: &Definition, after: &Definition) -> Vec<String> {
    let (b, a) = (&before.sale, &after.sale);
    let terms = [
        (b.opens_at != a.opens_at, "opens_at"),
        (b.hold_ms != a.hold_ms, "hold"),
        (b.grace_ms != a.grace_ms, "grace"),
        (b.per_buyer != a.per_buyer, "per_buyer"),
        (b.currency != a.currency, "currency"),
        (b.deposit != a.deposit, "deposit"),
        // Granted holds end in the order in which they began.
        (b.standby && a.standby && b.granted_hold_ms() != a.granted_hold_ms(), "standby_hold"),
    ];
    let old: HashMap<String, u64> = before.items().map(|(item, _, price)| (item, price)).collect();
    let mut prices: Vec<String> = after
        .items()
        .filter(|(item, _, price)| old.get(item).is_some_and(|was| was != price))
        .map(|(item, ..)| format!("price of {item}"))
        .collect();
    prices.sort();
    let terms = terms.into_iter().filter(|(differs, _)| *differs).map(|(_, field)| field.to_owned());
    terms.chain(prices).collect()
}

/// Differences in what those who sign up for a draw rely on, which is locked once sign-up has opened.
pub(crate) fn draw_differences(before: Option<&Definition>, after: &Definition) -> Vec<&'static str> {
    let sells = before.map_or(Sells::default(), |before| before.sale.sells);
    let draw = before.and_then(|before| before.draw.as_ref());
    let terms = [(sells != after.sale.sells, "sells"), (draw != after.draw.as_ref(), "draw")];
    terms.into_iter().filter(|(differs, _)| *differs).map(|(_, field)| field).collect()
}

/// The items with a different stock, as the apply script expects them.
pub(crate) fn stock_differences(before: Option<&Definition>, after: &Definition) -> Vec<String> {
    let word = |stock: Option<u64>| stock.map(|n| n.to_string()).unwrap_or_default();
    let mut old: HashMap<String, Option<u64>> =
        before.into_iter().flat_map(Definition::items).map(|(item, stock, _)| (item, stock)).collect();
    let mut args = Vec::new();
    for (item, stock, _) in after.items() {
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
