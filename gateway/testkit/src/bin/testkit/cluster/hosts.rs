//! The hosts of a fleet, which are network namespaces on one bridge, and the programs that run on them.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use procfs::process::{ProcState, Process};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use testkit::cli::output;
use testkit::program::{Program, under};
use testkit::{Failed, wait_for};

/// Where the files of a fleet are. `NAME.pid` is there for every program that was started.
pub(super) const FOLDER: &str = "/run/launchgate-cluster";
/// Has the bridge, so that the network of the machine stays as it is.
const SWITCH: &str = "lg-switch";
/// Between two SIGTERMs to a program that does not end.
const SIGTERM_AGAIN: Duration = Duration::from_secs(1);

/// A file of the fleet.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// A host, by its number.
#[derive(Clone, Copy)]
pub(super) enum Host {
    Gateway(u8),
    Redis(u8),
    /// Where buyers are.
    Load,
}

impl Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(n) => write!(f, "gw{n}"),
            Self::Redis(n) => write!(f, "redis{n}"),
            Self::Load => f.write_str("load"),
        }
    }
}

impl Host {
    pub(super) fn ip(self) -> IpAddr {
        let last = match self {
            Self::Gateway(n) => 10 + n,
            Self::Redis(n) => 20 + n,
            Self::Load => 31,
        };
        Ipv4Addr::new(10, 77, 0, last).into()
    }

    pub(super) fn at(self, port: u16) -> SocketAddr {
        (self.ip(), port).into()
    }

    pub(super) fn namespace(self) -> String {
        format!("lg-{self}")
    }

    /// A program of this host that is not started yet. It outlives this one, and `halt` finds it by its name.
    pub(super) fn program(self, name: &str, command: Command) -> Result<Program, Failed> {
        let program = Program::new(name, command).log_to(&path(&format!("{name}.log")))?;
        Ok(program.outliving(&pid_file(name)))
    }

    /// The command that runs a program on this host.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        under(&wrapper(&self.namespace()), program)
    }
}

/// The command that runs others in this namespace, in a session of their own: signals to this program's group do not reach them.
pub(super) fn wrapper(namespace: &str) -> [&str; 5] {
    ["setsid", "ip", "netns", "exec", namespace]
}

/// Makes the bridge, and every host with its address.
pub(super) fn make_network(hosts: &[Host]) -> Result<(), Failed> {
    let lacks =
        |what: &'static str| move |error: Failed| Failed::Outside(format!("this kernel {what}: {error}"));
    ip(&format!("netns add {SWITCH}")).map_err(lacks("makes no network namespaces"))?;
    ip(&format!("-n {SWITCH} link add bridge type bridge")).map_err(lacks("has no bridges"))?;
    ip(&format!("-n {SWITCH} link set bridge up"))?;
    for host in hosts {
        let namespace = host.namespace();
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("-n {namespace} link add eth0 type veth peer name {host} netns {SWITCH}"))
            .map_err(lacks("has no veth"))?;
        ip(&format!("-n {SWITCH} link set {host} master bridge up"))?;
        ip(&format!("-n {namespace} addr add {}/24 dev eth0", host.ip()))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
    }
    Ok(())
}

/// Removes what there is of it.
pub(super) fn remove_network(hosts: &[Host]) {
    for namespace in hosts.iter().map(|host| host.namespace()).chain([SWITCH.to_owned()]) {
        let _ = ip(&format!("netns del {namespace}"));
    }
}

fn ip(words: &str) -> Result<(), Failed> {
    let mut command = Command::new("ip");
    command.args(words.split(' '));
    output(command).map(drop).map_err(|failed| failed.during(words))
}

/// Moves this program to a host: its connections, threads and children are there from now on. To be called before any thread is
/// started.
pub(super) fn enter(host: Host) -> Result<(), Failed> {
    let namespace = host.namespace();
    let what = format!("enter the network namespace {namespace}");
    let file = File::open(Path::new("/var/run/netns").join(namespace)).map_err(Failed::to(&what))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(Failed::to(&what))
}

/// Where the process id of a program is noted.
pub(super) fn pid_file(name: &str) -> PathBuf {
    path(&format!("{name}.pid"))
}

pub(super) fn is_running(name: &str) -> bool {
    pid_in(&pid_file(name)).is_some_and(is_alive)
}

/// Ends a program, if it runs.
pub(super) fn halt(name: &str) -> Result<(), Failed> {
    let file = pid_file(name);
    terminate(&file);
    wait_for_end(&file)
}

/// The same for all programs.
pub(super) fn halt_all() -> Result<(), Failed> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> = entries.filter(|file| file.extension() == Some(OsStr::new("pid"))).collect();
    files.iter().for_each(|file| terminate(file));
    files.iter().try_for_each(|file| wait_for_end(file))
}

fn terminate(file: &Path) {
    if let Some(pid) = pid_in(file) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Sends SIGTERM again now and then: a Redis that writes its first append-only file after a resynchronization refuses to end.
fn wait_for_end(file: &Path) -> Result<(), Failed> {
    let Some(pid) = pid_in(file) else { return Ok(()) };
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut sent = Instant::now();
    wait_for(&format!("{name} ends"), || {
        if sent.elapsed() > SIGTERM_AGAIN {
            terminate(file);
            sent = Instant::now();
        }
        (!is_alive(pid)).then_some(())
    })?;
    std::fs::remove_file(file).map_err(Failed::to("remove a file"))
}

fn pid_in(file: &Path) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(file).ok()?.trim().parse().ok()?)
}

/// A zombie is not: its parent may be this program, or one that never waits for it.
fn is_alive(pid: Pid) -> bool {
    let state =
        Process::new(pid.as_raw_nonzero().get()).and_then(|process| process.stat()).map(|stat| stat.state());
    matches!(state, Ok(Ok(state)) if !matches!(state, ProcState::Zombie | ProcState::Dead))
}
