//! The life of the program: read the command line, do what it says, end with the code that the contract names.

use std::process::ExitCode;

use clap::Parser;
use gateway::cli::{self, Cli, Command, Failed};
use gateway::config::{LogConfig, Settings};
use gateway::ledger::scripts::{REAL_CLOCK, Scripts};
use gateway::log;
use gateway::serve::{Addresses, ServeError, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve { common, serve: options } => {
            let mut settings = Settings::new(&common, Some(&options));
            settings.log().as_ref().map(log::start);
            run_server(settings)
        }
        other => {
            // The doctor says itself what others would warn of.
            let level = if matches!(other, Command::Doctor { .. }) { "error" } else { "warn" };
            log::start(&LogConfig { json: false, level: level.into() });
            cli::run(other)
        }
    };
    let (code, text) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::No(text)) => (1, text),
        Err(Failed::Usage(text)) => (2, text),
        Err(Failed::Outside(text)) => (3, text),
    };
    say(&text);
    ExitCode::from(code)
}

fn run_server(settings: Settings) -> Result<(), Failed> {
    let config = settings.serve().map_err(|problems| Failed::Usage(problems.join("\n")))?;
    serve(config, Scripts::new(REAL_CLOCK), tell_addresses).map_err(|error| match error {
        ServeError::Usage(problems) => Failed::Usage(problems.join("\n")),
        ServeError::Outside(text) => Failed::Outside(text),
    })
}

/// One line on standard output once the ports are open: with port 0 it is the only way to know them.
fn tell_addresses(addresses: Addresses) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // A starter that does not listen is no reason not to serve.
    let _ = writeln!(out, r#"{{"listen":"{}","ops_listen":"{}"}}"#, addresses.public, addresses.ops);
    let _ = out.flush();
}

#[expect(clippy::print_stderr, reason = "the one place where the program speaks to its user about a failure")]
fn say(text: &str) {
    for line in text.lines() {
        eprintln!("gateway: {line}");
    }
}
