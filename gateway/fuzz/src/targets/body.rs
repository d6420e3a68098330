//! Checks that an accepted body is within the API's limits.
//! A refusal is a JSON problem whose pointer (RFC 6901) resolves in the request body.

use std::collections::HashSet;
use std::fmt::Debug;

use gateway::api::bodies::{ConfirmRequest, ItemId};
use gateway::fuzzing::{amend_body, body, reserve_body};
use gateway::ops::view::{OperatorActionRequest, RestockRequest};
use serde_json::Value;

pub(super) fn run(bytes: &[u8]) {
    if let Some(tap) = taken(bytes, reserve_body(bytes)) {
        is_item(&tap.model);
        tap.store.iter().for_each(is_item);
        are_packages(&tap.packages);
    }
    if let Some(change) = taken(bytes, amend_body(bytes)) {
        change.model.iter().chain(&change.store).for_each(is_item);
        change.packages.iter().for_each(|ids| are_packages(ids));
        assert!(change.version.is_none_or(|version| (1..=u64::from(u32::MAX)).contains(&version)));
    }
    taken::<ConfirmRequest>(bytes, body(bytes));
    taken::<RestockRequest>(bytes, body(bytes));
    taken::<OperatorActionRequest>(bytes, body(bytes));
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
                assert!(sent.pointer(pointer).is_some(), "{pointer:?} does not resolve: {problem}");
            }
            None
        }
    }
}

fn is_item(ItemId(id): &ItemId<'_>) {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    assert!((1..=64).contains(&id.len()) && id.bytes().all(fits), "{id:?}");
}

fn are_packages(ids: &[ItemId<'_>]) {
    assert!(ids.len() <= 16, "{ids:?}");
    ids.iter().for_each(is_item);
    let once: HashSet<_> = ids.iter().map(|id| &id.0).collect();
    assert_eq!(once.len(), ids.len(), "{ids:?}");
}
