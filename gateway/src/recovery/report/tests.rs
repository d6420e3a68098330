//! Unit tests of `report.rs`.

use super::*;
use crate::projection::acknowledged::Acknowledged;

fn acknowledged(sequence: u64, state: &str) -> MissingChange {
    let rows = format!("aliceAAAAAAAAAAAAAAA - key-AAAAAAAA f air - - - 1 1 {state} 5 905 - 1,{sequence}");
    MissingChange::from_acknowledged(&Acknowledged {
        sequence,
        kind: "confirm",
        at: 5,
        clock: 3,
        fields: Vec::new(),
        rows,
        is_whole: false,
    })
    .unwrap()
}

fn all(fields: &[(&str, String)]) -> RecoveryReports {
    let fields = fields.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect();
    RecoveryReports::parse(&fields)
}

fn report(known: u64, since: u64, peers: &[&str]) -> String {
    let peers = peers.iter().map(|id| ((*id).to_owned(), format!("at-{id}"))).collect();
    serde_json::to_string(&RecoveryReport { known, since, peers, ..RecoveryReport::default() }).unwrap()
}

fn report_of(incarnation: &str, known: u64) -> String {
    let incarnation = incarnation.to_owned();
    serde_json::to_string(&RecoveryReport { incarnation, known, ..RecoveryReport::default() }).unwrap()
}

fn json(missing: &MissingChange) -> String {
    serde_json::to_string(missing).unwrap()
}

#[test]
fn live_peers_are_awaited_unless_an_operator_releases_them() {
    let mut fields = vec![("for", "old new".to_owned()), ("g:a", report(3, 0, &["a", "b"]))];
    let b = ("b".to_owned(), "at-b".to_owned());
    assert_eq!(all(&fields).plan("", 3, true), Err(Blocked::Awaiting(vec![b])));
    let late_at = Clocks::default();
    let nothing = || Ok(Replay { missing: Vec::new(), lost: 0, known: 3, late_at });
    assert_eq!(all(&fields).plan("", 3, false), nothing());
    fields.push(("x:b", "maja".to_owned()));
    assert_eq!(all(&fields).plan("", 3, true), nothing());
    // Its report comes all the same, and names a member that no other report has.
    fields.push(("g:b", report(3, 0, &["b", "c"])));
    assert!(matches!(all(&fields).plan("", 3, true), Err(Blocked::Awaiting(who)) if who[0].0 == "c"));
}

#[test]
fn the_plan_replays_the_union_in_order_and_marks_unacknowledged_gaps_lost() {
    let read = acknowledged(5, "held");
    let fields = [
        ("g:a", report(8, 3, &["a", "b"])),
        ("g:b", report(5, 4, &["a", "b"])),
        ("r:5", json(&read)),
        ("t:5:a", json(&read)),
        ("t:7:a", json(&acknowledged(7, "confirmed"))),
    ];
    let Ok(Replay { missing, lost, known, .. }) = all(&fields).plan("", 4, true) else {
        panic!("it is whole");
    };
    let kinds: Vec<_> = missing.iter().map(|missing| (missing.sequence, missing.kind.as_str())).collect();
    assert_eq!(kinds, [(5, "confirm"), (6, "lost"), (7, "confirm"), (8, "lost")]);
    assert_eq!((lost, known), (2, 8));
}

#[test]
fn the_latest_clocks_of_all_reports_count_and_an_earlier_version_reports_none() {
    let by = |time, clock| {
        let late_at = Clocks { time, clock };
        serde_json::to_string(&RecoveryReport { late_at, ..RecoveryReport::default() }).unwrap()
    };
    let earlier = r#"{"known":0,"since":0,"peers":{}}"#.to_owned();
    let fields = [("g:a", by(7, 3)), ("g:b", by(5, 9)), ("g:c", earlier)];
    let Ok(Replay { late_at, .. }) = all(&fields).plan("", 0, true) else {
        panic!("it is whole");
    };
    assert_eq!(late_at, Clocks { time: 7, clock: 9 });
}

#[test]
fn a_change_that_may_have_been_acknowledged_is_never_invented() {
    let forgotten = [("g:a", report(7, 6, &["a"])), ("t:7:a", json(&acknowledged(7, "held")))];
    assert!(
        matches!(all(&forgotten).plan("", 5, true), Err(Blocked::NeedsOperator(why)) if why.contains("entry 6"))
    );
    let two = [
        ("g:a", report(7, 0, &["a"])),
        ("r:7", json(&acknowledged(7, "held"))),
        ("t:7:a", json(&acknowledged(7, "cancelled"))),
    ];
    assert!(
        matches!(all(&two).plan("", 6, true), Err(Blocked::NeedsOperator(why)) if why.contains("two primaries"))
    );
    let conflict = [("g:a", report(7, 0, &["a"])), ("conflict", "7".to_owned())];
    assert!(matches!(all(&conflict).plan("", 7, true), Err(Blocked::NeedsOperator(_))));
    // Unless an operator decides it.
    let mut released = two.to_vec();
    released.push(("x:*", "maja".to_owned()));
    assert_eq!(
        all(&released).plan("", 6, true),
        Ok(Replay { missing: Vec::new(), lost: 0, known: 6, late_at: Clocks::default() })
    );
    assert!(all(&two).check_release(Some("b")).unwrap_err().contains("no gateway"));
    assert!(all(&[]).check_release(None).is_err() && all(&two).check_release(None).is_ok());
    let far = [("g:a", report(u64::MAX, 0, &["a"]))];
    assert!(matches!(all(&far).plan("", 7, true), Err(Blocked::NeedsOperator(_))));
    let unreadable = [("g:a", report(7, 0, &["a"])), ("r:8", String::new())];
    assert!(
        matches!(all(&unreadable).plan("", 7, true), Err(Blocked::NeedsOperator(why)) if why.contains("r:8"))
    );
}

#[test]
fn a_report_about_another_incarnation_is_never_replayed() {
    let both = [("g:a", report_of("2", 7)), ("g:b", report_of("1", 500))];
    let replay = Replay {
        missing: vec![MissingChange::placeholder(7)],
        lost: 1,
        known: 7,
        late_at: Clocks::default(),
    };
    assert_eq!(all(&both).plan("2", 6, true), Ok(replay), "the report of b is of the sale before");
    assert!(
        matches!(all(&both).plan("1", 500, true), Err(Blocked::NeedsOperator(why)) if why.contains("gateway a knows a later incarnation"))
    );
    assert!(matches!(all(&both).plan("3", 2, true), Ok(Replay { missing, .. }) if missing.is_empty()));
}
