//! Tests of invalid keys at start, and of atomic reloads.

use super::*;

fn problems(settings: &AuthSettings) -> Vec<String> {
    TokenKeys::load(settings).unwrap_err()
}

#[test]
fn exactly_one_kind_of_key_is_needed() {
    let none = problems(&AuthSettings::default());
    assert!(none[0].contains("no key to check tokens with"), "{none:?}");
    let mut both = Setup::with_secret();
    let jwks = Setup::with_jwks(&[EC.jwk("a")], &[]);
    both.settings.jwks_file = jwks.settings.jwks_file.clone();
    let both = problems(&both.settings);
    assert!(both.len() == 1 && both[0].contains("keep one"), "{both:?}");
}

#[test]
fn every_problem_is_reported_at_once() {
    let setup = Setup::with_jwks(&[json!({"kty": "oct"}), json!({"kty": "RSA"})], &["pay"]);
    let settings = AuthSettings {
        secret_file: Some(setup.dir.path().join("missing")),
        issuer: Some(String::new()),
        audience: Some(String::new()),
        ..setup.settings.clone()
    };
    let messages = problems(&settings);
    for words in ["keep one", "issuer is empty", "audience is empty", "/missing: ", "symmetric"] {
        assert_eq!(messages.iter().filter(|p| p.contains(words)).count(), 1, "{words}: {messages:#?}");
    }
}

#[test]
fn of_the_service_key_ids_one_must_be_in_the_key_set() {
    let post_quantum = json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "b", "pub": "eHh4"});
    let setup = Setup::with_jwks(&[EC.jwk("a"), post_quantum], &["b", "c"]);
    let messages = problems(&setup.settings);
    assert!(messages[0].contains("\"b\"") && messages[1].contains("\"c\""), "{messages:?}");
    assert!(messages[2].contains("neither EC P-256"), "why b is not there: {messages:?}");
    // During a rotation one key is published, and the other is not yet, or not any more.
    let setup = Setup::with_jwks(&[EC.jwk("a")], &["a", "next"]);
    let keys = setup.keys();
    assert_eq!(keys.services(), 1);
    assert!(keys.findings()[0].contains("\"next\""), "{:?}", keys.findings());
    let mut without = Setup::with_secret();
    without.settings.service_key_ids = vec!["a".into()];
    let messages = problems(&without.settings);
    assert!(messages.len() == 1 && messages[0].contains("take them out"), "{messages:?}");
}

#[test]
fn a_withdrawn_key_also_ends_cached_tokens() {
    let new = new_ec();
    let setup = Setup::with_jwks(&[EC.jwk("old")], &["old"]);
    let keys = setup.keys();
    let mut identifier = Identifier::new(Arc::clone(&keys), 64);
    let old_token = EC.sign("old", &claims());
    let new_token = new.sign("new", &claims());
    assert_eq!(identify(&mut identifier, &old_token), buyer("buyer-1"));
    assert_eq!(identify(&mut identifier, &new_token), Err(Unauthenticated::UnknownKey));

    write_jwks(setup.file(), &[EC.jwk("old"), new.jwk("new")]);
    assert_eq!(keys.reload_if_changed(), Ok(true));
    assert_eq!(identify(&mut identifier, &old_token), buyer("buyer-1"));
    assert_eq!(identify(&mut identifier, &new_token), buyer("buyer-1"));

    write_jwks(setup.file(), &[new.jwk("new")]);
    assert_eq!(keys.reload_if_changed(), Ok(true));
    assert_eq!(identify(&mut identifier, &old_token), Err(Unauthenticated::UnknownKey));
    assert_eq!(identify(&mut identifier, &new_token), buyer("buyer-1"));
    assert_eq!(keys.generation(), 2);
}

