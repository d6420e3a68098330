//! Runs tests that mostly wait side by side, each in a thread of its name, which a panic shows.

use std::thread::{Builder, JoinHandle};

/// So many at the same time: more would be in each other's way.
const AT_ONCE: usize = 5;

macro_rules! together {
    ($($name:ident),+ $(,)?) => {
        $crate::together::run(&[$((stringify!($name), $name as fn())),+])
    };
}
pub(crate) use together;

/// Runs all of them to their ends, then fails if one of them did.
pub(crate) fn run(tests: &[(&str, fn())]) {
    let mut failed = Vec::new();
    for some in tests.chunks(AT_ONCE) {
        let start = |(name, test): &(&str, fn())| {
            let thread = Builder::new().name((*name).to_owned());
            ((*name).to_owned(), thread.spawn(*test).unwrap())
        };
        let running: Vec<(String, JoinHandle<()>)> = some.iter().map(start).collect();
        failed.extend(running.into_iter().filter_map(|(name, test)| test.join().is_err().then_some(name)));
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
