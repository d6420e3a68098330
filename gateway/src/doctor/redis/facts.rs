//! The facts of a Redis that the checks read.

use std::collections::HashMap;
use std::time::Duration;

use crate::store::durability::{Durability, DurabilityCheck};

/// The facts of a Redis.
#[derive(Debug)]
pub(crate) struct RedisFacts {
    /// The address of this master in a cluster.
    pub master: Option<String>,
    /// Why it can't be the ledger, or a part of it.
    pub incompatibility: Option<String>,
    /// `INFO`.
    pub info: HashMap<String, String>,
    /// `CONFIG GET`, or its error.
    pub config: Result<HashMap<String, String>, String>,
    /// The time of each `PING`.
    pub pings: Vec<Duration>,
    /// The answer timeout of gateways.
    pub answer_timeout: Duration,
    /// Redis's clock minus this host's, and its uncertainty, in ms.
    pub offset_ms: (f64, f64),
    /// `LATENCY LATEST`: name, age in s, the worst in ms.
    pub slow: Vec<(String, i64, i64)>,
    /// The error of running a script, if there is one.
    pub scripts_refused: Option<String>,
    /// Keys that are not Launchgate's.
    pub foreign_keys: u64,
    /// Connections that a gateway with these options opens.
    pub connections_needed: u64,
    /// The required durability, and its check.
    pub promise: (Durability, DurabilityCheck),
    /// The facts of its host, if it runs on this one.
    pub machine: Option<Machine>,
}

/// The facts of the host of Redis.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Free bytes on the disk of the append-only file.
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
    /// The area of its findings.
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

    /// A setting from `CONFIG`, or where that is forbidden from `INFO`, which has some of them.
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
