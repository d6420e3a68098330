//! What a Redis says of itself, as the doctor has gathered it.

use std::collections::HashMap;
use std::time::Duration;

use crate::store::durability::{Durability, DurabilityCheck};

/// What a Redis says of itself.
#[derive(Debug)]
pub(crate) struct RedisFacts {
    /// In a cluster: the address of this master.
    pub master: Option<String>,
    /// Why it can't be the ledger, or a part of it.
    pub incompatibility: Option<String>,
    /// `INFO`.
    pub info: HashMap<String, String>,
    /// `CONFIG GET`, or why not.
    pub config: Result<HashMap<String, String>, String>,
    /// How long each `PING` took.
    pub pings: Vec<Duration>,
    /// How long a gateway waits for an answer.
    pub answer_timeout: Duration,
    /// Redis's clock less ours, and how far that may be off, in ms.
    pub offset_ms: (f64, f64),
    /// `LATENCY LATEST`: name, age in s, the worst in ms.
    pub slow: Vec<(String, i64, i64)>,
    /// Why the scripts can't be run, if they can't.
    pub scripts_refused: Option<String>,
    /// Keys that are no gateway's.
    pub foreign_keys: u64,
    /// Connections that a gateway with these options opens.
    pub connections_needed: u64,
    /// How safe an acknowledged change must be, and whether it is.
    pub promise: (Durability, DurabilityCheck),
    /// It is on this machine: what the machine says.
    pub machine: Option<Machine>,
}

/// The machine that Redis is on, if it is this one.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Free bytes where the append-only file is.
    pub disk_free: Option<u64>,
    /// `vm.overcommit_memory`.
    pub overcommit: Option<u64>,
}

impl Default for RedisFacts {
    fn default() -> Self {
        Self {
            master: None,
            incompatibility: None,
            info: HashMap::new(),
            config: Ok(HashMap::new()),
            pings: Vec::new(),
            answer_timeout: Duration::ZERO,
            offset_ms: (0.0, 0.0),
            slow: Vec::new(),
            scripts_refused: None,
            foreign_keys: 0,
            connections_needed: 0,
            promise: (Durability::None, DurabilityCheck::Met),
            machine: None,
        }
    }
}

impl RedisFacts {
    /// What lines about it stand under.
    pub(crate) fn area(&self) -> String {
        self.master.as_ref().map_or("redis".to_owned(), |address| format!("redis {address}"))
    }

    /// A number of `INFO`.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.info.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    pub(super) fn info(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }

    /// A setting: by `CONFIG`, and where that is forbidden by `INFO`, which has some of them.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        if let Ok(config) = &self.config {
            return config.get(name).map(String::as_str);
        }
        let listed = match name {
            "appendonly" => return Some(if self.info("aof_enabled") == "1" { "yes" } else { "no" }),
            "maxmemory" => "maxmemory",
            "maxmemory-policy" => "maxmemory_policy",
            "maxclients" => "maxclients",
            _ => return None,
        };
        self.info.get(listed).map(String::as_str)
    }

    pub(super) fn setting_number(&self, name: &str) -> Option<u64> {
        self.setting(name)?.parse().ok()
    }
}
