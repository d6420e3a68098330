//! Carries requests and answers over one connection. The task that waits for an HTTP/1.1 answer reads it itself: a
//! task for each connection, as in general clients, costs two task switches an answer.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::answer::Reply;
use crate::client::gateway::Gateway;
use crate::client::request::{Extra, Request};
use crate::client::{BODY_BYTES_MAX, http1};

pub(super) type Broken = Box<dyn Error + Send + Sync>;

/// One connection.
pub(super) struct Link {
    wire: Wire,
    /// Which gateway is at its other end.
    pub(super) gateway: usize,
    /// When the last answer came.
    pub(super) used: Instant,
}

enum Wire {
    Http1(Stream),
    /// A task of its own drives the connection, until nothing can send on it any more.
    Http2(SendRequest<Full<Bytes>>),
}

/// Bytes as they are, or in TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A complete exchange, with its instants at the socket: the work of this program before the write and after the read is
/// not the gateway's time.
pub(super) struct Exchanged {
    pub(super) reply: Reply,
    pub(super) sent: Instant,
    pub(super) there: Instant,
    /// The connection may be used again.
    pub(super) keeps: bool,
}

/// Why there is no answer.
pub(super) enum Cut {
    /// Nothing was sent: the gateway had closed the connection.
    Unsent(Broken),
    Broken(Broken),
}

/// Most answers fit, head included. On the stack of one poll: a request that waits has no buffer.
const READ_BYTES: usize = 8 * 1024;

impl Link {
    pub(super) fn http1(stream: Stream, gateway: usize) -> Link {
        Link { wire: Wire::Http1(stream), gateway, used: Instant::now() }
    }

    pub(super) async fn http2(stream: Stream, gateway: usize) -> Result<Link, Broken> {
        let shake = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
        let (sender, connection) = shake.await?;
        // The next request sees its end.
        tokio::spawn(async move { _ = connection.await });
        Ok(Link { wire: Wire::Http2(sender), gateway, used: Instant::now() })
    }

    /// Another handle, where several requests may use a connection at once.
    pub(super) fn share(&self) -> Option<Link> {
        let Wire::Http2(sender) = &self.wire else { return None };
        Some(Link { wire: Wire::Http2(sender.clone()), gateway: self.gateway, used: self.used })
    }

    /// Whether it is still open, as far as can be known before it is used.
    pub(super) async fn is_open(&mut self) -> bool {
        match &mut self.wire {
            Wire::Http2(sender) => !sender.is_closed(),
            // Nothing may come between two answers: what comes is its end, or not HTTP.
            Wire::Http1(stream) => {
                poll_fn(|cx| {
                    let mut byte = [0];
                    let read = Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
                    Poll::Ready(read.is_pending())
                })
                .await
            }
        }
    }

    /// Sends one try of a request and reads the answer.
    pub(super) async fn exchange(
        &mut self,
        gateway: &Gateway,
        request: &Request,
        extra: &Extra<'_>,
    ) -> Result<Exchanged, Cut> {
        match &mut self.wire {
            Wire::Http1(stream) => {
                let bytes = request.to_http1(&gateway.host, extra).map_err(Cut::Broken)?;
                exchange_http1(stream, &bytes).await
            }
            Wire::Http2(sender) => {
                let request = request.to_http2(&gateway.base, extra).map_err(Cut::Broken)?;
                exchange_http2(sender, request)
                    .await
                    .map_err(|cut| cut.with(|error| gateway.explain_http2(error)))
            }
        }
    }
}

async fn exchange_http1(stream: &mut Stream, request: &[u8]) -> Result<Exchanged, Cut> {
    let broken = |error: io::Error| Cut::Broken(error.into());
    let sent = Instant::now();
    let mut written = 0;
    while written < request.len() {
        match stream.write(&request[written..]).await {
            Ok(0) => return Err(broken(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if written == 0 => return Err(Cut::Unsent(error.into())),
            Err(error) => return Err(broken(error)),
        }
    }
    stream.flush().await.map_err(broken)?;
    let mut answer = Vec::new();
    loop {
        let (read, there) = read_some(stream, &mut answer).await.map_err(broken)?;
        let parsed = http1::parse(&answer, read == 0).map_err(|error| Cut::Broken(error.into()))?;
        if let Some(parsed) = parsed {
            // What comes after an answer belongs to no request.
            let keeps = parsed.keeps && parsed.end == answer.len();
            return Ok(Exchanged { reply: parsed.reply, sent, there, keeps });
        }
        if read == 0 {
            return Err(Cut::Broken("connection closed before the answer was complete".into()));
        }
    }
}

/// Appends what has come, and returns how much it was, and when it was there; 0 is the end.
async fn read_some(stream: &mut Stream, answer: &mut Vec<u8>) -> io::Result<(usize, Instant)> {
    poll_fn(|cx| {
        let mut chunk = [const { MaybeUninit::<u8>::uninit() }; READ_BYTES];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut chunk))?;
        let there = Instant::now();
        answer.extend_from_slice(chunk.filled());
        Poll::Ready(Ok((chunk.filled().len(), there)))
    })
    .await
}

async fn exchange_http2(
    sender: &mut SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Exchanged, Cut> {
    let sent = Instant::now();
    let response =
        sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(_) => Cut::Unsent(error.into_error().into()),
            None => Cut::Broken(error.into_error().into()),
        })?;
    let (head, body) = response.into_parts();
    let body = read_body(body).await.map_err(|error| Cut::Broken(error.into()))?;
    let there = Instant::now();
    let mut reply = Reply { status: head.status.as_u16(), ..Reply::default() };
    head.headers.iter().for_each(|(name, value)| reply.note_field(name.as_str(), value.as_bytes()));
    reply.set_body(body);
    Ok(Exchanged { reply, sent, there, keeps: true })
}

/// The body, or the beginning of one that is longer than any of the API.
async fn read_body(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            break;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

impl Cut {
    /// The same with another text.
    fn with(self, text: impl FnOnce(Broken) -> Broken) -> Cut {
        match self {
            Cut::Unsent(error) => Cut::Unsent(text(error)),
            Cut::Broken(error) => Cut::Broken(text(error)),
        }
    }
}

impl From<Cut> for Broken {
    fn from(cut: Cut) -> Broken {
        match cut {
            Cut::Unsent(error) | Cut::Broken(error) => error,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
