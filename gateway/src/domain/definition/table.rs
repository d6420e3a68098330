//! Reads a table of the tree field by field; reports keys that are missing, unknown or duplicate.

use crate::domain::definition::node::{
    Field, FieldPath, Mistakes, Node, RawValue, SourcePosition, shortened,
};
use crate::domain::definition::rules::RuleResult;
use crate::domain::nearest::closest;

/// A table whose keys have been checked.
pub(super) struct Table<'n, 'a> {
    pub(super) place: SourcePosition<'a>,
    pub(super) way: &'n FieldPath<'n>,
    pub(super) mistakes: &'n Mistakes,
    fields: &'n [Field<'a>],
}

impl<'n, 'a> Table<'n, 'a> {
    /// Reports keys that are not among `keys`, a list as messages show it, and duplicate keys.
    pub(super) fn open(
        node: &'n Node<'a>,
        way: &'n FieldPath<'n>,
        keys: &str,
        mistakes: &'n Mistakes,
    ) -> Option<Self> {
        let RawValue::Table(fields) = &node.value else {
            mistakes.wrong(node.place, way, format!("must be a table with {keys}"));
            return None;
        };
        let mut seen = 0_u64;
        for field in fields {
            let what = match keys.split(", ").position(|key| key == field.key) {
                Some(at) if seen & (1 << at) == 0 => {
                    seen |= 1 << at;
                    continue;
                }
                Some(_) => format!("`{}` appears twice", field.key),
                None => match closest(&field.key, &keys.split(", ").collect::<Vec<_>>()) {
                    Some(key) => format!("unknown key `{}`; is `{key}` meant?", shown(&field.key)),
                    None => format!("unknown key `{}`; expected one of {keys}", shown(&field.key)),
                },
            };
            mistakes.wrong(field.place, &FieldPath::Key(way, &field.key), what);
        }
        Some(Table { place: node.place, way, mistakes, fields })
    }

    /// A field that is present and not null.
    pub(super) fn field(&self, key: &str) -> Option<&'n Field<'a>> {
        self.fields
            .iter()
            .find(|field| field.key == key)
            .filter(|field| !matches!(field.value.value, RawValue::Null))
    }

    /// A required field; a placeholder after a mistake, since the definition is then dropped.
    pub(super) fn needed<T: Default>(
        &self,
        key: &str,
        rule: impl FnOnce(&RawValue<'a>) -> RuleResult<T>,
    ) -> T {
        self.required(key, rule).unwrap_or_default()
    }

    /// A required field. `None`: a mistake was recorded.
    pub(super) fn required<T>(
        &self,
        key: &str,
        rule: impl FnOnce(&RawValue<'a>) -> RuleResult<T>,
    ) -> Option<T> {
        if self.field(key).is_none() {
            self.mistakes.missing(self.place, self.way, format!("`{key}` is missing"));
        }
        self.may(key, rule)
    }

    /// An optional field. `None`: it is absent, or a mistake was recorded.
    pub(super) fn may<T>(&self, key: &str, rule: impl FnOnce(&RawValue<'a>) -> RuleResult<T>) -> Option<T> {
        let field = self.field(key)?;
        let report = |what| {
            let way = FieldPath::Key(self.way, key);
            self.mistakes.wrong(field.value.place, &way, format!("`{key}` {what}"));
        };
        rule(&field.value.value).map_err(report).ok()
    }
}

fn shown(key: &str) -> String {
    shortened(key).escape_debug().to_string()
}
