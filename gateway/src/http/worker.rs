//! A worker: one thread with a single-threaded runtime, its own listener, its own lane to Redis.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Incoming;
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use super::peer::Peer;
use super::respond::Answer;
use super::route;
use super::sales::Pages;
use super::server::{self, ConnectionLimits, Door, Handler};
use crate::identify::{CACHE_ENTRIES_DEFAULT, Identified, Identifier, Keys, Unauthenticated};
use crate::ledger::batch::{Queue, QueueLimits};
use crate::ledger::dial::Redis;
use crate::ledger::lane::Lane;
use crate::ledger::memory::{Sale, Sales};
use crate::ledger::scripts::Scripts;
use crate::ops::metrics::Metrics;
use crate::runtime;

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// The sales that the follower keeps true.
    pub sales: Arc<Sales>,
    /// What tokens are verified with.
    pub keys: Arc<Keys>,
    /// How Redis is reached.
    pub redis: Redis,
    /// The ledger's scripts.
    pub scripts: Arc<Scripts>,
    /// Limits of requests.
    pub limits: RequestLimits,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// What connections of apps come through.
    pub door: Door,
    /// Origins whose pages may call, as browsers send them.
    pub origins: Arc<[HeaderValue]>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Limits of the requests of one worker.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Of each sale's queue.
    pub queue: QueueLimits,
    /// From the arrival of a tap to its answer, whatever it is.
    pub tap_deadline: Duration,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
}

/// One worker, as its handlers see it.
pub struct Worker {
    shared: Shared,
    lane: Rc<Lane<Redis>>,
    identifier: RefCell<Identifier>,
    queues: RefCell<FxHashMap<String, Queue>>,
    /// The sale's page, ready made.
    pub pages: Pages,
}

/// Runs a worker on this thread until `stop` says so and its connections have ended.
pub fn run(
    shared: Shared,
    listener: std::net::TcpListener,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    runtime::run(async move {
        let lane = Lane::new(shared.redis.clone(), shared.scripts.clone());
        tokio::task::spawn_local(lane.clone().keep_open());
        let (limits, door) = (shared.connections, shared.door.clone());
        let worker = Rc::new(Worker {
            identifier: RefCell::new(Identifier::new(shared.keys.clone(), CACHE_ENTRIES_DEFAULT)),
            queues: RefCell::default(),
            pages: Pages::default(),
            lane,
            shared,
        });
        server::serve(tokio::net::TcpListener::from_std(listener)?, worker, limits, door, stop).await;
        Ok(())
    })?
}

impl Handler for Worker {
    fn answer(&self, peer: &Peer, parts: &Parts, body: Incoming) -> impl Future<Output = Answer> {
        route::answer(self, peer, parts, body)
    }
}

impl Worker {
    /// The lane to Redis.
    #[must_use]
    pub fn lane(&self) -> &Lane<Redis> {
        &self.lane
    }

    /// All sales.
    #[must_use]
    pub fn sales(&self) -> &Sales {
        &self.shared.sales
    }

    /// Limits of requests.
    #[must_use]
    pub fn limits(&self) -> &RequestLimits {
        &self.shared.limits
    }

    /// Origins that may call.
    #[must_use]
    pub fn origins(&self) -> &[HeaderValue] {
        &self.shared.origins
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// When a tap that is whole at this instant must have its answer.
    #[must_use]
    pub fn tap_deadline(&self, whole: Instant) -> tokio::time::Instant {
        (whole + self.shared.limits.tap_deadline).into()
    }

    /// Who sent this token.
    pub fn identify(&self, authorization: Option<&HeaderValue>) -> Result<Identified, Unauthenticated> {
        let now_s = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        self.identifier.borrow_mut().identify(authorization.map(HeaderValue::as_bytes), now_s)
    }

    /// The queue of a sale; it is made with the first tap.
    pub fn queue(&self, sale: &Arc<Sale>) -> Queue {
        let mut queues = self.queues.borrow_mut();
        if let Some(queue) = queues.get(&sale.id) {
            return queue.clone();
        }
        let queue = Queue::start(sale.clone(), self.lane.clone(), self.shared.limits.queue);
        queues.insert(sale.id.clone(), queue.clone());
        queue
    }
}
