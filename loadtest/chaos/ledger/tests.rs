//! Unit tests of `ledger.rs`.

use super::*;

fn line(id: u64, kind: &str, reservation: &str, number: u64) -> String {
    format!(
        "{{\"id\":\"{id}-0\",\"cursor\":\"x\",\"kind\":\"{kind}\",\"reservation\":\"{reservation}\",\"number\":{number},\
         \"version\":1,\"model\":\"white\",\"packages\":[],\"store\":null}}\n"
    )
}

fn replay(lines: &[String], white: i64) -> Ledger {
    Ledger::replay(&lines.concat(), &BTreeMap::from([("model:white".to_owned(), white)]))
}

#[test]
fn a_good_journal_has_nothing_broken() {
    let lines = [
        line(2, "reserve", "a", 1),
        line(3, "cancel", "a", 1),
        line(4, "reserve", "b", 2),
        line(5, "confirm", "b", 2),
        "{\"id\":\"6-0\",\"kind\":\"adopt\",\"replayed\":3}\n".to_owned(),
    ];
    let ledger = replay(&lines, 1);
    assert!(ledger.broken.is_empty(), "{:?}", ledger.broken);
    assert!(ledger.reservations["a"].was_cancelled && ledger.reservations["b"].was_confirmed);
    assert_eq!((ledger.replayed, ledger.has_gaps), (3, false));
}

#[test]
fn stock_below_zero_is_seen_although_it_comes_back() {
    let lines = [line(2, "reserve", "a", 1), line(3, "reserve", "b", 2), line(4, "cancel", "a", 1)];
    assert_eq!(replay(&lines, 1).broken, ["model:white is -1 at 3-0"]);
    // Within one entry it is not visible.
    let lines = [line(2, "reserve", "a", 1), line(3, "reserve", "b", 2), line(3, "cancel", "a", 1)];
    assert!(replay(&lines, 1).broken.is_empty());
}

#[test]
fn numbers_that_go_back_and_steps_that_can_t_be_are_seen() {
    assert_eq!(replay(&[line(2, "reserve", "a", 2), line(3, "reserve", "b", 1)], 9).broken.len(), 1);
    assert_eq!(replay(&[line(2, "reserve", "a", 1), line(3, "reserve", "a", 2)], 9).broken.len(), 1);
    assert_eq!(replay(&[line(2, "confirm", "a", 1)], 9).broken.len(), 1);
    let twice = [line(2, "reserve", "a", 1), line(3, "cancel", "a", 1), line(4, "amend", "a", 1)];
    assert_eq!(replay(&twice, 9).broken.len(), 1);
    // A late payment takes it again, or is refused for good.
    let late = [line(2, "reserve", "a", 1), line(3, "expire", "a", 1), line(4, "confirm", "a", 1)];
    assert_eq!(replay(&late, 1).broken, [""; 0]);
    assert_eq!(replay(&late, 0).broken, ["model:white is -1 at 2-0"]);
    let refused = [line(2, "reserve", "a", 1), line(3, "refuse", "a", 1), line(4, "confirm", "a", 1)];
    assert_eq!(replay(&refused, 9).broken.len(), 1);
    let refunded = [late.to_vec(), vec![line(5, "cancel", "a", 1), line(6, "confirm", "a", 1)]].concat();
    assert_eq!(replay(&refunded, 9).broken.len(), 1);
}
