//! Unit tests of `acl.rs`.

use super::*;

#[test]
fn every_command_of_the_scripts_is_granted() {
    let granted: Vec<String> = SERVING.iter().chain(FURTHER).map(|call| permission(call)).collect();
    let scripts = concat!(
        include_str!("../lua/ledger.lua"),
        include_str!("../lua/now.lua"),
        include_str!("../lua/open.lua"),
        include_str!("../lua/reserve.lua"),
        include_str!("../lua/amend.lua"),
        include_str!("../lua/confirm.lua"),
        include_str!("../lua/cancel.lua"),
        include_str!("../lua/tick.lua"),
        include_str!("../lua/sweep.lua"),
        include_str!("../lua/expire.lua"),
        include_str!("../lua/apply.lua"),
        include_str!("../lua/restock.lua"),
        include_str!("../lua/operator_action.lua"),
        include_str!("../lua/replay.lua"),
        include_str!("../lua/adopt.lua"),
        include_str!("../lua/purge.lua"),
        include_str!("../lua/snapshot.lua"),
        include_str!("../lua/reservations.lua"),
        include_str!("../lua/submit_report.lua"),
        include_str!("../lua/fleet.lua"),
        include_str!("../lua/limits.lua"),
        include_str!("../lua/import.lua"),
    );
    let called = scripts.split("redis.call('").skip(1).filter_map(|rest| rest.split('\'').next());
    // snapshot.lua passes two to a function by name.
    for command in called.chain(["HGETALL", "GET"]) {
        assert!(granted.contains(&command.to_lowercase()), "{command} is not granted");
    }
    let page = include_str!("../../../docs/deployment.md");
    assert!(page.lines().any(|line| line == needed()), "docs/deployment.md lacks: {}", needed());
    assert!(needed().starts_with("ACL SETUSER USER ~lg:* ~{lg:* +ping +info +time"), "{}", needed());
    assert!(needed().contains("+script|load +") && needed().contains("+cluster|slots +"), "{}", needed());
}
