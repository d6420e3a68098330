//! Unit tests of `gzip.rs`.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use hyper::Request;

use super::*;

fn parts(target: &str, accepts: &[&str]) -> Parts {
    let request = accepts
        .iter()
        .fold(Request::builder().uri(target), |request, value| request.header(ACCEPT_ENCODING, *value));
    request.body(()).unwrap().into_parts().0
}

fn tag(n: u32) -> HeaderValue {
    HeaderValue::try_from(format!("W/\"{n}\"")).unwrap()
}

fn is_gzip(answer: &Answer) -> bool {
    answer.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip")
}

#[test]
fn clients_that_accept_gzip_are_recognised() {
    for (values, expected) in [
        (&["gzip"][..], true),
        (&["deflate, gzip;q=0.5, br"], true),
        (&["GZIP; q=1.0"], true),
        (&["br", "gzip"], true),
        (&["*"], true),
        (&["*;q=0, gzip"], true),
        (&["gzip;q=0"], false),
        (&["gzip; q=0.000, *"], false),
        (&["*;q=0"], false),
        (&["identity"], false),
        (&["br, zstd"], false),
        (&["gzip;q=x"], false),
        (&[""], false),
        (&[], false),
    ] {
        assert_eq!(is_accepted(&parts("/", values).headers), expected, "{values:?}");
    }
}

#[test]
fn a_long_body_is_compressed_once_and_a_short_one_never() {
    let cache = GzipCache::default();
    let (now, body) = (Instant::now(), Bytes::from(vec![b'x'; 5_000]));
    let (asked, plain) = (parts("/a", &["gzip"]), parts("/a", &[]));
    let first = cache.answer(&asked, &tag(1), now, || body.clone());
    assert!(is_gzip(&first));
    assert_eq!(first.headers()[VARY], "Accept-Encoding");
    // Parameters that change nothing are no other body.
    for n in 0..1_000 {
        let asked = parts(&format!("/a?utm={n}"), &["gzip"]);
        assert!(is_gzip(&cache.answer(&asked, &tag(1), now, || unreachable!("it is kept"))));
    }
    assert_eq!(cache.kept.borrow().len(), 1);
    let mut text = Vec::new();
    GzDecoder::new(&*cache.kept.borrow()[&tag(1)]).read_to_end(&mut text).unwrap();
    assert_eq!(text, body);
    // Another state, another client, a short body.
    assert!(is_gzip(&cache.answer(&asked, &tag(2), now, || body.clone())));
    assert_eq!(cache.kept.borrow().len(), 2);
    assert!(!is_gzip(&cache.answer(&plain, &tag(2), now, || body.clone())));
    let short = Bytes::from(vec![b'x'; BODY_BYTES_MIN - 1]);
    assert!(!is_gzip(&cache.answer(&asked, &tag(3), now, || short)));
}

#[test]
fn the_budget_bounds_what_is_compressed() {
    let cache = GzipCache::default();
    let (now, body) = (Instant::now(), Bytes::from(vec![b'x'; 100_000]));
    let compressed = |from: u32, at: Instant| {
        let answers =
            (from..from + 100).map(|n| cache.answer(&parts("/", &["gzip"]), &tag(n), at, || body.clone()));
        answers.filter(is_gzip).count()
    };
    assert_eq!(compressed(0, now), 20);
    assert_eq!(compressed(100, now), 0);
    // With what was too little before.
    assert_eq!(compressed(200, now + Duration::from_millis(500)), 11);
    // It does not save up.
    assert_eq!(compressed(300, now + Duration::from_secs(3600)), 20);
}

#[test]
fn few_bodies_are_kept() {
    let cache = GzipCache::default();
    let body = Bytes::from((0..40_000).map(|_| fastrand::u8(..)).collect::<Vec<_>>());
    let mut now = Instant::now();
    for n in 0..600 {
        now += Duration::from_secs(1);
        cache.answer(&parts("/", &["gzip"]), &tag(n), now, || body.clone());
        let kept = cache.kept.borrow();
        let bytes: usize = kept.values().map(Bytes::len).sum();
        assert_eq!(bytes, cache.kept_bytes.get());
        assert!(kept.len() <= KEPT_MAX && bytes <= KEPT_BYTES_MAX);
    }
}
