//! Checks that an accepted JSON definition is within its limits and survives a round trip.
//! The pointers (RFC 6901) of mistakes resolve in the document.

use std::collections::HashSet;

use gateway::domain::catalogue::Catalogue;
use gateway::domain::definition::{
    Definition, META_BYTES_MAX, MODELS_MAX, Meta, Mistake, PACKAGES_MAX, PRICE_MAX, STOCK_MAX, STORES_MAX,
};
use serde_json::Value;

pub(super) fn run(bytes: &[u8]) {
    match Definition::from_json(bytes) {
        Ok(definition) => holds(definition),
        Err(mistakes) => {
            are_bounded(&mistakes);
            // A duplicate key has no defined value: parsers differ in which one they use.
            let twice = mistakes.iter().any(|mistake| mistake.what.contains("appears twice"));
            if let Ok(sent) = serde_json::from_slice::<Value>(bytes)
                && !twice
            {
                for Mistake { place, what } in &mistakes {
                    assert!(sent.pointer(place).is_some(), "{place:?} does not resolve: {what}");
                }
            }
        }
    }
}

/// At least one mistake, and at most as many as the limit of the list.
pub(super) fn are_bounded(mistakes: &[Mistake]) {
    assert!((1..=101).contains(&mistakes.len()), "{} mistakes", mistakes.len());
    for mistake in mistakes {
        assert!(!mistake.what.is_empty());
        // A message has a bounded length, whatever the document contains.
        assert!(mistake.what.len() < 4_096, "{} bytes", mistake.what.len());
        assert!(!mistake.what.contains(['\n', '\x1b']), "{:?}", mistake.what);
    }
}

/// Checks the invariants of a definition.
pub(super) fn holds(definition: Definition) {
    let again = Definition::from_json(definition.to_json().as_bytes());
    assert_eq!(again.as_ref(), Ok(&definition));
    assert_eq!(Definition::from_ledger(definition.to_json().as_bytes()).as_ref(), Ok(&definition));
    assert_eq!(definition.odd_texts().next(), None);

    let Definition { sale, models, packages, stores, signup: _, draw: _ } = &definition;
    let id = |id: &str, more: &[u8]| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b);
        assert!((1..=64).contains(&id.len()) && id.bytes().all(fits), "{id:?}");
    };
    let item = |text: &str| id(&text.to_ascii_lowercase(), b"._-");
    let words = |text: &str, most: usize| {
        assert!(!text.trim().is_empty() && text.chars().count() <= most && !text.contains(char::is_control));
    };
    id(&sale.id, b"-");
    words(&sale.name, 200);
    assert!(sale.opens_at < sale.closes_at && sale.opens_at.as_millisecond() >= 0);
    assert!(sale.configure_until.is_none_or(|until| sale.opens_at < until));
    assert!((1_000..=86_400_000).contains(&sale.hold_ms) && sale.grace_ms <= 3_600_000);
    assert!((1..=100).contains(&sale.per_buyer) && (sale.per_buyer..=100).contains(&sale.attempts));
    assert!(sale.currency.len() == 3 && sale.currency.bytes().all(|b| b.is_ascii_uppercase()));
    assert!(sale.deposit <= PRICE_MAX);
    assert!((1..=MODELS_MAX).contains(&models.len()));
    assert!(packages.len() <= PACKAGES_MAX && stores.len() <= STORES_MAX);

    let mut ids = HashSet::new();
    let mut unique = |kind: &str, id: &str| assert!(ids.insert(format!("{kind}:{id}")), "{kind}:{id} twice");
    let (price, stock) =
        (|n: u64| assert!(n <= PRICE_MAX), |n: Option<u64>| assert!(n.is_none_or(|n| n <= STOCK_MAX)));
    let meta = |meta: &Option<Meta>| {
        let bytes = meta.as_ref().map_or(0, |meta| serde_json::to_string(meta).unwrap_or_default().len());
        assert!(bytes <= META_BYTES_MAX, "{bytes} bytes of meta");
    };
    meta(&sale.meta);
    for model in models {
        unique("model", &model.id);
        item(&model.id);
        words(&model.name, 200);
        price(model.price);
        stock(model.stock);
        meta(&model.meta);
    }
    for package in packages {
        unique("package", &package.id);
        item(&package.id);
        words(&package.name, 200);
        price(package.price);
        stock(package.stock);
        meta(&package.meta);
        for fits in package.models.iter().flatten() {
            assert!(models.iter().any(|model| model.id == *fits), "{fits:?} is not a model");
        }
    }
    for store in stores {
        unique("store", &store.id);
        item(&store.id);
        words(&store.name, 200);
        words(&store.city, 100);
        store.province.iter().for_each(|province| words(province, 100));
        store.address.iter().for_each(|address| words(address, 200));
        assert_eq!(store.lat.is_some(), store.lng.is_some());
        stock(store.capacity);
    }

    let count = models.len() + packages.len() + stores.len();
    let first = models[0].id.clone();
    let catalogue = Catalogue::new(definition, 1);
    assert_eq!(catalogue.items().len(), count);
    for (place, item) in catalogue.items().iter().enumerate() {
        assert_eq!(catalogue.index_of(&item.name), Some(place));
    }
    assert!(catalogue.unknown(&first, &[], None).is_empty());
}
