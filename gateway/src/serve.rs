//! The life of a serving gateway: check, bind, follow, serve, drain. Read top to bottom.

pub(crate) mod signals;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::admit::limits::Limits;
use crate::api::worker::{self, Shared};
use crate::config::ServeConfig;
use crate::fleet;
use crate::fleet::clock_offset::ClockOffset;
use crate::fleet::hearsay::Hearsay;
use crate::http::bind::bind;
use crate::http::connection_caps::ConnectionCaps;
use crate::http::drain::{Drain, Phase};
use crate::http::server::{self, Door};
use crate::http::tls::Tls;
use crate::identify::Keys;
use crate::identify::ops_tokens::OpsTokens;
use crate::manage::admin::Admin;
use crate::manage::audit;
use crate::ops::admin::Ops;
use crate::ops::exposition::{Exposition, Sources};
use crate::ops::files::WatchedFiles;
use crate::ops::health::{Durable, Health, Readiness};
use crate::ops::live::{self, Live};
use crate::ops::report::{self, Reporter};
use crate::ops::self_checks::SelfChecks;
use crate::projection::follow::{CaughtUp, follow};
use crate::projection::memory::Sales;
use crate::recovery::heal::Healer;
use crate::recovery::reaper::reap;
use crate::reserve::freshness::make_rounds;
use crate::runtime;
use crate::store::lanes::Lanes;
use crate::store::outage::Outage;
use crate::store::scripts::Scripts;
use crate::store::{Pool, checkout_each};
use crate::telemetry::labels::{User, WatchedFile};
use crate::telemetry::metrics::Metrics;
use signals::Signals;

/// Connections of the pool: admin calls, audits, readiness.
pub(crate) const POOL: usize = 8;
/// How often readiness is looked at for the metrics.
const READINESS_INTERVAL: Duration = Duration::from_millis(500);
/// How long the fleet may take to hear that this gateway leaves.
const GOODBYE_MAX: Duration = Duration::from_millis(500);
/// Before the scripts are loaded again after Redis did not answer.
const SCRIPTS_RETRY: Duration = Duration::from_millis(200);

/// Why a gateway did not start or ended early.
#[derive(Debug)]
pub enum ServeError {
    /// Bad settings or files; every problem.
    Usage(Vec<String>),
    /// Something outside failed.
    Outside(String),
}

/// Where a gateway listens; told once it does.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// For apps.
    pub public: SocketAddr,
    /// For ops.
    pub ops: SocketAddr,
}

