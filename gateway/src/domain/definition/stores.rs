//! Converts the CSV file of stores into the tree that is checked.

use std::borrow::Cow;

use crate::domain::definition::node::{
    Field, FieldPath, Mistakes, Node, RawValue, SourceFile, SourcePosition,
};
use crate::domain::definition::toml::LineStarts;
use crate::domain::definition::{encoding, header};

const COLUMNS: [&str; 4] = ["id", "name", "city", "capacity"];
/// Columns that may be left out; an empty field means the same as none.
const OPTIONAL: [&str; 4] = ["province", "address", "lat", "lng"];

/// The rows as tables, as in the JSON form. The header decides the order of the columns.
pub(super) fn read<'a>(bytes: &[u8], file: &'a SourceFile, mistakes: &Mistakes) -> Node<'a> {
    let mut list = Vec::new();
    let node = |list| Node { place: SourcePosition::Line { file, line: 1 }, value: RawValue::List(list) };
    let bytes = encoding::without_mark(bytes);
    if let Some(what) = encoding::other_than_utf8(bytes) {
        mistakes.file(file, what);
        return node(list);
    }
    let mut rows = Rows::of(bytes, file);
    let header = rows.next(mistakes);
    if rows.start > 0 {
        return node(list);
    }
    let Some((place, header)) = header else {
        mistakes.file(file, empty());
        return node(list);
    };
    let columns = match header::read(&header, &COLUMNS, &OPTIONAL) {
        Ok(columns) => columns,
        Err(what) => {
            mistakes.wrong(place, &FieldPath::Root, what);
            // Without a valid header the columns have no meaning.
            return node(list);
        }
    };
    while let Some((place, row)) = rows.next(mistakes) {
        if row.len() == columns.len() {
            list.extend(store(place, &columns, &row, mistakes));
        } else {
            let (count, names) = (columns.len(), columns.join(","));
            let what = format!("a store has {count} columns ({names}), not {}", row.len());
            mistakes.wrong(place, &FieldPath::Root, what);
        }
    }
    node(list)
}

fn empty() -> String {
    format!("is empty; its first line must be {}[,{}]", COLUMNS.join(","), OPTIONAL.join(","))
}

/// `columns` are the field names of a row.
fn store<'a>(
    place: SourcePosition<'a>,
    columns: &[&'static str],
    row: &csv::ByteRecord,
    mistakes: &Mistakes,
) -> Option<Node<'a>> {
    let mut fields = Vec::with_capacity(columns.len());
    for (column, bytes) in columns.iter().copied().zip(row) {
        let Ok(text) = str::from_utf8(bytes) else {
            mistakes.wrong(
                place,
                &FieldPath::Root,
                format!("`{column}` is not UTF-8; save the file as UTF-8"),
            );
            continue;
        };
        let value = match column {
            "capacity" => capacity(text),
            _ if text.is_empty() && OPTIONAL.contains(&column) => RawValue::Null,
            "lat" | "lng" if text.parse::<f64>().is_ok() => RawValue::Number(text.to_owned()),
            _ => RawValue::Text(Cow::Owned(text.to_owned())),
        };
        fields.push(Field { key: Cow::Borrowed(column), place, value: Node { place, value } });
    }
    // A store with an unreadable field would also be reported for lacking it.
    (fields.len() == columns.len()).then_some(Node { place, value: RawValue::Table(fields) })
}

fn capacity(text: &str) -> RawValue<'static> {
    if text.is_empty() {
        return RawValue::Null;
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => RawValue::Integer(number),
        _ => RawValue::Text(Cow::Owned(text.to_owned())),
    }
}

/// The rows of a CSV file, each with its line.
struct Rows<'b, 'a> {
    bytes: &'b [u8],
    lines: LineStarts,
    file: &'a SourceFile,
    reader: csv::Reader<&'b [u8]>,
    /// The reader's start offset.
    start: usize,
}

impl<'b, 'a> Rows<'b, 'a> {
    fn of(bytes: &'b [u8], file: &'a SourceFile) -> Self {
        Rows { bytes, lines: LineStarts::of(bytes), file, reader: reader(bytes), start: 0 }
    }

    /// The next row. A field can't contain a line end, so a row ends with its line: an open quote
    /// there is a mistake, and must not swallow the rows that follow.
    fn next(&mut self, mistakes: &Mistakes) -> Option<(SourcePosition<'a>, csv::ByteRecord)> {
        let mut row = csv::ByteRecord::new();
        while !mistakes.are_too_many() && self.reader.read_byte_record(&mut row).unwrap_or(false) {
            let from = self.start + byte(row.position());
            let to = self.start + byte(Some(self.reader.position()));
            // The reader counts everything between two rows, blank lines too, to the second one.
            let between =
                self.bytes[from..to].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let line = self.lines.at(from + between);
            let place = SourcePosition::Line { file: self.file, line };
            let next_line = self.lines.start(line + 1).unwrap_or(self.bytes.len());
            if to <= next_line && !self.ends_in_quote(from + between, to) {
                return Some((place, row));
            }
            mistakes.wrong(
                place,
                &FieldPath::Root,
                "a quote is opened on this line and not closed".to_owned(),
            );
            self.start = next_line;
            self.reader = reader(&self.bytes[next_line..]);
        }
        None
    }

    /// Whether these bytes end within quotes.
    fn ends_in_quote(&self, from: usize, to: usize) -> bool {
        let quotes = self.bytes[from..to].iter().filter(|byte| **byte == b'"').count();
        to == self.bytes.len() && quotes % 2 == 1
    }
}

fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(bytes)
}

fn byte(position: Option<&csv::Position>) -> usize {
    position.map_or(0, |position| usize::try_from(position.byte()).unwrap_or(usize::MAX))
}
