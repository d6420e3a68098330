//! Receives what Alertmanager delivers: the pager, the chat and the dead-man's switch of the check.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use testkit::Failed;

/// An alert as it was delivered, with its receiver.
type Delivered = (String, Value);

/// All receivers: they are paths at one address. The thread ends with the process.
pub(super) struct Receivers {
    pub(super) address: SocketAddr,
    delivered: Arc<Mutex<Vec<Delivered>>>,
}

impl Receivers {
    pub(super) fn start() -> Result<Self, Failed> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(Failed::to("listen for what Alertmanager delivers"))?;
        let address = listener.local_addr().map_err(Failed::to("find a port"))?;
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&delivered);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some((path, message)) = take(stream) {
                    let alerts = message["alerts"].as_array().cloned().unwrap_or_default();
                    to.lock().unwrap().extend(alerts.into_iter().map(|alert| (path.clone(), alert)));
                }
            }
        });
        Ok(Self { address, delivered })
    }

    /// The last delivery of an alert to a receiver.
    pub(super) fn last(&self, receiver: &str, alert: &str) -> Option<Value> {
        let delivered = self.delivered.lock().unwrap();
        let mut found =
            delivered.iter().filter(|(path, each)| path == receiver && each["labels"]["alertname"] == alert);
        found.next_back().map(|(_, alert)| alert.clone())
    }

    /// The alerts that have reached a receiver, by name.
    pub(super) fn names(&self, receiver: &str) -> Vec<String> {
        let delivered = self.delivered.lock().unwrap();
        let of = delivered.iter().filter(|(path, _)| path == receiver);
        of.filter_map(|(_, alert)| alert["labels"]["alertname"].as_str().map(str::to_owned)).collect()
    }
}

/// One request: its path without the slash, and its body.
fn take(stream: TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(reply).ok()?;
    Some((path, serde_json::from_slice(&body).ok()?))
}
