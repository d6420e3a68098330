//! Tests of each rule about headers, claims, time and scope.

use super::*;

fn with_secret(claims: &Value) -> Result<Identified, Unauthenticated> {
    identify(&mut Setup::with_secret().identifier(), &secret().sign("any", claims))
}

#[test]
fn only_one_bearer_token_in_the_header_is_read() {
    let mut identifier = Setup::with_secret().identifier();
    let token = secret().sign("", &claims());
    let mut ask = |value: &str| identifier.identify(Some(value.as_bytes()), NOW);
    for good in ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer   "] {
        assert_eq!(ask(&format!("{good}{token}")), buyer("buyer-1"), "{good:?}");
    }
    for other in ["", " ", "Basic dTpw", &token, "Bearertoken x", &format!("Bearer\t{token}")] {
        assert_eq!(ask(other), Err(Unauthenticated::Missing), "{other:?}");
    }
    let two = format!("Bearer {token} {token}");
    let list = format!("Bearer {token},{token}");
    let tab = format!("Bearer {token}\tx");
    for bad in ["Bearer", "Bearer ", "Bearer a", "Bearer a.b", "Bearer a.b.c.d", &two, &list, &tab] {
        assert_eq!(ask(bad), Err(Unauthenticated::Malformed), "{bad:?}");
    }
    assert_eq!(identifier.identify(None, NOW), Err(Unauthenticated::Missing));
}

#[test]
fn a_token_may_have_4096_bytes() {
    let mut identifier = Setup::with_secret().identifier();
    let of = |pad: usize| secret().sign("", &claims_with("pad", "x".repeat(pad)));
    let fits = (0..4096).rev().map(of).find(|token| token.len() <= TOKEN_BYTES_MAX).unwrap();
    assert!(fits.len() > TOKEN_BYTES_MAX - 4);
    assert_eq!(identify(&mut identifier, &fits), buyer("buyer-1"));
    let over = format!("{fits}AAAA");
    assert_eq!(identify(&mut identifier, &over), Err(Unauthenticated::TooLong));
}

#[test]
fn every_algorithm_verifies_with_its_own_key_only() {
    let signers: [(&str, &Signer); 3] = [("ec", &EC), ("ed", &ED), ("rsa", &RSA)];
    let jwks: Vec<_> = signers.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
    let mut identifier = Setup::with_jwks(&jwks, &[]).identifier();
    for (kid, signer) in signers {
        let token = signer.sign(kid, &claims());
        assert_eq!(identify(&mut identifier, &token), buyer("buyer-1"), "{kid}");
        for (other, _) in signers.iter().filter(|(other, _)| *other != kid) {
            let token = signer.sign(other, &claims());
            let refused = identify(&mut identifier, &token);
            assert_eq!(refused, Err(Unauthenticated::WrongAlgorithm), "{kid} as {other}");
        }
        let unknown = signer.sign("unknown", &claims());
        assert_eq!(identify(&mut identifier, &unknown), Err(Unauthenticated::UnknownKey));
        let header = json!({"alg": signer.alg()}).to_string();
        let nameless = signer.sign_raw(header, claims().to_string());
        assert_eq!(identify(&mut identifier, &nameless), Err(Unauthenticated::UnknownKey));
    }
    let stranger = new_ec().sign("ec", &claims());
    assert_eq!(identify(&mut identifier, &stranger), Err(Unauthenticated::BadSignature));
}

#[test]
fn another_secret_is_refused() {
    let token = Signer::Hmac(b"another secret, also of 32 bytes".to_vec()).sign("", &claims());
    let refused = identify(&mut Setup::with_secret().identifier(), &token);
    assert_eq!(refused, Err(Unauthenticated::BadSignature));
}

#[test]
fn exp_is_required_and_ends_the_token_after_two_seconds_of_leeway() {
    let mut identifier = Setup::with_secret().identifier();
    let token = secret().sign("", &claims_with("exp", NOW));
    assert_eq!(identify_at(&mut identifier, &token, NOW + 1), buyer("buyer-1"));
    assert_eq!(identify_at(&mut identifier, &token, NOW + 2), Err(Unauthenticated::Expired));
    assert_eq!(with_secret(&json!({"sub": "b"})), Err(Unauthenticated::MissingExpiry));
    let null = json!({"sub": "b", "exp": null});
    assert_eq!(with_secret(&null), Err(Unauthenticated::MissingExpiry));
}

