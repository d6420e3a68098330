//! Unit tests of `durability.rs`.

use super::*;

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_level_is_read_as_it_is_written() {
    for level in ["none", "aof", "fsync", "replicas=1", "replicas=10"] {
        assert_eq!(Durability::parse(level).unwrap().to_string(), level);
    }
    for bad in ["", "always", "replicas", "replicas=", "replicas=0", "replicas=11", "replicas=-1", "Aof"] {
        assert!(Durability::parse(bad).unwrap_err().contains("replicas=N"), "{bad}");
    }
}

#[test]
fn an_unwritten_file_and_lagging_replicas_do_not_meet_the_durability() {
    let good = [("aof_enabled", "1"), ("aof_last_write_status", "ok")];
    assert_eq!(appends(&map(&good)), DurabilityCheck::Met);
    for bad in [[("aof_enabled", "0"), good[1]], [good[0], ("aof_last_write_status", "err")]] {
        assert!(matches!(appends(&map(&bad)), DurabilityCheck::Unmet(_)), "{bad:?}");
    }
    let replicas = map(&[
        ("slave0", "ip=10.0.0.2,port=6379,state=online,offset=5,lag=0"),
        ("slave1", "ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0"),
        ("slave2", "ip=10.0.0.4,port=6379,state=online,offset=5,lag=1"),
        ("slave3", "ip=10.0.0.5,port=6379,state=online,offset=0,lag=0"),
        ("slave4", "ip=10.0.0.6,port=6379,state=online,offset=5,lag=4"),
    ]);
    assert_eq!(in_step(&replicas, 2), DurabilityCheck::Met);
    assert_eq!(
        in_step(&replicas, 3),
        DurabilityCheck::Unmet("2 of 3 replicas of Redis are in step: connect them".into())
    );
}
