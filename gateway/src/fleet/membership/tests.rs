//! Unit tests of `membership.rs`.

use super::*;
use crate::fleet::report::GatewayReport;

fn report(beats: u64) -> GatewayReport {
    GatewayReport { beats, ..GatewayReport::default() }
}

#[test]
fn a_gateway_has_joined_once_every_peer_has_had_two_heartbeats_or_is_gone() {
    let fleet = Membership::new("here".into());
    let has_joined_after = |peers: &[(&str, u64)]| {
        let own = (fleet.id.clone(), report(1));
        let peers = peers.iter().map(|(id, beats)| ((*id).to_owned(), report(*beats)));
        fleet.note_heartbeat(peers.chain([own]).collect(), BTreeMap::new(), false);
        fleet.has_joined()
    };
    assert!(!has_joined_after(&[("a", 7), ("b", 90)]));
    assert!(
        !has_joined_after(&[("a", 8), ("b", 92)]),
        "the first heartbeat may still be on its way back to a"
    );
    // A later peer finds this gateway at its first heartbeat.
    assert!(!has_joined_after(&[("a", 8), ("c", 1)]));
    assert!(has_joined_after(&[("a", 9), ("c", 1)]));
    assert!(has_joined_after(&[("a", 9), ("d", 1)]));

    let after_one_that_drains = Membership::new("here".into());
    let ended = ("old".to_owned(), GatewayReport { draining: true, ..report(5) });
    after_one_that_drains.note_heartbeat([ended].into(), BTreeMap::new(), false);
    assert!(after_one_that_drains.has_joined());

    let alone = Membership::new("here".into());
    assert!(!alone.has_joined());
    alone.note_heartbeat([(alone.id.clone(), report(0))].into(), BTreeMap::new(), false);
    assert!(alone.has_joined());
}

#[tokio::test]
async fn leaving_sends_a_report_at_once_and_waits_until_it_is_sent() {
    let fleet = Arc::new(Membership::new("here".into()));
    let forever = Duration::from_secs(3_600);
    let (leaving, beating) = (fleet.clone(), fleet.clone());
    let next_heartbeat = async move {
        beating.wait_for_next_beat(forever).await;
        assert!(beating.is_leaving());
        beating.note_heartbeat(BTreeMap::new(), BTreeMap::new(), false);
        assert!(!*beating.leave_sent.borrow());
        beating.note_heartbeat([("a".to_owned(), report(0))].into(), BTreeMap::new(), true);
    };
    tokio::join!(leaving.leave(forever), next_heartbeat);
    assert_eq!(fleet.latest().map(|members| members.live.len()), Some(1));
}