#[test]
fn a_cached_token_ends_in_the_same_second_as_a_fresh_one() {
    let setup = || Setup::with_jwks(&[EC.jwk("a")], &[]);
    let mut identifier = setup().identifier();
    let mut claims = claims_with("nbf", NOW - 10);
    claims["exp"] = NOW.into();
    let token = EC.sign("a", &claims);
    for (now_s, answer) in [
        (NOW, buyer("buyer-1")),
        (NOW + 1, buyer("buyer-1")),
        (NOW + 2, Err(Unauthenticated::Expired)),
        (NOW + 1_000_000, Err(Unauthenticated::Expired)),
        (NOW - 13, Err(Unauthenticated::NotYetValid)),
        (NOW - 12, buyer("buyer-1")),
        (u64::MAX, Err(Unauthenticated::Expired)),
        (0, Err(Unauthenticated::NotYetValid)),
    ] {
        assert_eq!(identify_at(&mut identifier, &token, now_s), answer, "{now_s}");
        let mut fresh = setup().identifier();
        assert_eq!(identify_at(&mut fresh, &token, now_s), answer, "fresh, {now_s}");
    }
}

#[test]
fn nbf_is_honoured_with_two_seconds_of_leeway() {
    assert_eq!(with_secret(&claims_with("nbf", NOW + 2)), buyer("buyer-1"));
    let refused = with_secret(&claims_with("nbf", NOW + 3));
    assert_eq!(refused, Err(Unauthenticated::NotYetValid));
}

#[test]
fn the_leeway_is_configured_and_counts_for_both_ends() {
    assert_eq!(AuthSettings::default().leeway_s, 5);
    for leeway_s in [0, 5, 60] {
        for mut setup in [Setup::with_secret(), Setup::with_jwks(&[EC.jwk("a")], &[])] {
            setup.settings.leeway_s = leeway_s;
            let signer = if setup.settings.jwks_file.is_some() { &*EC } else { &secret() };
            let mut claims = claims_with("exp", NOW + 100);
            claims["nbf"] = (NOW + 10).into();
            // An issuer's clock may be ahead: a future `iat` alone is valid.
            claims["iat"] = (NOW + 1_000).into();
            let token = signer.sign("a", &claims);
            let mut identifier = setup.identifier();
            for (now_s, answer) in [
                (NOW + 9 - leeway_s, Err(Unauthenticated::NotYetValid)),
                (NOW + 10 - leeway_s, buyer("buyer-1")),
                (NOW + 99 + leeway_s, buyer("buyer-1")),
                (NOW + 100 + leeway_s, Err(Unauthenticated::Expired)),
            ] {
                assert_eq!(identify_at(&mut identifier, &token, now_s), answer, "{leeway_s} s, {now_s}");
            }
        }
    }
}

#[test]
fn only_a_plausible_token_costs_a_public_key_check() {
    let public = &mut Setup::with_jwks(&[EC.jwk("a"), ED.jwk("b")], &[]).identifier();
    let counts = std::cell::RefCell::new(Vec::new());
    // Counts checks, and withholds them above a limit.
    let ask = |identifier: &mut Identifier, token: &str, most| {
        let bearer = format!("Bearer {token}");
        let may_check = || if counts.borrow().len() < most { Ok(()) } else { Err(()) };
        let checked = |is_right| counts.borrow_mut().push(is_right);
        identifier.identify_within(Some(bearer.as_bytes()), NOW, may_check, checked)
    };
    let stranger = new_ec();
    for (token, why) in [
        ("garbage".to_owned(), Unauthenticated::Malformed),
        (stranger.sign("unknown", &claims()), Unauthenticated::UnknownKey),
        (stranger.sign("b", &claims()), Unauthenticated::WrongAlgorithm),
        (stranger.sign("a", &claims_with("exp", NOW - 60)), Unauthenticated::Expired),
        (stranger.sign("a", &claims_with("nbf", NOW + 60)), Unauthenticated::NotYetValid),
        (stranger.sign("a", &claims_with("sub", "")), Unauthenticated::BadSubject),
    ] {
        assert_eq!(ask(public, &token, 0), Err(why.into()), "without a check");
    }
    let forged = stranger.sign("a", &claims());
    assert_eq!(ask(public, &forged, 0), Err(NotIdentified::Withheld(())));
    assert_eq!(ask(public, &forged, 1), Err(Unauthenticated::BadSignature.into()));
    let (good, other) = (EC.sign("a", &claims()), ED.sign("b", &claims()));
    assert_eq!(ask(public, &good, 1), Err(NotIdentified::Withheld(())));
    assert_eq!(ask(public, &good, 2).ok(), buyer("buyer-1").ok());
    // A cached token needs no check; another one does.
    assert_eq!(ask(public, &good, 0).ok(), buyer("buyer-1").ok());
    assert_eq!(ask(public, &other, 0), Err(NotIdentified::Withheld(())));
    assert_eq!(*counts.borrow(), [false, true]);
    // A check with a secret is never withheld.
    let with_secret = &mut Setup::with_secret().identifier();
    assert_eq!(ask(with_secret, &secret().sign("", &claims()), 0).ok(), buyer("buyer-1").ok());
}

