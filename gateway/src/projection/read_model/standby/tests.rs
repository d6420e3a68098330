//! Unit tests of `standby.rs`.

use proptest::prelude::*;

use super::*;

fn hash(n: u64) -> BuyerHash {
    BuyerHash::new("small", &n.to_string())
}

#[test]
fn rows_in_any_order_are_queues_in_the_order_of_joining() {
    let parts: Vec<String> =
        (0..5).map(|n| crate::domain::identity::buyer_part("small", &n.to_string())).collect();
    let rows = [
        "c waiting air// 7 9 -",
        "a waiting air/cover/ 3 9 -",
        "b granted air// 4 9 0123456789ab",
        "d skipped mini// 5 9 -",
        "e left mini// 6 9 -",
    ];
    let rows: Vec<(&str, &str)> = parts.iter().map(String::as_str).zip(rows).collect();
    let queues = StandbyQueues::of_rows(rows.iter().copied());
    let at = |n: u64| queues.place(&hash(n)).map(|place| (place.model, place.state, place.position));
    assert_eq!(at(0), Some(("air".to_owned(), PlaceState::Waiting, 2)));
    assert_eq!(at(1), Some(("air".to_owned(), PlaceState::Waiting, 1)));
    assert_eq!(at(2), Some(("air".to_owned(), PlaceState::Granted, 0)));
    assert_eq!(queues.place(&hash(2)).unwrap().reservation.unwrap(), format!("{}0123456789ab", parts[2]));
    assert_eq!(at(3), Some(("mini".to_owned(), PlaceState::Skipped, 0)));
    assert_eq!(at(4), None, "who has left has no place");
    assert_eq!((queues.waiting("air"), queues.waiting("mini"), queues.waiting("none")), (2, 0, 0));
}

proptest! {
    /// Against a plain list: whatever joins and ends, in whatever order numbers are seen.
    #[test]
    fn positions_are_those_of_a_list(steps in prop::collection::vec((0_u64..60, any::<bool>(), any::<bool>()), 1..200)) {
        let (mut queue, mut list) = (Queue::default(), std::collections::BTreeSet::new());
        for (number, joins, settles) in steps {
            if joins {
                queue.join(number);
                list.insert(number);
            } else {
                queue.end(number);
                list.remove(&number);
            }
            prop_assert_eq!(queue.waiting, list.len() as u64);
            if settles {
                queue.settle();
            }
            if !queue.late.is_empty() {
                continue;
            }
            for number in 0..60 {
                prop_assert_eq!(queue.position(number), list.range(..=number).count() as u64);
            }
        }
    }
}
