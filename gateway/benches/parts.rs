//! Criterion benches of the pure parts of a tap: verify the token, parse the request, derive the id,
//! render the response.
//!
//! `scripts/bench --micro` runs them. They compare two versions of a part; `scripts/bench` measures a
//! whole tap.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::api::bodies::ReserveRequest;
use gateway::domain::catalogue::Catalogue;
use gateway::domain::decision::Shed;
use gateway::domain::definition::Definition;
use gateway::domain::identity::{fingerprint, parse_key, reservation_id};
use gateway::domain::reservation::Reservation;
use gateway::domain::rfc3339::rfc3339;
use gateway::http::request;
use gateway::http::respond::Refused;
use gateway::identify::{AuthSettings, Identifier, TokenKeys, mint};

const SECRET: &str = "only for benches, and never for a gateway";
const BODY: &[u8] =
    br#"{"model":"sedan-white","packages":["cover","maintenance"],"store":"gz-00001","accept_partial":true}"#;
const BUYER: &str = "abcdefghijklmnopqrst";
const ROW: &str = "key-AAAAAAAA fingerprint sedan-white cover,maintenance gz-00001 - 41 1 held \
                   1795000000000 1795000900000 - 42";
const NOW_S: u64 = 1_795_000_000;

/// Verifies a token: the signature, then the claims.
fn identify(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secret");
    std::fs::write(&file, SECRET).expect("a file");
    let settings = AuthSettings { secret_file: Some(file), ..AuthSettings::default() };
    let keys = std::sync::Arc::new(TokenKeys::load(&settings).expect("keys"));
    let mut identifier = Identifier::new(keys, 0);
    let token = mint(SECRET.as_bytes(), "buyer-0001", false, 3_600, NOW_S, None, None).expect("a token");
    let header = format!("Bearer {token}");
    c.bench_function("identify, HS256", |b| {
        b.iter(|| identifier.identify(Some(black_box(header.as_bytes())), NOW_S).is_ok());
    });
}

/// Parses a request, and derives the id of its reservation.
fn admit(c: &mut Criterion) {
    c.bench_function("read the body", |b| {
        b.iter(|| request::parse::<ReserveRequest<'_>>(black_box(BODY)).is_ok());
    });
    c.bench_function("read the idempotency key", |b| b.iter(|| parse_key(black_box(b"\"tap-0000000001\""))));
    c.bench_function("id of the reservation", |b| {
        b.iter(|| reservation_id(black_box("national-good-car"), black_box("buyer-0001"), black_box("tap")));
    });
    let packages = ["cover", "maintenance"];
    c.bench_function("fingerprint of the request", |b| {
        b.iter(|| {
            fingerprint(black_box("sedan-white"), black_box(&packages), black_box(Some("gz-00001")), true)
        });
    });
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/small/sale.toml");
    let definition = Definition::load(&file).expect("the example");
    let model = definition.models[0].id.clone();
    let store = definition.stores[0].id.clone();
    let catalogue = Catalogue::new(definition, 1);
    c.bench_function("find the items in the catalogue", |b| {
        b.iter(|| {
            catalogue
                .indices_of(black_box(&model), &[""; 0], black_box(Some(&*store)))
                .all(|index| index.is_some())
        });
    });
}

/// Renders responses.
fn respond(c: &mut Criterion) {
    c.bench_function("read a reservation's row", |b| {
        b.iter(|| Reservation::from_row(BUYER, "buyer-0001", black_box(ROW)).is_some());
    });
    c.bench_function("write a refusal", |b| b.iter(|| Refused::not_taken(Shed::Queue).into_answer()));
    c.bench_function("write a time", |b| b.iter(|| rfc3339(black_box(1_795_000_000_123))));
}

criterion_group!(parts, identify, admit, respond);
criterion_main!(parts);
