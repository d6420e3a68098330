//! The facts of this host: limits of the kernel and of the process, memory, the state of the ports, and the
//! options that need them.

use std::io::ErrorKind;
use std::net::SocketAddr;

use procfs::process::{LimitValue, Process};
use procfs::{Current, Meminfo};

use crate::config::ServeConfig;
use crate::doctor::args::DoctorArgs;
use crate::doctor::gateway::RunningGateway;
use crate::http::bind::bind;

/// The facts of this host, and the options that need it.
pub(in crate::doctor) struct HostFacts<'a> {
    pub config: &'a ServeConfig,
    pub args: &'a DoctorArgs,
    /// The limit of open files of a process, soft and hard; `None`: no limit, or unknown.
    pub files: Option<(u64, u64)>,
    /// The limit of the gateway that runs on this host already.
    pub files_of_running: Option<u64>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// Free memory in bytes, within the control group's limit.
    pub memory: Option<u64>,
    /// Threads that can run at once.
    pub cores: usize,
    /// Both listeners.
    pub ports: Vec<Port>,
}

/// An address that a gateway will listen on.
#[derive(Debug, Clone)]
pub(in crate::doctor) struct Port {
    /// The option with the address.
    pub option: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Its state now.
    pub state: PortState,
}

/// The result of binding an address.
#[derive(Debug, Clone)]
pub(in crate::doctor) enum PortState {
    /// The port is free.
    Free,
    /// A gateway of this version has it.
    Gateway(String),
    /// Another program has it.
    Taken,
    /// It can't be bound, for this reason.
    Refused(String),
}

impl<'a> HostFacts<'a> {
    /// Collects the facts. `running` is the gateway at the ops address; `answers`: one answers on the public
    /// address.
    pub(in crate::doctor) fn look(
        config: &'a ServeConfig,
        running: Option<&RunningGateway>,
        answers: bool,
        args: &'a DoctorArgs,
    ) -> Self {
        let version = |is_there: bool| {
            is_there.then(|| running.map_or("unknown", |running| &running.version).to_owned())
        };
        let port = |option, address, is_gateway| Port {
            option,
            address,
            state: state(address, version(is_gateway)),
        };
        Self {
            config,
            args,
            files: files(),
            files_of_running: running.and_then(|running| running.files_max),
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            memory: memory(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            ports: vec![
                port("--listen", config.listen, answers),
                port("--ops-listen", config.ops_listen, running.is_some()),
            ],
        }
    }
}

/// Tries to bind the address as `serve` would.
fn state(address: SocketAddr, gateway: Option<String>) -> PortState {
    match (bind(address, 1), gateway) {
        (Ok(_), _) => PortState::Free,
        (Err(_), Some(version)) => PortState::Gateway(version),
        (Err(error), None) if error.kind() == ErrorKind::AddrInUse => PortState::Taken,
        (Err(error), None) => PortState::Refused(error.to_string()),
    }
}

/// Soft and hard limit of open files.
fn files() -> Option<(u64, u64)> {
    let files = Process::myself().ok()?.limits().ok()?.max_open_files;
    match (files.soft_limit, files.hard_limit) {
        (LimitValue::Unlimited, _) => None,
        (LimitValue::Value(soft), LimitValue::Unlimited) => Some((soft, u64::MAX)),
        (LimitValue::Value(soft), LimitValue::Value(hard)) => Some((soft, hard)),
    }
}

/// Free memory of the host, at most what the control group still allows.
fn memory() -> Option<u64> {
    const GROUP: &str = "/sys/fs/cgroup/memory";
    let free = Meminfo::current().ok()?.mem_available?;
    let group = number(&format!("{GROUP}.max")).zip(number(&format!("{GROUP}.current")));
    Some(group.map_or(free, |(max, now)| free.min(max.saturating_sub(now))))
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
