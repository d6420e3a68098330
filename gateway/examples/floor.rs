//! The floor of HTTP: bare hyper on the gateway's runtime layout with a constant response, as a baseline
//! for the gateway.
//!
//! It reads a request's body to its end, as any server must, and does nothing else: no routes, no
//! timeouts, no limits. It runs until it is killed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Parser;
use gateway::http::bind::bind;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use testkit::Failed;
use testkit::ending::exit;

/// Answers 200 with a constant to everything.
#[derive(Parser, Clone)]
struct Args {
    /// The address to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// Worker threads, each with its own runtime and listener.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Bytes of the body.
    #[arg(long)]
    bytes: usize,
    /// Bytes of an additional header's value, to match the compared heads in size.
    #[arg(long, default_value_t = 0)]
    header_bytes: usize,
}

fn main() -> ExitCode {
    exit("floor: ", run(&Args::parse()))
}

fn run(args: &Args) -> Result<u8, Failed> {
    let listeners =
        bind(args.listen, args.workers).map_err(Failed::to(&format!("listen on {}", args.listen)))?;
    let workers = listeners.into_iter().map(|listener| {
        let args = args.clone();
        std::thread::spawn(move || gateway::runtime::run(serve(listener, args)))
    });
    workers.collect::<Vec<_>>().into_iter().for_each(|worker| drop(worker.join()));
    Err(Failed::Outside("the workers have ended".into()))
}

async fn serve(listener: std::net::TcpListener, args: Args) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let body = Bytes::from(vec![b'x'; args.bytes]);
    let value = HeaderValue::from_maybe_shared(Bytes::from(vec![b'x'; args.header_bytes])).ok();
    let value = value.filter(|value| !value.is_empty());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (body, value) = (body.clone(), value.clone());
        let service = service_fn(move |request| answer(request, body.clone(), value.clone()));
        tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
    value: Option<HeaderValue>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends its connection by itself.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(value) = value {
        headers.insert(HeaderName::from_static("location"), value);
    }
    Ok(response)
}
