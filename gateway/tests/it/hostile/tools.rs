//! Runs slowhttptest, which must find the gateway available throughout.

use std::process::{Command, Stdio};

use testkit::eventually;

use super::Stage;
use super::slow::OPTIONS;

/// Slow heads and slow bodies, which the gateway has ended by itself long before a minute is over; and slow reads,
/// which go on after the gateway is through with them: what little was answered waits in the kernel.
const ATTACKS: [&str; 3] = ["-l 60 -H", "-l 60 -B", "-l 8 -X -w 512 -y 1024 -n 1 -z 32 -k 10"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slowhttptest_ends_with_no_connection_and_always_finds_the_service() {
    // All from one address, honest buyers among them.
    let stage = Stage::set(&[&OPTIONS[..], &["--connections-per-address-max", "off"]].concat()).await;
    let honest = stage.honest().await;
    let files = stage.files();
    let dir = tempfile::tempdir().unwrap();
    for attack in ATTACKS {
        let url = format!("{}/v1/sales/small", stage.gateway.url);
        let mut command = Command::new("slowhttptest");
        // A thousand connections at once; a probe that waits 60 s for its answer.
        command.args(["-c", "1000", "-r", "1000", "-p", "60", "-g", "-o", "results", "-u", &url]);
        command.args(attack.split(' ')).current_dir(dir.path()).stdin(Stdio::null());
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = running.await.unwrap().expect("slowhttptest must be installed; scripts/test does that");
        let text_out = String::from_utf8_lossy(&output.stdout);
        let is_ended = text_out.contains("No open connections left");
        assert!(is_ended || attack.contains("-X"), "{attack}: {text_out}");
        // Seconds, connections that are closed, pending, connected, and whether the service answers.
        let received = std::fs::read_to_string(dir.path().join("results.csv")).unwrap();
        for line in received.lines().skip(1) {
            assert!(!line.ends_with(",0"), "{attack}: not available\n{received}");
        }
    }
    eventually("its connections are gone", || async { (stage.files() <= files).then_some(()) }).await;
    honest.end(&stage.gateway).await;
}
