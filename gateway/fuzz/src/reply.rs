//! A readable text form of Redis replies, which a fuzzer can mutate.
//!
//! RESP puts a length before each text, which most mutations break. Here tabs separate values: `(` begins a list, `)`
//! ends it, `:12` is a number, `_` is nil, anything else is a text.

use redis::Value;

/// No script replies with a deeper list; the rest is cut off.
const DEPTH_MAX: usize = 8;

/// The list of values that these bytes encode.
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
