//! Runs a launch with `loadtest` on this machine, in half a minute.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use testkit::Failed;
use testkit::gateway::{Gateway, clean};
use testkit::program::ours;
use toml::{Table, Value};

/// A sale's definition as TOML, to be changed.
pub(crate) struct Sale(pub(crate) Table);

impl Sale {
    pub(crate) fn read(file: &Path) -> Result<Self, Failed> {
        let text = std::fs::read_to_string(file).map_err(Failed::to(&format!("read {}", file.display())))?;
        text.parse().map(Self).map_err(Failed::to(&format!("read {}", file.display())))
    }

    /// As a rehearsal that opens in so many seconds, and closes a day later.
    pub(crate) fn opening_in(&mut self, seconds: i64) -> &mut Self {
        let opens = Timestamp::now() + SignedDuration::from_secs(seconds);
        let closes = opens + SignedDuration::from_hours(24);
        for (key, value) in [("opens_at", format!("{opens:.0}")), ("closes_at", format!("{closes:.0}"))] {
            self.set(key, Value::Datetime(value.parse().unwrap()));
        }
        self.set("rehearsal", true.into())
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) -> &mut Self {
        self.0["sale"].as_table_mut().unwrap().insert(key.to_owned(), value);
        self
    }

    /// Writes it, with its stores beside it, and applies it.
    pub(crate) fn apply(&self, folder: &Path, stores: &str, redis: &str) -> Result<PathBuf, Failed> {
        let file = folder.join("sale.toml");
        std::fs::write(folder.join("stores.csv"), stores).map_err(Failed::to("write the stores"))?;
        std::fs::write(&file, self.0.to_string()).map_err(Failed::to("write the definition"))?;
        testkit::definition::apply_file(&file, redis)?;
        Ok(file)
    }
}

/// `loadtest crowd` at a gateway, with what every launch of the scripts has, and these values of its profile.
pub(crate) fn crowd(
    gateway: &Gateway,
    sale: &str,
    buyers: u32,
    report: &Path,
    metrics: SocketAddr,
    values: &[&str],
) -> Command {
    let mut command = clean(Command::new(ours("loadtest")));
    command.args(["crowd", "--gateway", &gateway.url, "--ops", &gateway.ops_url, "--sale", sale]);
    command.arg("--auth-secret-file").arg(gateway.secret_file());
    command.arg("--ops-token-file").arg(gateway.ops_token_file());
    command.arg("--report").arg(report).args(["--metrics-listen", &metrics.to_string()]);
    command.args(["--set", "buyers.twice=20", "--buyers", &buyers.to_string()]);
    command.args(values.iter().flat_map(|value| ["--set", value]));
    command
}
