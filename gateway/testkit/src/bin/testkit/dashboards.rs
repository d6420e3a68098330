//! Holds every query of every board and rule against a real launch, then breaks things and waits for their alerts.

mod incidents;
mod receivers;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use serde_json::{Value, json};
use testkit::cli::run as gateway_command;
use testkit::definition::{apply_file, small, with, write};
use testkit::files::local_address;
use testkit::gateway::{Gateway, GatewaySetup, client, send};
use testkit::keys::{Key, write_keys};
use testkit::program::{Program, Server, ours};
use testkit::prometheus::{self, Prometheus, alertmanager, blackbox_exporter, exporter, node_exporter};
use testkit::redis::{self, Redis};
use testkit::tls::{self, Certificate};
use testkit::{Failed, block_on, print_line, wait_for};

use self::receivers::Receivers;
use crate::Common;
use crate::launch::{Sale, crowd};

const SALE: &str = "check";

/// All that runs during the check. It ends when this is dropped.
struct Check<'a> {
    common: &'a Common,
    /// Decides the launch.
    first: Gateway,
    /// For what only TLS and a JWKS show: a certificate, and a key that ends.
    second: Gateway,
    /// The second one's certificate.
    trusted: CertificateDer<'static>,
    prometheus: Prometheus,
    loadtest: SocketAddr,
    _relay: Option<Program>,
    relay_metrics: SocketAddr,
    alertmanager: Server,
    receivers: Receivers,
    /// Of Redis and of its replica.
    exporters: [Server; 2],
    node: Server,
    blackbox: Server,
    redis: Redis,
    replica: Redis,
}

pub(crate) fn run(common: &Common) -> Result<(), Failed> {
    print_line(
        "--> Redis and a replica, two gateways, exporters, Prometheus, Alertmanager and its receivers",
    );
    // It ends so soon that there is an alert to be shown.
    let soon = jiff::Zoned::now().date() + jiff::ToSpan::days(5);
    let (certificate, trusted) = Certificate::ending_on(soon);
    let mut check = Check::start(common, &certificate, trusted)?;
    let began = Timestamp::now();
    check.launch()?;
    check.finds_a_pause()?;
    check.hold_against_the_boards(began)?;
    check.is_silent()?;
    check.agrees_with_an_audit()?;
    check.finds_a_drift()?;
    check.finds_a_lost_replica()?;
    check.finds_a_killed_gateway()?;
    print_line(
        "every panel shows something, every rule works; what was broken reached the pager, and nothing else",
    );
    Ok(())
}

/// A sale that sells by a draw.
fn drawn() -> Value {
    let mut definition = with(small(), "/sale/id", json!("drawn"));
    definition["sale"]["opens_at"] = json!("2099-01-01T00:00:00Z");
    definition["sale"]["sells"] = json!("draw");
    definition["sale"]["standby"] = json!(true);
    definition["signup"] = json!({"opens_at": "2098-01-01T00:00:00Z", "closes_at": "2098-06-01T00:00:00Z"});
    definition["draw"] = json!({"commitment": "0".repeat(64), "beacon": "six digits of a notary"});
    definition
}

