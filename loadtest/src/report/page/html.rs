//! The page as one HTML file that asks nothing of anybody: no script, no font, no picture from elsewhere, so
//! that it is the same on a plane, in an archive and behind a firewall.

use std::fmt::Write;

use crate::report::page::ink::Ink;
use crate::report::page::{Page, Picture, Section, Table};

/// Longer tables are folded.
const ROWS_OPEN_MAX: usize = 20;
/// Longer verbatim texts, too.
const LINES_OPEN_MAX: usize = 30;

/// Even if a text were not escaped somewhere, nothing that it brings could run or be fetched.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const STYLE: &str = include_str!("style.css");

impl Page {
    /// The whole file.
    pub(crate) fn html(&self) -> String {
        let (word, title) = (escaped(&self.verdict_word), escaped(&self.title));
        let dark = Ink::dark_css();
        // The empty icon keeps browsers from asking a server for one.
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{word}: {title}</title>\n\
             <style>\n{STYLE}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n</style>\n\
             </head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n\
             <p class=\"verdict {}\"><strong>{word}</strong> <span>{}</span></p>\n",
            verdict_class(&self.verdict_word),
            escaped(&self.sentence)
        );
        paragraphs(&mut html, &self.lead);
        if !self.links.is_empty() {
            let links =
                self.links.iter().map(|(what, file)| format!("<a href=\"{file}\">{}</a>", escaped(what)));
            let _ = writeln!(html, "<p>{}</p>", links.collect::<Vec<_>>().join(" · "));
        }
        html.push_str("</header>\n");
        for section in &self.sections {
            section.html(&mut html);
        }
        html.push_str("</main>\n</body>\n</html>\n");
        html
    }
}

/// Whatever is neither a pass nor a fail proves nothing.
fn verdict_class(word: &str) -> &'static str {
    match word {
        "PASS" => "pass",
        "FAIL" => "fail",
        _ => "invalid",
    }
}

impl Section {
    fn html(&self, html: &mut String) {
        let _ = write!(html, "<section>\n<h2>{}</h2>\n", escaped(&self.title));
        paragraphs(html, &self.text);
        if let Some(table) = &self.table {
            let rows = table.rows.len();
            folded(
                html,
                rows > ROWS_OPEN_MAX,
                &format!("All {} rows", crate::report::page::grouped(rows as u64)),
                |html| {
                    table.html(html, &self.title);
                },
            );
        }
        if let Some(picture) = &self.picture {
            picture.html(html, picture.title != self.title);
        }
        if let Some(text) = &self.verbatim {
            let lines = text.lines().count();
            folded(
                html,
                lines > LINES_OPEN_MAX,
                &format!("All {} lines", crate::report::page::grouped(lines as u64)),
                |html| {
                    // Scrolled sideways with the keyboard, too: hence the place in the order of the tab key.
                    let _ = writeln!(html, "<pre tabindex=\"0\">{}</pre>", escaped(text));
                },
            );
        }
        html.push_str("</section>\n");
    }
}

impl Table {
    fn html(&self, html: &mut String, label: &str) {
        let align = |column: usize| if self.numbers.contains(&column) { " class=\"number\"" } else { "" };
        let _ = writeln!(
            html,
            "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n<table>\n<thead>\n<tr>",
            escaped(label)
        );
        for (column, cell) in self.head.iter().enumerate() {
            let _ = writeln!(html, "<th scope=\"col\"{}>{}</th>", align(column), escaped(cell));
        }
        html.push_str("</tr>\n</thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (column, cell) in row.iter().enumerate() {
                let (align, cell) = (align(column), escaped(cell));
                let _ = match column {
                    0 => write!(html, "<th scope=\"row\"{align}>{cell}</th>"),
                    _ => write!(html, "<td{align}>{cell}</td>"),
                };
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n</div>\n");
    }
}

impl Picture {
    fn html(&self, html: &mut String, with_title: bool) {
        html.push_str("<figure>\n");
        if with_title {
            let _ = writeln!(html, "<figcaption>{}</figcaption>", escaped(&self.title));
        }
        for (class, svg) in [("desk", &self.svg), ("phone", &self.narrow)] {
            let Some((before, after)) = svg.split_once("<svg ") else { continue };
            let Some((attributes, rest)) = after.split_once('>') else { continue };
            let _ = writeln!(
                html,
                "{before}<svg class=\"{class}\" role=\"img\" aria-label=\"{}\" {attributes}><title>{}</title>{rest}",
                escaped(&self.describes),
                escaped(&self.title)
            );
        }
        html.push_str("</figure>\n");
    }
}

fn paragraphs(html: &mut String, texts: &[String]) {
    for text in texts {
        let _ = writeln!(html, "<p>{}</p>", escaped(text));
    }
}

fn folded(html: &mut String, fold: bool, summary: &str, inner: impl FnOnce(&mut String)) {
    if fold {
        let _ = writeln!(html, "<details>\n<summary>{}</summary>", escaped(summary));
    }
    inner(html);
    if fold {
        html.push_str("</details>\n");
    }
}

/// Text that stays text, between tags and in quoted attributes. Control characters, which no HTML may have, are shown
/// as what they are: something that could not be shown.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
