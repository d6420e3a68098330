//! `gateway doctor`: runs every check before a launch and prints how to fix each finding.
//!
//! `gateway` and the files named `facts` collect facts; the files above them check facts and do no I/O, so that
//! tests can cover each check with every fact.

pub mod args;
mod dashboards;
mod definition;
mod fleet;
mod gateway;
mod host;
mod keys;
mod memory;
mod redis;
mod report;
mod sale;

use std::io::{self, IsTerminal};
use std::sync::Arc;

pub use memory::{ITEM_BYTES, MemoryNeed, RESERVATION_BYTES};
pub use report::{DoctorReport, Finding, Severity};

use fleet::FleetFacts;
use gateway::RunningGateway;
use host::HostFacts;
use keys::KeyFacts;
use redis::RedisInstance;
use report::Findings;
use sale::SaleFacts;

use crate::config::ServeConfig;
use crate::domain::definition::Definition;
use crate::manage::admin::Admin;
use crate::store::acl;
use crate::store::dial::Redis;
use crate::store::keys::Keys;
use crate::store::scripts::{REAL_CLOCK, Scripts};
use crate::terminal::{CommandError, print, print_json};
use args::DoctorArgs;

/// Runs every check, prints the findings, and fails by the worst of them.
pub async fn run(config: &ServeConfig, args: DoctorArgs) -> Result<(), CommandError> {
    if let Some(folder) = args.dashboards.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(CommandError::Usage(format!("--dashboards: {} is not a folder", folder.display())));
    }
    let (lines, out_of_reach) = examine(config, &args).await;
    let report = DoctorReport::new(lines);
    let printed = if args.json {
        print_json(&report)
    } else {
        let is_terminal = io::stdout().is_terminal();
        let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        print(&report.text(has_colours))
    };
    match (out_of_reach, report.fail) {
        (Some(why), _) => {
            Err(CommandError::Outside(format!("Redis is unreachable, so many checks were skipped: {why}")))
        }
        (None, 0) => printed,
        (None, 1) => Err(CommandError::No("one check fails".into())),
        (None, count) => Err(CommandError::No(format!("{count} checks fail"))),
    }
}

/// All findings in the order of a manual check; and the error if Redis was unreachable.
async fn examine(config: &ServeConfig, args: &DoctorArgs) -> (Vec<Finding>, Option<String>) {
    let (mut files, mut mistakes) = (Vec::new(), Vec::new());
    for path in &args.definition {
        let name = path.display().to_string();
        match Definition::load(path) {
            Ok(definition) => files.push((name, definition)),
            Err(found) => mistakes.extend(sale::mistakes(&name, &found)),
        }
    }
    let mut redis = redis::instances(config).await.map_err(|error| acl::explain(&error));
    let mut ledger = match &mut redis {
        Ok(all) => LedgerSurvey::read(config, args, all, &mut files).await,
        Err(why) => Err(why.clone()),
    };
    let redis = redis.unwrap_or_default();
    // By Redis's clock; by this host's where Redis is unreachable.
    let now_ms =
        redis.first().map_or_else(|| jiff::Timestamp::now().as_millisecond(), |instance| instance.now_ms);
    // After the ledger was read, so that the sequence of the gateway is not older than that of the ledger.
    let running = gateway::at_ops(config.ops_listen, config.ops_tls.as_ref()).await;
    let answers = match config.proxy_protocol {
        // With the PROXY protocol a direct connection would be refused.
        true => running.is_some(),
        false => gateway::at_public(config.listen, config.tls.as_ref()).await,
    };
    let mut lines = host::check(&HostFacts::look(config, running.as_ref(), answers, args));
    let sales = ledger.as_ref().map(|ledger| ledger.sales.as_slice()).unwrap_or_default();
    let launch = next_launch(sales, &files, now_ms);
    lines.extend(keys::check(&KeyFacts::read(
        config,
        args.host.as_deref(),
        launch,
        now_ms.div_euclid(1_000),
    )));
    lines.append(&mut mistakes);
    lines.extend(redis.iter().flat_map(|instance| redis::check(&instance.facts)));
    match &mut ledger {
        Ok(ledger) => {
            for instance in &redis {
                lines.extend(memory::check(&instance.facts, &ledger.needs(&instance.redis)));
            }
            lines.extend(ledger.check(running));
        }
        Err(why) => {
            let mut redis = Findings::of("redis");
            let todo = "check --redis, that Redis runs, and that it accepts this user; the checks of its contents were skipped";
            redis.fail("reach", format!("{}: {why}", config.redis.address()), todo);
            lines.extend(redis.end());
            for (file, definition) in &files {
                let mut of_file = Findings::of(format!("file {file}"));
                definition::check(definition, now_ms, &mut of_file);
                lines.extend(of_file.end());
            }
        }
    }
    lines.extend(args.dashboards.iter().flat_map(|folder| dashboards::check(folder)));
    (lines, ledger.err())
}

