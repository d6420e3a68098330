//! Writes the page of a run as one HTML file: its Markdown, the charts' data, uPlot and a script, all inside the file.

use pulldown_cmark::{Event, Options, Parser};
use serde_json::Value;

use crate::report::page::Page;

const TEMPLATE: &str = include_str!("report.html");
const SCRIPT: &str = include_str!("charts.js");
/// Both are empty where the build did not find uPlot; the summaries and the tables have the numbers.
pub(super) const UPLOT: &str = include_str!(concat!(env!("OUT_DIR"), "/uplot.js"));
const UPLOT_STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/uplot.css"));

impl Page {
    pub(crate) fn html(&self) -> String {
        // A script that came with a text does not have it, and does not run.
        let nonce = format!("{:016x}", fastrand::u64(..));
        let charts = self.charts.iter().map(|chart| (chart.title.to_owned(), chart.data.clone())).collect();
        let values = [
            ("title", escaped(&self.title)),
            ("word", escaped(self.word)),
            ("class", self.word.to_lowercase()),
            ("sentence", escaped(&self.sentence)),
            ("body", body(&self.body.0)),
            ("charts", in_script(&Value::Object(charts).to_string())),
            ("uplot-style", UPLOT_STYLE.to_owned()),
            ("uplot", UPLOT.to_owned()),
            ("script", SCRIPT.to_owned()),
            ("nonce", nonce),
        ];
        let mut parts = TEMPLATE.split("{{");
        let mut html = parts.next().unwrap_or_default().to_owned();
        for (name, rest) in parts.filter_map(|part| part.split_once("}}")) {
            html.extend(values.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_str()));
            html += rest;
        }
        html
    }
}

/// Markdown as HTML. Tables and verbatim texts are scrolled with the keyboard, too; a row's first cell is its heading.
fn body(markdown: &str) -> String {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    let html = html
        .replace(
            "<table>",
            "<div class=\"scrolled\" role=\"region\" tabindex=\"0\" aria-label=\"Table\"><table>",
        )
        .replace("</table>", "</table></div>")
        .replace("<pre>", "<pre class=\"scrolled\" tabindex=\"0\">");
    let mut rows = html.split("<tr><td>");
    let first = rows.next().unwrap_or_default().to_owned();
    rows.fold(first, |html, row| html + "<tr><th scope=\"row\">" + &row.replacen("</td>", "</th>", 1))
}

/// Text that stays text, between tags and in quoted attributes.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace(|letter: char| letter.is_control() && !"\n\t".contains(letter), "\u{fffd}")
}

/// JSON that neither ends the script around it nor a line of it.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
