//! Unit tests of `markdown.rs`.

use super::*;

#[test]
fn markup_in_a_text_stays_text() {
    let cases = [
        ("a|b_c*d", "a\\|b\\_c\\*d"),
        ("<script>&amp;", "\\<script\\>\\&amp;"),
        ("two\nlines", "two lines"),
        ("    no code", "no code"),
        ("# no heading", "\\# no heading"),
        ("1. no list", "1\\. no list"),
        ("- no list", "\\- no list"),
        ("470 ms - 2 ms #3", "470 ms - 2 ms #3"),
        ("---", "\\---"),
    ];
    for (text, written) in cases {
        let mut markdown = Markdown::default();
        markdown.paragraph(text);
        assert_eq!(markdown.0, format!("\n{written}\n"));
    }
}

#[test]
fn a_table_sets_its_numbers_flush_right() {
    let mut markdown = Markdown::default();
    markdown.table(&["item", "free"], 1..2, &[vec!["a|b".into(), "1.5".into()]]);
    assert_eq!(markdown.0, "\n| item | free |\n| --- | ---: |\n| a\\|b | 1.5 |\n");
}

#[test]
fn a_text_with_backticks_does_not_end_its_fence() {
    for (text, fence) in [("plain", "```"), ("a ``` b `", "````"), ("", "```")] {
        let mut markdown = Markdown::default();
        markdown.verbatim(text);
        assert_eq!(markdown.0, format!("\n{fence}text\n{text}\n{fence}\n"));
    }
}
