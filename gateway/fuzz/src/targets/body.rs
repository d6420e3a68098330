//! Checks that an accepted body is within the API's limits.
//! A refusal is a JSON problem whose pointer (RFC 6901) resolves in the request body.

use std::fmt::Debug;

use gateway::fuzzing::{amend_body, confirm_body, operator_action_body, reserve_body, restock_body};
use serde_json::Value;

use super::definition_json::resolves;

pub(super) fn run(bytes: &[u8]) {
    if let Some((model, packages, store, _)) = taken(bytes, reserve_body(bytes)) {
        is_item(&model);
        is_item(&store);
        are_packages(&packages);
    }
    if let Some((model, packages, store)) = taken(bytes, amend_body(bytes)) {
        model.iter().chain(&store).for_each(|id| is_item(id));
        packages.iter().for_each(|ids| are_packages(ids));
    }
    taken(bytes, confirm_body(bytes));
    taken(bytes, restock_body(bytes));
    taken(bytes, operator_action_body(bytes));
}

fn taken<T: Debug>(bytes: &[u8], read: Result<T, String>) -> Option<T> {
    let sent = serde_json::from_slice::<Value>(bytes);
    match read {
        Ok(body) => {
            assert!(matches!(sent, Ok(Value::Object(_))), "{body:?} was accepted from what is not an object");
            Some(body)
        }
        Err(problem) => {
            let problem: Value = serde_json::from_str(&problem).unwrap_or_else(|e| panic!("{e}: {problem}"));
            assert_eq!(problem["type"], "/problems/invalid-request", "{problem}");
            assert_eq!(problem["status"], 400, "{problem}");
            let pointer = problem["pointer"].as_str().unwrap_or_else(|| panic!("no pointer: {problem}"));
            if let Ok(sent) = sent {
                assert!(resolves(&sent, pointer), "{pointer:?} does not resolve: {problem}");
            }
            None
        }
    }
}

fn is_item(id: &str) {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    assert!((1..=64).contains(&id.len()) && id.bytes().all(fits), "{id:?}");
}

fn are_packages(ids: &[String]) {
    assert!(ids.len() <= 16, "{ids:?}");
    ids.iter().for_each(|id| is_item(id));
    let mut once = ids.to_vec();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "{ids:?}");
}
