//! Prometheus with the configuration of the repository, redis_exporter and Alertmanager.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::files::local_address;
use crate::gateway::{client, send};
use crate::program::Program;
use crate::redis::Redis;
use crate::{Failed, block_on};

/// The targets and the Alertmanager of Prometheus.
pub struct Setup<'a> {
    /// `dashboards/prometheus` of the repository.
    pub configuration: &'a Path,
    /// Where its copy, its data and its log go.
    pub dir: &'a Path,
    /// Ops listeners.
    pub gateways: &'a [SocketAddr],
    pub exporters: &'a [SocketAddr],
    pub loadtests: &'a [SocketAddr],
    pub alertmanagers: &'a [SocketAddr],
}

/// A running Prometheus. It is killed when this is dropped.
pub struct Prometheus {
    _program: Program,
    pub url: String,
}

impl Setup<'_> {
    /// Starts it and waits until it listens.
    pub fn start(&self) -> Result<Prometheus, Failed> {
        let copy = self.dir.join("prometheus");
        copy_folder(self.configuration, &copy)?;
        let groups = [
            ("gateways", self.gateways),
            ("redis", self.exporters),
            ("loadtest", self.loadtests),
            ("alertmanagers", self.alertmanagers),
        ];
        for (group, addresses) in groups {
            let targets: Vec<String> =
                addresses.iter().map(|address| format!("{:?}", address.to_string())).collect();
            let text = if targets.is_empty() {
                "[]\n".into()
            } else {
                format!("- targets: [{}]\n", targets.join(", "))
            };
            let file = copy.join(format!("targets/{group}.yml"));
            std::fs::write(file, text).map_err(Failed::to("write Prometheus's targets"))?;
        }
        let address = local_address();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(copy.join("prometheus.yml"));
        command.arg("--storage.tsdb.path").arg(self.dir.join("tsdb"));
        command.args(["--web.listen-address", &address.to_string()]);
        let mut program = Program::new("prometheus", command).log_to(&self.dir.join("prometheus.log"))?;
        program.start_at(address)?;
        Ok(Prometheus { _program: program, url: format!("http://{address}") })
    }
}

impl Prometheus {
    /// The series that a query finds now; none while Prometheus does not answer.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/api/v1/query", self.url);
        let query: String = form(query);
        let answer = block_on(send(client().get(format!("{url}?query={query}"))));
        answer.json["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// Whether a query finds anything now; for waits.
    pub fn finds(&self, query: &str) -> Option<()> {
        (!self.query(query).is_empty()).then_some(())
    }

    /// Whether an alert fires.
    pub fn fires(&self, alert: &str) -> Option<()> {
        self.finds(&format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}"))
    }
}

/// A query as it stands in a URL.
fn form(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Starts redis_exporter for a Redis; where it listens.
pub fn exporter(redis: &Redis, dir: &Path) -> Result<(Program, SocketAddr), Failed> {
    let address = local_address();
    let mut command = Command::new("prometheus-redis-exporter");
    command.args(["-redis.addr", &format!("unix://{}", redis.socket().display())]);
    command.args(["-web.listen-address", &address.to_string()]);
    let mut program = Program::new("redis_exporter", command).log_to(&dir.join("exporter.log"))?;
    program.start_at(address)?;
    Ok((program, address))
}

/// Starts Alertmanager with this configuration; where it listens.
pub fn alertmanager(configuration: &Path, dir: &Path) -> Result<(Program, SocketAddr), Failed> {
    let address = local_address();
    let mut command = Command::new("prometheus-alertmanager");
    command.arg("--config.file").arg(configuration).arg("--storage.path").arg(dir.join("alertmanager"));
    command.args(["--web.listen-address", &address.to_string(), "--cluster.listen-address", ""]);
    let mut program = Program::new("alertmanager", command).log_to(&dir.join("alertmanager.log"))?;
    program.start_at(address)?;
    Ok((program, address))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failed> {
    let copy = || -> std::io::Result<()> {
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            std::fs::create_dir_all(to.join(&folder))?;
            for entry in std::fs::read_dir(from.join(&folder))? {
                let (entry, name) = entry.map(|entry| (entry.path(), folder.join(entry.file_name())))?;
                if entry.is_dir() {
                    folders.push(name);
                } else {
                    std::fs::copy(entry, to.join(name))?;
                }
            }
        }
        Ok(())
    };
    copy().map_err(Failed::to(&format!("copy {}", from.display())))
}
