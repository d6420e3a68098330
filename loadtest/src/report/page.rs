//! The page of a run as a neutral document: what it says, before it is HTML or Markdown.

mod axis;
mod canvas;
pub(crate) mod charts;
pub(crate) mod goose;
mod html;
mod ink;
mod markdown;
#[cfg(test)]
mod tests;

/// One run, for a reader who wants the answer first: the verdict, the sentence that says why, a few lines that lead
/// in, and then section by section what it rests on. `html()` and `markdown()` write it down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// PASS, FAIL or INVALID. It has a colour of its own in HTML, and never the colour alone.
    pub(crate) verdict_word: String,
    /// The verdict in one sentence.
    pub(crate) sentence: String,
    /// A paragraph each, under the verdict.
    pub(crate) lead: Vec<String>,
    /// Files beside the page: what they are, and their names.
    pub(crate) links: Vec<(&'static str, &'static str)>,
    pub(crate) sections: Vec<Section>,
}

/// What belongs together under one heading; shown in the order of the members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// A paragraph each.
    pub(crate) text: Vec<String>,
    pub(crate) table: Option<Table>,
    pub(crate) picture: Option<Picture>,
    /// Printed as it is, line by line: a buyer's history, a command, a file.
    pub(crate) verbatim: Option<String>,
}

/// Rows under a head. A row's first cell names the row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// The columns with numbers, counted from 0: they are set flush right.
    pub(crate) numbers: Vec<usize>,
}

/// A chart, drawn twice, because letters that are read on a desk are too small once a phone has shrunk them.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) title: String,
    /// An SVG element for a page about 860 pixels wide. Trusted: it stands in the page as it is.
    pub(crate) svg: String,
    /// The same for a page about 380 pixels wide.
    pub(crate) narrow: String,
    /// What there is to see, in words, for those who don't see it.
    pub(crate) describes: String,
}

impl Section {
    /// A section with nothing in it yet.
    pub(crate) fn titled(title: impl Into<String>) -> Section {
        Section { title: title.into(), ..Section::default() }
    }

    /// A section that is a picture, if there is something to draw.
    pub(crate) fn picturing(picture: Option<Picture>) -> Option<Section> {
        picture.map(|picture| Section { picture: Some(picture.clone()), ..Section::titled(picture.title) })
    }
}

impl Table {
    /// An empty table with these columns; those at `numbers` are flush right.
    pub(crate) fn of<const N: usize>(head: [&str; N], numbers: &[usize]) -> Table {
        Table { head: head.map(str::to_owned).to_vec(), rows: Vec::new(), numbers: numbers.to_vec() }
    }
}

/// A count as people read it: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
