//! Runs a complete launch on this machine: countdown, crowd, ledger, verdict.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use testkit::cli::output;
use testkit::files::local_address;
use testkit::gateway::{Client, Gateway, GatewaySetup};
use testkit::prometheus::{self, Prometheus, exporter};
use testkit::redis::{self, Redis, SYNCED_ALWAYS};
use testkit::{Failed, block_on, print_line, wait_for};

use crate::launch::{Sale, crowd};

const SALE: &str = "national-good-car";

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Ends after the verdict, with its exit code
    #[arg(long)]
    once: bool,
    /// How many buyers come
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..=50_000))]
    buyers: u32,
    /// Where report.html and verdict.json go
    #[arg(long)]
    report: PathBuf,
    /// An empty folder for all that is started; the script removes it
    #[arg(long)]
    dir: PathBuf,
}

/// What a demo consists of. It ends when this is dropped.
struct Demo<'a> {
    options: &'a DemoOptions,
    gateway: Gateway,
    prometheus: Prometheus,
    redis: Redis,
}

/// Runs it; the verdict's exit code.
pub(crate) fn run(options: &DemoOptions) -> Result<u8, Failed> {
    let dir = &options.dir;
    print_line(&format!("starting Redis and a gateway in {}", dir.display()));
    let redis = redis::RedisSetup {
        options: &SYNCED_ALWAYS,
        log: Some(&dir.join("redis.log")),
        ..Default::default()
    };
    let redis = redis.start()?;
    let limits = ["--limit-address", "off", "--connections-per-address-max", "off", "--durability", "fsync"];
    let drain = ["--drain-delay-ms", "0", "--drain-deadline-ms", "1000"];
    let gateway = GatewaySetup {
        redis: &redis.url(),
        options: &[&limits[..], &drain].concat(),
        log: Some(&dir.join("gateway.log")),
        is_as_shipped: true,
        has_own_secrets: true,
        ..GatewaySetup::default()
    };
    let gateway = gateway.start()?;
    block_on(gateway.ready());
    // With the rules as they are in the repository, and no Alertmanager to page anyone.
    let exporter = exporter(&redis, dir)?;
    let loadtest = local_address();
    let prometheus = prometheus::PrometheusSetup {
        configuration: Path::new("dashboards/prometheus"),
        dir,
        gateways: &[gateway.ops_address()],
        exporters: &[exporter.address],
        loadtests: &[loadtest],
        relays: &[],
        nodes: &[],
        probes: &[],
        alertmanagers: &[],
    };
    let prometheus = prometheus.start()?;
    wait_for("Prometheus scrapes", || prometheus.finds("sum(up{job=~\"launchgate|redis\"}) == 2"))?;
    let demo = Demo { options, gateway, prometheus, redis };
    let tokens = demo.gateway.ops_token_file();
    print_line(&format!(
        "watch     {}/?sale={SALE} (the ops token is the second word of {})",
        demo.gateway.ops_url,
        tokens.display()
    ));
    print_line(&format!("          {}/alerts", demo.prometheus.url));
    let sale = demo.define()?;
    let code = demo.launch(loadtest)?;
    if options.once {
        return Ok(code);
    }
    demo.offer_more(&sale)?;
    demo.serve()
}

