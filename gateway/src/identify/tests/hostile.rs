//! Tests that forged, confusing and broken tokens are refused without a panic.

use proptest::prelude::*;

use super::*;

const HS256: &str = r#"{"alg":"HS256"}"#;

fn with_secret(header: &str, claims: &str) -> Result<Identified, Unauthenticated> {
    identify(&mut Setup::with_secret().identifier(), &secret().sign_raw(header, claims))
}

#[test]
fn unsigned_tokens_are_refused() {
    let setups = [Setup::with_secret(), Setup::with_jwks(&[EC.jwk("a")], &[])];
    for setup in setups {
        let mut identifier = setup.identifier();
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let header = json!({"alg": alg, "kid": "a"}).to_string();
            let message = format!("{}.{}", b64(&header), b64(claims().to_string()));
            for signature in ["".to_owned(), b64("x"), b64(secret().signature(message.as_bytes()))] {
                let refused = identify(&mut identifier, &format!("{message}.{signature}"));
                assert_eq!(refused, Err(Unauthenticated::WrongAlgorithm), "{alg:?}");
            }
        }
        let alg = if setup.settings.secret_file.is_some() { "HS256" } else { "ES256" };
        let header = json!({"alg": alg, "kid": "a"}).to_string();
        let empty = format!("{}.{}.", b64(header), b64(claims().to_string()));
        assert_eq!(identify(&mut identifier, &empty), Err(Unauthenticated::BadSignature));
    }
}

#[test]
fn a_public_key_is_never_the_secret_of_an_hmac() {
    for signer in [&*EC, &ED, &RSA] {
        let mut identifier = Setup::with_jwks(&[signer.jwk("a")], &[]).identifier();
        let jwk = signer.jwk("a").to_string().into_bytes();
        for public in signer.public_bytes().into_iter().chain([jwk]) {
            let header = json!({"alg": "HS256", "kid": "a"}).to_string();
            let token = Signer::Hmac(public).sign_raw(header, claims().to_string());
            assert_eq!(identify(&mut identifier, &token), Err(Unauthenticated::WrongAlgorithm));
        }
    }
}

#[test]
fn the_header_can_only_agree_with_the_algorithm() {
    for alg in ["HS384", "HS512", "ES256", "RS256", "EdDSA", "hs256", "HS256 "] {
        let header = json!({ "alg": alg }).to_string();
        let refused = with_secret(&header, &claims().to_string());
        assert_eq!(refused, Err(Unauthenticated::WrongAlgorithm), "{alg}");
    }
    let mut identifier = Setup::with_jwks(&[RSA.jwk("a")], &[]).identifier();
    for alg in ["RS384", "RS512", "PS256", "ES256", "EdDSA", "HS256"] {
        let header = json!({"alg": alg, "kid": "a"}).to_string();
        let token = RSA.sign_raw(header, claims().to_string());
        assert_eq!(identify(&mut identifier, &token), Err(Unauthenticated::WrongAlgorithm), "{alg}");
    }
}

#[test]
fn a_token_cannot_supply_its_own_key() {
    let stranger = new_ec();
    let mut identifier = Setup::with_jwks(&[EC.jwk("a")], &[]).identifier();
    let header = json!({"alg": "ES256", "kid": "a", "jwk": stranger.jwk("a"), "jku": "file:///x",
        "x5u": "https://evil.example"});
    let token = stranger.sign_raw(header.to_string(), claims().to_string());
    assert_eq!(identify(&mut identifier, &token), Err(Unauthenticated::BadSignature));
}

#[test]
fn demanded_extensions_are_refused_whatever_they_are() {
    for crit in [json!(["b64"]), json!([]), json!(null), json!("exp"), json!(0), json!({})] {
        let header = json!({"alg": "HS256", "crit": crit}).to_string();
        let refused = with_secret(&header, &claims().to_string());
        assert_eq!(refused, Err(Unauthenticated::UnknownExtension), "{header}");
    }
}

