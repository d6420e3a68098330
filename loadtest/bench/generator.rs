//! Generates the load: one thread, prepared requests, open connections; closed loop, or at a
//! constant rate from the intended instants.
//!
//! It speaks just enough HTTP/1.1 to be cheaper than what it measures: complete requests out, one answer
//! with a Content-Length back.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;
use testkit::Failed;

use crate::servers::own_cpu;
use crate::wire::Wire;

/// The longest answer; the bench's own are below 1 KiB.
const ANSWER_MAX: usize = 16 * 1024;
/// Between two polls. It sleeps by the clock, not in epoll, so that no answer has to wake
/// it: that cost would be charged to the server that writes it, most to one whose generator sleeps
/// often.
const PAUSE: Duration = Duration::from_micros(50);
/// A request that is sent so much after its intended instant counts as late.
const LATE: Duration = Duration::from_millis(1);
/// A load that has not come to its end by then is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests as they go over the wire.
#[derive(Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// One more.
    pub(crate) fn push(&mut self, request: &str) {
        self.bytes.extend_from_slice(request.as_bytes());
        self.ends.push(self.bytes.len());
    }

    /// The same with a text in each of them replaced.
    pub(crate) fn with(&self, text: &str, by: &str) -> Self {
        let mut all = Self::default();
        for n in 0..self.ends.len() {
            all.push(&String::from_utf8_lossy(self.get(n)).replacen(text, by, 1));
        }
        all
    }

    /// One of them.
    pub(crate) fn only(&self, n: usize) -> Self {
        let mut one = Self::default();
        one.push(&String::from_utf8_lossy(self.get(n)));
        one
    }

    /// The request of this number; a single one serves for all.
    pub(crate) fn get(&self, n: usize) -> &[u8] {
        let n = n % self.ends.len();
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[n]]
    }
}

/// What a load came to.
pub(crate) struct Outcome {
    /// Answers.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// By status: from the sending, or from the intended instant, to the end of the answer; in microseconds.
    pub(crate) latencies: BTreeMap<u16, Histogram<u64>>,
    /// Requests that were sent more than a millisecond after their intended instant.
    pub(crate) late: u64,
    /// CPU time of the generator itself.
    pub(crate) cpu: Duration,
}

impl Outcome {
    /// How often each status came.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, u64> {
        self.latencies.iter().map(|(status, latency)| (*status, latency.len())).collect()
    }

    /// The latency of all answers that these statuses have, in microseconds; 0 if there is none.
    pub(crate) fn quantile(&self, quantile: f64, of: impl Fn(u16) -> bool) -> u64 {
        let mut found = self.latencies.iter().filter(|(status, _)| of(**status)).map(|(_, latency)| latency);
        let Some(mut all) = found.next().cloned() else {
            return 0;
        };
        // All have the same bounds.
        found.for_each(|more| all.add(more).unwrap_or_default());
        all.value_at_quantile(quantile)
    }
}

/// Open connections to one server.
pub(crate) struct Generator {
    poll: Poll,
    connections: Vec<Connection>,
}

struct Connection {
    stream: Wire,
    /// What has come of the answer.
    answer: Vec<u8>,
    /// When the request was sent, or was meant to be.
    since: Option<Instant>,
}

impl Generator {
    /// Opens so many connections.
    pub(crate) fn connect(address: SocketAddr, connections: usize) -> Result<Self, Failed> {
        Self::connect_over(address, connections, None)
    }

