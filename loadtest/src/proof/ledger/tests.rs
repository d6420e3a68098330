//! Tests the parsing and the sums of journal lines.

use jiff::SignedDuration;

use super::*;
use crate::plan::selection::SaleTerms;
use crate::proof::rules::Rule;

/// Each entry is a second after the one before it.
pub(crate) fn at(sequence: u64) -> Timestamp {
    let start: Timestamp = "2026-11-09T12:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(i64::try_from(sequence).unwrap())
}

/// A change to a reservation of model `a`, package `p` and store `s`, in its first version.
pub(crate) fn change(sequence: u64, kind: Kind, reservation: &str, buyer: &str, number: u64) -> Change {
    let (reservation, buyer) = (reservation.into(), buyer.into());
    Change {
        sequence,
        kind,
        at: at(sequence),
        subject: Arc::new(Subject { reservation, buyer, number, held_at: at(sequence) }),
        version: 1,
        selected: selected("a", &["p"], Some("s")),
        payment: None,
    }
}

pub(crate) fn selected(model: &str, packages: &[&str], store: Option<&str>) -> Arc<Selected> {
    let packages = packages.iter().map(|id| (*id).to_owned()).collect();
    Arc::new(Selected { model: model.to_owned(), packages, store: store.map(str::to_owned) })
}

impl Change {
    pub(crate) fn set_number(&mut self, number: u64) {
        Arc::make_mut(&mut self.subject).number = number;
    }

    pub(crate) fn set_held_at(&mut self, held_at: Timestamp) {
        Arc::make_mut(&mut self.subject).held_at = held_at;
    }
}

pub(crate) fn define(sequence: u64) -> OperatorAction {
    let kind = "define".to_owned();
    OperatorAction { id: format!("{sequence}-0"), kind, at: at(sequence), item: None, total: None, was: None }
}

pub(crate) fn restock(sequence: u64, item: &str, total: u64, was: u64) -> OperatorAction {
    let item = Some(item.to_owned());
    OperatorAction {
        kind: "restock".to_owned(),
        item,
        total: Some(total),
        was: Some(was),
        ..define(sequence)
    }
}

/// One reservation a buyer, held for 5 s and 1 s of grace.
pub(crate) fn terms() -> SaleTerms {
    serde_json::from_value(serde_json::json!({"hold": "5s", "grace": "1s"})).unwrap()
}

fn taken(book: &Book<'_>, item: &str) -> (u64, u64, u64) {
    let taken = book.taken(item);
    (taken.held, taken.confirmed, taken.peak)
}

fn missteps(changes: &[Change]) -> Vec<Rule> {
    Book::replay(changes, &terms(), u64::MAX).missteps.iter().map(|misstep| misstep.rule).collect()
}

#[test]
fn a_life_of_reservations_adds_up() {
    let changes = [
        change(1, Kind::Reserve, "r1", "b1", 1),
        change(2, Kind::Reserve, "r2", "b2", 2),
        change(3, Kind::Reserve, "r3", "b3", 3),
        change(4, Kind::Confirm, "r1", "b1", 1),
        change(5, Kind::Cancel, "r2", "b2", 2),
        change(9, Kind::Expire, "r3", "b3", 3),
        change(10, Kind::Reserve, "r4", "b3", 4),
    ];
    let book = Book::replay(&changes, &terms(), u64::MAX);
    assert!(book.missteps.is_empty(), "{:?}", book.missteps);
    for item in ["model:a", "package:p", "store:s"] {
        assert_eq!(taken(&book, item), (1, 1, 3));
    }
    assert_eq!(taken(&Book::replay(&changes, &terms(), 4), "model:a"), (2, 1, 3));
}

#[test]
fn a_late_payment_takes_it_again() {
    let changes = [
        change(1, Kind::Reserve, "r1", "b1", 1),
        change(2, Kind::Reserve, "r2", "b2", 2),
        change(9, Kind::Expire, "r1", "b1", 1),
        change(10, Kind::Confirm, "r1", "b1", 1),
        change(11, Kind::Refuse, "r2", "b2", 2),
    ];
    let book = Book::replay(&changes, &terms(), u64::MAX);
    assert!(book.missteps.is_empty(), "{:?}", book.missteps);
    assert_eq!((book.entries["r1"].state, book.entries["r2"].state), (State::Confirmed, State::Expired));
    assert_eq!(taken(&book, "model:a"), (0, 1, 2));
    assert_eq!((taken(&Book::replay(&changes, &terms(), 9), "model:a"), book.held), ((1, 0, 2), 0));
}