/// Serves until SIGTERM or SIGINT, then drains. `scripts` holds the clock; `ready` is called once the ports are open.
pub fn serve(config: ServeConfig, scripts: Scripts, ready: impl FnOnce(Addresses)) -> Result<(), ServeError> {
    // Check: every mistake in every file at once, before anything is opened.
    let keys = Keys::load(&config.auth);
    let tokens = OpsTokens::load(&config.ops_token_file);
    let [tls, ops_tls] = [&config.tls, &config.ops_tls]
        .map(|files| files.as_ref().map(Tls::load).transpose().map(|tls| tls.map(Arc::new)));
    let (keys, tokens, tls, ops_tls) = match (keys, tokens, tls, ops_tls) {
        (Ok(keys), Ok(tokens), Ok(tls), Ok(ops_tls)) => (Arc::new(keys), Arc::new(tokens), tls, ops_tls),
        (keys, tokens, tls, ops_tls) => {
            let problems = [keys.err(), tokens.err(), tls.err(), ops_tls.err()];
            return Err(ServeError::Usage(problems.into_iter().flatten().flatten().collect()));
        }
    };
    keys.log_findings();
    let pool = config.redis.pool(POOL);

    // Bind: ports are known, and taken, before any work starts.
    let taken = |what, address: SocketAddr| {
        move |e: io::Error| ServeError::Outside(format!("can't listen on {address} ({what}): {e}"))
    };
    let listeners = bind(config.listen, config.workers).map_err(taken("--listen", config.listen))?;
    let ops_listener = bind(config.ops_listen, 1)
        .map_err(taken("--ops-listen", config.ops_listen))?
        .pop()
        .ok_or_else(|| ServeError::Outside("no ops listener".into()))?;
    let address = |listener: &std::net::TcpListener| {
        listener.local_addr().map_err(|e| ServeError::Outside(e.to_string()))
    };
    let addresses = Addresses {
        public: listeners.first().map_or(Ok(config.listen), address)?,
        ops: address(&ops_listener)?,
    };

    // Start: the ledger's own thread, the workers, then the ops listener on this one.
    let (phase, drain) = Drain::new();
    let sales = Arc::new(Sales::default());
    let caught_up = Arc::new(CaughtUp::default());
    let metrics = Arc::new(Metrics::default());
    let rates = Arc::new(Limits::new(config.rates));
    let readiness = Arc::new(Readiness::default());
    let hearsay = Arc::new(Hearsay::new(addresses.public.to_string()));
    let checks = Arc::new(SelfChecks { leeway_s: config.auth.leeway_s, ..SelfChecks::default() });
    let shared = Shared {
        sales: sales.clone(),
        caught_up: caught_up.clone(),
        keys: keys.clone(),
        redis: config.redis.clone(),
        scripts: Arc::new(scripts.with_copies(config.redis.copies())),
        limits: config.requests,
        connections: config.connections,
        door: Door {
            tls: tls.clone(),
            proxies: config.trusted_proxies.clone(),
            proxy_protocol: config.proxy_protocol,
            caps: Arc::new(ConnectionCaps::new(config.caps)),
        },
        cors: config.cors.clone(),
        service_addresses: config.service_addresses.clone(),
        rates: rates.clone(),
        metrics: metrics.clone(),
        hearsay: hearsay.clone(),
    };
    let scripts = shared.scripts.clone();
    let scripts_print = scripts.print();
    {
        let (shared, caught_up) = (shared.clone(), caught_up.clone());
        let reporter = Reporter::new(report::Sources {
            metrics: metrics.clone(),
            sales: sales.clone(),
            readiness: readiness.clone(),
            hearsay: hearsay.clone(),
            checks: checks.clone(),
        });
        let clock = checks.clock.clone();
        let healer = Healer {
            pool: config.redis.pool(POOL),
            scripts: shared.scripts.clone(),
            hearsay: hearsay.clone(),
            told_survives: config.redis.told_survives(),
        };
        thread("ledger", move || keep_ledger(shared, healer, caught_up, clock, reporter))?;
    }
    let (worker_ended, mut workers_ended) = tokio::sync::mpsc::channel::<()>(1);
    for (n, listener) in listeners.into_iter().enumerate() {
        let (shared, drain, ended) = (shared.clone(), drain.clone(), worker_ended.clone());
        thread(&format!("worker-{n}"), move || {
            let outcome = worker::run(shared, listener, drain);
            drop(ended);
            outcome
        })?;
    }
    drop(worker_ended);
    tracing::info!(public = %addresses.public, ops = %addresses.ops, workers = config.workers, "listening");

    runtime::run(async move {
        let outside = |e: io::Error| ServeError::Outside(e.to_string());
        let mut signals = Signals::listen().map_err(outside)?;
        ready(addresses);
        let scripts_loaded = Arc::new(AtomicBool::new(false));
        let draining = Arc::new(AtomicBool::new(false));
        let admin = Admin::new(pool.clone(), scripts.clone(), sales.clone());
        tokio::task::spawn_local(load_scripts(pool.clone(), scripts, scripts_loaded.clone()));
        watch_files(&checks.files, &keys, &tokens, [&tls, &ops_tls], &signals);
        tokio::task::spawn_local(audit_all(
            admin.clone(),
            sales.clone(),
            metrics.clone(),
            config.audit_interval,
        ));
        let durability = Durable::new(config.redis.durability());
        let health = Rc::new(Health {
            pool,
            scripts_loaded,
            caught_up,
            draining: draining.clone(),
            hearsay: hearsay.clone(),
            durability,
            metrics: metrics.clone(),
            sales: sales.clone(),
        });
        tokio::task::spawn_local(watch_readiness(health.clone(), readiness.clone()));
        let exposition = Exposition::new(Sources {
            metrics: metrics.clone(),
            sales: sales.clone(),
            connections_max: [config.caps.connections_max; 2],
            in_flight_max: config.requests.in_flight_max * config.workers,
            scripts: scripts_print,
            tls: [tls.clone(), ops_tls.clone()],
            keys,
            readiness: readiness.clone(),
            hearsay: hearsay.clone(),
            checks: checks.clone(),
        });
        let live = Live::start(live::Sources {
            sales: sales.clone(),
            metrics: metrics.clone(),
            hearsay: hearsay.clone(),
            readiness,
            checks,
        });
        let ops = Rc::new(Ops {
            live,
            hosts: config.ops_hosts,
            tokens,
            admin,
            sales,
            rates,
            metrics,
            exposition,
            health,
            body_timeout: config.requests.body_timeout,
        });
        let listener = tokio::net::TcpListener::from_std(ops_listener).map_err(outside)?;
        let caps = Arc::new(ConnectionCaps::new(config.caps));
        let door = Door { tls: ops_tls, caps, ..Door::default() };
        // The ops listener answers to the end: it is how one sees the drain.
        let never = Drain::new();
        tokio::task::spawn_local(server::serve(listener, ops, config.connections, door, never.1));

        // Serve.
        signals.end().await;

        // Drain: readiness goes down, and every answer is the last one of its connection; once the balancer has had its time
        // the listeners close, and connections without a request.
        tracing::info!("draining");
        draining.store(true, Ordering::Relaxed);
        phase.send_replace(Phase::Drain);
        hearsay.leave(GOODBYE_MAX).await;
        tokio::time::sleep(config.drain_delay).await;
        phase.send_replace(Phase::Close);
        match tokio::time::timeout(config.drain_deadline, workers_ended.recv()).await {
            Ok(_) => tracing::info!("drained"),
            Err(_) => tracing::warn!("the drain deadline is over; connections that are still open are cut"),
        }
        drop(never.0);
        Ok(())
    })
    .map_err(|e| ServeError::Outside(e.to_string()))?
}

