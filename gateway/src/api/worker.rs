//! A worker: one thread with a single-threaded runtime, its own listener and its own connections to Redis.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use rustc_hash::FxHashMap;

use crate::admit::Admitted;
use crate::admit::limits::Limits;
use crate::api::document::ServedDocument;
use crate::api::route;
use crate::api::sales::Pages;
use crate::api::stores::CityPages;
use crate::domain::decision::Shed;
use crate::domain::polling::PollLoad;
use crate::fleet::membership::Membership;
use crate::http::cors::Cors;
use crate::http::drain::Drain;
use crate::http::gzip::GzipCache;
use crate::http::peer::{Networks, Peer};
use crate::http::respond::{Answer, Refused};
use crate::http::server::{self, ConnectionLimits, Handler, ListenerSettings};
use crate::identify::{CACHE_ENTRIES_DEFAULT, Identified, Identifier, NotIdentified, TokenKeys};
use crate::projection::consumer::CaughtUp;
use crate::projection::read_model::{Sale, Sales};
use crate::reserve::batch::{Batched, Deadlines, JoinCommand, QueueHandle, QueueLimits, SignUpCommand};
use crate::reserve::round_waiters::RoundWaiters;
use crate::runtime::{self, Pulse};
use crate::store::connection::RedisConnection;
use crate::store::connections::RedisConnections;
use crate::store::dial::Redis;
use crate::store::scripts::Scripts;
use crate::telemetry::labels::User;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::{AnswerClass, Connections, Count, CountedAs, Recorder};
use crate::telemetry::taps::SaleTaps;

/// How long a starting gateway holds back connections until it has read the ledger. A balancer without a
/// readiness check would otherwise get 503 for every tap.
const START_MAX: Duration = Duration::from_secs(5);
/// Interval of that check.
const START_INTERVAL: Duration = Duration::from_millis(10);

/// State shared by all workers.
#[derive(Clone)]
pub struct WorkerContext {
    /// The sales that the journal consumer keeps current.
    pub sales: Arc<Sales>,
    /// How far the consumer has read.
    pub caught_up: Arc<CaughtUp>,
    /// Keys that verify tokens.
    pub keys: Arc<TokenKeys>,
    /// Connection settings of Redis.
    pub redis: Redis,
    /// The ledger's scripts.
    pub scripts: Arc<Scripts>,
    /// Limits of requests.
    pub limits: RequestLimits,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// Settings of the public listener.
    pub listener_settings: ListenerSettings,
    /// Allowed origins and request headers of browsers.
    pub cors: Cors,
    /// The OpenAPI document of the public listener.
    pub document: ServedDocument,
    /// Payment and order services: no limit by address applies to them.
    pub service_addresses: Networks,
    /// Rate limits.
    pub rates: Arc<Limits>,
    /// Metrics of this gateway.
    pub metrics: Arc<Metrics>,
    /// How many look at its sales.
    pub poll_load: Arc<PollLoad>,
    /// This gateway's membership of the fleet.
    pub membership: Arc<Membership>,
}

/// Limits of the requests of one worker.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Of each sale's queue.
    pub queue: QueueLimits,
    /// From the arrival of a tap to its response.
    pub tap_deadline: Duration,
    /// Requests that ask the ledger at the same time.
    pub in_flight_max: usize,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
}

/// Queues by sale id, each with its sale.
type Queues<C> = FxHashMap<String, (Arc<Sale>, QueueHandle<C>)>;

/// One worker, as its handlers see it.
pub struct Worker {
    /// State shared with the other workers.
    pub(super) shared: WorkerContext,
    redis_connections: Rc<RedisConnections<Redis>>,
    identifier: RefCell<Identifier>,
    /// By sale id, with the sale: one that was purged may come back as another incarnation.
    queues: RefCell<Queues<Admitted>>,
    /// The same for sign-ups.
    sign_ups: RefCell<Queues<SignUpCommand>>,
    /// And for requests to join standby queues.
    joins: RefCell<Queues<JoinCommand>>,
    /// Taps that the read model may refuse, by sale id.
    refusals: RefCell<FxHashMap<String, Rc<RoundWaiters>>>,
    /// The metrics of this worker.
    pub(super) recorder: Arc<Recorder>,
    /// Rendered pages of the sales.
    pub pages: Pages,
    /// Rendered lists of cities.
    pub cities: CityPages,
    /// Compressed lists of sales and cities.
    pub gzip: GzipCache,
    /// Compressed searches. Clients decide how many there are: they must not use up the room and the time of the lists.
    pub gzip_searches: GzipCache,
}

