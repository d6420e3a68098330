//! Unit tests of `header.rs`.

use super::*;

const KNOWN: [&str; 4] = ["id", "name", "city", "capacity"];
const OPTIONAL: [&str; 2] = ["lat", "lng"];

fn of(names: &[&str]) -> Result<Vec<&'static str>, String> {
    read(&csv::ByteRecord::from(names.to_vec()), &KNOWN, &OPTIONAL)
}

#[test]
fn the_header_decides_the_order() {
    assert_eq!(of(&["id", "name", "city", "capacity"]).unwrap(), KNOWN);
    assert_eq!(of(&["city", "capacity", "id", "name"]).unwrap(), ["city", "capacity", "id", "name"]);
    let more = ["lng", "city", "capacity", "id", "name", "lat"];
    assert_eq!(of(&more).unwrap(), more);
    assert_eq!(of(&more[1..]).unwrap(), more[1..]);
}

#[test]
fn a_mistake_lists_the_columns() {
    let expected = "expected the columns id, name, city, capacity, and possibly lat, lng; found ";
    for (names, found) in [
        (
            &["id", "nmae", "city", "capacity"][..],
            r#"4: "id", "nmae" (unknown; is name meant?), "city", "capacity"; missing: name"#,
        ),
        (&["id", "name", "city"], r#"3: "id", "name", "city"; missing: capacity"#),
        (
            &["id", "name", "city", "capacity", "colour"],
            r#"5: "id", "name", "city", "capacity", "colour" (unknown)"#,
        ),
        (
            &["id", "name", "city", "capacity", "lag", "lng", "lng"],
            r#"7: "id", "name", "city", "capacity", "lag" (unknown; is lat meant?), "lng", "lng" (again)"#,
        ),
        (
            &["id", "name", "name", "capacity"],
            r#"4: "id", "name", "name" (again), "capacity"; missing: city"#,
        ),
        (
            &["\u{feff}id", "name", "ci\u{200b}ty", "Capacity"],
            "4: \"\\u{feff}id\" (unknown), \"name\", \"ci\\u{200b}ty\" (unknown), \
             \"Capacity\" (unknown; is capacity meant?); missing: id, city, capacity",
        ),
    ] {
        assert_eq!(of(names).unwrap_err(), format!("{expected}{found}"));
    }
    assert_eq!(
        of(&["id;name;city;capacity"]).unwrap_err(),
        r#"expected id,name,city,capacity; found "id;name;city;capacity": separate columns by commas, not by ';'"#
    );
    let many = of(&["x"; 50]).unwrap_err();
    assert!(many.contains(", …; missing: id"), "{many}");
}
