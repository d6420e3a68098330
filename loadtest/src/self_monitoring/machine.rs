//! Reads this process's resources from Linux. Unavailable values are `None`, or zero.

use std::time::Duration;

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
    let ticks = own(Process::stat).map_or(0, |stat| stat.utime + stat.stime);
    Duration::from_millis(ticks * 1000 / procfs::ticks_per_second())
}

pub(super) fn memory() -> Option<Memory> {
    let status = own(Process::status)?;
    Some(Memory { rss_kib: status.vmrss?, peak_kib: status.vmhwm? })
}

/// Makes room for so many open descriptors, as far as this process may, and returns how many it may have; `None` without
/// a limit.
pub(crate) fn raise_descriptors(wanted: usize) -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < wanted) {
        let hard = limit.maximum.map(|maximum| maximum.max(wanted));
        // Only a privileged process may raise the hard limit; any may raise the soft one up to it.
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: hard });
        if raised.is_err() {
            let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        }
    }
    getrlimit(Resource::Nofile).current.map(|current| usize::try_from(current).unwrap_or(usize::MAX))
}

/// How many connections to one address there can be: each has a local port of its own.
pub(crate) fn local_ports() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = text.split_whitespace().map(str::parse::<usize>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

/// The soft limit on open descriptors; `None` without one.
pub(super) fn descriptors_limit() -> Option<u64> {
    match own(Process::limits)?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit),
        LimitValue::Unlimited => None,
    }
}

/// How many are open: the folder's size from Linux 6.2 on; before that they are counted, which
/// takes milliseconds for tens of thousands. `Process` would have one open itself.
pub(super) fn descriptors() -> Option<u64> {
    let folder = "/proc/self/fd";
    let size = std::fs::metadata(folder).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    u64::try_from(std::fs::read_dir(folder).ok()?.count()).ok()
}

fn own<T>(read: impl Fn(&Process) -> ProcResult<T>) -> Option<T> {
    read(&Process::myself().ok()?).ok()
}

#[cfg(test)]
mod tests;
