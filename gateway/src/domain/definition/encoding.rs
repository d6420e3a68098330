//! Names the encoding of a file that is not UTF-8, so that a mistake can say how to convert it.

/// The bytes behind a byte order mark of UTF-8, which spreadsheets and editors write.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// What is to be done with a file in another encoding, where its bytes show which.
pub(super) fn other_than_utf8(bytes: &[u8]) -> Option<String> {
    let (name, of_iconv) = encoding(bytes)?;
    Some(format!("is {name}, expected UTF-8: convert it with `iconv -f {of_iconv} -t UTF-8 OLD > NEW`"))
}

/// As people call it, and as iconv does.
fn encoding(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Some(("UTF-32", "UTF-32"));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Some(("UTF-16", "UTF-16"));
    }
    // Without a mark: of each ASCII character, and there are line ends at least, one byte is zero, always the same one.
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let are_mostly = |here: usize, there: usize| here >= 2 && here > 10 * there && here * 16 > bytes.len();
    if are_mostly(odd, even) {
        return Some(("UTF-16, little-endian", "UTF-16LE"));
    }
    if are_mostly(even, odd) {
        return Some(("UTF-16, big-endian", "UTF-16BE"));
    }
    is_gb18030(bytes).then_some(("GBK or GB18030", "GB18030"))
}

/// Whether this reads as Chinese in GB18030, of which GBK and GB 2312 are parts, and not as UTF-8.
fn is_gb18030(bytes: &[u8]) -> bool {
    let (mut of_utf8, mut not_utf8) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        of_utf8 += chunk.valid().chars().filter(|char| !char.is_ascii()).count();
        not_utf8 += usize::from(!chunk.invalid().is_empty());
    }
    if not_utf8 <= of_utf8 {
        return false;
    }
    let (mut pairs, mut common) = (0, 0);
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => break,
            [..=0x7f, rest @ ..] => rest,
            [0x81..=0xfe, b'0'..=b'9', 0x81..=0xfe, b'0'..=b'9', rest @ ..] => rest,
            [lead @ 0x81..=0xfe, trail @ (0x40..=0x7e | 0x80..=0xfe), rest @ ..] => {
                pairs += 1;
                // The symbols and the 6,763 characters of GB 2312, which make up nearly all of any text.
                common += usize::from((0xa1..=0xf7).contains(lead) && *trail >= 0xa1);
                rest
            }
            _ => return false,
        };
    }
    common > 0 && common * 5 >= pairs * 4
}

#[cfg(test)]
mod tests {
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
    fn utf8_and_what_is_not_recognised_have_no_other_name() {
        for other in [
            "".as_bytes(),
            "id,name\n1,广州\n".as_bytes(),
            "\u{feff}id".as_bytes(),
            // Latin-1: Düsseldorf, São Paulo.
            b"1,D\xfcsseldorf\n2,S\xe3o Paulo\n",
            // One byte spoiled in UTF-8.
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
}
