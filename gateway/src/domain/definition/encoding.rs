//! Detects the encoding of a file that is not UTF-8, so that a mistake can name the conversion.

/// The bytes after a UTF-8 byte order mark, which spreadsheets and editors write.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// How to convert a file in another encoding, if its bytes show which.
pub(super) fn other_than_utf8(bytes: &[u8]) -> Option<String> {
    let (name, of_iconv) = encoding(bytes)?;
    Some(format!("is {name}, expected UTF-8: convert it with `iconv -f {of_iconv} -t UTF-8 OLD > NEW`"))
}

/// The encoding's common name and its name for iconv.
fn encoding(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Some(("UTF-32", "UTF-32"));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Some(("UTF-16", "UTF-16"));
    }
    // UTF-16 without a mark: one byte of each ASCII character is zero, always the same one. Line
    // ends suffice.
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

/// Whether this is Chinese in GB18030, a superset of GBK and GB 2312, and not UTF-8.
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
                // The symbols and the 6,763 characters of GB 2312, which cover nearly all text.
                common += usize::from((0xa1..=0xf7).contains(lead) && *trail >= 0xa1);
                rest
            }
            _ => return false,
        };
    }
    common > 0 && common * 5 >= pairs * 4
}

#[cfg(test)]
mod tests;