#[test]
fn an_amendment_moves_what_is_taken() {
    let mut amend = change(2, Kind::Amend, "r1", "b1", 1);
    amend.version = 2;
    amend.selected = selected("b", &[], Some("s"));
    let changes = [change(1, Kind::Reserve, "r1", "b1", 1), amend];
    let book = Book::replay(&changes, &terms(), u64::MAX);
    assert_eq!(book.entries["r1"].at_version(2).map(|change| change.selected.model.as_str()), Some("b"));
    assert_eq!(taken(&book, "model:a"), (0, 0, 1));
    assert_eq!(taken(&book, "model:b"), (1, 0, 1));
    assert_eq!(taken(&book, "package:p"), (0, 0, 1));
}

#[test]
fn changes_of_one_entry_happen_at_once() {
    let changes = [
        change(1, Kind::Reserve, "r1", "b1", 1),
        change(2, Kind::Reserve, "r2", "b2", 2),
        change(2, Kind::Cancel, "r1", "b1", 1),
    ];
    assert_eq!(taken(&Book::replay(&changes, &terms(), u64::MAX), "model:a"), (1, 0, 1));
}

#[test]
fn missteps_are_found() {
    let first = change(1, Kind::Reserve, "r1", "b1", 1);
    let second = |buyer, id, number| missteps(&[first.clone(), change(2, Kind::Reserve, id, buyer, number)]);
    assert_eq!(second("b2", "r2", 3), [Rule::NumbersInOrder]);
    assert_eq!(second("b2", "r2", 1), [Rule::NumbersInOrder]);
    assert_eq!(second("b1", "r2", 2), [Rule::PerBuyer]);
    assert_eq!(second("b1", "r1", 2), [Rule::StepsAllowed]);
    assert_eq!(missteps(&[change(1, Kind::Expire, "r1", "b1", 1)]), [Rule::StepsAllowed]);
    let twice =
        [first.clone(), change(2, Kind::Cancel, "r1", "b1", 1), change(3, Kind::Amend, "r1", "b1", 1)];
    assert_eq!(missteps(&twice), [Rule::StepsAllowed]);
    let again = |between: &[Change], kind| {
        let last = change(20, kind, "r1", "b1", 1);
        missteps(&[std::slice::from_ref(&first), between, &[last]].concat())
    };
    let ended = [change(9, Kind::Expire, "r1", "b1", 1)];
    let refused = [ended[0].clone(), change(10, Kind::Refuse, "r1", "b1", 1)];
    let refunded = [change(2, Kind::Confirm, "r1", "b1", 1), change(3, Kind::Cancel, "r1", "b1", 1)];
    assert_eq!(again(&ended, Kind::Confirm), [], "a late payment");
    assert_eq!(again(&ended, Kind::Refuse), []);
    assert_eq!(again(&[], Kind::Refuse), [], "before its sweep");
    assert_eq!(again(&refused, Kind::Confirm), [Rule::StepsAllowed], "refused is refused");
    assert_eq!(again(&refunded, Kind::Confirm), [Rule::StepsAllowed], "it was paid before");
    let other = [ended[0].clone(), change(10, Kind::Reserve, "r2", "b1", 2)];
    let paid = [other.to_vec(), vec![change(11, Kind::Confirm, "r2", "b1", 2)]].concat();
    assert_eq!(again(&paid, Kind::Confirm), [Rule::PerBuyer]);
    let early = [first.clone(), change(2, Kind::Refuse, "r1", "b1", 1)];
    assert_eq!(missteps(&early), [Rule::NotExpiredEarly]);
    let jumps = Change { version: 3, ..change(2, Kind::Amend, "r1", "b1", 1) };
    assert_eq!(missteps(&[first, jumps]), [Rule::StepsAllowed]);
}