/// The sales and the shared state of gateways.
struct LedgerSurvey {
    fleet: FleetFacts,
    sales: Vec<SaleFacts>,
}

impl LedgerSurvey {
    /// Reads the sales that were named, with their files, or all; or returns the error of reading them.
    async fn read(
        config: &ServeConfig,
        args: &DoctorArgs,
        redis: &mut [RedisInstance],
        files: &mut Vec<(String, Definition)>,
    ) -> Result<Self, String> {
        let scripts = Arc::new(Scripts::new(REAL_CLOCK));
        let shared = redis::shared(config, &scripts, redis).await;
        let (mut fleet, all) = shared.map_err(|error| acl::explain(&error))?;
        fleet.expected = args.gateways;
        let is_served = fleet.live.as_ref().is_ok_and(|live| !live.is_empty());
        let admin = Admin::new(config.redis.pool(1), scripts, Arc::default());
        let mut ids = args.sale.clone();
        ids.extend(files.iter().map(|(_, definition)| definition.sale.id.clone()));
        let is_named = !ids.is_empty();
        if !is_named {
            ids = all;
        }
        ids.sort_unstable();
        ids.dedup();
        let mut sales = Vec::new();
        for id in ids {
            let file = files.iter().position(|(_, definition)| definition.sale.id == id);
            let file = file.map(|at| files.remove(at));
            let facts = SaleFacts::read(&admin, redis, is_served, id, file).await;
            let facts = facts.map_err(|failure| failure.to_string())?;
            // Sales that are over matter only if they were named.
            if is_named || !facts.is_over() {
                sales.push(facts);
            }
        }
        Ok(Self { fleet, sales })
    }

    /// The memory that each sale of this Redis can still need.
    fn needs(&self, redis: &Redis) -> Vec<MemoryNeed> {
        let here = self.sales.iter().filter(|sale| redis.has_slot(Keys::of(&sale.id).slot()));
        here.filter_map(SaleFacts::definition).map(|(of, started)| MemoryNeed::of(of, started)).collect()
    }

    /// Checks the ledger, with the facts of the gateway on this host.
    fn check(&mut self, running: Option<RunningGateway>) -> Vec<Finding> {
        self.fleet.here = running;
        let mut lines = fleet::check(&self.fleet);
        for sale in &mut self.sales {
            sale.followed = self.fleet.here.as_ref().map(|running| running.sequences.get(&sale.id).copied());
            lines.extend(sale::check(sale));
        }
        if self.sales.is_empty() {
            let mut none = Findings::of("sales");
            none.warn("ledger", "no sale is open or upcoming", "gateway sale apply FILE");
            lines.extend(none.end());
        }
        lines
    }
}

/// The sale that opens next, and when, in seconds since 1970.
fn next_launch(sales: &[SaleFacts], files: &[(String, Definition)], now_ms: i64) -> Option<(String, i64)> {
    let of_sales = sales.iter().filter_map(SaleFacts::definition).map(|(definition, _)| definition);
    let definitions = of_sales.chain(files.iter().map(|(_, definition)| definition));
    let openings =
        definitions.map(|definition| (definition.sale.opens_at.as_millisecond(), &definition.sale.id));
    let (opens, id) = openings.filter(|(opens, _)| *opens > now_ms).min()?;
    Some((id.clone(), opens.div_euclid(1_000)))
}
