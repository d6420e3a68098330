//! Tests signatures against the library of the specification's authors, and the file of the secrets.

use hyper::http::{HeaderMap, HeaderValue};
use standardwebhooks::Webhook;

use super::*;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const BODY: &str = r#"{"test": 2432232314}"#;

#[test]
fn the_published_test_vector_comes_out() {
    let secrets = Secrets::parse(OLD).unwrap();
    let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, BODY);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn the_published_library_accepts_each_secret_of_a_rotation_and_no_other() {
    let now = jiff::Timestamp::now().as_second();
    let id = "national-good-car/4711/3";
    let signature = Secrets::parse(&format!("{NEW}\n{OLD}\n")).unwrap().sign(id, now, BODY);
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static(id));
    headers.insert("webhook-timestamp", HeaderValue::from(now));
    headers.insert("webhook-signature", HeaderValue::from_str(&signature).unwrap());
    let accepts =
        |secret: &str, body: &str| Webhook::new(secret).unwrap().verify(body.as_bytes(), &headers).is_ok();
    assert!(accepts(OLD, BODY) && accepts(NEW, BODY), "{signature}");
    assert!(!accepts("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", BODY));
    assert!(!accepts(NEW, r#"{"test": 2432232315}"#));
}

#[test]
fn a_bad_file_is_refused_without_its_content() {
    let short = format!("whsec_{}", STANDARD.encode([7; 23]));
    let long = format!("whsec_{}", STANDARD.encode([7; 65]));
    let cases = [
        ("", "has no secret"),
        ("# none\n\n", "has no secret"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "line 1: a secret begins with whsec_"),
        ("\nwhsec_not base64!", "line 2: what follows whsec_ is not base64"),
        (&short, "line 1: the secret has 23 bytes; expected 24 to 64"),
        (&long, "line 1: the secret has 65 bytes; expected 24 to 64"),
        (&format!("{OLD}\n{NEW}\n{OLD}"), "it has 3 secrets; expected one, or two during a rotation"),
    ];
    for (text, expected) in cases {
        let problem = Secrets::parse(text).unwrap_err();
        assert!(problem.contains(expected), "{text:?}: {problem}");
        assert!(!problem.contains("MfKQ9r8G") && !problem.contains("not base64!"), "{problem}");
    }
    for size in [24, 64] {
        Secrets::parse(&format!("# the secret\nwhsec_{}\r\n", STANDARD.encode(vec![7; size]))).unwrap();
    }
    assert_eq!(format!("{:?}", Secrets::parse(OLD).unwrap()), "Secrets(1)");
}

#[test]
fn the_file_is_followed_and_an_unusable_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    assert!(SecretFile::load(&path).unwrap_err().contains("No such file"));
    std::fs::write(&path, OLD).unwrap();
    let mut file = SecretFile::load(&path).unwrap();
    let old = file.secrets().clone();
    for unusable in [&b"whsec_"[..], b"\xff", &[b'#'; 5000]] {
        std::fs::write(&path, unusable).unwrap();
        file.reload();
        assert_eq!(file.secrets(), &old);
        assert!(file.problem.is_some());
    }
    std::fs::write(&path, format!("{NEW}\n{OLD}")).unwrap();
    file.reload();
    assert_eq!(file.secrets(), &Secrets::parse(&format!("{NEW}\n{OLD}")).unwrap());
    assert_eq!(file.problem, None);
    assert!(SecretFile::load(folder.path()).unwrap_err().contains("expected a regular file"));
}

#[test]
fn a_receiver_written_as_the_page_says_accepts_what_is_signed_and_nothing_else() {
    let page = include_str!("../../../../docs/webhooks.md");
    let code = page.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    let now = jiff::Timestamp::now().as_second();
    let secrets = Secrets::parse(&format!("{NEW}\n{OLD}\n")).unwrap();
    let answers = |timestamp: i64, signed: &str| {
        let signature = secrets.sign("car/4711/3", timestamp, signed);
        let headers = serde_json::json!({"webhook-id": "car/4711/3", "webhook-timestamp": timestamp.to_string(),
            "webhook-signature": signature});
        let program =
            format!("{code}\nprint(*[is_valid(s, {headers}, {BODY:?}.encode()) for s in {:?}])", [OLD, NEW]);
        let done = std::process::Command::new("python3").args(["-c", &program]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    assert_eq!(answers(now, BODY), "True True\n");
    assert_eq!(answers(now, r#"{"test": 2432232315}"#), "False False\n", "another body");
    assert_eq!(
        answers(now - 400, BODY),
        "False False\n",
        "an old webhook that is sent again by someone else"
    );
}