/// A thread that ends with the process. Without it a gateway is of no use, so its failure is logged loudly.
fn thread(name: &str, work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), ServeError> {
    let told = name.to_owned();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            if let Err(error) = work() {
                tracing::error!(thread = told, %error, "a thread ended");
            }
        })
        .map(drop)
        .map_err(|e| ServeError::Outside(format!("can't start the thread {name}: {e}")))
}

/// The follower, the reaper and the fleet, on a thread of their own: neither a busy worker nor an audit delays them.
fn keep_ledger(
    shared: Shared,
    healer: Healer,
    caught_up: Arc<CaughtUp>,
    clock: Arc<ClockOffset>,
    mut reporter: Reporter,
) -> io::Result<()> {
    runtime::run(async move {
        let metrics = shared.metrics;
        tokio::task::spawn_local(shared.redis.clone().keep_map());
        let lanes = Lanes::open(shared.redis.clone(), shared.scripts.clone(), metrics.redis(User::Ledger));
        let hearsay = healer.hearsay.clone();
        let rounds = Lanes::open(shared.redis.clone(), shared.scripts.clone(), metrics.redis(User::Rounds));
        tokio::task::spawn_local(make_rounds(rounds, shared.sales.clone(), hearsay.clone()));
        tokio::task::spawn_local(reap(lanes, healer, shared.sales.clone()));
        let (fleet_use, follower_use) = (metrics.redis(User::Fleet), metrics.redis(User::Follower));
        tokio::task::spawn_local(fleet::take_part(
            shared.redis.clone(),
            shared.rates,
            fleet_use,
            hearsay,
            clock,
            move || reporter.report(),
        ));
        follow(shared.redis, shared.scripts, shared.sales, caught_up, follower_use).await;
    })
}

