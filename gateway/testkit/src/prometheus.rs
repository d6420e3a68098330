//! Prometheus with the configuration of the repository, the exporters that it reads, and Alertmanager.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

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
    /// node_exporter of each host.
    pub nodes: &'a [SocketAddr],
    /// What blackbox_exporter at an address asks.
    pub probes: &'a [(SocketAddr, String)],
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
        let address = local_address();
        let groups = [
            ("gateways", self.gateways),
            ("redis", self.exporters),
            ("loadtest", self.loadtests),
            ("relay", self.relays),
            ("alertmanagers", self.alertmanagers),
            ("node", self.nodes),
            ("prometheus", &[address]),
        ];
        // Every JSON is YAML.
        let mut lists: Vec<(&str, Value)> =
            groups.map(|(group, of)| (group, json!([{"targets": of}]))).into();
        let probe = |(exporter, url): &(SocketAddr, String)| json!({"targets": [url], "labels": {"exporter": exporter}});
        lists.push(("probes", self.probes.iter().map(probe).collect()));
        for (group, list) in lists {
            let file = copy.join(format!("targets/{group}.yml"));
            std::fs::write(file, list.to_string()).map_err(Failed::to("write Prometheus's targets"))?;
        }
        let url = format!("http://{address}");
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(copy.join("prometheus.yml"));
        command.arg("--storage.tsdb.path").arg(self.dir.join("tsdb"));
        command.args(["--web.listen-address", &address.to_string(), "--web.external-url", &url]);
        command.arg("--web.user-assets").arg(self.configuration.join("../runbook"));
        let server =
            Server::start(Program::new("prometheus", command), address, &self.dir.join("prometheus.log"))?;
        Ok(Prometheus { _server: server, url })
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
    let log = dir.join(format!("exporter-{}.log", address.port()));
    Server::start(Program::new("redis_exporter", command), address, &log)
}

/// Starts node_exporter.
pub fn node_exporter(dir: &Path) -> Result<Server, Failed> {
    let address = local_address();
    let mut command = Command::new("prometheus-node-exporter");
    command.args(["--web.listen-address", &address.to_string()]);
    Server::start(Program::new("node_exporter", command), address, &dir.join("node_exporter.log"))
}

/// Starts blackbox_exporter with this configuration.
pub fn blackbox_exporter(configuration: &Path, dir: &Path) -> Result<Server, Failed> {
    let address = local_address();
    let mut command = Command::new("prometheus-blackbox-exporter");
    command.arg("--config.file").arg(configuration);
    command.args(["--web.listen-address", &address.to_string()]);
    Server::start(Program::new("blackbox_exporter", command), address, &dir.join("blackbox_exporter.log"))
}

/// Starts Alertmanager with this configuration.
pub fn alertmanager(configuration: &Path, dir: &Path) -> Result<Server, Failed> {
    let address = local_address();
    let mut command = Command::new("prometheus-alertmanager");
    command.arg("--config.file").arg(configuration).arg("--storage.path").arg(dir.join("alertmanager"));
    command.args(["--web.listen-address", &address.to_string(), "--cluster.listen-address", ""]);
    Server::start(Program::new("alertmanager", command), address, &dir.join("alertmanager.log"))
}