#[test]
fn times_may_be_odd_numbers_and_are_rounded_against_the_caller() {
    for (exp, answer) in [
        (json!(NOW as f64 - 1.1), Err(Unauthenticated::Expired)),
        (json!(NOW as f64 - 0.9), buyer("buyer-1")),
        (json!(1e300), buyer("buyer-1")),
        (json!(u64::MAX), buyer("buyer-1")),
        (json!(-1), Err(Unauthenticated::Expired)),
        (json!(-1e300), Err(Unauthenticated::Expired)),
        (json!(i64::MIN), Err(Unauthenticated::Expired)),
        (json!("1800000060"), Err(Unauthenticated::Malformed)),
        (json!(true), Err(Unauthenticated::Malformed)),
    ] {
        assert_eq!(with_secret(&claims_with("exp", exp.clone())), answer, "{exp}");
    }
    for (nbf, answer) in [
        (json!(NOW as f64 + 1.5), buyer("buyer-1")),
        (json!(NOW as f64 + 2.1), Err(Unauthenticated::NotYetValid)),
        (json!(-5), buyer("buyer-1")),
        (json!(1e300), Err(Unauthenticated::NotYetValid)),
    ] {
        assert_eq!(with_secret(&claims_with("nbf", nbf.clone())), answer, "{nbf}");
    }
    for raw in ["1e999", "99999999999999999999999999"] {
        let raw = format!(r#"{{"sub":"b","exp":{raw}}}"#);
        let token = secret().sign_raw(r#"{"alg":"HS256"}"#, raw);
        let _never_panics = identify(&mut Setup::with_secret().identifier(), &token);
    }
}

#[test]
fn a_subject_is_1_to_255_visible_ascii_characters_and_blanks_between_them() {
    for good in ["a".to_owned(), "!~".to_owned(), "CN=Zhang San, OU=R  D".into(), "s".repeat(255)] {
        assert_eq!(with_secret(&claims_with("sub", good.as_str())), buyer(&good));
    }
    for bad in [
        "".to_owned(),
        " a".into(),
        "a ".into(),
        "é".into(),
        "a\u{7f}".into(),
        "a\nb".into(),
        "s".repeat(256),
    ] {
        let refused = with_secret(&claims_with("sub", bad.as_str()));
        assert_eq!(refused, Err(Unauthenticated::BadSubject), "{bad:?}");
    }
    let missing = with_secret(&json!({"exp": NOW + 60}));
    assert_eq!(missing, Err(Unauthenticated::BadSubject));
    assert_eq!(with_secret(&claims_with("sub", 7)), Err(Unauthenticated::Malformed));
}

#[test]
fn issuer_and_audience_are_required_once_configured() {
    let mut setup = Setup::with_secret();
    setup.settings.issuer = Some("https://id.example".into());
    setup.settings.audience = Some("launchgate".into());
    let mut identifier = setup.identifier();
    let mut ask = |iss: Value, aud: Value| {
        let mut claims = claims_with("iss", iss);
        claims["aud"] = aud;
        identify(&mut identifier, &secret().sign("", &claims))
    };
    let iss = || json!("https://id.example");
    assert_eq!(ask(iss(), json!("launchgate")), buyer("buyer-1"));
    assert_eq!(ask(iss(), json!(["shop", "launchgate"])), buyer("buyer-1"));
    for aud in [json!(null), json!("shop"), json!([]), json!(["shop"]), json!("launchgate shop")] {
        assert_eq!(ask(iss(), aud.clone()), Err(Unauthenticated::WrongAudience), "{aud}");
    }
    for wrong in [json!(null), json!(""), json!("https://id.example/"), json!("HTTPS://id.example")] {
        assert_eq!(ask(wrong, json!("launchgate")), Err(Unauthenticated::WrongIssuer));
    }
    // Without configuration they may have any value.
    assert_eq!(with_secret(&claims_with("aud", "shop")), buyer("buyer-1"));
}

#[test]
fn the_scope_service_is_one_word_of_a_list() {
    for scope in [json!("service"), json!("a service b"), json!(["a", "service"])] {
        assert_eq!(with_secret(&claims_with("scope", scope.clone())), service("buyer-1"), "{scope}");
    }
    for scope in [
        json!(null),
        json!(""),
        json!("services"),
        json!("SERVICE"),
        json!("a,service"),
        json!("service\tb"),
        json!([]),
        json!(["a service"]),
    ] {
        assert_eq!(with_secret(&claims_with("scope", scope.clone())), buyer("buyer-1"), "{scope}");
    }
    for scope in [json!(1), json!({"service": true}), json!([1])] {
        let refused = with_secret(&claims_with("scope", scope.clone()));
        assert_eq!(refused, Err(Unauthenticated::Malformed), "{scope}");
    }
}

#[test]
fn with_a_key_set_service_counts_only_from_listed_keys() {
    let pay = new_ec();
    let setup = Setup::with_jwks(&[EC.jwk("app"), pay.jwk("pay")], &["pay"]);
    let mut identifier = setup.identifier();
    let claims = claims_with("scope", "service");
    assert_eq!(identify(&mut identifier, &pay.sign("pay", &claims)), service("buyer-1"));
    assert_eq!(identify(&mut identifier, &EC.sign("app", &claims)), buyer("buyer-1"));
    let forged = identify(&mut identifier, &EC.sign("pay", &claims));
    assert_eq!(forged, Err(Unauthenticated::BadSignature));
    assert_eq!(identify(&mut identifier, &pay.sign("pay", &super::claims())), buyer("buyer-1"));
}

#[test]
fn minted_tokens_are_accepted_with_the_requested_claims() {
    let mut setup = Setup::with_secret();
    setup.settings.issuer = Some("me".into());
    setup.settings.audience = Some("gate".into());
    let mut identifier = setup.identifier();
    let mut ask = |is_service, iss, aud, now_s| {
        let token = mint(SECRET, "buyer-7", is_service, 60, NOW, iss, aud).unwrap();
        identify_at(&mut identifier, &token, now_s)
    };
    assert_eq!(ask(false, Some("me"), Some("gate"), NOW), buyer("buyer-7"));
    assert_eq!(ask(true, Some("me"), Some("gate"), NOW + 61), service("buyer-7"));
    assert_eq!(ask(true, Some("me"), Some("gate"), NOW + 62), Err(Unauthenticated::Expired));
    assert_eq!(ask(false, None, Some("gate"), NOW), Err(Unauthenticated::WrongIssuer));
    assert_eq!(ask(false, Some("me"), None, NOW), Err(Unauthenticated::WrongAudience));
}

#[test]
fn tokens_that_the_gateway_would_refuse_are_not_minted() {
    let refusal =
        |secret: &[u8], sub: &str, ttl_s| mint(secret, sub, false, ttl_s, NOW, None, None).unwrap_err();
    assert_eq!(refusal(&SECRET[1..], "b", 60), "the secret must have at least 32 bytes");
    for sub in ["", "a ", &"s".repeat(256)] {
        let rule = "1 to 255 visible ASCII characters, with blanks only between them";
        assert_eq!(refusal(SECRET, sub, 60), format!("a buyer's `sub` must be {rule}"));
    }
    for ttl_s in [0, u64::MAX] {
        let rule = "at least 1 second and end within the range of time";
        assert_eq!(refusal(SECRET, "b", ttl_s), format!("the time to live must be {rule}"));
    }
}
