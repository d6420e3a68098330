//! What the programs of the kit share in their options.

use clap::ValueEnum;
use serde::Serialize;

/// A value of an option, as the command line calls and describes it.
pub trait Named: ValueEnum {
    fn name(&self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it is, in a sentence.
    fn about(&self) -> String {
        let about = self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        about.unwrap_or_default()
    }
}

impl<T: ValueEnum> Named for T {}

/// What an acknowledgement means: Redis and gateways are configured for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Redis keeps no file
    None,
    /// An append-only file, synced once a second
    Aof,
    /// An append-only file, synced before every answer
    Fsync,
    /// One of two replicas (`replicas=1`, `min-replicas-to-write 1`), and a file synced once a second
    Replica,
    /// Both replicas (`replicas=2`, `min-replicas-to-write 2`), and a file synced once a second
    Replicas,
}

impl Level {
    /// For `--durability`.
    pub fn option(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aof => "aof",
            Self::Fsync => "fsync",
            Self::Replica => "replicas=1",
            Self::Replicas => "replicas=2",
        }
    }

    /// The options of a redis-server for its append-only file.
    pub fn file(self) -> [&'static str; 4] {
        let [append_only, sync] = match self {
            Self::None => ["no", "no"],
            Self::Aof | Self::Replica | Self::Replicas => ["yes", "everysec"],
            Self::Fsync => ["yes", "always"],
        };
        ["--appendonly", append_only, "--appendfsync", sync]
    }

    /// How many replicas must have a change before it is acknowledged.
    pub fn replicas(self) -> usize {
        match self {
            Self::Replica => 1,
            Self::Replicas => 2,
            _ => 0,
        }
    }
}
