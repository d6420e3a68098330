//! Tests keys, tokens and certificates that expire before the launch ends, or are weak.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use testkit::gateway::OPS_TOKEN;
use testkit::redis::Redis;

use super::DoctorFixture;

fn today(days: i64) -> jiff::Zoned {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    now.checked_add(jiff::Span::new().days(days)).unwrap()
}

/// Writes a certificate for `localhost` and its key, valid between these days from now, self-signed
/// or by an authority, whose certificate follows it.
fn issue(doctor: &DoctorFixture, name: &str, (from, until): (i64, i64), is_signed: bool) {
    let date = |days| {
        let day = today(days);
        date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date(from), date(until));
    let key = KeyPair::generate().unwrap();
    let pem = if is_signed {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "An authority");
        let authority_key = KeyPair::generate().unwrap();
        let own = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::from_params(&authority, &authority_key);
        params.signed_by(&key, &issuer).unwrap().pem() + &own
    } else {
        params.self_signed(&key).unwrap().pem()
    };
    doctor.write("cert", &pem, 0o644);
    doctor.write("key", &key.serialize_pem(), 0o600);
}

#[test]
fn a_certificate_that_ends_too_soon_or_is_for_another_name_is_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    for (listener, days, is_signed, host, verdict, found) in [
        // To the start of the day after tomorrow: between one and two days.
        ("", (-1, 2), true, None, "fail", "--tls-cert-file expires in 1 d"),
        ("ops-", (-1, 1), true, None, "fail", "--ops-tls-cert-file expires in"),
        ("", (-10, -1), true, None, "fail", "--tls-cert-file expired"),
        ("", (2, 90), true, None, "fail", "--tls-cert-file becomes valid in 1 d"),
        ("", (-1, 10), true, None, "warn", "expires in 9 d"),
        ("", (-1, 90), false, None, "warn", "self-signed"),
        ("", (-1, 90), true, None, "ok", "for localhost, expires in 89 d"),
        ("", (-1, 90), true, Some("localhost"), "ok", "for localhost"),
        ("", (-1, 90), true, Some("shop.example"), "fail", "for localhost and not for shop.example"),
    ] {
        issue(&doctor, "localhost", days, is_signed);
        let [cert, key] = ["cert", "key"].map(|name| doctor.arg(name));
        let [cert_flag, key_flag] = ["cert", "key"].map(|what| format!("--{listener}tls-{what}-file"));
        let mut options = vec![cert_flag.as_str(), &cert, &key_flag, &key];
        host.iter().for_each(|host| options.extend(["--host", host]));
        doctor.examine(&options).has("keys", "certificate", verdict, found);
    }
    doctor.examine(&["--host", "shop.example"]).has("keys", "certificate", "warn", "ends elsewhere");
    // Halves of two pairs, and a key that others may read.
    let cert = std::fs::read_to_string(doctor.path("cert")).unwrap();
    issue(&doctor, "localhost", (-1, 90), true);
    let [cert_file, key_file] = ["cert", "key"].map(|name| doctor.arg(name));
    let options = ["--tls-cert-file", &cert_file, "--tls-key-file", &key_file];
    doctor.write("key", &std::fs::read_to_string(doctor.path("key")).unwrap(), 0o640);
    doctor.examine(&options).has("keys", "files", "warn", "TLS key file");
    doctor.write("cert", &cert, 0o644);
    doctor.examine(&options).has("keys", "certificate", "fail", "does not match the certificate");
}

#[test]
fn a_wildcard_is_for_one_step_below() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    issue(&doctor, "*.shop.example", (-1, 90), true);
    let [cert, key] = ["cert", "key"].map(|name| doctor.arg(name));
    for (host, verdict) in
        [("api.shop.example", "ok"), ("shop.example", "fail"), ("a.b.shop.example", "fail")]
    {
        let options = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--host", host];
        doctor.examine(&options).has("keys", "certificate", verdict, "*.shop.example");
    }
}

/// A key set of these keys, each with its end in so many seconds.
fn jwks(keys: &[(&str, Option<i64>)]) -> String {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; // RFC 8037, A.2
    let now = jiff::Timestamp::now().as_second();
    let key = |(kid, ends): &(&str, Option<i64>)| {
        let mut key =
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x});
        if let Some(ends) = ends {
            key["exp"] = json!(now + ends);
        }
        key
    };
    json!({"keys": keys.iter().map(key).collect::<Vec<Value>>()}).to_string()
}

