//! Tests slow clients: heads, bodies, reads, and silent connections. Each time-out ends them with
//! the right answer.

use std::time::Duration;

use testkit::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Stage;
use super::honest::tap_head;

/// Slow connections of each kind.
const MANY: usize = 2_000;
/// Between two drops of a slow sender.
const DROP: Duration = Duration::from_millis(100);
/// Long enough for an honest buyer on a busy machine; a slow client looks like a dead one until
/// then.
pub const OPTIONS: [&str; 8] = [
    "--first-byte-timeout-ms",
    "2000",
    "--header-timeout-ms",
    "2000",
    "--body-timeout-ms",
    "2000",
    "--idle-timeout-ms",
    "2000",
];

/// All that comes, up to the end of the connection; whether that was a reset.
async fn to_the_end(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let was_reset = read.expect("the gateway ends a slow connection").is_err();
    (bytes, was_reset)
}

/// Sends the beginning and then drop after drop, until the connection ends; what came back.
async fn drip(mut stream: TcpStream, begin: &str, drop: &str) -> Vec<u8> {
    let _ = stream.write_all(begin.as_bytes()).await;
    let (mut read, mut write) = stream.split();
    let mut bytes = Vec::new();
    let dripping = async {
        // It ends with the connection, and in any case.
        for _ in 0..600 {
            tokio::time::sleep(DROP).await;
            if write.write_all(drop.as_bytes()).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = tokio::time::timeout(PATIENCE, read.read_to_end(&mut bytes)) => {}
        () = dripping => {}
    }
    bytes
}

/// So many attackers at once, while honest buyers go on; what each of them got.
async fn many<T: Send + 'static, F>(stage: &Stage, attacker: impl Fn(usize, TcpStream) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let honest = stage.honest().await;
    let files = stage.files();
    let mut attackers = Vec::new();
    for n in 0..MANY {
        let stream = stage.attack(n).await;
        attackers.push(tokio::spawn(attacker(n, stream)));
    }
    // No honest buyer is refused during the attack or after.
    honest.go_on(3).await;
    let mut received = Vec::new();
    for attacker in attackers {
        received.push(attacker.await.unwrap());
    }
    testkit::eventually("all slow connections are gone", || async { (stage.files() <= files).then_some(()) })
        .await;
    honest.end(&stage.gateway).await;
    received
}

fn assert_all_answered_408(received: Vec<Vec<u8>>) {
    assert_eq!(received.len(), MANY);
    for bytes in received {
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("/problems/request-timeout"), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_drip_in_get_408() {
    let stage = Stage::set(&OPTIONS).await;
    let received = many(&stage, |_, stream| async move {
        drip(stream, "GET /v1/time HTTP/1.1\r\nhost: x\r\n", "x: y\r\n").await
    });
    assert_all_answered_408(received.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_drip_in_get_408() {
    let stage = Stage::set(&OPTIONS).await;
    let received = many(&stage, |n, stream| async move {
        let tap = tap_head(&format!("slow-{n}"), "k");
        if n % 2 == 0 {
            drip(stream, &format!("{tap}content-length: 10000\r\n\r\n{{"), " ").await
        } else {
            drip(stream, &format!("{tap}transfer-encoding: chunked\r\n\r\n"), "1\r\n \r\n").await
        }
    });
    assert_all_answered_408(received.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_closed() {
    let stage = Stage::set(&OPTIONS).await;
    let received = many(&stage, |n, mut stream| async move {
        if n % 2 == 1 {
            // One request, and nothing more.
            stream.write_all(b"GET /v1/time HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        }
        let (bytes, was_reset) = to_the_end(&mut stream).await;
        (n, String::from_utf8(bytes).unwrap(), was_reset)
    });
    for (n, text, was_reset) in received.await {
        assert!(!was_reset, "{n}");
        // An idle one gets an answer for a request that may be on its way.
        assert_eq!(text.matches("HTTP/1.1").count(), 2 * (n % 2), "{text}");
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 200") && text.contains("HTTP/1.1 408"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_are_cut_off_and_cost_little() {
    // Answers that soon fill what the kernel keeps.
    let stage = Stage::set(&OPTIONS).await;
    let mut definition = super::honest::sale();
    let stores = (0..500).map(|n| {
        let id = format!("gz-{n}");
        serde_json::json!({"id": id, "name": "A long name of a store ".repeat(4), "city": "Guangzhou", "capacity": 1_000_000})
    });
    definition["stores"] =
        stores.chain([serde_json::json!({"id": "sh-1", "name": "S", "city": "S"})]).collect();
    testkit::definition::open(&stage.gateway, &definition).await;
    let before = stage.memory("VmRSS");
    let request = "GET /v1/sales/small/stores?limit=500 HTTP/1.1\r\nhost: x\r\n\r\n".repeat(16);
    let received = many(&stage, move |_, mut stream| {
        let request = request.clone();
        async move {
            // Until nothing more is taken, and then until the connection is gone.
            let sending = async {
                let mut sent = 0;
                while stream.write_all(request.as_bytes()).await.is_ok() {
                    sent += request.len();
                }
                sent
            };
            tokio::time::timeout(PATIENCE, sending).await.expect("the gateway ends a slow reader")
        }
    });
    for sent in received.await {
        assert!(sent < 16 << 20, "{sent} bytes of requests were read from a slow reader");
    }
    // Of each at most what hyper reads ahead, what waits to be written, and one answer.
    let grown = stage.memory("VmHWM").saturating_sub(before);
    println!("{} KiB for each client that does not read", grown / MANY as u64);
    assert!(grown < 512 * MANY as u64, "{grown} KiB");
}