/// Runs a worker on this thread until it has drained and its connections have ended.
pub fn run(
    shared: WorkerContext,
    listener: std::net::TcpListener,
    drain: Drain,
    pulse: Pulse,
) -> std::io::Result<()> {
    runtime::run_observed(pulse, async move {
        let uses = shared.metrics.redis(User::Batches);
        // Peers must wait for this gateway in a recovery before it acknowledges anything.
        let membership = shared.membership.clone();
        let joined = async move { membership.wait_until_joined().await };
        let redis_connections =
            RedisConnections::open_after(joined, shared.redis.clone(), shared.scripts.clone(), uses);
        let (limits, listener_settings) = (shared.connections, shared.listener_settings.clone());
        let worker = Rc::new(Worker {
            identifier: RefCell::new(Identifier::new(shared.keys.clone(), CACHE_ENTRIES_DEFAULT)),
            queues: RefCell::default(),
            sign_ups: RefCell::default(),
            joins: RefCell::default(),
            refusals: RefCell::default(),
            recorder: shared.metrics.of_worker(),
            pages: Pages::default(),
            cities: CityPages::default(),
            gzip: GzipCache::default(),
            gzip_searches: GzipCache::default(),
            redis_connections,
            shared,
        });
        let starts = async {
            while !worker.can_decide() && !drain.has_begun() {
                tokio::time::sleep(START_INTERVAL).await;
            }
        };
        let _ = tokio::time::timeout(START_MAX, starts).await;
        server::serve(tokio::net::TcpListener::from_std(listener)?, worker, limits, listener_settings, drain)
            .await;
        Ok(())
    })?
}

impl Handler for Worker {
    // A body here has 16 KiB.
    const LINGER_BYTES_MAX: usize = 256 * 1024;

    fn answer(
        &self,
        peer: &Peer,
        parts: &Parts,
        body: Incoming,
        arrived: Instant,
    ) -> impl Future<Output = Answer> {
        route::answer(self, peer, parts, body, arrived)
    }

    fn connections(&self) -> &Connections {
        &self.recorder.connections
    }

    fn answered(&self, parts: &Parts, answer: &Answer, took: Duration) {
        let body = answer.body();
        let of_panic;
        let CountedAs { route, taps } = match &body.counted {
            Some(counted) => counted,
            // Its handler panicked.
            None => {
                of_panic = route::counted_as(self, parts);
                &of_panic
            }
        };
        self.recorder.answered(*route, body.class, took);
        if let Some(taps) = taps {
            taps.answered(body.class.outcome, took);
        }
    }

    fn refused(&self, class: Result<AnswerClass, Shed>) {
        match class {
            Ok(class) => self.recorder.refused(class),
            Err(reason) => self.recorder.shed(reason),
        }
    }
}

impl Worker {
    /// The connection to the Redis that has this sale.
    pub fn redis_connection(&self, sale: &Sale) -> Rc<RedisConnection<Redis>> {
        self.redis_connections.of(&sale.keys)
    }

    /// Where taps on a sale that this gateway follows are counted.
    pub(super) fn taps(&self, sale: &str) -> Option<Arc<SaleTaps>> {
        self.recorder.taps_by_sale.of_followed(sale, || self.shared.sales.get(sale).is_some())
    }

    /// Whether every sale is read and its Redis can be asked.
    fn can_decide(&self) -> bool {
        let can_ask = |sale: &Arc<Sale>| self.redis_connection(sale).live().is_some();
        let is_up = self.shared.membership.has_joined() && self.shared.caught_up.age().is_some();
        is_up && self.shared.sales.all().iter().all(can_ask)
    }

    /// How long a tap may wait whose body was complete at one instant and that joins the queue at another.
    pub fn deadlines(&self, received: Instant, queued: Instant) -> Deadlines {
        let RequestLimits { tap_deadline, queue, .. } = self.shared.limits;
        Deadlines {
            queued: queued.into(),
            send: (received + queue.delay_max).into(),
            answer: (received + tap_deadline).into(),
        }
    }

