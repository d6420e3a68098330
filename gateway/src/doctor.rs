//! `gateway doctor`: runs every check before a launch and prints how to fix each finding.
//!
//! `gather` collects facts; the other modules check facts and do no I/O, so that tests can cover each
//! check with every fact.

pub mod args;
mod dashboards;
mod definition;
mod fleet;
mod format;
mod gather;
mod host;
mod keys;
mod memory;
mod redis;
mod report;
mod sale;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

pub use memory::{ITEM_BYTES, MemoryNeed, RESERVATION_BYTES};
pub use report::{DoctorReport, Finding, Severity};

use gather::gateway::{self, RunningGateway};
use gather::redis::RedisInstance;
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
    let mut files = DefinitionFiles::load(&args.definition);
    let mut survey = RedisSurvey::of(config, args, &mut files).await;
    // After the ledger was read, so that the sequence of the gateway is not older than that of the ledger.
    let running = gateway::at_ops(config.ops_listen, config.ops_tls.as_ref()).await;
    let answers = match config.proxy_protocol {
        // With the PROXY protocol a direct connection would be refused.
        true => running.is_some(),
        false => gateway::at_public(config.listen, config.tls.as_ref()).await,
    };
    let mut lines = host::check(&gather::host::look(config, running.as_ref(), answers, args));
    let sales = survey.ledger.as_ref().map(|ledger| ledger.sales.as_slice()).unwrap_or_default();
    let launch = next_launch(sales, files.all.iter().map(|(_, definition)| definition), survey.now_ms);
    let now_s = survey.now_ms.div_euclid(1_000);
    lines.extend(keys::check(&gather::keys::read(config, args.host.as_deref(), launch, now_s)));
    lines.append(&mut files.mistakes);
    lines.extend(survey.redis.iter().flat_map(|instance| redis::check(&instance.facts)));
    let out_of_reach = match &mut survey.ledger {
        Ok(ledger) => {
            lines.extend(
                survey
                    .redis
                    .iter()
                    .flat_map(|instance| memory::check(&instance.facts, &ledger.needs(&instance.redis))),
            );
            lines.extend(ledger.check(running.as_ref()));
            None
        }
        Err(why) => {
            let mut redis = Findings::of("redis");
            let todo = "check --redis, that Redis runs, and that it accepts this user; the checks of its contents were skipped";
            redis.fail("reach", format!("{}: {why}", config.redis.address()), todo);
            lines.extend(redis.end());
            for (file, definition) in &files.all {
                let mut of_file = Findings::of(format!("file {file}"));
                definition::check(definition, survey.now_ms, &mut of_file);
                lines.extend(of_file.end());
            }
            Some(why.clone())
        }
    };
    lines.extend(args.dashboards.iter().flat_map(|folder| dashboards::check(folder)));
    (lines, out_of_reach)
}

/// The definitions' files that were named.
struct DefinitionFiles {
    all: Vec<(String, Definition)>,
    mistakes: Vec<Finding>,
}

impl DefinitionFiles {
    fn load(paths: &[PathBuf]) -> Self {
        let mut files = Self { all: Vec::new(), mistakes: Vec::new() };
        for path in paths {
            let name = path.display().to_string();
            match Definition::load(path) {
                Ok(definition) => files.all.push((name, definition)),
                Err(mistakes) => files.mistakes.extend(sale::mistakes(&name, &mistakes)),
            }
        }
        files
    }

    fn take(&mut self, sale: &str) -> Option<(String, Definition)> {
        let at = self.all.iter().position(|(_, definition)| definition.sale.id == sale)?;
        Some(self.all.remove(at))
    }
}

/// The facts of every Redis.
struct RedisSurvey {
    /// By Redis's clock; by this host's where Redis is unreachable.
    now_ms: i64,
    /// Each Redis of the ledger.
    redis: Vec<RedisInstance>,
    /// The contents, or the error of reading them.
    ledger: Result<LedgerSurvey, String>,
}

/// The sales and the shared state of gateways.
struct LedgerSurvey {
    fleet: fleet::FleetFacts,
    sales: Vec<SaleFacts>,
}

