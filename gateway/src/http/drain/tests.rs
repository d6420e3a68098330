//! Unit tests of `drain.rs`.

use super::*;

#[tokio::test]
async fn a_phase_is_seen_also_by_late_subscribers() {
    let (phase, drain) = Drain::new();
    assert!(!drain.has_begun());
    phase.send_replace(DrainPhase::Drain);
    // Clones and earlier waiters see it too.
    drain.reaches(DrainPhase::Drain).await;
    assert!(drain.has_begun() && drain.clone().has_begun());
    phase.send_replace(DrainPhase::Close);
    drain.reaches(DrainPhase::Close).await;
    drop(phase);
    drain.reaches(DrainPhase::Close).await;
    assert!(drain.has_begun());
}

#[tokio::test]
async fn connections_opened_before_the_close_are_accepted_and_none_after() {
    let (phase, drain) = Drain::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut arrivals = DrainingListener::new(listener, &drain);
    let mut before = Vec::new();
    for _ in 0..20 {
        before.push(TcpStream::connect(address).await.unwrap());
    }
    phase.send_replace(DrainPhase::Close);
    let mut accepted = Vec::new();
    while let Some(stream) = arrivals.accept().await {
        // The filter is in place: a new SYN gets no reply.
        if accepted.is_empty() {
            let late = tokio::time::timeout(HANDSHAKE_MAX / 3, TcpStream::connect(address)).await;
            assert!(late.is_err(), "{late:?}");
        }
        accepted.push(stream.unwrap());
    }
    assert_eq!(accepted.len(), before.len());
    drop(arrivals);
    assert!(TcpStream::connect(address).await.is_err());
}