#[test]
fn an_expiry_before_hold_and_grace_are_over_is_found() {
    let expiry = |ms: i64| {
        let reserve = change(1, Kind::Reserve, "r1", "b1", 1);
        let expire = Change {
            at: reserve.at + SignedDuration::from_millis(ms),
            ..change(2, Kind::Expire, "r1", "b1", 1)
        };
        missteps(&[reserve, expire])
    };
    assert_eq!(expiry(5_998), [Rule::NotExpiredEarly]);
    assert_eq!(expiry(5_999), [], "both times are cut to milliseconds");
    assert_eq!(expiry(60_000), []);
}

#[test]
fn an_overdue_hold_does_not_count_before_its_sweep() {
    let swept_late = [
        change(1, Kind::Reserve, "r1", "b1", 1),
        change(7, Kind::Reserve, "r2", "b1", 2),
        change(8, Kind::Expire, "r1", "b1", 1),
    ];
    assert_eq!(missteps(&swept_late), []);
    let mut paid = swept_late.to_vec();
    paid[2] = change(6, Kind::Confirm, "r1", "b1", 1);
    paid.swap(1, 2);
    assert_eq!(missteps(&paid), [Rule::PerBuyer]);
}

#[test]
fn journal_lines_are_read() {
    let mut journal = JournalReader::default();
    let line = r#"{"cursor": "4711-0/3", "id": "4711-0", "change": 3, "changes": 64, "kind": "reserve",
        "at": "2026-11-09T12:00:00.250Z", "held_at": "2026-11-09T12:00:00.250Z", "sale": "s", "reservation": "r", "buyer": "b", "number": 17, "version": 1,
        "state": "held", "model": "m", "packages": [], "store": null, "unavailable": ["store:x"], "payment": null}"#;
    assert_eq!(journal.read_line(line).unwrap(), "4711-0/3");
    assert_eq!((journal.journal.changes[0].sequence, journal.journal.changes[0].kind), (4711, Kind::Reserve));
    let restock = r#"{"cursor":"9-0/1","id":"9-0","change":1,"changes":1,"kind":"restock","at":"2026-11-09T12:00:01.000Z",
        "sale":"s","item":"model:m","total":35,"was":30,"who":"ann"}"#;
    assert_eq!(journal.read_line(restock).unwrap(), "9-0/1");
    let action = &journal.journal.operator_actions[0];
    assert_eq!((action.sequence(), action.total, action.was), (9, Some(35), Some(30)));
    let define =
        r#"{"cursor":"8-0/1","id":"8-0","kind":"define","at":"2026-11-09T12:00:01.000Z","revision":2}"#;
    assert_eq!(journal.read_line(define).unwrap(), "8-0/1");
    assert!(journal.journal.operator_actions[1].defines() && journal.journal.changes.len() == 1);
    let adopt = r#"{"cursor":"10-0/1","id":"10-0","change":1,"changes":1,"kind":"adopt","at":"2026-11-09T12:00:02.000Z",
        "epoch":"d3db","was":"e326","who":"gateway"}"#;
    assert_eq!(journal.read_line(adopt).unwrap(), "10-0/1");
    assert!(journal.read_line(r#"{"cursor":"9-0/1","kind":"reserve"}"#).is_err());
}

#[test]
fn lines_of_a_reservation_share_what_they_have_in_common() {
    let mut reader = JournalReader::default();
    for (sequence, kind, buyer) in [(1, "reserve", "b"), (2, "confirm", "b"), (3, "cancel", "another")] {
        let line = serde_json::json!({
            "cursor": "c", "id": format!("{sequence}-0"), "kind": kind, "at": at(sequence), "held_at": at(1),
            "reservation": "r", "buyer": buyer, "number": 1, "version": 1, "model": "m", "packages": ["p"],
            "store": "s", "payment": null
        });
        reader.read_line(&line.to_string()).unwrap();
    }
    let changes = reader.finish().changes;
    assert!(Arc::ptr_eq(&changes[0].subject, &changes[1].subject), "known once");
    assert!(changes.iter().all(|change| Arc::ptr_eq(&change.selected, &changes[0].selected)));
    let buyers: Vec<&str> = changes.iter().map(Change::buyer).collect();
    assert_eq!(buyers, ["b", "b", "another"], "each line is as the ledger has it");
    assert!(size_of::<Change>() <= 64, "of a soak of a day there are 26 million");
}
