//! Can a gateway with these options run on this machine? Facts in, lines out.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::ADDRESS_LEAST;
use crate::doctor::report::{Finding, Findings, Severity};
use crate::doctor::words::{bytes, some};

/// Descriptors that a worker has open besides those of its clients: its listener, its connection, its runtime.
const WORKER_FILES: u64 = 8;
/// Those of the rest: the ledger's thread, pools, the ops listener and who watches there, logs and files.
const OTHER_FILES: u64 = 128;
/// An idle connection with its buffers (measured, see docs/performance.md).
const CONNECTION_BYTES: u64 = 12 * 1024;
/// What a gateway takes before anybody comes, known tokens included.
const START_BYTES: u64 = 64 << 20;
/// Three tables of so many hundredths of a byte for each key.
const LIMIT_KEY_BYTES_100: u64 = 3 * 1_830;

/// What this machine has, and what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct HostFacts {
    /// Open files that a process may have, soft and hard; `None`: any number, or nobody knows.
    pub files: Option<(u64, u64)>,
    /// The same of the gateway that runs here already.
    pub files_of_running: Option<u64>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// Connections that the gateway lets wait.
    pub backlog: u64,
    /// Bytes that can still be had, the control group's limit counted in.
    pub memory: Option<u64>,
    /// Threads that can run at once.
    pub cores: u64,
    /// `--workers`
    pub workers: u64,
    /// `--connections-max`
    pub connections: u64,
    /// `--connections-per-address-max`; `None`: off.
    pub connections_per_address: Option<u64>,
    /// Requests that each worker may have in flight: its share of `--in-flight-max`.
    pub in_flight_per_worker: u64,
    /// `--idle-timeout-ms`
    pub idle_timeout: Duration,
    /// How long the load balancer keeps an idle connection, if it was named.
    pub balancer_idle: Option<Duration>,
    /// `--limit-keys-max`
    pub limit_keys: u64,
    /// Both listeners.
    pub ports: Vec<Port>,
    /// `LAUNCHGATE_…` variables that have no effect, each as a sentence.
    pub unknown_variables: Vec<String>,
}

/// An address that a gateway shall listen on.
#[derive(Debug, Clone)]
pub(super) struct Port {
    /// The option that names it.
    pub option: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What is there now.
    pub state: PortState,
}

/// What became of trying to listen there.
#[derive(Debug, Clone)]
pub(super) enum PortState {
    /// Nobody has it.
    Free,
    /// A gateway has it: its version.
    Gateway(String),
    /// Somebody else has it.
    Taken,
    /// It can't be had: why.
    Refused(String),
}

/// Every check.
pub(super) fn check(facts: &HostFacts) -> Vec<Finding> {
    let mut lines = Findings::of("host");
    for check in [files, connections, backlog, memory, cores, idle, ports, variables] {
        check(facts, &mut lines);
    }
    lines.end()
}

fn variables(facts: &HostFacts, lines: &mut Findings) {
    for unknown in &facts.unknown_variables {
        lines.warn("variables", unknown, "correct its name, or unset it");
    }
}

fn files(facts: &HostFacts, lines: &mut Findings) {
    let needed = facts.connections + facts.workers * WORKER_FILES + OTHER_FILES;
    let todo = format!(
        "LimitNOFILE={needed} in the unit, or `ulimit -n {needed}` in the shell, before it starts; or fewer --connections-max"
    );
    let wants = format!("{} connections and {} workers want {needed}", facts.connections, facts.workers);
    if let Some(max) = facts.files_of_running {
        let verdict = if max < needed { Severity::Fail } else { Severity::Ok };
        lines.add_with_severity(
            verdict,
            "files",
            format!("the gateway that runs here may open {max} files; {wants}"),
            &todo,
        );
        return;
    }
    match facts.files {
        None => lines.ok("files", format!("no limit is known; {wants}")),
        Some((soft, hard)) => {
            let verdict = if soft < needed { Severity::Fail } else { Severity::Ok };
            let found =
                format!("{soft} may be open at once (at most {hard}), as this shell starts it; {wants}");
            lines.add_with_severity(verdict, "files", found, &todo);
        }
    }
}

