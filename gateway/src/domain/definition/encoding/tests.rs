//! Unit tests of `encoding.rs`.

use super::*;

fn named(bytes: &[u8]) -> &'static str {
    encoding(bytes).map_or("", |(name, _)| name)
}

#[test]
fn encodings_are_recognised_by_their_bytes() {
    let csv = "id,name,city,capacity\r\ngz-1,广州天河店,广州,5\r\n";
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    assert_eq!(named(&little(csv)), "UTF-16, little-endian");
    assert_eq!(named(&big(csv)), "UTF-16, big-endian");
    assert_eq!(named(&little(&format!("\u{feff}{csv}"))), "UTF-16");
    assert_eq!(named(&big(&format!("\u{feff}{csv}"))), "UTF-16");
    assert_eq!(named(b"\xff\xfe\0\0i\0\0\0"), "UTF-32");
    // 广州 in GBK; a row of GB18030 with a character of four bytes.
    assert_eq!(
        named(b"id,name,city,capacity\ngz-1,\xb9\xe3\xd6\xdd\xb5\xea,\xb9\xe3\xd6\xdd,5\n"),
        "GBK or GB18030"
    );
    assert_eq!(named(b"gz-1,\xb9\xe3\xd6\xdd\x81\x39\xee\x39,\xb9\xe3\xd6\xdd,5\n"), "GBK or GB18030");
}

#[test]
fn utf8_and_unknown_encodings_have_no_conversion() {
    for other in [
        "".as_bytes(),
        "id,name\n1,广州\n".as_bytes(),
        "\u{feff}id".as_bytes(),
        // Latin-1: Düsseldorf, São Paulo.
        b"1,D\xfcsseldorf\n2,S\xe3o Paulo\n",
        // UTF-8 with one damaged byte.
        b"1,\xe5\xb9\xbf\xe5\xb7\x9e\n2,\xe5\xb9\n3,\xe5\xb9\xbf\n",
        // Shift_JIS: 東京, 大阪.
        b"1,\x93\x8c\x8b\x9e\n2,\x91\xe5\x8d\xe3\n",
        &[0, 159, 146, 150],
        &[0xff; 100],
        &[0; 100],
    ] {
        assert_eq!(named(other), "", "{other:?}");
    }
}
