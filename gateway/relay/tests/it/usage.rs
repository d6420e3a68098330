//! Wrong usage: a clear error, and exit code 2.

use std::process::Command;

use testkit::cli::{Ended, end};
use testkit::gateway::clean;
use testkit::program::ours;

fn relay(args: &[&str]) -> Ended {
    let mut command = clean(Command::new(ours("relay")));
    command.args(args);
    end(command)
}

#[test]
fn a_relay_needs_a_sale_a_gateway_a_token_and_a_sink() {
    let ended = relay(&[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    for missing in ["SALE", "--from-ops", "--token-file", "--stdout"] {
        assert!(ended.err.contains(missing), "{missing}: {ended:?}");
    }
}
