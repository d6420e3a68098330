//! Statistics of this process from `/proc`: CPU, memory, descriptors, threads.

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessStats {
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open descriptors.
    pub fds: u64,
    /// The limit of open descriptors; `None`: no limit.
    pub fds_max: Option<u64>,
    /// Start of the process, in seconds since 1970.
    pub started: f64,
    /// Number of threads.
    pub threads: i64,
}

/// Reads the statistics.
///
/// # Errors
///
/// Where `/proc` can't be read.
pub fn look() -> ProcResult<ProcessStats> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    let fds_max = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Value(most) => Some(most),
        LimitValue::Unlimited => None,
    };
    Ok(ProcessStats {
        cpu_seconds: seconds(stat.utime + stat.stime),
        memory_bytes: stat.rss * procfs::page_size(),
        fds: process.fd_count()? as u64,
        fds_max,
        started: procfs::boot_time_secs()? as f64 + seconds(stat.starttime),
        threads: stat.num_threads,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