/// What the caps come to, and whether one client address can use them up.
fn connections(facts: &HostFacts, lines: &mut Findings) {
    let of_address = facts.connections_per_address.map_or("any number".to_owned(), |most| most.to_string());
    let found = format!(
        "at most {} in all, {of_address} from one client address; {} requests in flight at each of {} workers",
        facts.connections, facts.in_flight_per_worker, facts.workers
    );
    let is_shared = facts.connections_per_address.is_some_and(|most| most < facts.connections);
    let is_small = facts.connections <= ADDRESS_LEAST;
    let verdict = if is_shared || is_small { Severity::Ok } else { Severity::Warn };
    let todo = "a --connections-per-address-max below --connections-max: one address could hold every connection; proxies in \
                --trusted-proxies count for no address";
    lines.add_with_severity(verdict, "connections", found, todo);
}

fn backlog(facts: &HostFacts, lines: &mut Findings) {
    let Some(most) = facts.somaxconn else { return };
    let found =
        format!("{} connections may wait to be accepted, net.core.somaxconn is {most}", facts.backlog);
    let todo = format!(
        "sysctl net.core.somaxconn={0}, and in /etc/sysctl.d: the kernel cuts {0} down to it",
        facts.backlog
    );
    let verdict = if most < facts.backlog { Severity::Warn } else { Severity::Ok };
    lines.add_with_severity(verdict, "backlog", found, &todo);
}

fn memory(facts: &HostFacts, lines: &mut Findings) {
    let Some(free) = facts.memory else { return };
    let tables = facts.limit_keys.saturating_mul(LIMIT_KEY_BYTES_100) / 100;
    let needed = START_BYTES + tables + facts.connections.saturating_mul(CONNECTION_BYTES);
    let found = format!("{} free; a gateway with these options can take {}", bytes(free), bytes(needed));
    // What the kernel keeps of each connection comes on top.
    let verdict = match () {
        () if needed > free => Severity::Fail,
        () if needed > free / 2 => Severity::Warn,
        () => Severity::Ok,
    };
    lines.add_with_severity(
        verdict,
        "memory",
        found,
        "fewer --connections-max or --limit-keys-max, or more memory",
    );
}

fn cores(facts: &HostFacts, lines: &mut Findings) {
    let found = format!("{} workers on {} cores", facts.workers, facts.cores);
    let verdict = if facts.workers > facts.cores { Severity::Warn } else { Severity::Ok };
    lines.add_with_severity(verdict, "workers", found, "no more --workers than cores: they would take turns");
}

/// A balancer must close an idle connection first: what it sends while the gateway closes is not carried out.
fn idle(facts: &HostFacts, lines: &mut Findings) {
    /// The shortest default of common balancers: AWS's.
    const COMMON: Duration = Duration::from_secs(60);
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let kept = facts.balancer_idle.unwrap_or(COMMON);
    let whose = if facts.balancer_idle.is_some() {
        format!("the load balancer keeps them for {}", seconds(kept))
    } else {
        format!("by default AWS's load balancers keep them for {}, Google's for 600 s", seconds(kept))
    };
    let found = format!("an idle connection is closed after {}; {whose}", seconds(facts.idle_timeout));
    let todo = format!(
        "set --idle-timeout-ms some seconds above what the balancer has (more than {}); name that with --balancer-idle",
        kept.as_millis()
    );
    let verdict = if facts.idle_timeout <= kept { Severity::Warn } else { Severity::Ok };
    lines.add_with_severity(verdict, "idle", found, &todo);
}

