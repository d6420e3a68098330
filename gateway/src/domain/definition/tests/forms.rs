//! Tests that a definition is equal through TOML, CSV and JSON; the examples; large definitions.

use std::path::PathBuf;
use std::process::Command;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn fifty_thousand_stores_load() {
    let rows = |count: u32| {
        let rows = (1..=count).map(|n| format!("gz-{n:05},Guangzhou store {n},Guangzhou,{}\n", n % 50));
        "id,name,city,capacity\n".to_owned() + &rows.collect::<String>()
    };
    let folder = folder(format!("{SALE}{STORES}"), Some(rows(50_000).as_bytes()));
    let definition = Definition::load(&folder.path().join("sale.toml")).unwrap();
    assert_eq!(definition.stores.len(), 50_000);
    assert_eq!(Definition::from_json(definition.to_json().as_bytes()).unwrap(), definition);
    assert_messages(&of_csv(rows(50_001).as_bytes()), &["stores.csv:50002: at most 50000 of `stores`"]);
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

#[test]
fn the_small_example_is_valid() {
    let definition = Definition::load(&example("small").join("sale.toml")).unwrap();
    assert_eq!((definition.models.len(), definition.packages.len(), definition.stores.len()), (2, 2, 5));
    assert_eq!(definition.models.iter().filter_map(|model| model.stock).sum::<u64>(), 100);
    assert!(definition.sale.rehearsal);
}

#[test]
fn the_large_example_is_valid() {
    let from = example("national-good-car");
    let csv = Command::new("sh").arg(from.join("make-stores")).output().unwrap();
    assert!(csv.status.success());
    let folder = folder(fs::read(from.join("sale.toml")).unwrap(), Some(&csv.stdout));
    let definition = Definition::load(&folder.path().join("sale.toml")).unwrap();
    assert_eq!(definition.stores.len(), 43_000);
    assert_eq!(definition.stores[0].id, "gz-0001");
    let service = definition.stores.iter().filter(|store| store.name.contains("service store")).count();
    assert_eq!(service, 3_000);
    assert!(definition.sale.rehearsal);
    assert_eq!(Definition::from_json(definition.to_json().as_bytes()).unwrap(), definition);
}

/// Any normalised text, without white space.
fn normal(chars: usize) -> impl Strategy<Value = String> {
    let text = proptest::string::string_regex(&format!(r"[^\p{{C}}\p{{M}}\s]{{1,{chars}}}")).unwrap();
    text.prop_map(|text| text::normalised(&text).into_owned()).prop_filter("is normal", move |text| {
        text::forbidden(text).is_none() && text.chars().count() <= chars
    })
}

/// Any object that TOML can express, too: without null.
fn meta() -> impl Strategy<Value = Meta> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        proptest::num::f64::NORMAL.prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    let any = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    let object = proptest::collection::btree_map(".{0,6}", any, 0..4);
    let meta = object.prop_map(|map| Meta::of(map.into_iter().collect()));
    meta.prop_filter("is short", |meta| serde_json::to_string(meta).unwrap().len() <= META_BYTES_MAX)
}

prop_compose! {
    fn terms()(
        id in "[a-z0-9][a-z0-9-]{0,63}", name in normal(200), opens_ms in 0..4_000_000_000_000_i64,
        open_ms in 1..1_000_000_000_000_i64, hold_ms in 1_000..=86_400_000_u64, grace_ms in 0..=3_600_000_u64,
        per_buyer in 1..=100_u32, more in 0..100_u32, currency in "[A-Z]{3}", deposit in 0..=PRICE_MAX,
        rehearsal in any::<bool>(), configure_ms in proptest::option::of(1..1_000_000_000_000_i64),
        listed in any::<bool>(), meta in proptest::option::of(meta()),
        standby in any::<bool>(), standby_hold_ms in proptest::option::of(1_000..=86_400_000_u64),
        standby_max in proptest::option::of(1..=STOCK_MAX),
    ) -> Terms {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        Terms {
            id, name, opens_at: at(opens_ms), closes_at: at(opens_ms + open_ms), hold_ms, grace_ms, per_buyer,
            attempts: (per_buyer + more).min(100), currency, deposit, rehearsal, listed, meta, sells: Sells::FirstCome,
            configure_until: configure_ms.map(|ms| at(opens_ms + ms)), standby,
            standby_hold_ms: standby_hold_ms.filter(|_| standby), standby_max: standby_max.filter(|_| standby),
        }
    }
}

