//! Sends requests to the gateways, bounded in number, time and size: over a buyer's own connection, over shared ones, or
//! over a new one each time.

pub(crate) mod answer;
pub(crate) mod connections;
mod gateway;
mod http1;
mod link;
pub(crate) mod options;
pub(crate) mod request;
mod resting;
pub(crate) mod tokens;
pub(crate) mod trace;
pub(crate) mod transport;
#[path = "../../gateway/relay/src/trust.rs"]
mod trust;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue, USER_AGENT as USER_AGENT_FIELD};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use answer::{Answer, Lost, Reply};
pub(crate) use request::Request;
pub(crate) use trust::tls;

use crate::base::failure::Failure;
use crate::base::scenario::Scenario;
use crate::self_monitoring::Traffic;
use connections::{Connections, Share};
use gateway::Gateway;
use link::{Broken, Cut, Exchanged, Link};
use options::Target;
use request::Extra;
use resting::Resting;
use trace::Trace;
use transport::Transport;
use trust::TrustError;

/// The way to the gateways.
pub(crate) struct Client {
    gateways: Vec<Gateway>,
    /// The connections of callers that share them, by gateway.
    resting: Vec<Resting>,
    /// A permit a request in flight over a shared connection: idle ones are at most as many as requests once were in
    /// flight.
    in_flight: Arc<Semaphore>,
    pub(crate) share: Share,
    pub(crate) traffic: Traffic,
    /// Of every request.
    headers: Vec<(HeaderName, HeaderValue)>,
    transport: Transport,
}

/// A caller's way to the gateways. Dropping it closes the connections of its own.
pub(crate) struct Caller {
    client: Arc<Client>,
    connections: Connections,
    own: Resting,
    forwarded_for: Option<String>,
}

/// The right to have one request in flight over a shared connection.
pub(crate) type Turn = OwnedSemaphorePermit;

/// The User-Agent of all requests.
pub(crate) const USER_AGENT: &str = "launchgate-loadtest";
/// No answer of the public API is nearly as long.
const BODY_BYTES_MAX: usize = 1 << 20;
/// A buyer has two requests at once, at most.
const OWN_MAX: usize = 2;

impl Client {
    pub(crate) fn new(target: &Target, share: Share) -> Result<Arc<Client>, Failure> {
        let tls = tls(target.ledger.ca_file.as_deref())?;
        let transport = target.transport.clone();
        let gateways = target.gateways().into_iter().enumerate().map(|(number, base)| {
            let failure = Failure::Usage(format!(
                "--gateway {base:?} is not a gateway's address: expected http://HOST:PORT or https://HOST:PORT"
            ));
            Gateway::new(base, number, &tls, transport.http2, &transport.resolve).ok_or(failure)
        });
        let gateways = gateways.collect::<Result<Vec<_>, _>>()?;
        let resting_max = share.shared.div_ceil(gateways.len().max(1));
        let mut headers: Vec<_> =
            transport.header.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        if headers.iter().all(|(name, _)| *name != USER_AGENT_FIELD) {
            headers.push((USER_AGENT_FIELD, HeaderValue::from_static(USER_AGENT)));
        }
        Ok(Arc::new(Client {
            resting: gateways.iter().map(|_| Resting::shared(resting_max)).collect(),
            gateways,
            in_flight: Arc::new(Semaphore::new(share.shared)),
            share,
            traffic: Traffic::default(),
            headers,
            transport,
        }))
    }

    /// One that asks before the load, over one connection.
    pub(crate) fn probe(target: &Target) -> Result<Arc<Client>, Failure> {
        Client::new(target, Share { shared: 1, ..Share::default() })
    }

    /// The base URL that the n-th caller talks to; a retry goes to the next one.
    pub(crate) fn gateway(&self, n: usize) -> &str {
        &self.gateways[n % self.gateways.len()].base
    }

    /// How many there are.
    pub(crate) fn gateways(&self) -> usize {
        self.gateways.len()
    }

    /// The way of the buyer with this number.
    pub(crate) fn caller(self: &Arc<Client>, number: usize, scenario: Scenario) -> Caller {
        let forwarded_for = self.transport.forwarded_for.map(|network| network.address(number).to_string());
        let connections = Connections::of(self.share.asked, scenario);
        Caller { client: Arc::clone(self), connections, own: Resting::own(OWN_MAX), forwarded_for }
    }

    /// Sends what belongs to no buyer, over a shared connection.
    pub(crate) async fn send(
        self: &Arc<Client>,
        gateway: usize,
        request: &Request,
        timeout: Duration,
        deadline: Instant,
    ) -> Answer {
        let connections = Connections::Shared(None);
        let client = Arc::clone(self);
        let caller = Caller { client, connections, own: Resting::own(0), forwarded_for: None };
        caller.send(None, gateway, request, timeout, deadline).await
    }

    /// For the line that announces a run.
    pub(crate) fn connections_in_words(&self) -> String {
        self.share.words()
    }