    /// Verifies the caller's token. Checks that cost more than a refusal are limited by address.
    pub fn identify(&self, peer: &Peer, parts: &Parts, now: Instant) -> Result<Identified, Refused> {
        let authorization = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let now_s = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let (rates, token) = (&self.shared.rates, authorization.unwrap_or_default());
        let client = || peer.client(&parts.headers);
        let may_check = || match client() {
            client if self.shared.service_addresses.contain(client) => Ok(()),
            client => rates.signature(client, token, now),
        };
        let checked = |is_right| match is_right {
            true => rates.signature_was_right(token),
            false => rates.signature_was_wrong(client(), now),
        };
        let mut identifier = self.identifier.borrow_mut();
        let identified = identifier.identify_within(authorization, now_s, may_check, checked);
        identified.map_err(|why| match why {
            NotIdentified::Unauthenticated(why) => Refused::unauthenticated(why),
            NotIdentified::Withheld(exceeded) => Refused::quota_exceeded(exceeded),
        })
    }

    /// Counts a call that needs no token: against its buyer if its token is valid, otherwise against its client
    /// address. Services are exempt.
    pub fn admit_open(&self, peer: &Peer, parts: &Parts, now: Instant) -> Result<(), Refused> {
        if parts.headers.contains_key(AUTHORIZATION)
            && let Ok(caller) = self.identify(peer, parts, now)
        {
            let rates = &self.shared.rates;
            let counted = || rates.call(caller.sub(), rates.costs().status, now);
            return if caller.is_service() { Ok(()) } else { counted().map_err(Refused::quota_exceeded) };
        }
        let client = peer.client(&parts.headers);
        if self.shared.service_addresses.contain(client) {
            return Ok(());
        }
        self.shared.rates.anonymous(client, now).map_err(Refused::quota_exceeded)
    }

    /// Takes an in-flight permit, or refuses the request. 10 % of the permits are reserved for
    /// calls on existing reservations.
    pub fn acquire_permit(&self, is_new: bool) -> Result<InFlightPermit<'_>, Refused> {
        let most = self.shared.limits.in_flight_max;
        let most = if is_new { most - most / 10 } else { most };
        let in_flight = &self.recorder.in_flight;
        if in_flight.get() >= most as u64 {
            return Err(Refused::not_taken(Shed::InFlight));
        }
        in_flight.add(1);
        Ok(InFlightPermit(in_flight))
    }

    /// The queue of a sale; the first tap creates it.
    pub fn queue(&self, sale: &Arc<Sale>) -> QueueHandle {
        self.queue_in(&self.queues, sale, &self.recorder)
    }

    /// The queue of a sale's sign-ups; the first one creates it.
    pub fn sign_ups(&self, sale: &Arc<Sale>) -> QueueHandle<SignUpCommand> {
        // What is counted of queues is about taps.
        self.queue_in(&self.sign_ups, sale, &Arc::default())
    }

    /// The queue of a sale's requests to join standby queues, likewise.
    pub fn joins(&self, sale: &Arc<Sale>) -> QueueHandle<JoinCommand> {
        self.queue_in(&self.joins, sale, &Arc::default())
    }

    fn queue_in<C: Batched>(
        &self,
        queues: &RefCell<Queues<C>>,
        sale: &Arc<Sale>,
        recorder: &Arc<Recorder>,
    ) -> QueueHandle<C> {
        let mut queues = queues.borrow_mut();
        if let Some((_, queue)) = queues.get(&sale.id).filter(|(of, _)| Arc::ptr_eq(of, sale)) {
            return queue.clone();
        }
        let queue = QueueHandle::start(
            sale.clone(),
            self.redis_connections.clone(),
            self.shared.limits.queue,
            recorder.clone(),
        );
        queues.insert(sale.id.clone(), (sale.clone(), queue.clone()));
        queue
    }

    /// Taps of a sale that the read model may refuse; the first one creates it.
    pub fn round_waiters(&self, sale: &Arc<Sale>) -> Rc<RoundWaiters> {
        let mut refusals = self.refusals.borrow_mut();
        if let Some(refusals) = refusals.get(&sale.id).filter(|refusals| refusals.are_of(sale)) {
            return refusals.clone();
        }
        let new = Rc::new(RoundWaiters::start(sale.clone()));
        refusals.insert(sale.id.clone(), new.clone());
        new
    }
}

/// A request that asks the ledger; gives its permit back when it is dropped.
pub struct InFlightPermit<'a>(&'a Count);

impl Drop for InFlightPermit<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}