prop_compose! {
    fn definitions()(
        sale in terms(),
        items in vec((normal(20), 0..=PRICE_MAX, proptest::option::of(0..=STOCK_MAX)), 1..6),
        fits in vec(proptest::option::of(vec(any::<bool>(), 6)), 0..4),
        cities in vec((normal(20), proptest::option::of(0..=STOCK_MAX)), 0..6),
        metas in vec(proptest::option::of(meta()), 2),
        located in vec((any::<bool>(), any::<bool>(), -90.0..=90.0, -180.0..=180.0), 6),
    ) -> Definition {
        let models: Vec<_> = items.iter().enumerate().map(|(n, (name, price, stock))| {
            Model { id: format!("M.{n}"), name: name.clone(), price: *price, stock: *stock, meta: metas[n % 2].clone() }
        }).collect();
        let packages = fits.into_iter().enumerate().map(|(n, fits)| {
            let (name, price, stock) = items[n % items.len()].clone();
            let ids = |fits: Vec<bool>| {
                let some: Vec<_> = models.iter().zip(fits).filter(|(_, fits)| *fits).map(|(m, _)| m.id.clone()).collect();
                if some.is_empty() { vec![models[0].id.clone()] } else { some }
            };
            Package { id: format!("p_{n}"), name, price, stock, models: fits.map(ids), meta: metas[n % 2].clone() }
        }).collect();
        let stores = cities.into_iter().enumerate().map(|(n, (city, capacity))| {
            let (is_addressed, is_located, lat, lng) = located[n];
            let text = |text: &str| is_addressed.then(|| format!("{text} {n}"));
            let degrees = |degrees: f64| is_located.then(|| Degrees::new(degrees, 180).unwrap());
            Store {
                id: format!("s-{n}"), name: format!("{city} {n}"), city, capacity, province: text("P"), address: text("A"),
                lat: degrees(lat), lng: degrees(lng),
            }
        }).collect();
        Definition { sale, models, packages, stores, signup: None, draw: None }
    }
}

/// The TOML file and the CSV file of a definition.
fn files(definition: &Definition) -> (String, Vec<u8>) {
    let text = |text: &str| ::toml::Value::String(text.to_owned()).to_string();
    let meta = |meta: &Option<Meta>| {
        let inline = |meta: &Meta| ::toml::Value::try_from(meta).unwrap().to_string();
        meta.as_ref().map_or(String::new(), |meta| format!("meta = {}\n", inline(meta)))
    };
    let sale = &definition.sale;
    let mut toml = format!(
        "[sale]\nid = {}\nname = {}\nopens_at = {}\ncloses_at = {}\nhold = \"{}ms\"\ngrace = \"{}ms\"\nper_buyer = {}\n\
         attempts = {}\ncurrency = {}\ndeposit = {}\nrehearsal = {}\n{}\
         listed = {}\nstandby = {}\n{}{}{}[stores]\nfile = \"stores.csv\"\n",
        text(&sale.id),
        text(&sale.name),
        sale.opens_at,
        sale.closes_at,
        sale.hold_ms,
        sale.grace_ms,
        sale.per_buyer,
        sale.attempts,
        text(&sale.currency),
        sale.deposit,
        sale.rehearsal,
        sale.configure_until.map_or(String::new(), |until| format!("configure_until = {until}\n")),
        sale.listed,
        sale.standby,
        sale.standby_hold_ms.map_or(String::new(), |ms| format!("standby_hold = \"{ms}ms\"\n")),
        sale.standby_max.map_or(String::new(), |most| format!("standby_max = {most}\n")),
        meta(&sale.meta),
    );
    let mut item = |kind,
                    id: &str,
                    name: &str,
                    price: u64,
                    stock: Option<u64>,
                    models: &Option<Vec<String>>,
                    of: &Option<Meta>| {
        toml += &format!("[[{kind}]]\nid = {}\nname = {}\nprice = {price}\n", text(id), text(name));
        toml += &stock.map_or(String::new(), |stock| format!("stock = {stock}\n"));
        toml += &models.as_ref().map_or(String::new(), |models| format!("models = {models:?}\n"));
        toml += &meta(of);
    };
    for model in &definition.models {
        item("model", &model.id, &model.name, model.price, model.stock, &None, &model.meta);
    }
    for package in &definition.packages {
        item(
            "package",
            &package.id,
            &package.name,
            package.price,
            package.stock,
            &package.models,
            &package.meta,
        );
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["id", "lng", "name", "city", "capacity", "address", "lat", "province"]).unwrap();
    for store in &definition.stores {
        let capacity = store.capacity.map_or(String::new(), |capacity| capacity.to_string());
        let degrees =
            |degrees: Option<Degrees>| degrees.map_or(String::new(), |degrees| degrees.value().to_string());
        let (lat, lng) = (degrees(store.lat), degrees(store.lng));
        let [address, province] =
            [&store.address, &store.province].map(|text| text.clone().unwrap_or_default());
        csv.write_record([&store.id, &lng, &store.name, &store.city, &capacity, &address, &lat, &province])
            .unwrap();
    }
    (toml, csv.into_inner().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_definition_survives_every_form(definition in definitions()) {
        let (toml, csv) = files(&definition);
        let folder = folder(toml, Some(&csv));
        let loaded = Definition::load(&folder.path().join("sale.toml"));
        prop_assert_eq!(loaded.as_ref(), Ok(&definition));
        let again = Definition::from_json(definition.to_json().as_bytes());
        prop_assert_eq!(again.as_ref(), Ok(&definition));
    }
}
