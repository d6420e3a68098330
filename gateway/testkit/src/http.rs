//! Bytes on a socket, for what no HTTP client would send.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::PATIENCE;
use crate::gateway::Reply;

/// A connection to a listener.
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// To `http://HOST:PORT`.
    pub async fn connect(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// The same from another address of this machine, such as 127.0.0.2.
    pub async fn connect_from(local: &str, url: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((local.parse::<std::net::IpAddr>().unwrap(), 0).into()).unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        Self { stream: socket.connect(address).await.unwrap() }
    }

    /// Sends; a server that already answered and closed does not count as a failure.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        self
    }

    /// Sends no more.
    pub async fn half_close(&mut self) -> &mut Self {
        let _ = self.stream.shutdown().await;
        self
    }

    /// Reads up to an empty line: a head.
    pub async fn head(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            match self.stream.read_u8().await {
                Ok(byte) => bytes.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One answer with a Content-Length: its head and its body.
    pub async fn one(&mut self) -> (String, Vec<u8>) {
        let read = async {
            let head = self.head().await;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
            let _ = self.stream.read_exact(&mut body).await;
            (head, body)
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the server answers")
    }

    /// Waits until something has come, and leaves it there.
    pub async fn readable(&self) {
        let come = tokio::time::timeout(PATIENCE, self.stream.peek(&mut [0])).await;
        come.expect("the server sends something").unwrap();
    }

    /// Everything until the server closes the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut part = [0; 4096];
        // After a refused request with an unread rest, the connection may end with a reset.
        while let Ok(n @ 1..) = self.stream.read(&mut part).await {
            bytes.extend_from_slice(&part[..n]);
        }
        bytes
    }

    /// The one answer until the server closes the connection; status 0 if there is none.
    pub async fn answer(&mut self) -> Reply {
        let read = async { (self.head().await, self.rest().await) };
        let (head, body) = tokio::time::timeout(PATIENCE, read).await.expect("the server answers and closes");
        parse(&head, String::from_utf8_lossy(&body).into_owned())
    }
}

fn parse(head: &str, text: String) -> Reply {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: HeaderMap = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect();
    Reply::new(status.unwrap_or(0), headers, text)
}
