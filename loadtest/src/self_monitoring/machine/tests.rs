//! Unit tests of `machine.rs`.

use super::*;

#[test]
fn cpu_is_read_behind_any_name() {
    let stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194304 2000 0 3 0 123 45 0 0 20 0 9 0 8888 1000 200";
    assert_eq!(cpu_in(stat), Some(Duration::from_millis(1680)));
    assert_eq!(cpu_in("4711 (x) S 1"), None);
    assert_eq!(cpu_in(""), None);
}

#[test]
fn memory_is_read() {
    let status = "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
    assert_eq!(memory_in(status), Some(Memory { rss_kib: 1024, peak_kib: 2048 }));
    assert_eq!(memory_in("Name:\tx\n"), None);
}

#[test]
fn the_soft_limit_is_read() {
    let head = "Limit                     Soft Limit           Hard Limit           Units\n";
    let line = "Max open files            20000                40000                files\n";
    assert_eq!(descriptors_limit_in(&format!("{head}{line}")), Some(20_000));
    assert_eq!(descriptors_limit_in("Max open files   unlimited  unlimited  files\n"), None);
    assert_eq!(descriptors_limit_in(""), None);
}

#[test]
fn this_process_is_reported() {
    assert!(cores() >= 1);
    assert!(descriptors().unwrap() >= 3);
    assert!(memory().unwrap().peak_kib > 0);
}