impl Demo<'_> {
    /// The example's definition with other times and stock: a car for every fifth buyer, so that
    /// most are refused. More buyers would need longer preparation.
    fn define(&self) -> Result<Sale, Failed> {
        let example = Path::new("gateway/examples").join(SALE);
        let mut sale = Sale::read(&example.join("sale.toml"))?;
        sale.opening_in(10 + i64::from(self.options.buyers / 1500));
        let models = sale.0["model"].as_array_mut().unwrap();
        let stock = |model: &toml::Value| model["stock"].as_integer().unwrap();
        let (all, cars): (i64, _) = (models.iter().map(stock).sum(), i64::from(self.options.buyers / 5));
        for model in models {
            let share = (stock(model) * cars / all).max(1);
            model.as_table_mut().unwrap().insert("stock".into(), share.into());
        }
        let mut stores = Command::new("sh");
        stores.arg(example.join("make-stores"));
        let folder = self.options.dir.join("sale");
        std::fs::create_dir(&folder).map_err(Failed::to("make a directory"))?;
        sale.apply(&folder, &output(stores)?, &self.redis.url())?;
        Ok(sale)
    }

    /// Runs the day in half a minute and returns the verdict's exit code. Any machine should meet
    /// these thresholds; a load test on separate machines shows a gateway's speed.
    fn launch(&self, metrics: std::net::SocketAddr) -> Result<u8, Failed> {
        let report = &self.options.report;
        let values = [
            "crowd = {lead = \"10s\", at_opening = 80, tail = \"10s\", looks_again = 1}",
            "verdict.thresholds = [\"wrong < 1\", \"winners.p99 < 5s\", \"unknown < 1%\", \"request:*.failed < 1%\", \
             \"request:*.lost < 1%\", \"step:*.undecided < 1%\"]",
            "generator = {late = \"2s\", late_share = 1, skew = \"2s\", cpu = 100}",
        ];
        let mut command = crowd(&self.gateway, SALE, self.options.buyers, report, metrics, &values);
        let ended = command.stdin(Stdio::null()).status().map_err(Failed::to("start loadtest"))?;
        let code = match ended.code() {
            Some(code @ (0 | 1 | 4)) => u8::try_from(code).unwrap(),
            _ => return Err(Failed::Outside(format!("the load test did not come to a verdict: {ended}"))),
        };
        print_line(&format!("          {}", report.join("report.html").display()));
        print_line(&format!(
            "          {}, and goose's own report beside it",
            report.join("verdict.json").display()
        ));
        // The dead-man's switch always fires.
        let fired =
            "count by (alertname) (max_over_time(ALERTS{alertstate=\"firing\", severity!=\"none\"}[10m]))";
        let fired = self.prometheus.query(fired);
        let mut names: Vec<&str> =
            fired.iter().filter_map(|series| series["metric"]["alertname"].as_str()).collect();
        names.sort_unstable();
        print_line(&format!(
            "alerts    {}",
            if names.is_empty() { "none fired".into() } else { names.join(" ") }
        ));
        Ok(code)
    }

    /// Restocks the last model of the example by ten, for visitors of the demo.
    fn offer_more(&self, sale: &Sale) -> Result<(), Failed> {
        let last = sale.0["model"].as_array().unwrap().last().unwrap();
        let (model, was) = (last["id"].as_str().unwrap(), last["stock"].as_integer().unwrap());
        let (item, total, was) = (format!("model:{model}"), (was + 10).to_string(), was.to_string());
        let redis = self.redis.url();
        let restock = ["sale", "--redis", &redis, "restock", SALE, &item, &total, "--was", &was];
        let done = testkit::cli::run(&[&restock[..], &["--reason", "for visitors of the demo"]].concat());
        if done.code != 0 {
            return Err(Failed::Outside(format!("the restock failed: {}", done.err)));
        }
        let Client { url, ops_url, .. } = &*self.gateway;
        let stores =
            block_on(self.gateway.get(&format!("/v1/sales/{SALE}/stores?available=true&limit=1"))).json;
        let body = serde_json::json!({"model": model, "packages": ["maintenance"], "store": stores["stores"][0]["id"]});
        print_line(&format!(
            "\nIt keeps serving. Ctrl-C ends it and removes {dir}.\n\n\
             \x20 buyers   {url}/v1/sales/{SALE}\n  page     {ops_url}/?sale={SALE}\n  ops      {ops_url}/readyz  {ops_url}/metrics\n\
             \x20 alerts   {prometheus}/alerts\n  tokens   the ops token is the second word of {tokens}\n\n\
             Ten more {model} were put on sale. Reserve one, as the buyer \"you\", within the hour:\n\n\
             curl -sS --noproxy '*' {url}/v1/sales/{SALE}/reservations -H 'Authorization: Bearer {token}' \
             -H 'Idempotency-Key: \"mine\"' -H 'Content-Type: application/json' -d '{body}'\n",
            dir = self.options.dir.display(),
            prometheus = self.prometheus.url,
            tokens = self.gateway.ops_token_file().display(),
            token = self.gateway.token("you"),
        ));
        Ok(())
    }

    /// Until a signal ends it, or the gateway ends by itself.
    fn serve(mut self) -> Result<u8, Failed> {
        let status = self.gateway.program.wait();
        Err(Failed::Outside(format!("the gateway has ended by itself: {status}")))
    }
}
