//! Reads the JSON form of a definition.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

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
    let root =
        serde_json::from_slice::<Node<'_>>(bytes).map_err(|error| whole(format!("not JSON: {error}")))?;
    check(&root, source, Mistakes::default())
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(AnyValue)?;
        Ok(Node { place: SourcePosition::Pointer, value })
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
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
        Ok(RawValue::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Number(format!("{value:?}")))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue<'de>, E> {
        Ok(RawValue::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue<'de>, A::Error> {
        // Most tables are stores, with four fields.
        let mut fields = Vec::with_capacity(4);
        while let Some((JsonText(key), value)) = entries.next_entry()? {
            fields.push(Field { key, place: SourcePosition::Pointer, value });
        }
        Ok(RawValue::Table(fields))
    }
}