#[test]
fn a_reused_kid_drops_the_cached_tokens_of_the_former_key() {
    let setup = Setup::with_jwks(&[EC.jwk("a")], &[]);
    let keys = setup.keys();
    let mut identifier = Identifier::new(Arc::clone(&keys), 64);
    let token = EC.sign("a", &claims());
    assert_eq!(identify(&mut identifier, &token), buyer("buyer-1"));
    write_jwks(setup.file(), &[new_ec().jwk("a")]);
    assert_eq!(keys.reload_if_changed(), Ok(true));
    assert_eq!(identify(&mut identifier, &token), Err(Unauthenticated::BadSignature));
}

#[test]
fn a_set_with_unusable_keys_rotates_and_none_of_its_tokens_is_refused_meanwhile() {
    let new = new_ec();
    let others = [
        json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "eHh4"}),
        json!({"kty": "RSA", "alg": "RSA-OAEP", "kid": "enc", "n": "eHh4", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "curve", "x": "eHh4", "y": "eHh4"}),
    ];
    let with = |keys: &[Value]| [keys, &others[..]].concat();
    let setup = Setup::with_jwks(&with(&[EC.jwk("old")]), &[]);
    let keys = setup.keys();
    assert_eq!(keys.findings().len(), 3, "{:?}", keys.findings());
    let (old_token, new_token) = (EC.sign("old", &claims()), new.sign("new", &claims()));
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let has_met_new = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        use std::sync::atomic::Ordering::SeqCst;
        let buyers: Vec<_> = (0..2)
            .map(|_| {
                let mut identifier = Identifier::new(Arc::clone(&keys), 8);
                let (old_token, new_token) = (&old_token, &new_token);
                let (is_over, has_met_new) = (&is_over, &has_met_new);
                scope.spawn(move || {
                    let mut is_new = false;
                    while !is_over.load(SeqCst) {
                        assert_eq!(identify(&mut identifier, old_token), buyer("buyer-1"));
                        let now = identify(&mut identifier, new_token).is_ok();
                        assert!(now || !is_new, "once it was taken it stays so");
                        is_new = now;
                        has_met_new.fetch_or(is_new, SeqCst);
                    }
                })
            })
            .collect();
        // Both are configured, in either order, many times.
        for n in 0..20 {
            let mut both = with(&[EC.jwk("old"), new.jwk("new")]);
            both.rotate_left(n % 5);
            write_jwks(setup.file(), &both);
            keys.reload_if_changed().unwrap();
        }
        while !has_met_new.load(SeqCst) && !buyers.iter().any(|buyer| buyer.is_finished()) {
            std::thread::yield_now();
        }
        is_over.store(true, SeqCst);
    });
    assert_eq!(identify(&mut Identifier::new(keys, 8), &new_token), buyer("buyer-1"));
}

#[test]
fn the_secret_rotates_too() {
    let setup = Setup::with_secret();
    let keys = setup.keys();
    let mut identifier = Identifier::new(Arc::clone(&keys), 64);
    let token = secret().sign("", &claims());
    assert_eq!(identify(&mut identifier, &token), buyer("buyer-1"));
    std::fs::write(setup.file(), "f".repeat(32)).unwrap();
    assert_eq!(keys.reload_if_changed(), Ok(true));
    assert_eq!(identify(&mut identifier, &token), Err(Unauthenticated::BadSignature));
    let next = Signer::Hmac(b"f".repeat(32)).sign("", &claims());
    assert_eq!(identify(&mut identifier, &next), buyer("buyer-1"));
}

#[test]
fn an_unchanged_file_keeps_the_cache() {
    let setup = Setup::with_secret();
    let keys = setup.keys();
    assert_eq!(keys.reload_if_changed(), Ok(false));
    // The file is written again, as by a refreshed mount; the line end is not part of the secret.
    std::fs::remove_file(setup.file()).unwrap();
    std::fs::write(setup.file(), [SECRET, b"\n"].concat()).unwrap();
    assert_eq!(keys.reload_if_changed(), Ok(false));
    assert_eq!(keys.generation(), 0);
}

