//! The parsed tree of a definition, from TOML, CSV or JSON: values with their positions, not yet
//! checked; and the list of mistakes.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use crate::domain::definition::Mistake;

/// The most mistakes that are reported; the others are only counted.
const MISTAKES_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) name: String,
    /// Mistakes of the file with the lower rank come first.
    pub(super) rank: u8,
}

/// The position of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum SourcePosition<'a> {
    /// In JSON the path to a value is its position.
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
    /// A number that is not an integer, or an integer beyond the supported range.
    Number(String),
    Text(Cow<'a, str>),
    /// A TOML date or time.
    Time(String),
    List(Vec<Node<'a>>),
    Table(Vec<Field<'a>>),
}

#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) key: Cow<'a, str>,
    /// The key's position; the value may be on a later line.
    pub(super) place: SourcePosition<'a>,
    pub(super) value: Node<'a>,
}

/// The path from the root to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum FieldPath<'p> {
    Root,
    Key(&'p FieldPath<'p>, &'p str),
    Index(&'p FieldPath<'p>, usize),
}

/// A JSON pointer (RFC 6901). It ends before a key that is longer than every valid key: a truncated
/// key would not resolve.
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
    /// The position as messages show it.
    pub(super) fn text(&self, way: &FieldPath<'_>) -> String {
        match self {
            SourcePosition::Pointer => way.to_string(),
            SourcePosition::Line { file, line } => format!("{}:{line}", file.name),
        }
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    /// Each with its file's rank and its line.
    found: RefCell<Vec<((u8, u32), Mistake)>>,
    omitted: Cell<usize>,
    broken: RefCell<HashSet<(u8, u32)>>,
}

impl Mistakes {
    /// Records a line that is not valid TOML. Other mistakes of that line are dropped, and so are
    /// missing keys of the document: they may be on that line.
    pub(super) fn syntax(&self, file: &SourceFile, line: u32, what: String) {
        if self.broken.borrow_mut().insert((file.rank, line)) {
            let place = SourcePosition::Line { file, line }.text(&FieldPath::Root);
            self.push((file.rank, line), Mistake { place, what });
        }
    }

    /// Records a value that is present and wrong.
    pub(super) fn wrong(&self, place: SourcePosition<'_>, way: &FieldPath<'_>, what: String) {
        let order = match place {
            SourcePosition::Pointer => (0, 0),
            SourcePosition::Line { file, line } => (file.rank, line),
        };
        if !self.broken.borrow().contains(&order) {
            self.push(order, Mistake { place: place.text(way), what });
        }
    }

    /// Records a value that is missing.
    pub(super) fn missing(&self, place: SourcePosition<'_>, way: &FieldPath<'_>, what: String) {
        if self.broken.borrow().is_empty() {
            self.wrong(place, way, what);
        }
    }

    /// Records a mistake that concerns a whole file.
    pub(super) fn file(&self, file: &SourceFile, what: String) {
        self.push((file.rank, 0), Mistake { place: file.name.clone(), what });
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.omitted.get() > 0
    }

    fn push(&self, order: (u8, u32), mistake: Mistake) {
        let mut found = self.found.borrow_mut();
        if found.len() < MISTAKES_MAX {
            found.push((order, mistake));
        } else {
            self.omitted.set(self.omitted.get() + 1);
        }
    }

    /// All mistakes in the order of their lines.
    pub(super) fn into_list(self) -> Vec<Mistake> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(order, _)| *order);
        let mut list: Vec<_> = found.into_iter().map(|(_, mistake)| mistake).collect();
        let omitted = self.omitted.get();
        if omitted > 0 {
            list.push(Mistake { place: String::new(), what: format!("and {omitted} more") });
        }
        list
    }
}

/// External text, shortened for a message.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 64;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
