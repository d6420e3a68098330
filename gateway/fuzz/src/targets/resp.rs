//! Checks that every reader of RESP bytes terminates, and that none accepts an error as a value.

use gateway::fuzzing::{accept, change, decisions, record, snapshot};
use gateway::store::journal::{Entry, Trail};
use redis::{Value, parse_redis_value};

use super::reserve_reply::catalogue;

pub(super) fn run(bytes: &[u8]) {
    let Ok(value) = parse_redis_value(bytes) else {
        return;
    };
    if let Some(entry) = Entry::parse(&value) {
        let _ = entry.lines(catalogue(), &mut Trail::default());
        let _ = entry.totals();
    }
    let Value::Array(reply) = value else {
        return;
    };
    if matches!(reply.first(), None | Some(Value::ServerError(_) | Value::Nil)) {
        assert!(
            change(ID, &reply).is_err()
                && decisions(&[], catalogue(), &reply).is_none_or(|list| list.is_empty())
        );
    }
    let Ok(reply) = accept(reply) else {
        return;
    };
    let _ = change(ID, &reply);
    let _ = decisions(&[], catalogue(), &reply);
    let _ = record("small", &ID[..20], &reply);
    let _ = snapshot("small", &reply);
}

const ID: &str = "aliceAAAAAAAAAAAAAAAkey-AAAAAAAA";
