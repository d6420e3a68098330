//! Unit tests of `rules.rs`.

use std::borrow::Cow;

use super::*;

fn text(text: &str) -> RawValue<'_> {
    RawValue::Text(Cow::Borrowed(text))
}

#[test]
fn durations_are_read_and_written() {
    let read = |from| duration(&text(from), 0..=u64::MAX);
    for (from, ms, to) in [
        ("15m", 900_000, "15m"),
        ("900s", 900_000, "15m"),
        ("90s", 90_000, "90s"),
        ("1500ms", 1_500, "1500ms"),
        ("24h", 86_400_000, "24h"),
        ("0s", 0, "0s"),
        ("0h", 0, "0s"),
    ] {
        assert_eq!(read(from), Ok(ms));
        assert_eq!(DurationText(ms).to_string(), to);
    }
    for bad in [
        "",
        "15",
        "m",
        "15 m",
        "-1s",
        "+1s",
        "1.5s",
        "1h30m",
        "15M",
        "99999999999999999999s",
        "9999999999999999h",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let bounded = |from| duration(&text(from), 1_000..=86_400_000);
    assert_eq!(bounded("1s"), Ok(1_000));
    assert_eq!(bounded("24h"), Ok(86_400_000));
    assert!(bounded("86401s").is_err());
    assert_eq!(
        bounded("999ms"),
        Err(r#"must be "1s" to "24h", written such as "15m", "90s" or "1500ms", not "999ms""#.to_owned())
    );
}

#[test]
fn instants_need_an_offset_and_whole_milliseconds() {
    let read = |from: &str| instant(&RawValue::Time(from.to_owned()));
    assert_eq!(
        read("2026-11-09T20:00:00+08:00").map(|at| at.to_string()),
        Ok("2026-11-09T12:00:00Z".to_owned())
    );
    assert!(read("2026-11-09T12:00:00.125Z").is_ok());
    assert_eq!(instant(&text("2026-11-09T12:00:00Z")), read("2026-11-09T12:00:00Z"));
    for zoned in [
        "2026-11-09T20:00:00+08:00[Asia/Shanghai]",
        "2026-11-09T13:00:00+01:00[Europe/Berlin]",
        "2026-11-09T12:00:00Z[Europe/Berlin]",
        "2026-11-09T20:00:00+08:00[+08:00]",
    ] {
        assert_eq!(instant(&text(zoned)), read("2026-11-09T12:00:00Z"), "{zoned}");
    }
    for (bad, why) in [
        ("2026-11-09T20:00:00+08:00[Europe/Berlin]", "another offset"),
        ("2026-07-09T20:00:00+01:00[Europe/Berlin]", "another offset"),
        ("2026-11-09T20:00:00+08:00[+01:00]", "another offset"),
        ("2026-11-09T20:00:00+08:00[Asia/Gotham]", "unknown here"),
        ("2026-11-09T20:00:00[Asia/Shanghai]", "local time"),
        ("2026-11-09T20:00:00", "local time"),
        ("2026-11-09", "local time"),
        ("20:00:00", "date and time"),
        ("1969-12-31T23:59:59Z", "before 1970"),
        ("2026-11-09T12:00:00.0001Z", "finer"),
        ("soon", "date and time"),
        ("", "date and time"),
    ] {
        let what = read(bad).unwrap_err();
        assert!(what.contains(why), "{bad}: {what}");
    }
    assert!(instant(&RawValue::Integer(1_800_000_000)).is_err());
}

#[test]
fn ids_have_an_alphabet_and_a_length() {
    for good in ["a", "--", "-a", "national-good-car", "0-9", &"x".repeat(64)] {
        assert_eq!(sale_id(&text(good)).as_deref(), Ok(good));
    }
    for good in ["Air.400_white-2", "--", "_", "..", &"X".repeat(64)] {
        assert_eq!(item_id(&text(good)).as_deref(), Ok(good));
    }
    for bad in ["", "-", "A", "a b", "a.b", "é", "a:b", "a\n", &"x".repeat(65)] {
        assert!(sale_id(&text(bad)).is_err(), "{bad}");
    }
    for bad in ["", "-", "a b", "a:b", "a/b", "{a}", "é", &"x".repeat(65)] {
        assert!(item_id(&text(bad)).is_err(), "{bad}");
    }
    assert!(item_id(&RawValue::Integer(7)).is_err());
}

#[test]
fn words_are_counted_in_characters() {
    for source in [DefinitionSource::Operator, DefinitionSource::Ledger] {
        assert!(words(&text(&"车".repeat(200)), 200, source).is_ok());
        assert!(words(&text(&"车".repeat(201)), 200, source).is_err());
        for bad in ["", "  ", "a\tb", "a\u{85}b", "a\0", "\u{3000}"] {
            assert!(words(&text(bad), 200, source).is_err(), "{bad:?}");
        }
    }
}

#[test]
fn words_of_an_operator_are_normalised_and_those_of_the_ledger_are_left() {
    let written = "Mu\u{308}nchen\u{a0}West\u{3000}";
    assert_eq!(words(&text(written), 200, DefinitionSource::Operator).as_deref(), Ok("München West"));
    assert_eq!(words(&text(written), 200, DefinitionSource::Ledger).as_deref(), Ok(written));
    // Twenty characters that are forty in NFC.
    let longer = "\u{958}".repeat(20);
    assert!(words(&text(&longer), 39, DefinitionSource::Operator).is_err());
    assert!(words(&text(&longer), 40, DefinitionSource::Operator).is_ok());
    let hidden = "广州\u{200b}";
    let what = words(&text(hidden), 200, DefinitionSource::Operator).unwrap_err();
    assert!(what.starts_with("has the invisible character U+200B"), "{what}");
    assert_eq!(words(&text(hidden), 200, DefinitionSource::Ledger).as_deref(), Ok(hidden));
    // A file's name is not a text to search by.
    assert_eq!(
        words(&text("Lo\u{308}cher.csv"), 100, DefinitionSource::Ledger).as_deref(),
        Ok("Lo\u{308}cher.csv")
    );
}

#[test]
fn amounts_are_whole_and_bounded() {
    assert_eq!(whole(&RawValue::Integer(0), 0..=5u64), Ok(0));
    assert_eq!(whole(&RawValue::Integer(5), 0..=5u64), Ok(5));
    for bad in
        [RawValue::Integer(-1), RawValue::Integer(6), RawValue::Integer(i128::MAX), RawValue::Null, text("3")]
    {
        assert!(whole(&bad, 0..=5u64).is_err(), "{bad:?}");
    }
    let what = whole(&RawValue::Number("3.0".to_owned()), 0..=5u32).unwrap_err();
    assert_eq!(what, "must be a whole number from 0 to 5, not 3.0");
}
