//! Reads this process's resources from Linux. Unavailable values are `None`, or zero.

use std::time::Duration;

/// `USER_HZ`: what /proc counts CPU in is fixed, whatever the kernel's own tick is (proc(5), `stat`).
const TICKS_PER_SECOND: u64 = 100;

/// Resident RAM now, and its maximum so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) rss_kib: u64,
    pub(super) peak_kib: u64,
}

/// The cores that this process may use: by affinity and by its cgroup's quota, rounded down to whole ones.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The CPU that all threads have used, those that have ended included.
pub(super) fn cpu() -> Duration {
    read("/proc/self/stat").and_then(|text| cpu_in(&text)).unwrap_or_default()
}

pub(super) fn memory() -> Option<Memory> {
    memory_in(&read("/proc/self/status")?)
}

/// The soft limit on open descriptors; `None` without one.
pub(crate) fn descriptors_limit() -> Option<u64> {
    descriptors_limit_in(&read("/proc/self/limits")?)
}

/// How many are open: the folder's size from Linux 6.2 on; before that they are counted, which
/// takes milliseconds for tens of thousands.
pub(super) fn descriptors() -> Option<u64> {
    let folder = "/proc/self/fd";
    let size = std::fs::metadata(folder).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    u64::try_from(std::fs::read_dir(folder).ok()?.count()).ok()
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `utime` and `stime` are the 14th and 15th field; the 2nd is the program's name, which may have blanks and brackets.
fn cpu_in(stat: &str) -> Option<Duration> {
    let mut after_name = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: u64 = after_name.next()?.parse().ok()?;
    let system: u64 = after_name.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn memory_in(status: &str) -> Option<Memory> {
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory { rss_kib: kib("VmRSS:")?, peak_kib: kib("VmHWM:")? })
}

fn descriptors_limit_in(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
