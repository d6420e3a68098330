//! Unit tests of `keys.rs`.

use super::facts::bits;
use super::*;
use crate::doctor::report::without_passing;

const NOW: i64 = 1_900_000_000;

fn certificate() -> CertificateFacts {
    CertificateFacts {
        begins: NOW - DAY_S,
        ends: NOW + 60 * DAY_S,
        names: vec!["shop.example".into()],
        chain: 2,
        is_own_issuer: false,
        host: Some(("shop.example".into(), true)),
    }
}

fn jwks(ends: Option<i64>, services: usize, is_bound: bool) -> KeyFacts {
    let keys = vec![("a".to_owned(), None), ("b".to_owned(), ends)];
    KeyFacts { auth: Ok(AuthFacts::Jwks { keys, services, findings: Vec::new(), is_bound }), ..good() }
}

fn good() -> KeyFacts {
    KeyFacts {
        now_s: NOW,
        launch: Some(("small".into(), NOW + DAY_S)),
        auth: Ok(AuthFacts::Secret(256.0)),
        ops: Ok(vec![("maja".into(), 256.0)]),
        has_operator: true,
        shared: Vec::new(),
        host: Some("shop.example".into()),
        certificates: vec![("", Ok(certificate()))],
    }
}

fn with(change: impl FnOnce(&mut CertificateFacts)) -> KeyFacts {
    let mut certificate = certificate();
    change(&mut certificate);
    KeyFacts { host: None, certificates: vec![("ops-", Ok(certificate))], ..good() }
}

fn bad(facts: &KeyFacts) -> Vec<(&'static str, Severity)> {
    without_passing(check(facts))
}

#[test]
fn keys_that_are_valid_through_the_launch_pass() {
    assert_eq!(bad(&good()), []);
    assert_eq!(bad(&jwks(None, 1, true)), []);
    assert_eq!(bad(&jwks(Some(NOW + 60 * DAY_S), 1, true)), []);
}

#[test]
fn expiring_unusable_and_weak_keys_are_reported() {
    use Severity::{Fail, Warn};
    let problems = || vec!["one".to_owned(), "another".to_owned()];
    let far = Some(("small".to_owned(), NOW + 40 * DAY_S));
    for (facts, listed) in [
        (KeyFacts { auth: Err(problems()), ..good() }, &[("tokens", Fail), ("tokens", Fail)][..]),
        (KeyFacts { auth: Ok(AuthFacts::Secret(95.0)), ..good() }, &[("tokens", Warn)]),
        (jwks(Some(NOW), 1, true), &[("tokens", Fail)]),
        // Expires within the day after the opening, or soon whatever opens.
        (jwks(Some(NOW + 2 * DAY_S - 1), 1, true), &[("tokens", Fail)]),
        (KeyFacts { launch: None, ..jwks(Some(NOW + SOON_S - 1), 1, true) }, &[("tokens", Fail)]),
        (KeyFacts { launch: far.clone(), ..jwks(Some(NOW + 41 * DAY_S - 1), 1, true) }, &[("tokens", Fail)]),
        (KeyFacts { launch: far, ..jwks(Some(NOW + 41 * DAY_S), 1, true) }, &[]),
        (jwks(Some(NOW + RENEWED_S - 1), 1, true), &[("tokens", Warn)]),
        (jwks(None, 0, true), &[("services", Fail)]),
        (jwks(None, 1, false), &[("audience", Warn)]),
        (KeyFacts { ops: Err(problems()), ..good() }, &[("ops", Fail), ("ops", Fail)]),
        (KeyFacts { has_operator: false, ..good() }, &[("ops", Warn)]),
        (KeyFacts { ops: Ok(vec![("li".into(), 95.0), ("maja".into(), 96.0)]), ..good() }, &[("ops", Warn)]),
        (KeyFacts { shared: vec![("ops token file", "/ops".into(), 0o644)], ..good() }, &[("files", Warn)]),
    ] {
        assert_eq!(bad(&facts), listed, "{facts:?}");
    }
}

#[test]
fn certificates_that_clients_would_refuse_are_reported() {
    use Severity::{Fail, Warn};
    for (facts, verdict, word) in [
        (with(|c| c.ends = NOW - 5), Fail, "expired 5 s ago"),
        (with(|c| c.ends = NOW + DAY_S), Fail, "small opens"),
        (KeyFacts { launch: None, ..with(|c| c.ends = NOW + DAY_S) }, Fail, "expires in 1 d"),
        (with(|c| c.ends = NOW + 10 * DAY_S), Warn, "expires in 10 d"),
        (with(|c| c.begins = NOW + 60), Fail, "becomes valid in 1 min"),
        (with(|c| c.names.clear()), Fail, "no host name"),
        (with(|c| c.host = Some(("app.example".into(), false))), Fail, "not for app.example"),
        (with(|c| c.is_own_issuer = true), Warn, "self-signed"),
        (with(|c| c.chain = 1), Warn, "lacks its issuer"),
        (KeyFacts { certificates: vec![("", Err(vec!["no file".into()]))], ..good() }, Fail, "no file"),
        (KeyFacts { certificates: Vec::new(), ..good() }, Warn, "ends elsewhere"),
    ] {
        assert_eq!(bad(&facts), [("certificate", verdict)], "{facts:?}");
        let line = check(&facts).pop().unwrap_or_else(|| unreachable!());
        assert!(line.found.contains(word), "{line:?}");
        let is_of_ops = line.found.contains("--ops-tls-cert-file");
        assert!(is_of_ops || ["no file", "ends elsewhere"].contains(&word), "{line:?}");
    }
}

#[test]
fn bits_are_counted_by_length_and_by_what_occurs() {
    assert!(bits(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") < BITS_MIN);
    assert!(bits(b"password12345678") < BITS_MIN);
    assert!(bits(b"") < BITS_MIN);
    assert!(bits(b"0123456789abcdef0123456789abcdef") >= BITS_MIN);
    assert!(bits(b"k7Jq2vX9bT4mZ1pR8sW5") < BITS_MIN, "20 letters and digits, all different");
    assert!(bits(b"k7Jq2vX9bT4mZ1pR8sW5yC3n") >= BITS_MIN);
}
