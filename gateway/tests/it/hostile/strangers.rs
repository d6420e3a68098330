//! Tests very many new client addresses (from a trusted proxy) and forged tokens.
//!
//! Ten times as many as have their own bucket: the cap must bound RAM for any number.

use reqwest::Method;
use testkit::gateway::{Gateway, send, token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Stage;
use super::honest::first_answer;

const STRANGERS: usize = 300_000;
const CONNECTIONS: usize = 20;
/// Requests that are sent before their answers are read.
const AT_ONCE: usize = 50;
/// By how much RAM may grow, in KiB: connection buffers, allocator slack, and up to 16 MiB of the
/// journal's end, to which honest buyers add half a MiB a second (measured), more on a slow
/// machine. It grew by 10 MiB; a table with a hundred bytes for each stranger would add 29.
const GROWN_MAX: u64 = (8 + 16) * 1024;

/// Sends these requests, so many at once, and counts each status.
async fn pipeline(mut stream: TcpStream, requests: impl Iterator<Item = String>) -> [usize; 600] {
    let mut statuses = [0; 600];
    let mut requests = requests.peekable();
    let mut bytes = Vec::new();
    while requests.peek().is_some() {
        let batch: Vec<String> = requests.by_ref().take(AT_ONCE).collect();
        stream.write_all(batch.concat().as_bytes()).await.unwrap();
        let mut answered = 0;
        while answered < batch.len() {
            let Some(whole) = first_answer(&bytes) else {
                assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the gateway has hung up");
                continue;
            };
            statuses[usize::from(whole.status)] += 1;
            bytes.drain(..whole.end);
            answered += 1;
        }
    }
    statuses
}

/// The answers of all strangers, by status.
async fn flood(stage: &Stage, request: impl Fn(usize) -> String + Copy) -> [usize; 600] {
    let mut sums = [0; 600];
    let each = (0..CONNECTIONS).map(|n| async move {
        let of_it = (n..STRANGERS).step_by(CONNECTIONS).map(request);
        pipeline(stage.attack(n).await, of_it).await
    });
    for statuses in futures_util::future::join_all(each).await {
        sums.iter_mut().zip(statuses).for_each(|(sum, n)| *sum += n);
    }
    sums
}

async fn time_of(gateway: &Gateway, client: &str) -> u16 {
    send(gateway.request(Method::GET, "/v1/time").header("x-forwarded-for", client)).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_addresses_use_bounded_memory_and_evict_no_honest_bucket() {
    let options = [
        &["--trusted-proxies", "127.0.0.0/8", "--limit-address", "1:3", "--cost-status", "3"][..],
        &["--limit-keys-max", "30000"],
    ];
    let stage = Stage::set(&options.concat()).await;
    let honest = stage.honest().await;
    // An empty bucket stays empty, and a full one stays full, whatever strangers do.
    let greedy = "2001:db8:1:1::1";
    assert_eq!(time_of(&stage.gateway, greedy).await, 200);
    let memory = stage.memory("VmRSS");
    let received = flood(&stage, |n| {
        let [_, a, b, c] = (n as u32).to_be_bytes();
        format!("GET /v1/time HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.{a}.{b}.{c}\r\n\r\n")
    })
    .await;
    assert_eq!(received[200] + received[429], STRANGERS, "{received:?}");
    // Those with a bucket, and some that could share one; the others found it empty.
    assert!(received[200] >= 30_000 && received[429] > 0, "{} and {}", received[200], received[429]);
    let grown = stage.memory("VmHWM").saturating_sub(memory);
    assert!(grown < GROWN_MAX, "{grown} KiB");
    honest.end(&stage.gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_forged_tokens_delay_no_honest_buyer_even_at_their_address() {
    let stage = Stage::set(&["--limit-unverified", "1:1000", "--cost-unverified", "100"]).await;
    let honest = stage.honest().await;
    let memory = stage.memory("VmRSS");
    let forged = token("forger");
    let forged = forged.as_str();
    let received = flood(&stage, |n| {
        format!(
            "GET /v1/sales/small/reservations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {forged}{n}\r\n\r\n"
        )
    })
    .await;
    // To see that a secret has not signed it costs no more than to refuse to look.
    assert_eq!(received[401], STRANGERS, "{received:?}");
    let grown = stage.memory("VmHWM").saturating_sub(memory);
    assert!(grown < GROWN_MAX, "{grown} KiB");
    // From an attacker's own address a first valid token is as good as ever.
    let newcomer = token("newcomer");
    let first = format!(
        "GET /v1/sales/small/reservations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {newcomer}\r\n\r\n"
    );
    let statuses = pipeline(stage.attack(1).await, std::iter::once(first)).await;
    assert_eq!(statuses[200], 1, "{statuses:?}");
    honest.end(&stage.gateway).await;
}
