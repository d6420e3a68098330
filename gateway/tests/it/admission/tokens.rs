//! Tokens as strangers would forge them: only what the configured key signed, for now and for us, opens a call.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use testkit::check::{balanced, refused};
use testkit::definition::{open, small, white};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, SECRET, send, token};
use testkit::keys::{Key, b64, claims, now, write_keys};
use testkit::redis::Redis;

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn good(others: &Value) -> String {
    signed(Algorithm::HS256, SECRET, &claims(others))
}

/// A tap with this `Authorization`.
async fn tap(gateway: &Gateway, authorization: &str, key: &str) -> Reply {
    let path = "/v1/sales/small/reservations";
    let request = gateway.request(reqwest::Method::POST, path);
    let request = request.header("authorization", authorization);
    send(request.header("idempotency-key", key).json(&white())).await
}

async fn refuse(gateway: &Gateway, what: &str, authorization: &str) {
    let reply = tap(gateway, authorization, "k").await;
    assert_eq!(reply.status, 401, "{what}: {}", reply.text);
    refused(&reply, 401, "unauthenticated", &[]);
    let challenge = reply.header("www-authenticate");
    assert!(challenge.starts_with("Bearer realm="), "{what}: {challenge}");
}

#[tokio::test]
async fn only_a_token_of_the_secret_opens_a_call() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    let plain = good(&json!({}));
    let parts: Vec<&str> = plain.split('.').collect();
    let none = b64(r#"{"alg":"none","typ":"JWT"}"#);
    let other_body = b64(claims(&json!({"sub": "bob"})).to_string());
    for (what, token) in [
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none with a signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("HS512", signed(Algorithm::HS512, SECRET, &claims(&json!({})))),
        ("HS384", signed(Algorithm::HS384, SECRET, &claims(&json!({})))),
        ("another key", signed(Algorithm::HS256, &SECRET[1..], &claims(&json!({})))),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("another body", format!("{}.{other_body}.{}", parts[0], parts[2])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("five parts", format!("{plain}.a.b")),
        ("not base64", "!!.??.##".to_owned()),
        ("too long", format!("{plain}{}", "x".repeat(5_000))),
        ("no exp", good(&json!({"exp": null}))),
        ("expired", good(&json!({"exp": now() - 60}))),
        ("exp is text", good(&json!({"exp": "tomorrow"}))),
        ("exp is negative", good(&json!({"exp": -1}))),
        ("not valid yet", good(&json!({"nbf": now() + 60}))),
        ("nbf is text", good(&json!({"nbf": "now"}))),
        ("no sub", good(&json!({"sub": null}))),
        ("an empty sub", good(&json!({"sub": ""}))),
        ("a sub that begins with a blank", good(&json!({"sub": " a"}))),
        ("a sub that ends with a blank", good(&json!({"sub": "a "}))),
        ("a sub of one blank", good(&json!({"sub": " "}))),
        ("a sub with a tab", good(&json!({"sub": "a\tb"}))),
        ("a sub with a line end", good(&json!({"sub": "a\nb"}))),
        ("a sub that is not ASCII", good(&json!({"sub": "ali\u{e7}e"}))),
        ("a sub of 256", good(&json!({"sub": "x".repeat(256)}))),
        ("a sub that is a number", good(&json!({"sub": 7}))),
        ("empty", String::new()),
    ] {
        refuse(&gateway, what, &format!("Bearer {token}")).await;
    }
    for authorization in ["Basic YTpi", "Bearer", "bearer", &format!("Token {plain}"), &plain] {
        refuse(&gateway, "another scheme", authorization).await;
    }
    // A service is named by its scope; nothing else makes one.
    for (what, others) in [
        ("no scope", json!({})),
        ("another scope", json!({"scope": "services service-x"})),
        ("another claim", json!({"scopes": "service", "role": "service"})),
    ] {
        let request = gateway
            .request(reqwest::Method::POST, "/v1/sales/small/reservations/x/confirm")
            .bearer_auth(good(&others))
            .json(&json!({"payment": "p", "version": 1}));
        let reply = send(request).await;
        assert_eq!(reply.status, 403, "{what}");
        refused(&reply, 403, "forbidden", &[]);
    }
    assert_eq!(balanced(&gateway).await, before);

    // Good ones: the scheme in any case, a claim more, just begun, the longest name.
    for (n, token) in [
        plain.clone(),
        good(&json!({"iat": now(), "jti": "x", "aud": "anyone", "iss": "anyone"})),
        good(&json!({"nbf": now() - 1})),
        good(&json!({"sub": "~".repeat(255)})),
    ]
    .iter()
    .enumerate()
    {
        let scheme = ["Bearer", "bearer", "BEARER", "Bearer"][n];
        let reply = tap(&gateway, &format!("{scheme} {token}"), "k").await;
        assert!([200, 201].contains(&reply.status), "{n}: {}", reply.text);
    }
    assert_eq!(gateway.audit().await["reservations"]["held"], 2);
}

#[tokio::test]
async fn issuer_and_audience_must_be_ours_once_they_are_configured() {
    let redis = Redis::start();
    let options = ["--auth-issuer", "https://id.example", "--auth-audience", "launch"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let token = |iss: Value, aud: Value| good(&json!({"iss": iss, "aud": aud}));
    let (iss, aud) = (json!("https://id.example"), json!("launch"));
    for (what, token) in [
        ("neither", token(Value::Null, Value::Null)),
        ("no issuer", token(Value::Null, aud.clone())),
        ("no audience", token(iss.clone(), Value::Null)),
        ("another issuer", token(json!("https://id.example.evil"), aud.clone())),
        ("another audience", token(iss.clone(), json!("launches"))),
        ("other audiences", token(iss.clone(), json!(["a", "b"]))),
    ] {
        refuse(&gateway, what, &format!("Bearer {token}")).await;
    }
    for aud in [aud, json!(["other", "launch"])] {
        let reply = tap(&gateway, &format!("Bearer {}", token(iss.clone(), aud)), "k").await;
        assert!([200, 201].contains(&reply.status), "{}", reply.text);
    }
    assert_eq!(gateway.audit().await["reservations"]["held"], 1);
}

#[tokio::test]
async fn a_key_set_is_read_again_and_only_listed_keys_make_a_service() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let (users, services, next) = (Key::new("users"), Key::new("services"), Key::new("next"));
    write_keys(&file, &[&users, &services]);
    let options = ["--auth-jwks-file", file.to_str().unwrap(), "--auth-service-key-ids", "services"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;

    let bearer = |token: String| format!("Bearer {token}");
    let won = tap(&gateway, &bearer(users.sign(&json!({}))), "k").await;
    assert_eq!(won.status, 201, "{}", won.text);
    for (what, token) in [
        ("the secret of another set-up", token("alice")),
        ("an unknown key", next.sign(&json!({}))),
        ("another key's name", next.sign_as("users", &json!({}))),
        ("a service key under a user's name", services.sign_as("users", &json!({}))),
        ("HMAC with the public half", {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some("users".into());
            let key = EncodingKey::from_secret(&users.public());
            encode(&header, &claims(&json!({})), &key).unwrap()
        }),
    ] {
        refuse(&gateway, what, &bearer(token)).await;
    }
    let confirm = async |token: String| {
        let path = format!("/v1/sales/small/reservations/{}/confirm", won.id());
        let request = gateway.request(reqwest::Method::POST, &path).bearer_auth(token);
        send(request.json(&json!({"payment": "p", "version": 1}))).await
    };
    let scope = json!({"scope": "service"});
    let reply = confirm(users.sign(&scope)).await;
    refused(&reply, 403, "forbidden", &[]);
    let reply = confirm(services.sign(&json!({}))).await;
    refused(&reply, 403, "forbidden", &[]);
    let reply = confirm(services.sign(&scope)).await;
    assert_eq!((reply.status, &reply.json["state"]), (200, &json!("confirmed")), "{}", reply.text);

    // The set is rotated: the new key comes in, the old one goes, remembered tokens with it.
    let old = users.sign(&json!({}));
    assert_eq!(tap(&gateway, &bearer(old.clone()), "k").await.status, 200);
    write_keys(&file, &[&next, &services]);
    let fresh = next.sign(&json!({}));
    eventually("the new key is known", || async {
        (tap(&gateway, &bearer(fresh.clone()), "k").await.status == 200).then_some(())
    })
    .await;
    eventually("every worker has forgotten the old key", || async {
        let mut all = true;
        for _ in 0..8 {
            all &= tap(&gateway, &bearer(old.clone()), "k").await.status == 401;
        }
        all.then_some(())
    })
    .await;
    // A set that can't be read changes nothing.
    std::fs::write(&file, "{\"keys\": [").unwrap();
    write_keys(&dir.path().join("other"), &[]);
    assert_eq!(tap(&gateway, &bearer(fresh), "k").await.status, 200);
}