    /// What readers of the figures must know about so many buyers that wait for the opening.
    pub(crate) fn notes(&self, waiting: usize, buyers: usize) -> Vec<String> {
        let mut notes = Vec::new();
        let is_shared = matches!(Connections::of(self.share.asked, Scenario::SPIKE), Connections::Shared(_));
        notes.extend(self.share.note.clone());
        if is_shared && self.share.note.is_none() && self.share.shared < waiting {
            notes.push(format!(
                "{waiting} simultaneous buyers shared {} connections: the rest queued in the load generator",
                self.share.shared
            ));
        }
        if let Some(clients) = self.transport.forwarded_for.map(|network| network.clients())
            && clients < buyers as u128
        {
            notes.push(format!(
                "{buyers} buyers came from {clients} addresses: limits of addresses saw several as one, see --forwarded-for"
            ));
        }
        notes
    }
}

impl Caller {
    /// Waits until one more request may be in flight. Only who shares connections waits. The semaphore is never
    /// closed; without a permit the request would just go out.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        if !matches!(self.connections, Connections::Shared(_)) {
            return None;
        }
        let in_flight = || Arc::clone(&self.client.in_flight);
        let (turn, asked) = match in_flight().try_acquire_owned() {
            Ok(turn) => (Some(turn), None),
            Err(_) => {
                let asked = Instant::now();
                (in_flight().acquire_owned().await.ok(), Some(asked))
            }
        };
        self.client.traffic.connected(asked);
        turn
    }

    /// Sends the request once, in the caller's turn or the next one. The clock starts when a connection
    /// may be used; nothing is sent or waited for past the deadline.
    pub(crate) async fn send(
        &self,
        turn: Option<Turn>,
        gateway: usize,
        request: &Request,
        timeout: Duration,
        deadline: Instant,
    ) -> Answer {
        let _turn = match turn {
            Some(turn) => Some(turn),
            None => self.turn().await,
        };
        let gateway = gateway % self.client.gateways.len();
        let trace = Trace::of_try(request.trace_id, self.client.transport.trace_sampled);
        let sent = Instant::now();
        let (patience, left) = (timeout, deadline.saturating_duration_since(sent));
        let answer = |sent, took, reply| Answer { gateway, sent, took, patience, trace, reply };
        if left.is_zero() {
            return answer(sent, Duration::ZERO, Err(Lost::NotSent));
        }
        let flight = self.client.traffic.send();
        let exchange = self.exchange(gateway, request, trace);
        let lost = match tokio::time::timeout(patience.min(left), exchange).await {
            Ok(Ok(Exchanged { reply, sent, there, .. })) => {
                flight.answered();
                return answer(sent, there.saturating_duration_since(sent), Ok(reply));
            }
            Ok(Err(error)) => Lost::Broken(causes(&*error)),
            Err(_) if left < patience => Lost::CutShort,
            Err(_) => Lost::TimedOut(patience.as_millis()),
        };
        answer(sent, sent.elapsed(), Err(lost))
    }

    /// Sends a request and reads the answer. It is sent when its first byte leaves or, with a new connection, when the
    /// connect begins.
    async fn exchange(&self, gateway: usize, request: &Request, trace: Trace) -> Result<Exchanged, Broken> {
        let begun = Instant::now();
        let extra =
            Extra { headers: &self.client.headers, trace, forwarded_for: self.forwarded_for.as_deref() };
        let target = &self.client.gateways[gateway];
        loop {
            let (mut link, is_fresh) = match self.take(gateway).await {
                Some(link) => (link, false),
                None => {
                    self.own.make_room();
                    // Apart: a session that waits for an answer has no room for a handshake.
                    (Box::pin(target.connect()).await?, true)
                }
            };
            if self.connections == Connections::Own {
                self.own.put_shareable(&link);
            }
            match link.exchange(target, request, &extra).await {
                Ok(exchanged) => {
                    if exchanged.keeps {
                        self.rest(link, exchanged.there);
                    }
                    let sent = if is_fresh { begun } else { exchanged.sent };
                    return Ok(Exchanged { sent, ..exchanged });
                }
                // Closed by the gateway while it rested.
                Err(Cut::Unsent(_)) if !is_fresh => {}
                Err(cut) => return Err(cut.into()),
            }
        }
    }

    async fn take(&self, gateway: usize) -> Option<Link> {
        match self.connections {
            Connections::Own => self.own.take(gateway).await,
            Connections::Shared(_) => self.client.resting[gateway].take(gateway).await,
            Connections::Cold => None,
        }
    }

    fn rest(&self, link: Link, now: Instant) {
        match self.connections {
            // There is a handle of it already.
            Connections::Own if link.share().is_some() => {}
            Connections::Own => self.own.put(link, now),
            Connections::Shared(_) => self.client.resting[link.gateway].put(link, now),
            Connections::Cold => {}
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Outside(_) => Self::Outside(error.to_string()),
            TrustError::Unread { .. } | TrustError::Empty(_) => Self::Usage(error.to_string()),
        }
    }
}

/// Formats an error with its causes: "error sending request" alone does not help.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