impl<'a> Check<'a> {
    fn start(
        common: &'a Common,
        certificate: &Certificate,
        trusted: CertificateDer<'static>,
    ) -> Result<Self, Failed> {
        let dir = &common.dir;
        let options = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory", "1gb"];
        let address = local_address();
        let redis = redis::RedisSetup {
            options: &options,
            address: Some(address),
            log: Some(&dir.join("redis.log")),
            ..Default::default()
        };
        let redis = redis.start()?;
        let port = address.port().to_string();
        let options = [&options[..], &["--replicaof", "127.0.0.1", &port]].concat();
        let replica = redis::RedisSetup {
            options: &options,
            address: Some(local_address()),
            log: Some(&dir.join("replica.log")),
            ..Default::default()
        };
        let replica = replica.start()?;
        let of_replica = dir.join("replica");
        std::fs::create_dir(&of_replica).map_err(Failed::to("make a directory"))?;
        let exporters = [exporter(&redis, dir)?, exporter(&replica, &of_replica)?];
        let serve = |name: &str, more: &[&str]| {
            let limits = ["--limit-address", "off", "--connections-per-address-max", "off"];
            let usual = ["--workers", "1", "--drain-delay-ms", "0", "--audit-interval-s", "2"];
            let durability = ["--durability", "replicas=1"];
            let setup = GatewaySetup {
                redis: &redis.url(),
                options: &[&limits[..], &usual, &durability, more].concat(),
                name: Some(name),
                log: Some(&dir.join(format!("{name}.log"))),
                is_as_shipped: true,
                ..GatewaySetup::default()
            };
            setup.start()
        };
        let first = serve("first", &[])?;
        let jwks = dir.join("jwks.json");
        write_keys(&jwks, &[&Key::ending_in("check", 90 * 86_400)]);
        let tls = certificate.options("");
        let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
        let second = serve("second", &[&["--auth-jwks-file", &jwks.to_string_lossy()], &tls[..]].concat())?;
        [&first, &second].into_iter().for_each(|gateway| block_on(gateway.ready()));
        let receivers = Receivers::start()?;
        // As in the repository, but for the address of the receivers.
        let source = Path::new("dashboards/prometheus");
        let text = std::fs::read_to_string(source.join("alertmanager.yml"))
            .map_err(Failed::to("read alertmanager.yml"))?;
        let configuration = dir.join("alertmanager.yml");
        let text = leading_to(&text, receivers.address);
        std::fs::write(&configuration, text).map_err(Failed::to("write alertmanager.yml"))?;
        let alertmanager = alertmanager(&configuration, dir)?;
        let node = node_exporter(dir)?;
        let blackbox = blackbox_exporter(&source.join("blackbox.yml"), dir)?;
        let [loadtest, relay_metrics] = [(); 2].map(|()| local_address());
        let prometheus = prometheus::PrometheusSetup {
            configuration: source,
            dir,
            gateways: &[first.ops_address(), second.ops_address()],
            exporters: &exporters.each_ref().map(|exporter| exporter.address),
            loadtests: &[loadtest],
            relays: &[relay_metrics],
            nodes: &[node.address],
            probes: &[(blackbox.address, probed(&first))],
            alertmanagers: &[alertmanager.address],
        };
        let prometheus = prometheus.start()?;
        wait_for("Prometheus scrapes", || {
            prometheus.finds("sum(up{job=~\"launchgate|redis|node|probe\"}) == 6")
        })?;
        let _relay = None;
        Ok(Self {
            common,
            first,
            second,
            trusted,
            prometheus,
            loadtest,
            _relay,
            relay_metrics,
            alertmanager,
            receivers,
            exporters,
            node,
            blackbox,
            redis,
            replica,
        })
    }

    /// A small launch, and what all of it shows of itself meanwhile.
    fn launch(&mut self) -> Result<(), Failed> {
        print_line("--> a small launch");
        let (dir, example) = (&self.common.dir, Path::new("gateway/examples/small"));
        let mut sale = Sale::read(&example.join("sale.toml"))?;
        sale.set("id", SALE.into()).opening_in(12);
        // No hold ends during the check: with a drift in Redis its entry would have the wrong counter.
        sale.set("hold", "1h".into());
        let stores =
            std::fs::read_to_string(example.join("stores.csv")).map_err(Failed::to("read the stores"))?;
        sale.apply(dir, &stores, &self.redis.url())?;
        // Another one has the metrics of a draw, which is years ahead. The boards choose the first sale by its name.
        apply_file(&write(&drawn(), dir, "drawn")?, &self.redis.url())?;
        self.start_relay()?;
        let values = [
            "crowd = {lead = \"8s\", at_opening = 60, tail = \"8s\", looks_again = 1}",
            "verdict.thresholds = [\"wrong < 1\"]",
            "generator = {late = \"10s\", late_share = 100, skew = \"10s\", cpu = 100}",
        ];
        let command = crowd(&self.first, SALE, 200, &dir.join("report"), self.loadtest, &values);
        let mut load = Program::new("loadtest", command).log_to(&dir.join("loadtest.log"))?;
        load.spawn()?;
        let status = loop {
            if let Some(status) = load.ended() {
                break status;
            }
            // Its text while it runs; the last one stays.
            if let Some(text) = text_of(&format!("http://{}/metrics", self.loadtest)) {
                self.keep("loadtest.text", &text)?;
            }
            block_on(self.ask_in_tls());
            std::thread::sleep(Duration::from_millis(500));
        };
        if !status.success() {
            let log = std::fs::read_to_string(dir.join("loadtest.log")).unwrap_or_default();
            return Err(Failed::Wrong(format!("{log}\nthe load test ended with {status}")));
        }
        let [primary, replica] =
            self.exporters.each_ref().map(|each| format!("http://{}/metrics", each.address));
        let probe = format!(
            "http://{}/probe?module=launchgate&target={}",
            self.blackbox.address,
            probed(&self.first)
        );
        for (file, urls) in [
            ("gateway.text", vec![format!("{}/metrics", self.first.ops_url)]),
            ("relay.text", vec![format!("http://{}/metrics", self.relay_metrics)]),
            ("redis.text", vec![primary, replica]),
            ("node.text", vec![format!("http://{}/metrics", self.node.address)]),
            ("probe.text", vec![probe]),
            ("prometheus.text", vec![format!("{}/metrics", self.prometheus.url)]),
            ("alertmanager.text", vec![format!("http://{}/metrics", self.alertmanager.address)]),
        ] {
            let text =
                |url: &String| text_of(url).ok_or_else(|| Failed::Outside(format!("{url} does not answer")));
            self.keep(file, &urls.iter().map(text).collect::<Result<Vec<_>, _>>()?.concat())?;
        }
        // A primary and a replica have some metrics each that the other does not have.
        let of_redis: Vec<String> = self.exporters.iter().map(present_metrics).collect::<Result<_, _>>()?;
        self.keep("redis.text", &of_redis.concat())?;
        self.keep("gateway.list", &gateway_command(&["metrics", "--json"]).out)
    }

