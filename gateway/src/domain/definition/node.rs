//! A definition as it was read, from TOML, CSV or JSON alike: values that know their places, not yet judged; and the
//! list in which mistakes are gathered.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use crate::domain::definition::Mistake;

/// How many mistakes are told; the others are only counted.
const MISTAKES_MAX: usize = 100;

/// A file that values come from.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) name: String,
    /// Mistakes of a file with a lower rank are told first.
    pub(super) rank: u8,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum SourcePosition<'a> {
    /// In JSON the way to a value is its place.
    Pointer,
    Line {
        file: &'a SourceFile,
        line: u32,
    },
}

#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) place: SourcePosition<'a>,
    pub(super) value: RawValue<'a>,
}

#[derive(Debug)]
pub(super) enum RawValue<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    /// A number that is no integer, or an integer that is beyond all bounds.
    Number(String),
    Text(Cow<'a, str>),
    /// A date or a time that TOML knows as such.
    Time(String),
    List(Vec<Node<'a>>),
    Table(Vec<Field<'a>>),
}

#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) key: Cow<'a, str>,
    /// The key's place; the value may stand on a later line.
    pub(super) place: SourcePosition<'a>,
    pub(super) value: Node<'a>,
}

/// The way from the root to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum FieldPath<'p> {
    Root,
    Key(&'p FieldPath<'p>, &'p str),
    Index(&'p FieldPath<'p>, usize),
}

/// A JSON pointer (RFC 6901). It ends before a key that is longer than any that is known: half of it would lead nowhere.
impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldPath::Root => Ok(()),
            FieldPath::Index(parent, index) => write!(out, "{parent}/{index}"),
            FieldPath::Key(parent, key) => match shortened(key) {
                Cow::Borrowed(key) => write!(out, "{parent}/{}", key.replace('~', "~0").replace('/', "~1")),
                Cow::Owned(_) => parent.fmt(out),
            },
        }
    }
}

impl SourcePosition<'_> {
    /// The place as people read it.
    pub(super) fn text(&self, way: &FieldPath<'_>) -> String {
        match self {
            SourcePosition::Pointer => way.to_string(),
            SourcePosition::Line { file, line } => format!("{}:{line}", file.name),
        }
    }
}

/// What is wrong with what was read.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    found: Vec<((u8, u32), Mistake)>,
    omitted: usize,
    broken: HashSet<(u8, u32)>,
}

impl Mistakes {
    /// A line that can't be read as TOML. What else is wrong with that line is not told, nor what seems to be missing
    /// from the document: it may well stand on that line.
    pub(super) fn syntax(&mut self, file: &SourceFile, line: u32, what: String) {
        if self.broken.insert((file.rank, line)) {
            let place = SourcePosition::Line { file, line }.text(&FieldPath::Root);
            self.push((file.rank, line), Mistake { place, what });
        }
    }

    /// Something that is there and is wrong.
    pub(super) fn wrong(&mut self, place: SourcePosition<'_>, way: &FieldPath<'_>, what: String) {
        let order = match place {
            SourcePosition::Pointer => (0, 0),
            SourcePosition::Line { file, line } => (file.rank, line),
        };
        if !self.broken.contains(&order) {
            self.push(order, Mistake { place: place.text(way), what });
        }
    }

    /// Something that should be there and is not.
    pub(super) fn missing(&mut self, place: SourcePosition<'_>, way: &FieldPath<'_>, what: String) {
        if self.broken.is_empty() {
            self.wrong(place, way, what);
        }
    }

    /// A mistake that concerns a whole file.
    pub(super) fn file(&mut self, file: &SourceFile, what: String) {
        self.push((file.rank, 0), Mistake { place: file.name.clone(), what });
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.omitted > 0
    }

    fn push(&mut self, order: (u8, u32), mistake: Mistake) {
        if self.found.len() < MISTAKES_MAX {
            self.found.push((order, mistake));
        } else {
            self.omitted += 1;
        }
    }

    /// All of them in the order of their lines.
    pub(super) fn into_list(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|(order, _)| *order);
        let mut list: Vec<_> = self.found.into_iter().map(|(_, mistake)| mistake).collect();
        if self.omitted > 0 {
            list.push(Mistake { place: String::new(), what: format!("and {} more", self.omitted) });
        }
        list
    }
}

/// A text from outside, short enough for a message.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 64;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
