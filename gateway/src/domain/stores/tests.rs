//! Tests of searches against a plain look at every store.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::domain::degrees::Degrees;
use crate::domain::sale::Availability;

/// Latitude and longitude.
type Place = (f64, f64);

fn store(
    n: usize,
    (name, city, province, address): (&str, &str, Option<&str>, Option<&str>),
    at: Option<Place>,
) -> Store {
    Store {
        id: format!("s{n}"),
        name: name.to_owned(),
        city: city.to_owned(),
        capacity: None,
        province: province.map(str::to_owned),
        address: address.map(str::to_owned),
        lat: at.map(|(lat, _)| Degrees::new(lat, 90).unwrap()),
        lng: at.map(|(_, lng)| Degrees::new(lng, 180).unwrap()),
    }
}

/// Levels by index: every so many stores are sold out.
fn levels(index: &StoreIndex, every: usize) -> StoreLevels {
    let level = |store| if store % every == 0 { Availability::SoldOut } else { Availability::Low };
    StoreLevels::new(index, level)
}

fn spot((lat, lng): Place) -> Spot {
    Spot::new(Degrees::new(lat, 90).unwrap(), Degrees::new(lng, 180).unwrap())
}

/// The haversine formula in metres.
fn haversine((lat, lng): Place, (to_lat, to_lng): Place) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let hav = half(lat, to_lat) + lat.to_radians().cos() * to_lat.to_radians().cos() * half(lng, to_lng);
    2.0 * 6_371_008.8 * hav.min(1.0).sqrt().asin()
}

/// All pages one after the other, and how many there were.
fn walk(index: &StoreIndex, query: &StoreQuery, levels: &StoreLevels) -> (Vec<(usize, Option<u32>)>, usize) {
    let (mut all, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let FoundStores { stores, next } = index.search(query, levels, cursor);
        assert!(stores.len() <= query.limit);
        all.extend(stores);
        pages += 1;
        if next.is_none() {
            return (all, pages);
        }
        assert_ne!(next, cursor, "each page goes on");
        cursor = next;
    }
}

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[abÄ天河 ]{0,6}").unwrap().prop_map(|text| format!("x{text}y"))
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        (-90.0..=90.0, -180.0..=180.0),
        // A few places with many stores each; the date line and a pole among them.
        (
            prop_oneof![Just(23.1), Just(23.1001), Just(-17.0), Just(90.0)],
            prop_oneof![Just(180.0), Just(-180.0), Just(113.2)]
        ),
    ]
}

