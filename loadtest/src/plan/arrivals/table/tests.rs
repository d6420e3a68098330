//! Unit tests of `table.rs`.

use super::*;

fn wrong(text: &str) -> (usize, String) {
    rows(text).unwrap_err()
}

#[test]
fn rows_are_read_between_comments_and_blanks() {
    let read = rows("\u{feff}Second, Rate\r\n# the first come early\n-2.5, 100\n\n0,0.5\r\n10,0").unwrap();
    let expected = [(-2.5, 100.0), (0.0, 0.5), (10.0, 0.0)];
    assert_eq!(read, expected.map(|(second, rate)| Row { second, rate }));
}

#[test]
fn a_mistake_is_reported_with_its_line() {
    for (text, line, part) in [
        ("second,rate\n# comment\n\n0,1e3\n1,0\n", 4, "the rate \"1e3\""),
        ("0,1\n\n# comment\r\nsoon,1\r\n2,0", 4, "the second \"soon\""),
        ("0,1\n1,2,3\n2,0", 2, "not 3 columns"),
        ("0,1\n5,2\n5,0", 3, "must come after 5"),
        ("0,1\n\"1\",2\n2,0", 2, "the second \"\\\"1\\\"\""),
        ("0,1000001\n2,0", 1, "from 0 to 1000000"),
        ("0,-1\n2,0", 1, "the rate \"-1\""),
        ("0,nan\n2,0", 1, "the rate \"nan\""),
        ("99999999999,1\n2,0", 1, "up to 86400000"),
        ("0,1\n5,2\n\n", 2, "the last rate must be 0"),
        ("0,0\n", 1, "at least two lines"),
        ("", 1, "at least two lines"),
    ] {
        let (at, error) = wrong(text);
        assert!(at == line && error.contains(part), "{text:?}: {at}: {error}");
    }
}

#[test]
fn an_invalid_table_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(path.to_str().unwrap())
    };
    assert!(
        file("big", &vec![b'\n'; BYTES_MAX as usize + 1]).unwrap_err().contains("more than 1048576 bytes")
    );
    assert!(file("long", &vec![b'\n'; LINES_MAX + 1]).unwrap_err().contains("long:100001: has more than"));
    assert!(file("latin", b"0,1\n# \xe9\n1,0").unwrap_err().contains("latin:2: is not UTF-8"));
    assert!(file("full", &b"#\n".repeat(LINES_MAX - 2)[..]).unwrap_err().contains("at least two lines"));
    assert!(read("/nowhere/at-all").unwrap_err().contains("can't be read"));
    assert!(read("").is_err());
}
