//! Checks that each tap gets only the decision of its letter.
//! A winner gets what it requested or its own row; a damaged reply yields only "unknown".

use std::sync::OnceLock;

use gateway::domain::catalogue::Catalogue;
use gateway::domain::decision::{Decision, PurchaseLimit, ReserveCommand};
use gateway::domain::definition::Definition;
use gateway::domain::identity::{is_reservation_id, reservation_id};
use gateway::domain::reservation::State;
use gateway::fuzzing::{accept, decisions};
use gateway::store::scripts::text;

use super::change_reply::header_is;
use crate::reply;

/// A sale with little stock.
pub(super) const SALE: &str = r#"{"sale":{"id":"small","name":"S","opens_at":"2026-01-01T00:00:00Z",
    "closes_at":"2036-01-01T00:00:00Z","hold":"2m","currency":"CNY"},
    "model":[{"id":"air","name":"A","price":5,"stock":9},{"id":"max","name":"M","price":5}],
    "package":[{"id":"cover","name":"C","price":1,"stock":2}],
    "stores":[{"id":"gz","name":"G","city":"G","capacity":4},{"id":"sh","name":"S","city":"S"}]}"#;

pub(super) fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let definition = Definition::from_json(SALE.as_bytes());
        Catalogue::new(definition.unwrap_or_else(|mistakes| panic!("{mistakes:?}")), 1)
    })
}

/// Four taps; the last one asks for an item that does not exist.
fn taps() -> Vec<ReserveCommand> {
    let wants = [
        ("alice", "air", vec!["cover"], Some("gz")),
        ("bob", "air", vec![], None),
        ("carol", "max", vec!["cover"], Some("sh")),
    ];
    let unknown = ("dora", "none", vec![], Some("sh"));
    let wanted = |(sub, model, packages, store): (&str, &str, Vec<&str>, Option<&str>)| ReserveCommand {
        id: reservation_id("small", sub, "key"),
        sub: sub.into(),
        fingerprint: "fingerprint".to_owned(),
        model: model.to_owned(),
        packages: packages.into_iter().map(str::to_owned).collect(),
        store: store.map(str::to_owned),
        accept_partial: sub == "carol",
    };
    wants.into_iter().chain([unknown]).map(wanted).collect()
}

pub(super) fn run(bytes: &[u8]) {
    let taps = taps();
    // Readable seeds: names in them stand for the derived ids.
    let mut named = bytes.to_vec();
    for wanted in &taps {
        named = replaced(&named, format!("{{{}}}", wanted.sub).as_bytes(), wanted.id.as_bytes());
        named = replaced(&named, format!("[{}]", wanted.sub).as_bytes(), &wanted.id.as_bytes()[20..]);
    }
    let Ok(reply) = accept(reply::list(&named)) else {
        return;
    };
    let Some(decisions) = decisions(&taps, catalogue(), &reply) else {
        return;
    };
    let letters = reply.get(3).and_then(text).unwrap_or_default();
    assert_eq!(decisions.len(), letters.len());
    let known = |item: &String| catalogue().index_of(item).is_some();
    for ((decision, letter), wanted) in decisions.iter().zip(letters.bytes()).zip(&taps) {
        let letters: &[u8] = match decision {
            Decision::Won(reservation, header) => {
                header_is(&reply, header);
                assert_eq!(reservation.id, wanted.id);
                assert_eq!(reservation.fingerprint, wanted.fingerprint);
                assert_eq!(reservation.state, State::Held);
                assert_eq!(reservation.model, wanted.model);
                assert!(letter == b'W' || wanted.accept_partial, "a tap for all items won a part");
                let _ = header.wall_time_of(reservation.deadline);
                b"WV"
            }
            Decision::Replayed(reservation, header) => {
                header_is(&reply, header);
                assert_eq!(reservation.id, wanted.id);
                assert_eq!(reservation.fingerprint, wanted.fingerprint);
                let _ = reservation.state_at(header.sale_clock, 60_000);
                b"R"
            }
            Decision::KeyReused => b"K",
            Decision::Closed => b"C",
            Decision::NotOpen(_) => b"N",
            Decision::Paused => b"P",
            Decision::NotSignedUp => b"G",
            Decision::UnknownItem(_) => b"U",
            Decision::PurchaseLimit(limit, ids) => {
                assert!(!ids.is_empty() && ids.iter().all(|id| is_reservation_id(id)), "{ids:?}");
                if *limit == PurchaseLimit::PerBuyer { b"L" } else { b"A" }
            }
            Decision::SoldOut { items, .. } => {
                assert!(!items.is_empty() && items.iter().all(known), "{items:?}");
                b"S"
            }
            Decision::NotTaken(_) => b"D",
            Decision::Unknown => continue,
        };
        assert!(letters.contains(&letter), "{decision:?} for {:?}", char::from(letter));
    }
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}
