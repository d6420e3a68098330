//! Checks that an accepted stores query has a limit from 1 to 500, and that a refusal is a JSON
//! problem.

use gateway::fuzzing::stores_query;
use serde_json::Value;

pub(super) fn run(bytes: &[u8]) {
    let target = [b"/v1/sales/small/stores?", bytes].concat();
    match stores_query(&target) {
        None => {}
        Some(Ok(limit)) => {
            assert!((1..=500).contains(&limit), "{limit}");
            // A `#` ends the request target (RFC 9112, 3.2); the listener drops the rest.
            let seen = target.split(|b| *b == b'#').next().unwrap_or_default();
            assert!(seen.len() <= 2_048, "{} bytes", seen.len());
        }
        Some(Err(problem)) => {
            let problem: Value = serde_json::from_str(&problem).unwrap_or_else(|e| panic!("{e}: {problem}"));
            assert!(matches!(problem["status"].as_u64(), Some(400 | 414)), "{problem}");
        }
    }
}