fn ports(facts: &HostFacts, lines: &mut Findings) {
    for Port { option, address, state } in &facts.ports {
        match state {
            PortState::Free if address.port() == 0 => lines.warn(
                "ports",
                format!("{option} {address}: whichever is free"),
                "name a port: nobody would find this one",
            ),
            PortState::Free => lines.ok("ports", format!("{option} {address} is free")),
            PortState::Gateway(version) => {
                lines.ok("ports", format!("{option} {address}: a gateway of version {version} runs there"));
            }
            PortState::Taken => lines.fail(
                "ports",
                format!("{option} {address} is taken, and no gateway answers there"),
                format!(
                    "see who has it (ss -ltnp 'sport = :{}'): restart a gateway that hangs; if it is another program, name \
                     another port",
                    address.port()
                ),
            ),
            PortState::Refused(why) => lines.fail(
                "ports",
                format!("{option} {address}: {why}"),
                "name an address of this machine, and a port from 1024 on, or give the gateway CAP_NET_BIND_SERVICE",
            ),
        }
    }
    if facts.ports.is_empty() {
        return;
    }
    let same: Vec<String> = facts
        .ports
        .iter()
        .filter(|port| port.address.port() != 0)
        .filter(|port| facts.ports.iter().filter(|other| other.address == port.address).count() > 1)
        .map(|port| port.option.to_owned())
        .collect();
    if !same.is_empty() {
        lines.fail("ports", format!("the same address for {}", some(&same)), "give each a port of its own");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::without_passing;

    fn good() -> HostFacts {
        let port = |option, address: &str| Port {
            option,
            address: address.parse().unwrap_or_else(|_| unreachable!()),
            state: PortState::Free,
        };
        HostFacts {
            files: Some((20_000, 20_000)),
            files_of_running: None,
            somaxconn: Some(4_096),
            backlog: 4_096,
            memory: Some(8 << 30),
            cores: 4,
            workers: 4,
            connections: 10_000,
            connections_per_address: Some(1_000),
            in_flight_per_worker: 2_500,
            idle_timeout: Duration::from_secs(75),
            balancer_idle: None,
            limit_keys: 1_000_000,
            ports: vec![port("--listen", "127.0.0.1:8080"), port("--ops-listen", "127.0.0.1:9090")],
            unknown_variables: Vec::new(),
        }
    }

    fn bad(facts: &HostFacts) -> Vec<(&'static str, Severity)> {
        without_passing(check(facts))
    }

    #[test]
    fn a_machine_that_is_large_enough_is_well() {
        assert_eq!(bad(&good()), []);
        assert_eq!(check(&good()).len(), 8);
        let unknown = HostFacts { files: None, somaxconn: None, memory: None, ..good() };
        assert_eq!(bad(&unknown), []);
    }

    #[test]
    fn what_is_too_small_is_reported() {
        use Severity::{Fail, Warn};
        let needed = 10_000 + 4 * 8 + 128;
        for (facts, check, verdict) in [
            (HostFacts { files: Some((1_024, 1_048_576)), ..good() }, "files", Fail),
            (HostFacts { files: Some((needed - 1, needed)), ..good() }, "files", Fail),
            (HostFacts { files_of_running: Some(1_024), ..good() }, "files", Fail),
            (HostFacts { connections_per_address: None, ..good() }, "connections", Warn),
            (HostFacts { connections_per_address: Some(10_000), ..good() }, "connections", Warn),
            (HostFacts { somaxconn: Some(128), ..good() }, "backlog", Warn),
            (HostFacts { memory: Some(100 << 20), ..good() }, "memory", Fail),
            (HostFacts { memory: Some(400 << 20), ..good() }, "memory", Warn),
            (HostFacts { workers: 5, ..good() }, "workers", Warn),
            (HostFacts { unknown_variables: vec!["LAUNCHGATE_X is".into()], ..good() }, "variables", Warn),
            (HostFacts { idle_timeout: Duration::from_secs(60), ..good() }, "idle", Warn),
            (HostFacts { balancer_idle: Some(Duration::from_secs(600)), ..good() }, "idle", Warn),
        ] {
            assert_eq!(bad(&facts), [(check, verdict)], "{facts:?}");
        }
        assert_eq!(bad(&HostFacts { files: Some((needed, needed)), ..good() }), []);
        let short = HostFacts {
            idle_timeout: Duration::from_secs(20),
            balancer_idle: Some(Duration::from_secs(15)),
            ..good()
        };
        assert_eq!(bad(&short), []);
        // Of a gateway that runs what counts is what it was started with.
        let running = HostFacts { files: Some((1_024, 1_024)), files_of_running: Some(65_536), ..good() };
        assert_eq!(bad(&running), []);
    }

    #[test]
    fn ports_are_free_or_a_gateway_s_or_told() {
        use Severity::{Fail, Ok, Warn};
        for (state, verdict, word) in [
            (PortState::Free, Ok, "is free"),
            (PortState::Gateway("0.1.0".into()), Ok, "version 0.1.0"),
            (PortState::Taken, Fail, "no gateway answers"),
            (PortState::Refused("permission denied".into()), Fail, "permission denied"),
        ] {
            let mut facts = good();
            facts.ports[1].state = state;
            let lines: Vec<Finding> =
                check(&facts).into_iter().filter(|line| line.check == "ports").collect();
            assert_eq!((lines[0].verdict, lines[1].verdict), (Ok, verdict), "{lines:?}");
            assert!(lines[1].found.contains(word) && lines[1].found.contains("--ops-listen"), "{lines:?}");
        }
        let mut any = good();
        any.ports[0].address.set_port(0);
        any.ports[1].address.set_port(0);
        assert_eq!(bad(&any), [("ports", Warn), ("ports", Warn)]);
        any.ports.iter_mut().for_each(|port| port.address.set_port(8080));
        assert_eq!(bad(&any), [("ports", Fail)]);
    }
}
