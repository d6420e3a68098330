//! Replies of Redis, written so that people can read them and a fuzzer can change them: RESP would have the length of each
//! text before it, which hardly any change leaves right.
//!
//! Values are separated by tabs: `(` begins a list, `)` ends it, `:12` is a number, `_` is nil, anything else is a text.

use redis::Value;

/// Deeper lists than any script makes are cut off.
const DEPTH_MAX: usize = 8;

/// The list of values that these bytes stand for.
pub(crate) fn list(bytes: &[u8]) -> Vec<Value> {
    let mut words = bytes.split(|b| *b == b'\t');
    read(&mut words, 0)
}

fn read<'a>(words: &mut impl Iterator<Item = &'a [u8]>, depth: usize) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some(word) = words.next() {
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
        values.push(match word {
            b")" => break,
            b"(" if depth < DEPTH_MAX => Value::Array(read(words, depth + 1)),
            b"_" => Value::Nil,
            [b':', digits @ ..] if number(digits).is_some() => Value::Int(number(digits).unwrap_or_default()),
            text => Value::BulkString(text.to_vec()),
        });
    }
    values
}
