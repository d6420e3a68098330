//! The lifecycle of a serving gateway: build, run, drain.

mod background;
mod files;
mod ports;
mod service_manager;
mod signals;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::admit::limits::Limits;
use crate::api::document::ServedDocument;
use crate::api::worker::{self, WorkerContext};
use crate::config::ServeConfig;
use crate::domain::polling::PollLoad;
use crate::draw::follow::follow;
use crate::fleet::membership::Membership;
use crate::http::connection_caps::ConnectionCaps;
use crate::http::drain::{Drain, DrainPhase};
use crate::http::server::{self, ListenerSettings};
use crate::manage::admin::Admin;
use crate::openapi;
use crate::ops::admin::Ops;
use crate::ops::exposition::{Exposition, ExpositionSources};
use crate::ops::feed::Feed;
use crate::ops::health::{Durable, Health};
use crate::ops::live::Live;
use crate::ops::report::Reporter;
use crate::ops::self_checks::SelfChecks;
use crate::ops::status::{GatewayStatus, ServedOptions};
use crate::projection::consumer::CaughtUp;
use crate::projection::read_model::Sales;
use crate::recovery::failover::Recovery;
use crate::runtime::{self, Pulse};
use crate::store::scripts::Scripts;
use crate::telemetry::metrics::Metrics;
use crate::terminal::CommandError;
use background::thread;
use files::ServedFiles;
use ports::Ports;
use service_manager::ServiceManager;
use signals::Signals;

/// Connections of the pool: admin calls, audits, readiness.
pub(crate) const POOL: usize = 8;
/// Timeout of the message that this gateway leaves the fleet.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

/// The addresses of a gateway's listeners.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The public listener.
    pub public: SocketAddr,
    /// The ops listener.
    pub ops: SocketAddr,
}

/// A gateway with loaded files and bound ports.
pub struct Gateway {
    config: ServeConfig,
    files: ServedFiles,
    ports: Ports,
    addresses: Addresses,
    /// State shared by its workers and tasks.
    shared: WorkerContext,
    /// Shown by reports, metrics and the live page.
    status: GatewayStatus,
}

/// The ops listener, which answers until the end so that the drain can be observed.
struct OpsListener {
    draining: Arc<AtomicBool>,
    _open: watch::Sender<DrainPhase>,
}

impl Gateway {
    /// Loads every file and binds the ports, before anything is sent to Redis. `scripts` has the clock.
    pub fn build(config: ServeConfig, scripts: Scripts) -> Result<Self, CommandError> {
        let files = ServedFiles::load(&config)?;
        let (ports, addresses) = Ports::bind(&config)?;
        let shared = WorkerContext {
            sales: Arc::new(Sales::default()),
            caught_up: Arc::new(CaughtUp::default()),
            keys: files.keys.clone(),
            redis: config.redis.clone(),
            scripts: Arc::new(scripts.with_replica_acks(config.redis.replica_acks())),
            limits: config.requests,
            connections: config.connections,
            listener_settings: ListenerSettings {
                tls: files.tls.clone(),
                proxies: config.trusted_proxies.clone(),
                proxy_protocol: config.proxy_protocol,
                caps: Arc::new(ConnectionCaps::new(config.caps)),
            },
            cors: config.cors.clone(),
            document: ServedDocument::new(openapi::served()),
            service_addresses: config.service_addresses.clone(),
            rates: Arc::new(Limits::new(config.rates)),
            metrics: Arc::new(Metrics::default()),
            poll_load: Arc::new(PollLoad::new(Instant::now(), config.workers)),
            membership: Arc::new(Membership::new(addresses.public.to_string())),
        };
        let checks = SelfChecks { leeway_s: config.auth.leeway_s, ..SelfChecks::default() };
        let status = GatewayStatus {
            sales: shared.sales.clone(),
            metrics: shared.metrics.clone(),
            membership: shared.membership.clone(),
            readiness: Arc::default(),
            checks: Arc::new(checks),
            options: ServedOptions {
                durability: config.redis.durability(),
                workers: config.workers,
                token_keys: if files.keys.are_public() { "jwks" } else { "hs256" },
            },
        };
        Ok(Self { config, files, ports, addresses, shared, status })
    }

    /// Serves until SIGTERM or SIGINT, then drains. Calls `ready` once signals are caught.
    pub fn run(mut self, ready: impl FnOnce(Addresses)) -> Result<(), CommandError> {
        let (phase, drain) = Drain::new();
        let mut manager = ServiceManager::from_environment();
        self.start_ledger(manager.add_pulse())?;
        let workers = self.start_workers(&drain, &mut manager)?;
        let Addresses { public, ops } = self.addresses;
        let ServedOptions { durability, workers: count, token_keys } = self.status.options;
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(%public, %ops, version, %durability, workers = count, token_keys, "listening");
        runtime::run(async move {
            let mut signals = Signals::listen()?;
            ready(self.addresses);
            let (drains, drain) = (drain, (self.config.drain_delay, self.config.drain_deadline));
            let membership = self.shared.membership.clone();
            let (files, readiness) = (self.status.checks.files.clone(), self.status.readiness.clone());
            let ops = self.start_ops(&signals, drains)?;
            let reports = tokio::task::spawn_local(manager.report(readiness));
            signals.end(&files).await;
            reports.abort();
            service_manager::report_stopping();
            Self::drain(&ops, &phase, &membership, drain, workers).await;
            Ok(())
        })?
    }

