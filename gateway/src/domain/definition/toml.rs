//! Converts TOML into the tree that is checked, and continues after lines that are not valid TOML.

use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use crate::domain::definition::node::{Field, Mistakes, Node, RawValue, SourceFile, SourcePosition};

/// How many times invalid lines are blanked to read what follows.
const ROUNDS_MAX: usize = 20;

/// Blanks and reports the lines that are not valid TOML, so that one run finds all mistakes: the
/// parser stops at some of them. Table headers stay, since what follows would join another table.
pub(super) fn without_broken_lines(mut text: String, file: &SourceFile, mistakes: &Mistakes) -> String {
    for _ in 0..ROUNDS_MAX {
        let (_, errors) = DeTable::parse_recoverable(&text);
        let lines = LineStarts::of(&text);
        let mut blank = Vec::new();
        for error in &errors {
            let line = lines.at(error.span().map_or(0, |span| span.start));
            mistakes.syntax(file, line, format!("not TOML: {}", error.message().replace('\n', ", ")));
            let bytes = lines.bytes(line, &text);
            let content = text[bytes.clone()].trim_start();
            if !content.is_empty() && !content.starts_with('[') {
                blank.push(bytes);
            }
        }
        if blank.is_empty() || mistakes.are_too_many() {
            break;
        }
        blank.dedup();
        for bytes in blank {
            text.replace_range(bytes.clone(), &" ".repeat(bytes.len()));
        }
    }
    text
}

pub(super) fn read<'a>(text: &'a str, file: &'a SourceFile) -> Node<'a> {
    let (root, _) = DeTable::parse_recoverable(text);
    let reader = TomlReader { lines: LineStarts::of(text), file };
    Node { place: reader.place(0), value: reader.table(root.into_inner()) }
}

struct TomlReader<'a> {
    lines: LineStarts,
    file: &'a SourceFile,
}

impl<'a> TomlReader<'a> {
    fn place(&self, byte: usize) -> SourcePosition<'a> {
        SourcePosition::Line { file: self.file, line: self.lines.at(byte) }
    }

    fn node(&self, spanned: Spanned<DeValue<'a>>) -> Node<'a> {
        let place = self.place(spanned.span().start);
        let value = match spanned.into_inner() {
            DeValue::String(text) => RawValue::Text(text),
            DeValue::Boolean(value) => RawValue::Bool(value),
            DeValue::Datetime(time) => RawValue::Time(time.to_string()),
            DeValue::Float(number) => RawValue::Number(number.to_string()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(value) => RawValue::Integer(value),
                Err(_) => RawValue::Number(number.to_string()),
            },
            DeValue::Array(items) => RawValue::List(items.into_iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => self.table(table),
        };
        Node { place, value }
    }

    fn table(&self, table: DeTable<'a>) -> RawValue<'a> {
        let field = |(key, value): (Spanned<_>, _)| {
            let place = self.place(key.span().start);
            Field { key: key.into_inner(), place, value: self.node(value) }
        };
        RawValue::Table(table.into_iter().map(field).collect())
    }
}

/// The byte offsets of the lines of a text.
pub(super) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub(super) fn of(text: impl AsRef<[u8]>) -> Self {
        let ends = text.as_ref().iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        LineStarts(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// The line number, from 1, of a byte offset.
    pub(super) fn at(&self, byte: usize) -> u32 {
        let line = self.0.partition_point(|start| *start <= byte);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// The offset of a line, if the text has it.
    pub(super) fn start(&self, line: u32) -> Option<usize> {
        self.0.get((line as usize).checked_sub(1)?).copied()
    }

    /// A line's bytes without its line end.
    fn bytes(&self, line: u32, text: &str) -> Range<usize> {
        let end = self.start(line + 1).map_or(text.len(), |next| next - 1);
        self.start(line).unwrap_or(end)..end
    }
}

#[cfg(test)]
mod tests;
