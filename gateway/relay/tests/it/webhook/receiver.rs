//! A receiver of webhooks: it checks signatures, notes what arrives, and can fail in every way.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use standardwebhooks::Webhook;
use testkit::tls::Certificate;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What senders and receivers share.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A webhook that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    pub(crate) signatures: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    /// How many of the same id came before.
    pub(crate) before: usize,
}

impl Arrival {
    /// The reservation, or nothing of a change of the sale.
    pub(crate) fn reservation(&self) -> &str {
        self.body["data"]["reservation"].as_str().unwrap_or_default()
    }

    /// The sequence in the id.
    pub(crate) fn sequence(&self) -> usize {
        self.id.split('/').nth(1).unwrap().parse().unwrap()
    }
}

/// What the receiver does with a webhook.
pub(crate) enum Reaction {
    Answer(u16),
    /// With `Retry-After`.
    Later(u16, &'static str),
    /// The connection breaks after the webhook was taken.
    Drop,
    /// An answer when the gate opens.
    Hold,
    /// No answer ever.
    Stall,
    /// A redirect to itself.
    Redirect,
    /// A 500 whose body never ends.
    Endless,
}

type React = Box<dyn Fn(&Arrival) -> Reaction + Send>;

#[derive(Default)]
struct Seen {
    arrivals: Vec<Arrival>,
    times: BTreeMap<String, usize>,
    /// Reservations whose webhook is not answered yet.
    open: BTreeSet<String>,
    open_max: usize,
    /// What no sender may do.
    faults: Vec<String>,
}

struct State {
    seen: Mutex<Seen>,
    react: Mutex<React>,
    secret: Mutex<String>,
    gate: watch::Sender<bool>,
    is_away: AtomicBool,
    connections: AtomicUsize,
}

/// The receiver, at a port of its own. It ends with this value.
pub(crate) struct Receiver {
    pub(crate) url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
        let faults = std::mem::take(&mut self.state.seen.lock().unwrap().faults);
        assert!(std::thread::panicking() || faults.is_empty(), "{faults:?}");
    }
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same in TLS, with this certificate.
    pub(crate) async fn start_tls(certificate: &Certificate) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate.cert()).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(certificate.key()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let state = Arc::new(State {
            seen: Mutex::default(),
            react: Mutex::new(Box::new(|_| Reaction::Answer(204))),
            secret: Mutex::new(SECRET.to_owned()),
            gate: watch::Sender::new(false),
            is_away: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match tls {
            None => format!("http://127.0.0.1:{port}/hook?tenant=7"),
            // The certificate is for this name.
            Some(_) => format!("https://localhost:{port}/hook?tenant=7"),
        };
        let task = tokio::spawn(serve(listener, tls, state.clone()));
        Self { url, state, task }
    }

    /// From now on it does this.
    pub(crate) fn react(&self, react: impl Fn(&Arrival) -> Reaction + Send + 'static) {
        *self.state.react.lock().unwrap() = Box::new(react);
    }

    /// Whether it closes each connection at once, as a balancer without a server behind it.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.state.is_away.store(is_away, SeqCst);
    }

    /// Which secret it checks with.
    pub(crate) fn set_secret(&self, secret: &str) {
        secret.clone_into(&mut self.state.secret.lock().unwrap());
    }

    /// Answers what is held, now and from now on.
    pub(crate) fn open_gate(&self) {
        self.state.gate.send_replace(true);
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// How many requests it held at once, at most.
    pub(crate) fn open_max(&self) -> usize {
        self.state.seen.lock().unwrap().open_max
    }

    /// All that has arrived, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state.seen.lock().unwrap().arrivals.clone()
    }

    /// Of each reservation what has arrived, in order, without duplicates.
    pub(crate) fn order(&self) -> BTreeMap<String, Vec<String>> {
        let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for arrival in self.arrivals().iter().filter(|arrival| arrival.before == 0) {
            order.entry(arrival.reservation().to_owned()).or_default().push(arrival.id.clone());
        }
        order
    }

    /// How often a webhook with this id has arrived.
    pub(crate) fn times(&self, id: &str) -> usize {
        self.state.seen.lock().unwrap().times.get(id).copied().unwrap_or_default()
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, SeqCst);
        if !state.is_away.load(SeqCst) {
            tokio::spawn(connection(stream, tls.clone(), state.clone()));
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let service = service_fn(move |request| take(request, state.clone()));
    let http = http1::Builder::new();
    // An error is what a test asked for.
    let _ = match tls {
        None => http.serve_connection(TokioIo::new(stream), service).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await,
            Err(_) => return,
        },
    };
}

