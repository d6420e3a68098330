//! Runs libFuzzer with the target that `FUZZ_TARGET` names; `scripts/fuzz` starts it.

#![no_main]

use std::sync::OnceLock;

use gateway_fuzz::{TARGETS, Target, find};

static TARGET: OnceLock<Target> = OnceLock::new();

fn choose() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    find(&name).unwrap_or_else(|| {
        let known: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        println!("FUZZ_TARGET must be one of {}, not {name:?}", known.join(", "));
        std::process::exit(2)
    })
}

libfuzzer_sys::fuzz_target!(
    init: {
        TARGET.get_or_init(choose);
    },
    |bytes: &[u8]| TARGET.get_or_init(choose).1(bytes)
);
