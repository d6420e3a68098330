//! Which CPUs a measured server has, and which everything else has.

use std::sync::OnceLock;

use procfs::process::Process;
use rustix::thread::{CpuSet, sched_setaffinity};
use testkit::Failed;

/// The CPUs of a server with so many workers: as many, and not all of them if there are others. What is
/// measured does not share its CPU with Redis and the generator then, and runs can be compared.
pub(crate) fn server_cpus(workers: usize) -> String {
    listed(&cpus()[..workers.min(cpus().len())])
}

/// The CPUs of everything else while a server with so many workers is measured.
pub(crate) fn others_cpus(workers: usize) -> String {
    listed(others(workers))
}

fn others(workers: usize) -> &'static [usize] {
    cpus().get(workers..).filter(|rest| !rest.is_empty()).unwrap_or(cpus())
}

fn listed(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Those that this process was given, before it bound itself to some of them.
fn cpus() -> &'static [usize] {
    static CPUS: OnceLock<Vec<usize>> = OnceLock::new();
    CPUS.get_or_init(allowed)
}

fn allowed() -> Vec<usize> {
    let status = Process::myself().and_then(|own| own.status());
    let ranges = status.ok().and_then(|status| status.cpus_allowed_list).unwrap_or_default();
    ranges.into_iter().flat_map(|(first, last)| first..=last).map(|cpu| cpu as usize).collect()
}

/// Binds this thread, and what it starts, to what a server with so many workers leaves free.
pub(crate) fn make_room(workers: usize) -> Result<(), Failed> {
    bind(others(workers))
}

/// Binds this thread, and all that is started from then on, to so many CPUs: for this run there are no others.
pub(crate) fn share(count: usize) -> Result<(), Failed> {
    let allowed = allowed();
    bind(&allowed[..count.min(allowed.len())])
}

fn bind(to: &[usize]) -> Result<(), Failed> {
    let mut set = CpuSet::new();
    to.iter().for_each(|cpu| set.set(*cpu));
    sched_setaffinity(None, &set).map_err(Failed::to("choose the CPUs"))
}
