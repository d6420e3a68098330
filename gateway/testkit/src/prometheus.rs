//! Prometheus with the configuration of the repository, redis_exporter and Alertmanager.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cli::output;
use crate::files::local_address;
use crate::gateway::{client, send};
use crate::program::{Program, Server};
use crate::redis::Redis;
use crate::{Failed, block_on};

/// The targets and the Alertmanager of Prometheus.
pub struct PrometheusSetup<'a> {
    /// `dashboards/prometheus` of the repository.
    pub configuration: &'a Path,
    /// Where its copy, its data and its log go.
    pub dir: &'a Path,
    /// Ops listeners.
    pub gateways: &'a [SocketAddr],
    pub exporters: &'a [SocketAddr],
    pub loadtests: &'a [SocketAddr],
    pub relays: &'a [SocketAddr],
    pub alertmanagers: &'a [SocketAddr],
}

/// A running Prometheus. It is killed when this is dropped.
pub struct Prometheus {
    _server: Server,
    pub url: String,
}

impl PrometheusSetup<'_> {
    /// Starts it and waits until it listens.
    pub fn start(&self) -> Result<Prometheus, Failed> {
        let copy = self.dir.join("prometheus");
        let mut cp = Command::new("cp");
        cp.arg("-r").arg(self.configuration).arg(&copy);
        output(cp)?;
        let groups = [
            ("gateways", self.gateways),
            ("redis", self.exporters),
            ("loadtest", self.loadtests),
            ("relay", self.relays),
            ("alertmanagers", self.alertmanagers),
        ];
        for (group, addresses) in groups {
            // Every JSON is YAML.
            let text = serde_json::json!([{"targets": addresses}]).to_string();
            let file = copy.join(format!("targets/{group}.yml"));
            std::fs::write(file, text).map_err(Failed::to("write Prometheus's targets"))?;
        }
        let address = local_address();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(copy.join("prometheus.yml"));
        command.arg("--storage.tsdb.path").arg(self.dir.join("tsdb"));
        command.args(["--web.listen-address", &address.to_string()]);
        let server =
            Server::start(Program::new("prometheus", command), address, &self.dir.join("prometheus.log"))?;
        Ok(Prometheus { _server: server, url: format!("http://{address}") })
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

/// Starts redis_exporter for a Redis.
pub fn exporter(redis: &Redis, dir: &Path) -> Result<Server, Failed> {
    let address = local_address();
    let mut command = Command::new("prometheus-redis-exporter");
    command.args(["-redis.addr", &format!("unix://{}", redis.socket().display())]);
    command.args(["-web.listen-address", &address.to_string()]);
    Server::start(Program::new("redis_exporter", command), address, &dir.join("exporter.log"))
}

/// Starts Alertmanager with this configuration.
pub fn alertmanager(configuration: &Path, dir: &Path) -> Result<Server, Failed> {
    let address = local_address();
    let mut command = Command::new("prometheus-alertmanager");
    command.arg("--config.file").arg(configuration).arg("--storage.path").arg(dir.join("alertmanager"));
    command.args(["--web.listen-address", &address.to_string(), "--cluster.listen-address", ""]);
    Server::start(Program::new("alertmanager", command), address, &dir.join("alertmanager.log"))
}