    /// Likewise, in TLS where there is a client for it.
    pub(crate) fn connect_over(
        address: SocketAddr,
        connections: usize,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Failed> {
        let poll = Poll::new().map_err(Failed::to("make an epoll"))?;
        let mut opened = Vec::with_capacity(connections);
        for n in 0..connections {
            let mut stream = Wire::connect(address, tls)
                .map_err(Failed::to(&format!("open connection {n} to {address}")))?;
            poll.registry()
                .register(stream.socket(), Token(n), Interest::READABLE)
                .map_err(Failed::to("watch a connection"))?;
            opened.push(Connection { stream, answer: Vec::with_capacity(1024), since: None });
        }
        Ok(Self { poll, connections: opened })
    }

    /// Sends requests `first` to `first + count`, each connection its next one as soon as it has an
    /// answer; with a rate (a second), each at its own instant, on the first connection that is free.
    pub(crate) fn run(
        &mut self,
        requests: &Requests,
        first: usize,
        count: usize,
        rate: Option<f64>,
    ) -> Result<Outcome, Failed> {
        let empty =
            Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|e| Failed::Outside(e.to_string()))?;
        let (mut latencies, mut late) = (BTreeMap::new(), 0);
        let mut events = Events::with_capacity(1024);
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let cpu = own_cpu();
        let start = Instant::now();
        let due = |n: usize| rate.map_or(start, |rate| start + Duration::from_secs_f64(n as f64 / rate));
        let (mut sent, mut answered) = (0, 0);
        while answered < count {
            if start.elapsed() > PATIENCE {
                let text = format!("{} of {count} answers came within {PATIENCE:?}", answered);
                return Err(Failed::Outside(text));
            }
            while sent < count
                && let Some(&at) = free.front()
            {
                let intended = due(sent);
                let now = Instant::now();
                if intended > now {
                    break;
                }
                free.pop_front();
                late += u64::from(rate.is_some() && now - intended > LATE);
                let since = if rate.is_some() { intended } else { now };
                self.connections[at].send(requests.get(first + sent), since)?;
                sent += 1;
            }
            let at_once = Some(Duration::ZERO);
            self.poll.poll(&mut events, at_once).map_err(Failed::to("wait for answers"))?;
            if events.is_empty() {
                std::thread::sleep(PAUSE);
            }
            for event in &events {
                let at = event.token().0;
                if let Some((status, since)) = self.connections[at].receive()? {
                    let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
                    let latency = latencies.entry(status).or_insert_with(|| empty.clone());
                    latency.saturating_record(us.max(1));
                    answered += 1;
                    free.push_back(at);
                }
            }
        }
        Ok(Outcome {
            requests: answered as u64,
            elapsed: start.elapsed(),
            latencies,
            late,
            cpu: own_cpu().saturating_sub(cpu),
        })
    }
}

impl Connection {
    fn send(&mut self, request: &[u8], since: Instant) -> Result<(), Failed> {
        let written = self.stream.write(request).map_err(Failed::to("send a request"))?;
        if written < request.len() {
            return Err(Failed::Outside("a request did not fit into the socket at once".into()));
        }
        self.since = Some(since);
        Ok(())
    }

    /// Reads available bytes; returns the status of a complete answer, and when its wait began.
    fn receive(&mut self) -> Result<Option<(u16, Instant)>, Failed> {
        let mut chunk = [0; ANSWER_MAX];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Failed::Outside("the server closed a connection".into())),
                Ok(read) => {
                    self.answer.extend_from_slice(&chunk[..read]);
                    // The end of the stream does not matter here.
                    if self.stream.is_drained(read, chunk.len()) {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(Failed::to("read an answer")(error)),
            }
        }
        let Some((status, length)) = parse(&self.answer)? else {
            return Ok(None);
        };
        if self.answer.len() > length {
            return Err(Failed::Outside("more came than one answer".into()));
        }
        self.answer.clear();
        let since = self.since.take();
        Ok(since.map(|since| (status, since)))
    }
}

/// Status and length of an answer, once it is complete.
fn parse(answer: &[u8]) -> Result<Option<(u16, usize)>, Failed> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer).map_err(|e| Failed::Outside(format!("no HTTP answer: {e}")))?;
    let httparse::Status::Complete(head) = parsed else {
        return Ok(None);
    };
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let body = length.and_then(|h| std::str::from_utf8(h.value).ok()?.trim().parse::<usize>().ok());
    let body = body.ok_or_else(|| Failed::Outside("an answer without Content-Length".into()))?;
    let whole = answer.len() >= head + body;
    Ok(whole.then_some((response.code.unwrap_or_default(), head + body)))
}

#[cfg(test)]
mod tests;
