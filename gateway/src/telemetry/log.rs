//! The log on standard error, as text or as JSON, each line with the id of its request.

mod limit;
mod writer;

use std::fmt;
use std::panic;
use std::thread;
use std::time::Duration;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, format, layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::request_id;
use limit::Limit;
use writer::LogWriter;

/// The settings of the log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// JSON instead of text.
    pub json: bool,
    /// The filter of `tracing_subscriber`.
    pub level: String,
}

/// Starts the log of the process. Standard output is for results.
pub fn start(config: &LogConfig) {
    // h2 and hyper log every protocol error of a peer: a hostile one must not fill the log. To see them,
    // name them in the level, as in "info,h2=debug".
    let level = format!("h2=error,hyper=error,{}", config.level);
    let Ok(filter) = level.parse::<Targets>() else {
        return;
    };
    writer::start();
    let registry = tracing_subscriber::registry().with(filter).with(Limit::default());
    if config.json {
        let layer = layer().json().map_event_format(|format| WithRequest { format, is_json: true });
        registry.with(layer.with_writer(|| LogWriter).with_ansi(false)).init();
    } else {
        let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let format = WithRequest { format: format().with_ansi(ansi), is_json: false };
        registry.with(layer().event_format(format).with_writer(|| LogWriter).with_ansi(ansi)).init();
    }
    // The standard hook writes to standard error itself, and blocks until it is read.
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let what = info.to_string().replace('\n', ": ");
        tracing::error!(thread = thread.name().unwrap_or_default(), "{what}");
    }));
}

/// Writes lines for the user of a command, after all that was logged before.
pub fn write_notice(text: &str) {
    writer::start();
    for line in text.lines() {
        writer::push(format!("gateway: {line}\n").as_bytes());
    }
}

/// Waits on drop, also in a panic, until all lines are written: at most this long, if a limit is given.
#[derive(Debug)]
pub struct FlushAtEnd(pub Option<Duration>);

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        writer::flush(self.0);
    }
}

/// Lines that were not written so far: those that were dropped, and those over the limit of a call site.
pub fn missing_lines() -> [u64; 2] {
    [writer::dropped(), limit::left_out()]
}

/// Adds to a line the request of the thread, and the number of lines like it that were left out before.
struct WithRequest<F> {
    format: F,
    is_json: bool,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (request, left_out) = (request_id::current(), limit::left_out_before());
        if request.is_none() && left_out == 0 {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        let line = if self.is_json { line.strip_suffix('}').unwrap_or(line) } else { line };
        writer.write_str(line)?;
        if left_out > 0 {
            match self.is_json {
                true => write!(writer, ",\"left_out\":{left_out}")?,
                false => write!(writer, " left_out={left_out}")?,
            }
        }
        // Neither id has a character that needs escaping.
        let mut add = |name: &str, value: &dyn fmt::Display| match self.is_json {
            true => write!(writer, ",\"{name}\":\"{value}\""),
            false => write!(writer, " {name}={value}"),
        };
        if let Some(request) = request {
            add("request_id", &request.id())?;
            request.trace_id().map_or(Ok(()), |trace| add("trace_id", &trace))?;
        }
        if self.is_json { writeln!(writer, "}}") } else { writeln!(writer) }
    }
}
