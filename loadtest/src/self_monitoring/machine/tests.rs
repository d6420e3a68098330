//! Unit tests of `machine.rs`.

use super::*;

#[test]
fn this_process_is_reported() {
    assert!(cores() >= 1);
    assert!(descriptors().unwrap() >= 3);
    assert!(memory().unwrap().peak_kib >= memory().unwrap().rss_kib && memory().unwrap().rss_kib > 0);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    assert_eq!(descriptors_limit(), limit);
    let before = cpu();
    // The kernel counts ticks of 10 ms.
    while cpu() == before {
        std::hint::black_box(cores());
    }
}
