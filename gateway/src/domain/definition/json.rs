//! Reads the JSON form of a definition.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::domain::definition::check::check;
use crate::domain::definition::node::{Field, Mistakes, Node, RawValue, SourcePosition};
use crate::domain::definition::rules::DefinitionSource;
use crate::domain::definition::{Definition, Mistake, encoding};
use crate::domain::text::JsonText;

impl Definition {
    /// Reads the JSON form, which has the stores inline.
    ///
    /// # Errors
    ///
    /// Every mistake: at most 100, then one with the count of the others; only the first if it is not valid JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        read(bytes, DefinitionSource::Operator)
    }

    /// Reads the JSON form from a ledger. Names from an older version keep white space and invisible characters that
    /// [`Definition::from_json`] normalises or refuses.
    ///
    /// # Errors
    ///
    /// As [`Definition::from_json`].
    pub fn from_ledger(bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        read(bytes, DefinitionSource::Ledger)
    }
}

fn read(bytes: &[u8], source: DefinitionSource) -> Result<Definition, Vec<Mistake>> {
    let whole = |what: String| vec![Mistake { place: String::new(), what }];
    let bytes = encoding::without_mark(bytes);
    if let Some(what) = encoding::other_than_utf8(bytes) {
        return Err(whole(what));
    }
    let root = parse(bytes).map_err(|error| whole(format!("not JSON: {error}")))?;
    check(&root, source, Mistakes::default())
}

fn parse(bytes: &[u8]) -> serde_json::Result<Node<'_>> {
    let numbers = NumberTexts { json: bytes, read: Cell::new(0) };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let root = AnyValue { numbers: Some(&numbers) }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(root)
}

/// The numbers of a document as they are written, in order: `serde_json` has an `f64` of what is not a 64-bit integer.
struct NumberTexts<'de> {
    json: &'de [u8],
    /// How far the document is read.
    read: Cell<usize>,
}

impl<'de> NumberTexts<'de> {
    /// The next one; the document is valid JSON up to its end.
    fn next(&self) -> &'de str {
        let mut at = self.read.get();
        while let Some(byte) = self.json.get(at) {
            match byte {
                b'"' => at = self.after_text(at + 1),
                b'-' | b'0'..=b'9' => break,
                _ => at += 1,
            }
        }
        let rest = self.json.get(at..).unwrap_or_default();
        let is_inside = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let number = &rest[..rest.iter().take_while(|byte| is_inside(byte)).count()];
        self.read.set(at + number.len());
        std::str::from_utf8(number).unwrap_or_default()
    }

    /// The place behind a text's closing quotation mark, from a place inside it.
    fn after_text(&self, mut at: usize) -> usize {
        loop {
            match self.json.get(at) {
                Some(b'\\') => at += 2,
                Some(b'"') | None => return at + 1,
                Some(_) => at += 1,
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AnyValue { numbers: None }.deserialize(deserializer)
    }
}

#[derive(Clone, Copy)]
struct AnyValue<'s, 'de> {
    /// `None`: the numbers are not read from their document.
    numbers: Option<&'s NumberTexts<'de>>,
}

impl<'de> AnyValue<'_, 'de> {
    fn number_text(self) -> Option<&'de str> {
        self.numbers.map(NumberTexts::next)
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_, 'de> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        let value = deserializer.deserialize_any(self)?;
        Ok(Node { place: SourcePosition::Pointer, value })
    }
}

impl<'de> Visitor<'de> for AnyValue<'_, 'de> {
    type Value = RawValue<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue<'de>, E> {
        self.number_text();
        Ok(RawValue::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue<'de>, E> {
        self.number_text();
        Ok(RawValue::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue<'de>, E> {
        let text = self.number_text().map(str::to_owned);
        Ok(RawValue::Number(text.unwrap_or_else(|| format!("{value:?}"))))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue<'de>, A::Error> {
        // Most tables are stores, with four fields.
        let mut fields = Vec::with_capacity(4);
        while let Some(JsonText(key)) = entries.next_key()? {
            let value = entries.next_value_seed(self)?;
            fields.push(Field { key, place: SourcePosition::Pointer, value });
        }
        Ok(RawValue::Table(fields))
    }
}
