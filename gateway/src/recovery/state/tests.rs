//! Unit tests of `state.rs`.

use super::*;

#[test]
fn a_new_gateway_waits_for_peers_that_may_still_come() {
    let status = OwnStatus { is_recent: true, was_member: false, is_durable: true };
    assert_eq!(status.awaits_peers(), Err(Blocked::NeverReachedLedger));
    assert_eq!(OwnStatus { is_recent: false, ..status }.awaits_peers(), Ok(false));
}

#[test]
fn silent_peers_are_awaited_until_redis_alone_can_have_all_that_they_acknowledged() {
    let status = OwnStatus { is_recent: true, was_member: true, is_durable: true };
    assert_eq!(status.awaits_peers(), Ok(true));
    assert_eq!(OwnStatus { is_recent: false, ..status }.awaits_peers(), Ok(false));
    assert_eq!(OwnStatus { is_recent: false, is_durable: false, ..status }.awaits_peers(), Ok(true));
}

#[test]
fn a_message_names_three_peers_and_the_command_that_gives_one_up() {
    let peers: Vec<_> = (1..=4).map(|n| (format!("g{n}"), format!("10.0.0.{n}:80"))).collect();
    let text = Blocked::Awaiting(peers).describe("car");
    assert!(
        text.contains("report of g1 (10.0.0.1:80), g2 (10.0.0.2:80), g3 (10.0.0.3:80) and others:"),
        "{text}"
    );
    assert!(text.ends_with("`gateway sale release car g1`"), "{text}");
    let text = Blocked::NeedsOperator("2 changes".into()).describe("car");
    assert!(text.contains("can't be replayed: 2 changes.") && text.ends_with("release car --all`"), "{text}");
}
