//! Runs a generated client against a real gateway: it walks through a reservation and ends with 0.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde_json::json;
use testkit::check::settled;
use testkit::cli::{Ended, try_end};
use testkit::redis::Redis;
use testkit::{Failed, block_on, print_line};

use crate::api::serve_small;

/// The program that walks.
#[derive(Debug, Args)]
pub(crate) struct WalkOptions {
    /// An empty folder for all that is started; the script removes it
    #[arg(long)]
    dir: PathBuf,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

pub(crate) fn run(options: &WalkOptions) -> Result<(), Failed> {
    let redis = Redis::start();
    let gateway = serve_small(&redis, &options.dir)?;
    // So that a store is sold out.
    for n in 0..5 {
        let tap = json!({"model": "air-white", "store": "gz-0002"});
        let reply = block_on(gateway.reserve(&format!("early-{n}"), "k", &tap));
        if reply.status != 201 {
            return Err(Failed::Wrong(format!("a tap was answered {}: {}", reply.status, reply.text)));
        }
    }
    block_on(settled(&gateway));
    let mut command = Command::new(&options.program[0]);
    command
        .args(&options.program[1..])
        .env("WALK_URL", &gateway.url)
        .env("WALK_BUYER", gateway.token("walker"))
        .env("WALK_SERVICE", gateway.service_token())
        .env("NO_PROXY", "*");
    let Ended { code, out, err } = try_end(command)?;
    print_line(out.trim_end());
    if code == 0 { Ok(()) } else { Err(Failed::Wrong(format!("{err}\nthe client failed, see above"))) }
}