    /// Readiness ends, and every response is the last one of its connection; after the delay for the
    /// balancer the listeners and the connections without a request close.
    async fn drain(
        ops: &OpsListener,
        phase: &watch::Sender<DrainPhase>,
        membership: &Membership,
        (delay, deadline): (Duration, Duration),
        mut workers: mpsc::Receiver<()>,
    ) {
        tracing::info!("draining");
        ops.draining.store(true, Ordering::Relaxed);
        phase.send_replace(DrainPhase::Drain);
        membership.leave(LEAVE_TIMEOUT).await;
        tokio::time::sleep(delay).await;
        phase.send_replace(DrainPhase::Close);
        match tokio::time::timeout(deadline, workers.recv()).await {
            Ok(_) => tracing::info!("drained"),
            Err(_) => tracing::warn!("the drain deadline has passed; open connections are cut"),
        }
    }

    /// Starts the thread of the ledger tasks.
    fn start_ledger(&self, pulse: Pulse) -> Result<(), CommandError> {
        let reporter = Reporter::new(self.status.clone());
        let redis = &self.config.redis;
        let recovery = Recovery {
            pool: redis.pool(POOL),
            scripts: self.shared.scripts.clone(),
            membership: self.shared.membership.clone(),
            acknowledged_survives: redis.acknowledged_survives(),
        };
        let (shared, clock) = (self.shared.clone(), self.status.checks.clock.clone());
        thread("ledger", move || background::keep_ledger(shared, recovery, clock, reporter, pulse))
    }

    /// Starts a thread for each worker; the receiver yields once all have ended.
    fn start_workers(
        &mut self,
        drain: &Drain,
        manager: &mut ServiceManager,
    ) -> Result<mpsc::Receiver<()>, CommandError> {
        let (worker_ended, ended) = mpsc::channel::<()>(1);
        for (n, listener) in std::mem::take(&mut self.ports.public).into_iter().enumerate() {
            let (shared, drain, ended) = (self.shared.clone(), drain.clone(), worker_ended.clone());
            let pulse = manager.add_pulse();
            thread(&format!("worker-{n}"), move || {
                let outcome = worker::run(shared, listener, drain, pulse);
                drop(ended);
                outcome
            })?;
        }
        Ok(ended)
    }

    /// Starts the ops listener and its tasks on this thread.
    /// `drain` is that of the public listener.
    fn start_ops(self, signals: &Signals, drain: Drain) -> Result<OpsListener, CommandError> {
        let Self { config, files, ports, shared, status, .. } = self;
        let GatewayStatus { sales, metrics, readiness, .. } = status.clone();
        let scripts = shared.scripts;
        files.watch(&status.checks.files, signals);
        let pool = config.redis.pool(POOL);
        let admin = Admin::new(pool.clone(), scripts.clone(), sales.clone());
        let scripts_loaded = Arc::new(AtomicBool::new(false));
        let draining = Arc::new(AtomicBool::new(false));
        let health = Rc::new(Health {
            pool: pool.clone(),
            scripts_loaded: scripts_loaded.clone(),
            caught_up: shared.caught_up,
            draining: draining.clone(),
            durability: Durable::new(config.redis.durability()),
            status: status.clone(),
        });
        let exposition = Exposition::new(ExpositionSources {
            status: status.clone(),
            connections_max: [config.caps.connections_max; 2],
            in_flight_max: config.requests.in_flight_max * config.workers,
            scripts: scripts.digest(),
            tls: [files.tls, files.ops_tls.clone()],
            keys: files.keys,
        });
        tokio::task::spawn_local(background::load_scripts(pool, scripts.clone(), scripts_loaded));
        tokio::task::spawn_local(background::watch_readiness(health.clone(), readiness));
        let (pool, draws) = (config.redis.pool(1), sales.clone());
        let of_draws = Admin::new(pool, scripts.clone(), sales.clone());
        thread("draws", move || runtime::run(follow(of_draws, draws)))?;
        let audits = background::audit_all(admin.clone(), sales, metrics, config.audit_interval);
        tokio::task::spawn_local(audits);
        let ops = Rc::new(Ops {
            live: Live::start(status.clone()),
            feed: Feed::new(drain),
            status,
            hosts: config.ops_hosts,
            tokens: files.tokens,
            admin,
            rates: shared.rates,
            exposition,
            health,
            body_timeout: config.requests.body_timeout,
        });
        let listener = tokio::net::TcpListener::from_std(ports.ops)?;
        let listener_settings = ListenerSettings {
            tls: files.ops_tls,
            caps: Arc::new(ConnectionCaps::new(config.caps)),
            ..ListenerSettings::default()
        };
        let (open, drain) = Drain::new();
        tokio::task::spawn_local(server::serve(listener, ops, config.connections, listener_settings, drain));
        Ok(OpsListener { draining, _open: open })
    }
}