#[test]
fn broken_json_is_malformed() {
    let good = claims().to_string();
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let deep_header = format!(r#"{{"alg":"HS256","x":{deep}}}"#);
    for header in [
        "",
        "{}",
        "null",
        "[]",
        r#"["HS256",null,false]"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256"}x"#,
        r#"{"alg":"HS256""#,
        &deep,
    ] {
        assert_eq!(with_secret(header, &good), Err(Unauthenticated::Malformed), "{header:?}");
    }
    let _never_panics = with_secret(&deep_header, &good);
    let (sub, exp) = (r#""sub":"b""#, format!(r#""exp":{}"#, NOW + 60));
    for claims in [
        "".to_owned(),
        "null".into(),
        format!(r#"["b",{}]"#, NOW + 60),
        format!("{{{sub},{exp},{sub}}}"),
        format!("{{{sub},{exp},{exp}}}"),
        format!(r#"{{{sub},{exp},"scope":"a","scope":"service"}}"#),
        format!(r#"{{{sub},{exp},"nbf":"0"}}"#),
        format!(r#"{{{sub},{exp},"aud":{deep}}}"#),
        format!("{{{sub},{exp}}}{{}}"),
        deep.clone(),
    ] {
        assert_eq!(with_secret(HS256, &claims), Err(Unauthenticated::Malformed), "{claims:?}");
    }
}

#[test]
fn base64_must_be_exact() {
    let mut identifier = Setup::with_secret().identifier();
    let token = secret().sign("", &claims());
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    for bad in [
        format!("{header}.{claims}.{signature}="),
        format!("{header}.{claims}.{signature}AA"),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}.+/{}", &signature[2..]),
        format!("{header}.{claims}.%{}", &signature[1..]),
        format!(".{claims}.{signature}"),
        "..".into(),
        ".".repeat(4096),
        format!("{header}.{claims}"),
        format!("{header}.{claims}.{signature}.{signature}"),
    ] {
        let refused = identify(&mut identifier, &bad).unwrap_err();
        assert_eq!(refused, Unauthenticated::Malformed, "{bad}");
    }
}

#[test]
fn every_changed_character_is_refused_even_next_to_a_cached_token() {
    for (setup, signer) in [
        (Setup::with_secret(), &secret()),
        (Setup::with_jwks(&[EC.jwk("a")], &[]), &*EC),
        (Setup::with_jwks(&[ED.jwk("a")], &[]), &*ED),
    ] {
        let mut identifier = setup.identifier();
        let token = signer.sign("a", &claims_with("scope", "service"));
        identify(&mut identifier, &token).unwrap();
        for at in 0..token.len() {
            for other in [b'A', b'B', b'.', b'_'] {
                let mut changed = token.clone().into_bytes();
                if std::mem::replace(&mut changed[at], other) == other {
                    continue;
                }
                let changed = String::from_utf8(changed).unwrap();
                assert!(identify(&mut identifier, &changed).is_err(), "{at}: {changed}");
            }
        }
    }
}

#[test]
fn every_refusal_has_a_detail_and_only_a_present_token_is_invalid() {
    use Unauthenticated::*;
    let all = [
        Missing,
        TooLong,
        Malformed,
        UnknownExtension,
        WrongAlgorithm,
        UnknownKey,
        BadSignature,
        MissingExpiry,
        Expired,
        NotYetValid,
        WrongIssuer,
        WrongAudience,
        BadSubject,
    ];
    let mut details = std::collections::HashSet::new();
    for refusal in all {
        assert!(refusal.detail().ends_with('.'), "{refusal}");
        let code = (refusal != Missing).then_some("invalid_token");
        assert_eq!(refusal.token_error_code(), code);
        assert!(details.insert(refusal.detail()));
    }
}

/// JSON of any shape, with the relevant names.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec!["HS256", "ES256", "none", "service", "a"]).prop_map(Value::from),
    ];
    let name =
        prop::sample::select(vec!["alg", "kid", "crit", "sub", "exp", "nbf", "iss", "aud", "scope", "x"]);
    leaf.prop_recursive(4, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..8).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn random_bytes_identify_no_caller(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut identifier = Setup::with_secret().identifier();
        prop_assert!(identifier.identify(Some(&bytes), NOW).is_err());
        let bearer = [b"Bearer ".as_slice(), &bytes].concat();
        prop_assert!(identifier.identify(Some(&bearer), NOW).is_err());
    }

    #[test]
    fn random_parts_identify_no_caller(parts in prop::collection::vec("[A-Za-z0-9_-]{0,60}", 0..5)) {
        let mut identifier = Setup::with_secret().identifier();
        prop_assert!(identify(&mut identifier, &parts.join(".")).is_err());
    }

    #[test]
    fn signed_nonsense_never_panics(header in any_json(), claims in any_json(), now_s: u64) {
        let mut identifier = Setup::with_secret().identifier();
        let token = secret().sign_raw(header.to_string(), claims.to_string());
        let _ = identify_at(&mut identifier, &token, now_s);
        let token = secret().sign_raw(HS256, claims.to_string());
        if let Ok(found) = identify_at(&mut identifier, &token, now_s) {
            prop_assert!(crate::domain::subject::is_subject(found.sub()));
        }
    }

    #[test]
    fn signed_bytes_never_panic(claims in prop::collection::vec(any::<u8>(), 0..200)) {
        let token = secret().sign_raw(HS256, claims);
        let _ = identify(&mut Setup::with_secret().identifier(), &token);
    }
}
