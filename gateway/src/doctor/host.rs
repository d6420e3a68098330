//! Checks that a gateway with these options can run on this host.

mod facts;

use std::time::Duration;

pub(super) use facts::{HostFacts, Port, PortState};

use crate::config::ADDRESS_LEAST;
use crate::doctor::report::{Finding, Findings, Severity, any, bytes};
use crate::http::bind::BACKLOG;
use crate::http::connection_caps::CapSettings;

/// Descriptors of a worker besides those of its clients: its listener, its connection, its runtime.
const WORKER_FILES: u64 = 8;
/// Descriptors of all other parts: the ledger tasks, pools, the ops listener and its watchers, logs and files.
const OTHER_FILES: u64 = 128;
/// An idle connection with its buffers (measured, see docs/performance.md).
const CONNECTION_BYTES: u64 = 12 * 1024;
/// Memory of a gateway before the first client, its table of valid tokens included.
const START_BYTES: u64 = 64 << 20;
/// Hundredths of a byte for each key, in three tables.
const LIMIT_KEY_BYTES_100: u64 = 3 * 1_830;

/// Runs every check.
pub(super) fn check(facts: &HostFacts<'_>) -> Vec<Finding> {
    let mut lines = Findings::of("host");
    for check in [files, connections, backlog, memory, cores, idle, ports, variables] {
        check(facts, &mut lines);
    }
    lines.end()
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn variables(facts: &HostFacts<'_>, lines: &mut Findings) {
    for unknown in &facts.args.unknown_variables {
        lines.warn("variables", unknown, "correct its name, or unset it");
    }
}

fn files(facts: &HostFacts<'_>, lines: &mut Findings) {
    let (connections, workers) = (wide(facts.config.caps.connections_max), wide(facts.config.workers));
    let needed = connections + workers * WORKER_FILES + OTHER_FILES;
    let todo = format!(
        "LimitNOFILE={needed} in the unit, or `ulimit -n {needed}` in the shell, before it starts; or fewer --connections-max"
    );
    let needs = format!("{connections} connections and {workers} workers need {needed}");
    let (max, found) = match (facts.files_of_running, facts.files) {
        (Some(max), _) => (max, format!("the gateway on this host may open {max} files; {needs}")),
        (None, Some((soft, hard))) => {
            (soft, format!("{soft} may be open at once (at most {hard}), as this shell starts it; {needs}"))
        }
        (None, None) => return lines.ok("files", format!("no limit; {needs}")),
    };
    lines.fail_if(max < needed, "files", found, &todo);
}

/// The caps of connections, and whether one client address can use them up.
fn connections(facts: &HostFacts<'_>, lines: &mut Findings) {
    let CapSettings { connections_max: all, per_address_max } = facts.config.caps;
    let of_address = per_address_max.map_or("any number".to_owned(), |most| most.to_string());
    let (in_flight, workers) = (facts.config.requests.in_flight_max, facts.config.workers);
    let found = format!(
        "at most {all} in all, {of_address} from one client address; {in_flight} requests in flight at each of {workers} workers"
    );
    let is_shared = per_address_max.is_some_and(|most| most < all);
    let is_small = wide(all) <= ADDRESS_LEAST;
    let todo = "a --connections-per-address-max below --connections-max: one address could hold every connection; proxies in \
                --trusted-proxies count for no address";
    lines.warn_if(!(is_shared || is_small), "connections", found, todo);
}

fn backlog(facts: &HostFacts<'_>, lines: &mut Findings) {
    let Some(most) = facts.somaxconn else { return };
    let backlog = u64::from(BACKLOG.unsigned_abs());
    let found = format!("{backlog} connections may wait to be accepted, net.core.somaxconn is {most}");
    let todo = format!(
        "sysctl net.core.somaxconn={backlog}, and in /etc/sysctl.d: the kernel cuts {backlog} down to it"
    );
    lines.warn_if(most < backlog, "backlog", found, &todo);
}

fn memory(facts: &HostFacts<'_>, lines: &mut Findings) {
    let Some(free) = facts.memory else { return };
    let tables = wide(facts.config.rates.keys_max).saturating_mul(LIMIT_KEY_BYTES_100) / 100;
    let needed =
        START_BYTES + tables + wide(facts.config.caps.connections_max).saturating_mul(CONNECTION_BYTES);
    let found = format!("{} free; a gateway with these options can take {}", bytes(free), bytes(needed));
    // The kernel's buffers of each connection come on top.
    let verdict = Severity::worst(needed > free, needed > free / 2);
    lines.add(verdict, "memory", found, "fewer --connections-max or --limit-keys-max, or more memory");
}

fn cores(facts: &HostFacts<'_>, lines: &mut Findings) {
    let (workers, cores) = (facts.config.workers, facts.cores);
    let found = format!("{workers} workers on {cores} cores");
    let todo = "no more --workers than cores: they would share cores";
    lines.warn_if(workers > cores, "workers", found, todo);
}

/// A balancer must close an idle connection first: requests that it sends while the gateway closes are lost.
fn idle(facts: &HostFacts<'_>, lines: &mut Findings) {
    /// The shortest default of common balancers: AWS's.
    const COMMON: Duration = Duration::from_secs(60);
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let kept = facts.args.balancer_idle.unwrap_or(COMMON);
    let whose = if facts.args.balancer_idle.is_some() {
        format!("the load balancer keeps them for {}", seconds(kept))
    } else {
        format!("by default AWS's load balancers keep them for {}, Google's for 600 s", seconds(kept))
    };
    let idle_timeout = facts.config.connections.idle_timeout;
    let found = format!("an idle connection is closed after {}; {whose}", seconds(idle_timeout));
    let todo = format!(
        "set --idle-timeout-ms some seconds above what the balancer has (more than {}); name that with --balancer-idle",
        kept.as_millis()
    );
    lines.warn_if(idle_timeout <= kept, "idle", found, &todo);
}

fn ports(facts: &HostFacts<'_>, lines: &mut Findings) {
    for Port { option, address, state } in &facts.ports {
        let find = format!(
            "find its process (ss -ltnp 'sport = :{}'): restart a gateway that hangs; if it is another program, give \
             another port",
            address.port()
        );
        let (verdict, what, todo) = match state {
            PortState::Free if address.port() == 0 => {
                (Severity::Warn, ": any free port".to_owned(), "give a port: no client could find this one")
            }
            PortState::Free => (Severity::Ok, " is free".to_owned(), ""),
            PortState::Gateway(version) => {
                (Severity::Ok, format!(": a gateway of version {version} listens there"), "")
            }
            PortState::Taken => {
                (Severity::Fail, " is in use, and no gateway answers there".to_owned(), find.as_str())
            }
            PortState::Refused(why) => (
                Severity::Fail,
                format!(": {why}"),
                "give an address of this host, and a port from 1024 on, or grant the gateway CAP_NET_BIND_SERVICE",
            ),
        };
        lines.add(verdict, "ports", format!("{option} {address}{what}"), todo);
    }
    let fixed = || facts.ports.iter().filter(|port| port.address.port() != 0);
    let is_shared = |port: &&Port| fixed().filter(|other| other.address == port.address).count() > 1;
    if let Some(same) = any(fixed().filter(is_shared).map(|port| port.option)) {
        lines.fail("ports", format!("the same address for {same}"), "give each a port of its own");
    }
}

#[cfg(test)]
mod tests;