impl RedisSurvey {
    async fn of(config: &ServeConfig, args: &DoctorArgs, files: &mut DefinitionFiles) -> Self {
        let asked = async {
            let mut all = Vec::new();
            for redis in config.redis.each().await? {
                all.push(gather::redis::instance(config, redis).await?);
            }
            Ok::<_, ::redis::RedisError>(all)
        };
        match asked.await {
            Ok(mut redis) => {
                let ledger = LedgerSurvey::read(config, args, &mut redis, files).await;
                let now_ms = redis.first().map_or(0, |instance| instance.now_ms);
                Self { now_ms, redis, ledger }
            }
            Err(error) => {
                let now_ms = jiff::Timestamp::now().as_millisecond();
                Self { now_ms, redis: Vec::new(), ledger: Err(acl::explain(&error)) }
            }
        }
    }
}

impl LedgerSurvey {
    async fn read(
        config: &ServeConfig,
        args: &DoctorArgs,
        redis: &mut [RedisInstance],
        files: &mut DefinitionFiles,
    ) -> Result<Self, String> {
        let scripts = Arc::new(Scripts::new(REAL_CLOCK));
        let shared = gather::redis::shared(config, &scripts, redis);
        let gather::redis::SharedFacts { mut fleet, sales: all } =
            shared.await.map_err(|error| acl::explain(&error))?;
        fleet.expected = args.gateways;
        let admin = Admin::new(config.redis.pool(1), scripts, Arc::default());
        let look = gather::sales::SaleQuery {
            admin: &admin,
            redis,
            is_served: fleet.live.as_ref().is_ok_and(|live| !live.is_empty()),
        };
        let mut ids = args.sale.clone();
        ids.extend(files.all.iter().map(|(_, definition)| definition.sale.id.clone()));
        let is_named = !ids.is_empty();
        if !is_named {
            ids = all;
        }
        ids.sort_unstable();
        ids.dedup();
        let mut sales = Vec::new();
        for id in ids {
            let facts = gather::sales::read(&look, &id, files.take(&id))
                .await
                .map_err(|failure| failure.to_string())?;
            // Sales that are over matter only if they were named.
            if is_named || !facts.is_over() {
                sales.push(facts);
            }
        }
        Ok(Self { fleet, sales })
    }

    /// The memory that each sale of this Redis can still need.
    fn needs(&self, redis: &Redis) -> Vec<MemoryNeed> {
        let need = |sale: &SaleFacts| match (&sale.applied, &sale.file) {
            (Ok(Some(applied)), _) => Some(MemoryNeed::of(&applied.definition, applied.started())),
            (_, Some((_, definition))) => Some(MemoryNeed::of(definition, 0)),
            _ => None,
        };
        let here = self.sales.iter().filter(|sale| redis.has_slot(Keys::of(&sale.id).slot()));
        here.filter_map(need).collect()
    }

    /// Checks the ledger, with the facts of the gateway on this host.
    fn check(&mut self, running: Option<&RunningGateway>) -> Vec<Finding> {
        self.fleet.here = running.map(|running| fleet::LocalGateway {
            has_our_scripts: running
                .scripts
                .as_ref()
                .map(|digest| *digest == Scripts::new(REAL_CLOCK).digest()),
            not_ready: running.not_ready.clone(),
            has_our_certificate: running.has_our_certificate,
            forwarded_ignored: running.forwarded_ignored,
        });
        let mut lines = fleet::check(&self.fleet);
        for sale in &mut self.sales {
            sale.followed = running.map(|running| running.sequences.get(&sale.id).copied());
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
fn next_launch<'a>(
    sales: &'a [SaleFacts],
    files: impl Iterator<Item = &'a Definition>,
    now_ms: i64,
) -> Option<(String, i64)> {
    let of_sale = |sale: &'a SaleFacts| match (&sale.applied, &sale.file) {
        (Ok(Some(applied)), _) => Some(&applied.definition),
        (_, Some((_, definition))) => Some(definition),
        _ => None,
    };
    let definitions = sales.iter().filter_map(of_sale).chain(files);
    let opening =
        definitions.map(|definition| (definition.sale.opens_at.as_millisecond(), &definition.sale.id));
    let (opens, id) = opening.filter(|(opens, _)| *opens > now_ms).min()?;
    Some((id.clone(), opens.div_euclid(1_000)))
}