prop_compose! {
    fn stores()(
        rows in vec((text(), "[AB]", option::of("[pP]"), option::of(text()), option::weighted(0.9, place())), 0..300)
    ) -> (Vec<Store>, Vec<Option<Place>>) {
        let places = rows.iter().map(|(.., at)| *at).collect();
        let stores = rows.iter().enumerate().map(|(n, (name, city, province, address, at))| {
            store(n, (name, city, province.as_deref(), address.as_deref()), *at)
        });
        (stores.collect(), places)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_what_a_look_at_every_store_finds(
        (stores, places) in stores(), city in option::of("[abC]"), province in option::of("[pq]"),
        q in option::of("[abÄä天河 x]{0,3}"), near in option::of(place()), only_available in any::<bool>(),
        limit in 1..40_usize, every in 1..4_usize,
    ) {
        let index = StoreIndex::new(&stores);
        let levels = levels(&index, every);
        let mut query = StoreQuery::new(limit);
        city.iter().for_each(|city| query.city(city));
        province.iter().for_each(|province| query.province(province));
        q.iter().for_each(|q| query.text(q));
        query.only_available = only_available;
        query.near = near.map(spot);
        let has = |text: &str, part: &str| search_key(text).contains(&search_key(part));
        let matches = |(n, store): &(usize, &Store)| {
            let same = |a: &str, b: &str| search_key(a) == search_key(b);
            city.as_ref().is_none_or(|city| same(city, &store.city))
                && province.as_ref().is_none_or(|p| store.province.as_ref().is_some_and(|of| same(p, of)))
                && q.as_ref().is_none_or(|q| has(&store.name, q) || store.address.as_ref().is_some_and(|a| has(a, q)))
                && (!only_available || n % every != 0)
                && (near.is_none() || places[*n].is_some())
        };
        let expected: Vec<usize> = stores.iter().enumerate().filter(matches).map(|(n, _)| n).collect();
        let (found, _) = walk(&index, &query, &levels);
        let mut sorted: Vec<usize> = found.iter().map(|(store, _)| *store).collect();
        let Some(near) = near else {
            prop_assert_eq!(sorted, expected);
            return Ok(());
        };
        sorted.sort_unstable();
        prop_assert_eq!(sorted, expected);
        let mut before = 0;
        for (store, metres) in found {
            let metres = metres.unwrap();
            prop_assert!(before <= metres);
            before = metres;
            let expected = haversine(near, places[store].unwrap());
            // On the other side of the earth the formula itself is less exact.
            let close = if expected > 1e7 { 100.0 } else { 1.0 };
            prop_assert!((f64::from(metres) - expected).abs() <= close, "{} {}", metres, expected);
        }
    }

    #[test]
    fn a_level_that_changes_is_as_if_it_had_always_been_so(
        (stores, _) in stores(), changes in vec((any::<prop::sample::Index>(), 0..3_usize), 0..50),
    ) {
        let index = StoreIndex::new(&stores);
        let mut at = vec![Availability::InStock; stores.len()];
        let mut changed = StoreLevels::new(&index, |store| at[store]);
        for (store, level) in changes {
            if !stores.is_empty() {
                let (store, level) = (store.index(stores.len()), [Availability::InStock, Availability::Low, Availability::SoldOut][level]);
                at[store] = level;
                changed.set(&index, store, level);
            }
        }
        prop_assert_eq!(changed, StoreLevels::new(&index, |store| at[store]));
    }
}

/// 50,000 stores of 300 cities, in a grid over China.
fn country() -> Vec<Store> {
    (0..50_000)
        .map(|n| {
            let (name, city) = (format!("Guangzhou store {n}"), format!("City {}", n % 300));
            let at = (20.0 + f64::from(n / 250) * 0.1, 100.0 + f64::from(n % 250) * 0.1);
            let texts = (name.as_str(), city.as_str(), Some("Province"), Some("1 Tianhe Road"));
            store(usize::try_from(n).unwrap(), texts, Some(at))
        })
        .collect()
}

#[test]
fn a_search_that_finds_little_ends_soon() {
    let index = StoreIndex::new(&country());
    let all_gone = levels(&index, 1);
    let query = |change: &dyn Fn(&mut StoreQuery)| {
        let mut query = StoreQuery::new(50);
        change(&mut query);
        query
    };
    let pages = |change: &dyn Fn(&mut StoreQuery)| {
        let (found, pages) = walk(&index, &query(change), &all_gone);
        (found.len(), pages)
    };
    // Sets decide: one page, however many stores there are.
    assert_eq!(pages(&|q| q.only_available = true), (0, 1));
    assert_eq!(pages(&|q| q.city("City 300")), (0, 1));
    assert_eq!(pages(&|q| q.text("beijing")), (0, 1));
    // A few hundred stores have its pairs of characters.
    let (found, few) = pages(&|q| q.text("49999"));
    assert!(found == 1 && few <= 3, "{found} in {few}");
    let ocean = spot((-50.0, -140.0));
    assert_eq!(pages(&|q| (q.near, q.only_available) = (Some(ocean), true)), (0, 1));
    let far = |q: &mut StoreQuery| {
        q.near = Some(ocean);
        q.text("store 4999");
    };
    let (found, few) = pages(&far);
    assert_eq!(found, 11);
    assert!(few <= 3, "{few}");
    // Every pair of characters is in every text, the text itself in none.
    let (found, many) = pages(&|q| q.text("stou"));
    assert_eq!(found, 0);
    assert!((2..=400).contains(&many), "{many}");
}

#[test]
fn pages_near_a_point_go_through_hundreds_of_stores_at_least() {
    let stores = country();
    let index = StoreIndex::new(&stores);
    let free = levels(&index, 100_000);
    for at in [(23.1, 113.3), (90.0, 0.0), (0.0, -75.0)] {
        let mut query = StoreQuery::new(500);
        query.near = Some(spot(at));
        let (found, pages) = walk(&index, &query, &free);
        assert!(found.len() >= 200, "{} stores from {at:?}", found.len());
        assert!(pages < found.len() / 15, "{pages} pages from {at:?}");
        let distances = found.iter().map(|(_, metres)| metres.unwrap());
        assert!(distances.is_sorted());
    }
    // All at one place: there is nothing before a page that would have to be measured again.
    let (lat, lng) = (Degrees::new(1.0, 90), Degrees::new(2.0, 180));
    let same: Vec<Store> = stores.into_iter().map(|store| Store { lat, lng, ..store }).collect();
    let index = StoreIndex::new(&same);
    let mut query = StoreQuery::new(500);
    query.near = Some(spot((1.0, 2.0)));
    let (found, _) = walk(&index, &query, &levels(&index, 100_000));
    assert!(found.len() >= 2_000 && found.iter().all(|(_, metres)| *metres == Some(0)), "{}", found.len());
}