type Body = BoxBody<Bytes, Infallible>;

async fn take(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>, String> {
    if state.is_away.load(SeqCst) {
        return Err("away".to_owned());
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    let arrival = state.note(&head.headers, &body)?;
    if head.uri.path() != "/hook" {
        state.fault(format!("{} followed a redirect", arrival.id));
    }
    let reaction = (state.react.lock().unwrap())(&arrival);
    let answer = |status: u16| Response::builder().status(status);
    let answer = match reaction {
        Reaction::Answer(status) => answer(status),
        Reaction::Later(status, when) => answer(status).header("retry-after", when),
        Reaction::Redirect => answer(307).header("location", "/elsewhere"),
        Reaction::Hold => {
            let _ = state.gate.subscribe().wait_for(|is_open| *is_open).await;
            answer(200)
        }
        Reaction::Drop | Reaction::Stall | Reaction::Endless => answer(500),
    };
    state.seen.lock().unwrap().open.remove(arrival.reservation());
    let body = match reaction {
        Reaction::Drop => return Err("dropped".to_owned()),
        Reaction::Stall => std::future::pending().await,
        Reaction::Endless => {
            let chunk = || Some((Ok(Frame::data(Bytes::from_static(&[b'x'; 4096]))), ()));
            BodyExt::boxed(StreamBody::new(futures_util::stream::unfold(
                (),
                move |()| async move { chunk() },
            )))
        }
        _ => Full::from("taken").boxed(),
    };
    answer.body(body).map_err(|error| error.to_string())
}

impl State {
    fn fault(&self, fault: String) {
        self.seen.lock().unwrap().faults.push(fault);
    }

    fn note(&self, headers: &HeaderMap, body: &[u8]) -> Result<Arrival, String> {
        let text = |name: &str| headers[name].to_str().unwrap_or_default().to_owned();
        let (id, signatures) = (text("webhook-id"), text("webhook-signature"));
        let timestamp = text("webhook-timestamp").parse().unwrap_or_default();
        // The library of the specification's authors. Its `verify` wants the time of the day, which a test moves.
        let library = Webhook::new(&self.secret.lock().unwrap()).unwrap();
        let expected = library.sign(&id, timestamp, body).unwrap();
        if !signatures.split(' ').any(|signature| signature == expected) {
            self.fault(format!("{id} at {timestamp}: expected {expected}, found {signatures}"));
            return Err("not verified".to_owned());
        }
        let mut seen = self.seen.lock().unwrap();
        let times = seen.times.entry(id.clone()).or_default();
        let before = *times;
        *times += 1;
        let arrival = Arrival {
            id,
            signatures,
            content_type: text("content-type"),
            body: serde_json::from_slice(body).unwrap_or_default(),
            before,
        };
        if !seen.open.insert(arrival.reservation().to_owned()) {
            seen.faults.push(format!("two at once of {:?}", arrival.reservation()));
        }
        seen.open_max = seen.open_max.max(seen.open.len());
        let first = seen.arrivals.iter().find(|first| first.id == arrival.id);
        if first.is_some_and(|first| first.body != arrival.body) {
            seen.faults.push(format!("two bodies of {}", arrival.id));
        }
        seen.arrivals.push(arrival.clone());
        Ok(arrival)
    }
}
