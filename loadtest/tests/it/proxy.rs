//! Proxies between `loadtest` and a gateway. Its rule may change, forge or lose messages, which
//! makes a good gateway a broken one. HTTP/1.1 with `Content-Length`, one thread a connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Over which connection, in the order of their opening.
    pub(crate) connection: usize,
    pub(crate) method: String,
    /// From the root, with the query.
    pub(crate) path: String,
    pub(crate) headers: Headers,
    pub(crate) body: String,
}

/// An answer to it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: String,
}

/// Header fields, in order; their names are in small letters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(Vec<(String, String)>);

/// The gateway behind the proxy.
pub(crate) struct Behind(SocketAddr);

/// Listens until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// Counts from 0, for rules that don't change everything.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn so_far(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Proxy {
    /// Starts a proxy before this gateway. The rule answers each request; `None` closes the
    /// connection.
    pub(crate) fn before<R>(gateway: &str, rule: R) -> Proxy
    where
        R: Fn(&Request, &Behind) -> Option<Answer> + Send + Sync + 'static,
    {
        let behind = gateway.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (rule, seen) = (Arc::new(rule), Arc::clone(&over));
        let acceptor = std::thread::spawn(move || {
            for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                let rule = Arc::clone(&rule);
                // It ends when the client closes its connection.
                std::thread::spawn(move || serve(&client, number, &*rule, &Behind(behind)));
            }
        });
        Proxy { address, over, acceptor: Some(acceptor) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the acceptor up.
        let _ = TcpStream::connect(self.address);
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

fn serve(
    client: &TcpStream,
    connection: usize,
    rule: &dyn Fn(&Request, &Behind) -> Option<Answer>,
    behind: &Behind,
) {
    let _ = client.set_nodelay(true);
    let mut reader = BufReader::new(client);
    while let Some((line, headers, body)) = read(&mut reader) {
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let Some(answer) = rule(&Request { connection, method, path, headers, body }, behind) else { return };
        let start = format!("HTTP/1.1 {} Answered", answer.status);
        if write(client, &start, &answer.headers, &answer.body).is_err() {
            return;
        }
    }
}

impl Behind {
    /// The gateway's own answer.
    pub(crate) fn answer(&self, request: &Request) -> Option<Answer> {
        let gateway = TcpStream::connect(self.0).ok()?;
        gateway.set_nodelay(true).ok()?;
        let start = format!("{} {} HTTP/1.1", request.method, request.path);
        write(&gateway, &start, &request.headers, &request.body).ok()?;
        let (line, headers, body) = read(&mut BufReader::new(&gateway))?;
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, headers, body })
    }
}

/// A message: its first line, its header fields, its body.
fn read(reader: &mut impl BufRead) -> Option<(String, Headers, String)> {
    let mut next = || {
        let mut line = String::new();
        let is_whole = reader.read_line(&mut line).ok()? > 0;
        is_whole.then(|| line.trim_end().to_owned())
    };
    let start = next()?;
    let mut headers = Headers::default();
    loop {
        let line = next()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.0.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    assert!(headers.get("transfer-encoding").is_none(), "only bodies of a known length pass this proxy");
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; if start.contains(" 304 ") { 0 } else { length }];
    reader.read_exact(&mut body).ok()?;
    Some((start, headers, String::from_utf8(body).unwrap()))
}

fn write(mut stream: &TcpStream, start: &str, headers: &Headers, body: &str) -> std::io::Result<()> {
    let mut text = format!("{start}\r\n");
    for (name, value) in headers.0.iter().filter(|(name, _)| name != "content-length") {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes())
}

impl Headers {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn without(mut self, name: &str) -> Headers {
        self.0.retain(|(own, _)| own != name);
        self
    }

    pub(crate) fn with(self, name: &str, value: &str) -> Headers {
        let mut headers = self.without(name);
        headers.0.push((name.to_owned(), value.to_owned()));
        headers
    }
}

impl Request {
    /// It asks for a new reservation.
    pub(crate) fn is_tap(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/reservations")
    }

    /// The tap's key.
    pub(crate) fn key(&self) -> &str {
        self.headers.get("idempotency-key").unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Answer {
    /// A 201 to this tap, with a reservation that the ledger lacks.
    pub(crate) fn made_up(tap: &Request) -> Answer {
        let mut hold = tap.json();
        hold.as_object_mut().unwrap().remove("accept_partial");
        for (name, value) in [
            ("id", json!(format!("made-up-{}", tap.key()))),
            ("number", json!(4711)),
            ("version", json!(1)),
            ("state", json!("held")),
            ("unavailable", json!([])),
        ] {
            hold[name] = value;
        }
        let headers =
            Headers::default().with("content-type", "application/json").with("location", "/made-up");
        Answer { status: 201, headers, body: hold.to_string() }
    }

    /// A refusal by this name.
    pub(crate) fn problem(status: u16, name: &str, mut members: Value) -> Answer {
        members["type"] = json!(format!("/problems/{name}"));
        members["status"] = json!(status);
        let headers = Headers::default().with("content-type", "application/problem+json");
        Answer { status, headers, body: members.to_string() }
    }

    /// "Sold out" in answer to this tap.
    pub(crate) fn sold_out(tap: &Request, is_final: bool) -> Answer {
        let model = format!("model:{}", tap.json()["model"].as_str().unwrap());
        Answer::problem(409, "sold-out", json!({"items": [model], "final": is_final}))
    }

    pub(crate) fn is_sold_out(&self) -> bool {
        self.status == 409 && self.body.contains("/problems/sold-out")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }
}
