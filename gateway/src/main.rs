//! The program's entry point: parses the command line, runs the command, exits with its documented
//! code.

use std::process::ExitCode;
use std::time::Duration;

use gateway::cli::{self, Command};
use gateway::config::Settings;
use gateway::serve::{Addresses, Gateway};
use gateway::store::scripts::{REAL_CLOCK, Scripts};
use gateway::telemetry::log;
use gateway::telemetry::log::LogConfig;
use gateway::terminal::CommandError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long a server waits at its end for its log lines to be read.
const FLUSH_MAX: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let command = cli::parse().command;
    // A server must end even if nothing reads its log; a command waits for its reader, as commands
    // do.
    let _flush = log::FlushAtEnd(matches!(command, Command::Serve { .. }).then_some(FLUSH_MAX));
    let unknown = cli::unknown_variables();
    let outcome = match command {
        _ if !unknown.mistyped.is_empty() => Err(CommandError::Usage(unknown.mistyped.join("\n"))),
        Command::Serve { common, serve: options } => {
            let mut settings = Settings::new(&common, Some(&options));
            settings.log().as_ref().map(log::start);
            warn_of(&unknown.others);
            run_server(settings)
        }
        other => {
            // The doctor itself reports what others log as warnings.
            let level = if matches!(other, Command::Doctor { .. }) { "error" } else { "warn" };
            log::start(&LogConfig { json: false, level: level.into() });
            warn_of(&unknown.others);
            cli::run(other)
        }
    };
    let (code, text) = match outcome {
        Ok(()) | Err(CommandError::ReaderGone) => (0, String::new()),
        Err(CommandError::No(text)) => (1, text),
        Err(CommandError::Usage(text)) => (2, text),
        Err(CommandError::Outside(text)) => (3, text),
    };
    log::write_notice(&text);
    ExitCode::from(code)
}

fn warn_of(unknown_variables: &[String]) {
    for variable in unknown_variables {
        tracing::warn!("{variable}");
    }
}

fn run_server(settings: Settings) -> Result<(), CommandError> {
    Gateway::build(settings.serve()?, Scripts::new(REAL_CLOCK))?.run(print_addresses)
}

/// Prints the addresses on standard output once the ports are open: with port 0 there is no other
/// way to get them. It has its own thread, so that a starter that does not read can't block
/// serving.
fn print_addresses(addresses: Addresses) {
    use std::io::Write;
    let write = move || {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, r#"{{"listen":"{}","ops_listen":"{}"}}"#, addresses.public, addresses.ops);
        let _ = out.flush();
    };
    if let Err(error) = std::thread::Builder::new().name("addresses".into()).spawn(write) {
        tracing::error!(%error, "can't start the thread that writes the addresses");
    }
}