/// Loads the scripts into each Redis that the ledger is in. One that comes later, or was away, is given each script when it
/// is called for the first time.
async fn load_scripts(pool: Pool, scripts: Arc<Scripts>, loaded: Arc<AtomicBool>) {
    let outage = Outage::of("the scripts can't be loaded yet");
    loop {
        match load_each(&pool, &scripts).await {
            Ok(()) => {
                outage.is_over();
                return loaded.store(true, Ordering::Relaxed);
            }
            Err(error) => outage.goes_on(error),
        }
        tokio::time::sleep(SCRIPTS_RETRY).await;
    }
}

/// An error means that one does not take them, or that none can be reached.
async fn load_each(pool: &Pool, scripts: &Scripts) -> Result<(), String> {
    let mut outcome = Err("no master has any slot".to_owned());
    for (_, conn) in checkout_each(pool).await.map_err(|failure| failure.to_string())? {
        match conn {
            Ok(mut conn) => {
                scripts.load(&mut conn).await.map_err(|error| error.to_string())?;
                outcome = Ok(());
            }
            Err(failure) => outcome = outcome.map_err(|_| failure.to_string()),
        }
    }
    outcome
}

/// Notes every now and then whether this gateway is ready, for who looks at metrics.
async fn watch_readiness(health: Rc<Health>, readiness: Arc<Readiness>) {
    loop {
        readiness.set(health.reasons().await);
        tokio::time::sleep(READINESS_INTERVAL).await;
    }
}

/// Reads keys, ops tokens and certificates again while the gateway runs, at every hang-up at once.
fn watch_files(
    files: &Arc<WatchedFiles>,
    keys: &Arc<Keys>,
    tokens: &Arc<OpsTokens>,
    [tls, ops_tls]: [&Option<Arc<Tls>>; 2],
    signals: &Signals,
) {
    let file = if keys.are_public() { WatchedFile::AuthJwks } else { WatchedFile::AuthSecret };
    tokio::task::spawn_local(files.clone().watch(
        file,
        (keys.clone(), signals.hangups()),
        Keys::reload_if_changed,
        1,
    ));
    let ops_tokens = (tokens.clone(), signals.hangups());
    let reload = OpsTokens::reload_if_changed;
    tokio::task::spawn_local(files.clone().watch(WatchedFile::OpsTokens, ops_tokens, reload, 1));
    for (file, tls) in [(WatchedFile::Tls, tls), (WatchedFile::OpsTls, ops_tls)] {
        if let Some(tls) = tls {
            // Certificate and key are replaced one after the other.
            tokio::task::spawn_local(files.clone().watch(
                file,
                (tls.clone(), signals.hangups()),
                Tls::reload_if_changed,
                2,
            ));
        }
    }
}

/// A full audit of every sale, again and again; drift is logged and shows in the metrics.
async fn audit_all(admin: Admin, sales: Arc<Sales>, metrics: Arc<Metrics>, interval: Duration) {
    loop {
        tokio::time::sleep(interval.mul_f32(0.9 + 0.2 * fastrand::f32())).await;
        let all = sales.all();
        metrics.retain_audits(|id| all.iter().any(|sale| sale.id == id));
        for sale in all {
            match audit::audit(admin.pool(), admin.scripts(), &sale.id).await {
                Ok(report) => {
                    let problem = report.first_problem();
                    if let Some(problem) = &problem {
                        tracing::error!(
                            sale = sale.id,
                            sequence = report.sequence,
                            problem,
                            "the audit found drift"
                        );
                    }
                    let problems = i64::try_from(report.problems.len()).unwrap_or(i64::MAX);
                    let drift = report.items.iter().map(|i| i.drift.abs()).sum::<i64>() + problems;
                    metrics.audited((&sale.id, sale.incarnation()), drift, problem);
                }
                Err(failure) => tracing::warn!(sale = sale.id, %failure, "no audit"),
            }
        }
    }
}
