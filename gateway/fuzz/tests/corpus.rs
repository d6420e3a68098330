//! Every seed through its target, without libFuzzer: what fuzzing once found stays found.

#![cfg(feature = "targets")]

use gateway_fuzz::{TARGETS, corpus};

#[test]
fn every_target_has_seeds_and_every_seed_holds() {
    for (name, run) in TARGETS {
        let folder = corpus(name);
        let seeds = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut count = 0;
        for seed in seeds {
            let path = seed.unwrap().path();
            println!("{}", path.display());
            run(&std::fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} has no seeds", folder.display());
    }
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    for folder in std::fs::read_dir(corpus("")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(gateway_fuzz::find(&name).is_some(), "there is no target {name}");
    }
}
