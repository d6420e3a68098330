//! HTTP/2 frame by frame, for what no client would send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::client::TlsStream;

use crate::gateway::token;
use crate::{PATIENCE, tls};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame that has come.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error of an RST_STREAM or a GOAWAY.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A connection. What comes is read all the time, so that the server never waits for this side.
pub struct Frames {
    write: WriteHalf<TlsStream<TcpStream>>,
    come: UnboundedReceiver<Frame>,
    ended: Arc<AtomicBool>,
}

impl Frames {
    /// With preface and SETTINGS sent.
    pub async fn connect(url: &str, client: &Arc<ClientConfig>) -> Self {
        let (read, mut write) = tokio::io::split(tls::connect(url, client).await.unwrap());
        write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let (sender, come) = unbounded_channel();
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        tokio::spawn(async move {
            let mut read = read;
            while let Some(frame) = next(&mut read).await {
                let _ = sender.send(frame);
            }
            end.store(true, Ordering::Relaxed);
        });
        let mut frames = Self { write, come, ended };
        frames.send(&frame(SETTINGS, 0, 0, &[])).await;
        frames
    }

    /// A window of 0 (SETTINGS_INITIAL_WINDOW_SIZE): every answer with a body waits for its reader.
    pub async fn shut_window(&mut self) {
        self.send(&window(0)).await;
    }

    /// Whether the server has ended the connection.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Sends bytes; whether that was still possible.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = async { self.write.write_all(bytes).await.is_ok() && self.write.flush().await.is_ok() };
        tokio::time::timeout(PATIENCE, sent).await.expect("the server reads or hangs up")
    }

    /// The next frame that fits, or `None` at the connection's end.
    pub async fn until(&mut self, fits: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let wanted = async {
            while let Some(frame) = self.come.recv().await {
                if fits(&frame) {
                    return Some(frame);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, wanted).await.expect("a frame or the end")
    }
}

async fn next(read: &mut ReadHalf<TlsStream<TcpStream>>) -> Option<Frame> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    read.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// SETTINGS with this window for each stream (RFC 9113, section 6.5.2).
pub fn window(bytes: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&[0, 4][..], &bytes.to_be_bytes()].concat())
}

/// A header block of literals, without Huffman's code and without a table (RFC 7541, section 6.2.2).
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            // Lengths from 127 on take further bytes (section 5.1).
            let mut rest = text.len();
            if rest < 127 {
                block.push(u8::try_from(rest).unwrap());
            } else {
                block.push(127);
                rest -= 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// What every request begins with.
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
}

/// The header block of a tap by alice on the sale `small`, with a JSON body.
pub fn tap_block() -> Vec<u8> {
    let bearer = format!("Bearer {}", token("alice"));
    let mut head = request("POST", "/v1/sales/small/reservations");
    head.extend([
        ("authorization", bearer.as_str()),
        ("idempotency-key", "k"),
        ("content-type", "application/json"),
    ]);
    block(&head)
}
