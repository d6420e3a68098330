//! Unit tests of `process.rs`.

use super::*;

#[test]
fn the_statistics_of_this_process_are_read() {
    let many: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    let stats = look().unwrap();
    assert!(stats.fds >= 50 && stats.fds_max.is_none_or(|most| most > stats.fds), "{stats:?}");
    drop(many);
    assert!(stats.memory_bytes > 1_000_000 && stats.threads > 0, "{stats:?}");
    assert!(look().unwrap().cpu_seconds >= stats.cpu_seconds);
    let now = jiff::Timestamp::now().as_second() as f64;
    assert!(stats.started <= now + 1.0 && stats.started > now - 86_400.0, "{stats:?}");
}
