//! Unit tests of `cors.rs`.

use super::*;

#[test]
fn an_origin_matches_as_browsers_send_it_and_nothing_near_it() {
    for (listed, yes, no) in [
        (
            "https://shop.example",
            &["https://shop.example"][..],
            &["http://shop.example", "https://shop.example:8443", "https://a.shop.example", "null", ""][..],
        ),
        ("HTTPS://Shop.Example:443", &["https://shop.example"], &["https://shop.example:443"]),
        ("http://localhost:3000", &["http://localhost:3000"], &["http://localhost"]),
        ("http://[::1]:3000", &["http://[::1]:3000"], &["http://[::1]"]),
        ("capacitor://localhost", &["capacitor://localhost"], &["https://localhost", "ionic://localhost"]),
        ("ionic://localhost", &["ionic://localhost"], &["capacitor://localhost"]),
        (
            "https://*.shop.example",
            &["https://www.shop.example", "https://pr-17.shop.example", "https://a_b.shop.example"],
            &[
                "https://shop.example",
                "https://.shop.example",
                "https://a.b.shop.example",
                "https://evil.example/.shop.example",
                "https://evil.example#.shop.example",
                "https://a@b.shop.example",
                "http://www.shop.example",
                "https://www.shop.example:8443",
                "https://www.shop.example.evil.example",
                "https://WWW.shop.example",
            ],
        ),
        ("https://*.shop.example:8443", &["https://a.shop.example:8443"], &["https://a.shop.example"]),
    ] {
        let origin = Origin::parse(listed).unwrap();
        yes.iter().for_each(|sent| assert!(origin.matches(sent.as_bytes()), "{listed}: {sent}"));
        no.iter().for_each(|sent| assert!(!origin.matches(sent.as_bytes()), "{listed}: {sent}"));
    }
    let long = format!("https://{}.shop.example", "a".repeat(64));
    assert!(!Origin::parse("https://*.shop.example").unwrap().matches(long.as_bytes()));
}

#[test]
fn unsupported_origins_are_refused_with_the_reason() {
    for (text, words) in [
        ("*", "list the origins"),
        ("null", "sandboxed"),
        ("file://", "\"null\" for files"),
        ("shop.example", "not an origin like"),
        ("", "not an origin like"),
        ("https://", "not a valid host"),
        ("https://shop.example/", "leave out \"/\""),
        ("https://shop.example/shop", "leave out \"/shop\""),
        ("https://user@shop.example", "leave out \"@shop.example\""),
        ("https://shop.example:99999", "not a port"),
        ("https://shop.example:", "not a port"),
        ("https://münchen.example", "xn--"),
        ("https://*", "whole first name"),
        ("https://*:3000", "whole first name"),
        ("https://shop.*", "whole first name"),
        ("https://*shop.example", "whole first name"),
        ("https://a.*.example", "whole first name"),
        ("https://*.*.example", "not a valid host"),
        ("https://*.example", "two parts"),
        ("https://*.10.0.0.1", "two parts"),
        ("1http://shop.example", "not a valid scheme"),
        ("https://shop..example", "not a valid host"),
    ] {
        let result = Origin::parse(text).unwrap_err();
        assert!(result.contains(words), "{text}: {result}");
    }
    assert!(Cors::parse_headers(&["*".into()]).unwrap_err().contains("name each"));
    assert!(Cors::parse_headers(&["a b".into()]).unwrap_err().contains("not a valid header name"));
    let many = vec!["x".to_owned(); LISTED_MAX + 1];
    assert!(Cors::parse_headers(&many).unwrap_err().contains("at most"));
}