#[test]
fn public_keys_that_end_and_services_without_any_are_reported() {
    const DAY: i64 = 86_400;
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    let file = doctor.arg("jwks");
    let bound = ["--auth-jwks-file", &file, "--auth-issuer", "us", "--auth-audience", "launchgate"];
    let pay = [&bound[..], &["--auth-service-key-ids", "pay"]].concat();
    for (keys, verdict, found) in [
        (&[("app", None), ("pay", None)][..], "ok", "none of them expires"),
        (&[("app", Some(60 * DAY)), ("pay", None)], "ok", "the first expires in"),
        (&[("app", Some(9 * DAY)), ("pay", None)], "warn", "the key \"app\" expires in"),
        (&[("app", Some(DAY)), ("pay", None)], "fail", "the key \"app\" expires in"),
    ] {
        doctor.write("jwks", &jwks(keys), 0o644);
        doctor.examine(&pay).has("keys", "tokens", verdict, found);
    }
    doctor.write("jwks", &jwks(&[("app", None), ("pay", None)]), 0o644);
    doctor.examine(&bound).has("keys", "services", "fail", "no key may sign for services");
    let unbound = ["--auth-jwks-file", &file, "--auth-service-key-ids", "pay"];
    doctor.examine(&unbound).has("keys", "audience", "warn", "for other audiences");
    let missing = [&bound[..], &["--auth-service-key-ids", "refunds"]].concat();
    doctor.examine(&missing).has("keys", "tokens", "fail", "\"refunds\"");
    doctor.write("jwks", "{}", 0o644);
    doctor.examine(&pay).has("keys", "tokens", "fail", "not a JSON object with a list `keys`");
}

#[test]
fn secrets_that_are_none_are_reported_and_never_shown() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    doctor.write("bad", &format!("maja {OPS_TOKEN}\nli abababababababababab\n"), 0o600);
    doctor.write("open", &format!("maja {OPS_TOKEN}\n"), 0o604);
    doctor.write("none", "# no token\n", 0o600);
    doctor.write("short", "hunter2", 0o600);
    doctor.write("simple", &"ab".repeat(20), 0o600);
    // Passwords and keys for Redis; --redis goes before the file.
    doctor.write("config", "redis = \"redis://:hunter2@127.0.0.1:1\"\n", 0o640);
    doctor.write("harmless", "workers = 1\n", 0o644);
    let files_of =
        |file: &str| doctor.examine(&["--config", &doctor.arg(file)]).verdicts("keys", "files").len();
    assert_eq!((files_of("config"), files_of("harmless")), (1, 0));
    doctor.examine(&["--config", &doctor.arg("config")]).has("keys", "files", "warn", "config file");
    issue(&doctor, "localhost", (-1, 90), true);
    let [cert, key] = ["cert", "key"].map(|name| doctor.arg(name));
    doctor.write("key", &std::fs::read_to_string(doctor.path("key")).unwrap(), 0o604);
    let options = ["--redis", "rediss://127.0.0.1:1", "--redis-cert-file", &cert, "--redis-key-file", &key];
    doctor.examine(&options).has("keys", "files", "warn", "key file for Redis");
    for (option, file, check, verdict, found) in [
        ("--ops-token-file", "bad", "ops", "warn", "those of li"),
        ("--ops-token-file", "open", "files", "warn", "mode 604"),
        ("--ops-token-file", "none", "ops", "fail", "no token in it"),
        ("--ops-token-file", "missing", "ops", "fail", "check the path"),
        ("--auth-secret-file", "short", "tokens", "fail", "7 bytes"),
        ("--auth-secret-file", "simple", "tokens", "warn", "can be guessed"),
        ("--auth-secret-file", "missing", "tokens", "fail", "check the path"),
    ] {
        let findings = doctor.examine(&[option, &doctor.arg(file)]);
        findings.has("keys", check, verdict, found);
        for secret in [OPS_TOKEN, "abababab", "hunter2"] {
            assert!(!format!("{findings:?}").contains(secret), "{findings:?}");
        }
    }
}