#[test]
fn a_bad_new_file_keeps_the_old_keys_until_it_is_fixed() {
    let setup = Setup::with_jwks(&[EC.jwk("a")], &[]);
    let keys = setup.keys();
    let mut identifier = Identifier::new(Arc::clone(&keys), 64);
    let token = EC.sign("a", &claims());
    std::fs::write(setup.file(), "half a fi").unwrap();
    assert!(keys.reload_if_changed().unwrap_err()[0].contains("line 1"));
    assert!(keys.reload_if_changed().is_err(), "it is still bad");
    std::fs::remove_file(setup.file()).unwrap();
    assert!(keys.reload_if_changed().is_err());
    assert_eq!(identify(&mut identifier, &token), buyer("buyer-1"));
    assert_eq!(keys.generation(), 0);
    write_jwks(setup.file(), &[EC.jwk("a"), ED.jwk("b")]);
    assert_eq!(keys.reload_if_changed(), Ok(true));
    assert_eq!(identify(&mut identifier, &ED.sign("b", &claims())), buyer("buyer-1"));
}

#[test]
fn keys_and_identifiers_print_no_secret_and_no_token() {
    let setup = Setup::with_secret();
    let mut identifier = setup.identifier();
    let token = secret().sign("", &claims());
    identify(&mut identifier, &token).unwrap();
    let printed = format!("{identifier:?}");
    assert!(printed.contains("secret_file"), "{printed}");
    let bytes = format!("{:?}", &SECRET[..4]);
    for hidden in ["0123", "buyer-1", &token, bytes.trim_matches(['[', ']'])] {
        assert!(!printed.contains(hidden), "{printed}");
    }
}

#[test]
fn keys_can_be_shared_by_workers() {
    fn shared<T: Send + Sync>() {}
    fn movable<T: Send>() {}
    shared::<TokenKeys>();
    movable::<Identifier>();
}

#[test]
fn an_expired_key_verifies_no_token_not_even_a_cached_one() {
    let ends = |signer: &Signer, kid: &str, exp: Value| {
        let mut jwk = signer.jwk(kid);
        jwk["exp"] = exp;
        jwk
    };
    let next = new_ec();
    let setup = Setup::with_jwks(
        &[ends(&EC, "old", json!(NOW as f64 + 30.5)), ends(&next, "next", json!(NOW + 50)), ED.jwk("ed")],
        &[],
    );
    let mut identifier = setup.identifier();
    let (old, newer) = (EC.sign("old", &claims()), next.sign("next", &claims()));
    assert_eq!(identify_at(&mut identifier, &old, NOW + 29), buyer("buyer-1"));
    assert_eq!(identify_at(&mut identifier, &old, NOW + 30), Err(Unauthenticated::UnknownKey), "remembered");
    assert_eq!(
        identify_at(&mut identifier, &EC.sign("old", &claims()), NOW + 30),
        Err(Unauthenticated::UnknownKey)
    );
    assert_eq!(identify_at(&mut identifier, &newer, NOW + 49), buyer("buyer-1"));
    assert_eq!(identify_at(&mut identifier, &ED.sign("ed", &claims()), NOW + 60), buyer("buyer-1"));

    let keys = setup.keys();
    assert_eq!(keys.next_end(NOW), Some(NOW + 30));
    assert_eq!(keys.next_end(NOW + 30), Some(NOW + 50));
    assert_eq!(keys.next_end(NOW + 50), None, "the one that is left has no end");
    write_jwks(setup.file(), &[ends(&EC, "old", json!(NOW + 30))]);
    assert_eq!(keys.reload_if_changed(), Ok(true));
    assert_eq!(keys.next_end(NOW + 60), Some(NOW + 30), "all of them have ended");
    assert_eq!(Setup::with_secret().keys().next_end(NOW), None);

    for wrong in [json!("soon"), json!({}), json!(true)] {
        write_jwks(setup.file(), &[ends(&EC, "old", wrong)]);
        assert!(keys.reload_if_changed().unwrap_err()[0].contains("wrong type"));
    }
}
