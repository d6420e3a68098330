//! Unit tests of `missing.rs`.

use super::*;

const WINNERS: &str = "aliceAAAAAAAAAAAAAAA alice key-AAAAAAAA fa air cover,care gz-1 - 8 1 held 5 905 - 4\n\
                       bobAAAAAAAAAAAAAAAAA bob key-BBBBBBBB fb air - - package:cover,store:gz-1 9 1 held 5 905 - 4";

/// The entry that the gateway would have read of what it acknowledged.
fn entry(missing: &MissingChange, left: &str) -> Value {
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let common = ["kind", &missing.kind, "at", "5", "clock", "3", "stock", left, "counts", "2 0 0 0"];
    let fields = common.iter().copied().chain(missing.fields.iter().map(String::as_str)).map(text);
    Value::Array(vec![text(&format!("{}-0", missing.sequence)), Value::Array(fields.collect())])
}

#[test]
fn acknowledged_winners_are_those_of_the_entry_that_was_not_read() {
    let acknowledged = Acknowledged {
        sequence: 4,
        kind: "reserve",
        at: 5,
        clock: 3,
        fields: Vec::new(),
        rows: WINNERS.into(),
        is_whole: true,
    };
    let acknowledged = MissingChange::from_acknowledged(&acknowledged).unwrap().with_entry_fields();
    assert_eq!(acknowledged.items, ["model:air", "package:care", "package:cover", "store:gz-1"]);
    let read = MissingChange::from_entry(
        "small",
        &entry(&acknowledged, "model:air 7 package:care 3 package:cover 0 store:gz-1 0"),
    )
    .unwrap();
    assert!(read.contains(&acknowledged), "{read:?}");
    assert_eq!((read.left.as_deref(), read.counts.as_deref()), (Some(&[7, 3, 0, 0][..]), Some("2 0 0 0")));
    assert_eq!((&read.fields, &read.rows, read.clock), (&acknowledged.fields, &acknowledged.rows, 3));
    // It goes as JSON, without unknown fields.
    let json = serde_json::to_string(&acknowledged).unwrap();
    assert!(!json.contains("left"), "{json}");
    assert_eq!(serde_json::from_str::<MissingChange>(&json).unwrap(), acknowledged);
}

#[test]
fn winners_of_whom_some_are_not_known_keep_their_numbers() {
    let lines: Vec<&str> = WINNERS.lines().collect();
    let of = |rows: &str| {
        MissingChange::from_acknowledged(&Acknowledged {
            sequence: 4,
            kind: "reserve",
            at: 99,
            clock: 3,
            fields: Vec::new(),
            rows: rows.to_owned(),
            is_whole: false,
        })
    };
    let third = lines[1].replace(" 9 1 held", " 11 1 held").replace("bob", "cyd");
    let mut acknowledged = of(&third).unwrap();
    acknowledged.merge(of(lines[0]).unwrap());
    acknowledged.merge(of(&third).unwrap());
    let acknowledged = acknowledged.with_entry_fields();
    let left = "model:air 7 package:care 3 package:cover 0 store:gz-1 0";
    let read = MissingChange::from_entry("small", &entry(&acknowledged, left)).unwrap();
    assert_eq!(read.rows, acknowledged.rows);
    let numbers: Vec<u64> = read.rows.iter().map(|row| row.reservation().unwrap().number).collect();
    assert_eq!((numbers, acknowledged.at), (vec![8, 11], 5));
    assert!(acknowledged.fields.ends_with(&["gap".into(), "1".into()]), "{acknowledged:?}");
    let all =
        MissingChange::from_entry("small", &entry(&of(WINNERS).unwrap().with_entry_fields(), left)).unwrap();
    assert!(all.contains(&of(lines[1]).unwrap()) && !all.contains(&acknowledged));
}

#[test]
fn what_makes_no_sense_is_nothing() {
    for rows in ["", "alice", "aliceAAAAAAAAAAAAAAA alice not a row"] {
        let acknowledged = Acknowledged {
            sequence: 4,
            kind: "reserve",
            at: 5,
            clock: 3,
            fields: Vec::new(),
            rows: rows.into(),
            is_whole: true,
        };
        assert_eq!(MissingChange::from_acknowledged(&acknowledged), None, "{rows:?}");
    }
    assert_eq!(MissingChange::from_entry("small", &Value::Nil), None);
}
