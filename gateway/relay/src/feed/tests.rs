use std::path::Path;

use rustls::ClientConfig;

use super::{Feed, LINE_BYTES_MAX, parse};
use crate::failure::Failure;
use crate::trust::tls;

fn line(sequence: u64, place: u64) -> String {
    format!(
        r#"{{"cursor":"{sequence}-0/{place}~x","id":"{sequence}-0","change":{place},"kind":"reserve","at":"2026-11-30T00:00:00Z"}}"#
    )
}

fn tls_of_tests() -> ClientConfig {
    tls(None).unwrap()
}

#[test]
fn a_page_is_read_in_order() {
    let text = [line(7, 2), line(7, 3), line(8, 1)].map(|line| line + "\n").concat();
    let places: Vec<_> = parse(&text, "7-0/1~x").unwrap().iter().map(super::Change::position).collect();
    assert_eq!(places, [(7, 2), (7, 3), (8, 1)]);
    assert_eq!(parse("", "7-0/1~x").unwrap(), []);
}

#[test]
fn a_page_that_is_cut_long_or_out_of_order_is_refused() {
    let wrong = [
        (line(8, 1), "cut"),
        (line(7, 1) + "\n", "line 1: 7-0/1~x does not come after"),
        (line(8, 2) + "\n" + &line(8, 1) + "\n", "line 2: 8-0/1~x does not come after"),
        (line(8, 1) + "\n\n", "line 2: no JSON"),
        (" ".repeat(LINE_BYTES_MAX + 1) + "\n", "line 1 has more than"),
    ];
    for (text, reason) in wrong {
        let error = parse(&text, "7-0/1~x").unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_address_and_the_token_are_checked_at_the_start() {
    let files = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = files.path().join("token");
        std::fs::write(&path, text).unwrap();
        path
    };
    let feed = |url: &str, token: &Path| Feed::new(url, "small", token.to_owned(), tls_of_tests());
    for url in ["", "gateway:8081", "ftp://h/", "http://h/admin", "http://user:secret@h", "http://h/?a=b"] {
        let Err(Failure::Usage(text)) = feed(url, &file("t")) else { panic!("{url}") };
        assert!(text.starts_with("--from-ops: expected http://HOST:PORT"), "{text}");
    }
    for (text, found) in
        [("", "none"), ("# ops t\n", "none"), ("a b\nc d\n", "several"), ("a b c d", "more words")]
    {
        let Err(Failure::Usage(message)) = feed("http://h:1", &file(text)) else { panic!("{text}") };
        assert!(message.contains("expected one line") && message.ends_with(found), "{message}");
    }
    for text in ["secret\n", "orders secret\n", "# of the shop\norders secret feed\n"] {
        assert_eq!(feed("http://h:1/", &file(text)).unwrap().token().unwrap(), "secret");
    }
    let missing = feed("http://h:1", &files.path().join("none")).unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
}
