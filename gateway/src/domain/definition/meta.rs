//! `meta`: any JSON object, which is passed through to apps.

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::domain::definition::node::{Field, FieldPath, Mistakes, Node, RawValue, shortened};
use crate::domain::definition::table::Table;

/// The most bytes of a `meta`, written without white space.
pub const META_BYTES_MAX: usize = 4096;
/// The most levels of a `meta`; JSON parsers stop at some depth, and ours must read the definition again.
const LEVELS_MAX: usize = 32;

/// A JSON object that is passed through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Meta(Map<String, Value>);

#[cfg(test)]
impl Meta {
    /// An object, unchecked.
    pub(super) fn of(object: Map<String, Value>) -> Self {
        Self(object)
    }
}

/// The `meta` of a table. A date or time of TOML becomes a text.
pub(super) fn read(table: &Table<'_, '_>) -> Option<Meta> {
    let field = table.field("meta")?;
    let way = FieldPath::Key(table.way, "meta");
    let wrong = |what| table.mistakes.wrong(field.value.place, &way, what);
    let RawValue::Table(fields) = &field.value.value else {
        wrong("`meta` must be a table; in JSON, an object".to_owned());
        return None;
    };
    let meta = Meta(object(fields, &way, 1, table.mistakes));
    let bytes = serde_json::to_string(&meta).map_or(0, |text| text.len());
    if bytes > META_BYTES_MAX {
        wrong(format!("`meta` must have at most {META_BYTES_MAX} bytes as JSON, not {bytes}"));
    }
    Some(meta)
}

fn object(
    fields: &[Field<'_>],
    way: &FieldPath<'_>,
    level: usize,
    mistakes: &Mistakes,
) -> Map<String, Value> {
    let mut object = Map::new();
    for field in fields {
        let way = FieldPath::Key(way, &field.key);
        if object.contains_key(&*field.key) {
            let what = format!("`{}` appears twice", shortened(&field.key).escape_debug());
            mistakes.wrong(field.place, &way, what);
        }
        object.insert(field.key.clone().into_owned(), value(&field.value, &way, level, mistakes));
    }
    object
}

/// A value as JSON; null where a mistake was recorded.
fn value(node: &Node<'_>, way: &FieldPath<'_>, level: usize, mistakes: &Mistakes) -> Value {
    let wrong = |what: String| {
        mistakes.wrong(node.place, way, what);
        Value::Null
    };
    match &node.value {
        RawValue::Null => Value::Null,
        RawValue::Bool(value) => Value::Bool(*value),
        RawValue::Integer(number) => Number::from_i128(*number)
            .map_or_else(|| wrong(more_than_64_bits(&number.to_string())), Value::Number),
        RawValue::Number(text) => number(text).map_or_else(wrong, Value::Number),
        RawValue::Text(text) => Value::String(text.clone().into_owned()),
        RawValue::Time(text) => Value::String(text.clone()),
        RawValue::List(_) | RawValue::Table(_) if level == LEVELS_MAX => {
            wrong(format!("`meta` must have at most {LEVELS_MAX} levels"))
        }
        RawValue::List(nodes) => {
            let item = |(n, node)| value(node, &FieldPath::Index(way, n), level + 1, mistakes);
            Value::Array(nodes.iter().enumerate().map(item).collect())
        }
        RawValue::Table(fields) => Value::Object(object(fields, way, level + 1, mistakes)),
    }
}

/// A number that is not an integer of 64 bits, as the nearest of a 64-bit float. A whole number would lose digits
/// that matter, and what overflows or becomes 0 all of them: these are refused.
fn number(text: &str) -> Result<Number, String> {
    let shown = shortened(text);
    let digits = text.trim_start_matches(['-', '+']);
    let value = text.parse::<f64>().unwrap_or(f64::NAN);
    if !digits.starts_with(|char: char| char.is_ascii_digit()) {
        return Err(format!("`meta` has {shown}, which is not a number in JSON"));
    }
    if value != 0.0 && !digits.contains(['.', 'e', 'E']) {
        return Err(more_than_64_bits(text));
    }
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.contains(|char: char| ('1'..='9').contains(&char));
    Number::from_f64(value).filter(|_| is_zero == (value == 0.0)).ok_or_else(|| {
        format!("`meta` has a number beyond the range of a 64-bit float, {shown}: write it as a text")
    })
}

fn more_than_64_bits(number: &str) -> String {
    format!("`meta` has a whole number of more than 64 bits, {}: write it as a text", shortened(number))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
