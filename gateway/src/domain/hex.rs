//! Bytes as hexadecimal text.

use std::fmt::Write;

/// In lower case.
///
/// ```
/// use gateway::domain::hex;
/// assert_eq!(hex::encode(&[0, 0xab]), "00ab");
/// assert_eq!(hex::decode("00AB"), Some(vec![0, 0xab]));
/// assert_eq!(hex::decode("0ab"), None);
/// ```
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads it in either case; `None` if it is not one, or if half a byte is missing.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

/// Reads exactly so many bytes.
pub fn decode_exactly<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