    /// Delivers the launch to a file.
    fn start_relay(&mut self) -> Result<(), Failed> {
        let mut command = Command::new(ours("relay"));
        command.args([SALE, "--from-ops", &self.first.ops_url, "--stdout"]);
        command.arg("--token-file").arg(self.first.ops_token_file());
        command.args(["--metrics-listen", &self.relay_metrics.to_string()]);
        let mut relay = Program::new("relay", command).log_to(&self.common.dir.join("relay.log"))?;
        relay.start_at(self.relay_metrics)?;
        self._relay = Some(relay);
        Ok(())
    }

    /// So that there are connections in TLS to be shown.
    async fn ask_in_tls(&self) {
        let client = tls::client(std::slice::from_ref(&self.trusted), &[&TLS13], &["http/1.1"]);
        if let Ok(stream) = tls::connect(&self.second.url, &client).await {
            tls::once(stream, tls::get("/v1/time")).await;
        }
    }

    fn keep(&self, file: &str, text: &str) -> Result<(), Failed> {
        std::fs::write(self.common.dir.join(file), text).map_err(Failed::to("write a file"))
    }

    /// Every query of every board, variable, mark and rule; then mistakes are planted, and found.
    fn hold_against_the_boards(&self, began: Timestamp) -> Result<(), Failed> {
        // Rules of the budgets are evaluated every 15 s.
        let budgets = "launchgate:slo_bad:ratio_rate3d{slo=\"latency\"} >= 0";
        wait_for("the budgets are there", || self.prometheus.finds(budgets))?;
        self.fires("LaunchgateCertificateExpiring")?;
        print_line("--> every query, and planted mistakes");
        let dir = &self.common.dir;
        let mut command = self.python("main.py");
        command.arg("--gateway").arg(ours("gateway")).arg("--gateway-list").arg(dir.join("gateway.list"));
        for text in ["gateway", "loadtest", "relay", "redis", "node", "probe", "prometheus", "alertmanager"] {
            command.arg(format!("--{text}-text")).arg(dir.join(format!("{text}.text")));
        }
        command.args(["--start", &began.as_second().to_string()]);
        command.args(["--end", &(Timestamp::now().as_second() + 1).to_string()]);
        let done = command.status().map_err(Failed::to("start Python"))?;
        if done.success() {
            Ok(())
        } else {
            Err(Failed::Wrong("the dashboards have faults, see above".into()))
        }
    }

    fn python(&self, script: &str) -> Command {
        let mut command = Command::new(self.common.venv.join("bin/python"));
        command.arg(Path::new("dashboards/check").join(script)).args(["--tree", "dashboards"]);
        command.args(["--prometheus", &self.prometheus.url]).stdin(Stdio::null());
        command
    }

    fn agrees_with_an_audit(&self) -> Result<(), Failed> {
        print_line("--> the ledger beside an audit");
        // Holds may end between an audit and a scrape: it is tried again.
        let shown = wait_for("the ledger's panel agrees with the audit", || {
            let audit = gateway_command(&["audit", "--redis", &self.redis.url(), "--json", SALE]);
            self.keep("audit", &audit.out).ok().filter(|()| audit.code == 0)?;
            let done =
                self.python("truth.py").arg("--audit").arg(self.common.dir.join("audit")).output().ok()?;
            done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
        })?;
        print_line(shown.trim_end());
        Ok(())
    }
}

/// What the probe asks: the public address of this gateway.
fn probed(gateway: &Gateway) -> String {
    format!("{}/v1/time", gateway.url)
}

/// The configuration of Alertmanager, whose receivers are at this address.
fn leading_to(text: &str, address: SocketAddr) -> String {
    let mut parts = text.split("http://127.0.0.1:");
    let before = parts.next().unwrap_or_default().to_owned();
    parts.fold(before, |led, part| {
        let path = part.find('/').map_or("", |slash| &part[slash..]);
        format!("{led}http://{address}{path}")
    })
}

fn present(url: &str) -> Result<String, Failed> {
    text_of(url).ok_or_else(|| Failed::Outside(format!("{url} does not answer")))
}

fn present_metrics(of: &Server) -> Result<String, Failed> {
    present(&format!("http://{}/metrics", of.address))
}

fn text_of(url: &str) -> Option<String> {
    let reply = block_on(send(client().get(url)));
    (reply.status == 200).then_some(reply.text)
}
