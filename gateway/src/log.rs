//! The log: lines on standard error, as text or as JSON, each with the request that it was written for.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, format, layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogConfig;
use crate::http::request_id;

/// Starts it, for the whole process. Standard output is for answers.
pub fn start(config: &LogConfig) {
    // h2 and hyper warn of what a peer does wrong, frame by frame: a hostile one must not write our log.
    // Whoever wants to see it names it, as in "info,h2=debug".
    let level = format!("h2=error,hyper=error,{}", config.level);
    let Ok(filter) = level.parse::<Targets>() else {
        return;
    };
    let registry = tracing_subscriber::registry().with(filter);
    if config.json {
        let layer = layer().json().map_event_format(WithRequest::as_json);
        registry.with(layer.with_writer(std::io::stderr).with_ansi(false)).init();
    } else {
        let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let format = WithRequest { format: format().with_ansi(ansi), is_json: false };
        registry.with(layer().event_format(format).with_writer(std::io::stderr).with_ansi(ansi)).init();
    }
}

/// Adds to a line the request that the thread works for.
struct WithRequest<F> {
    format: F,
    is_json: bool,
}

impl<F> WithRequest<F> {
    fn as_json(format: F) -> Self {
        Self { format, is_json: true }
    }
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
        let Some(request) = request_id::current() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        // Neither id has anything that would need escaping.
        let (id, trace) = (request.id(), request.trace_id());
        if self.is_json {
            write!(writer, "{},\"request_id\":\"{id}\"", line.strip_suffix('}').unwrap_or(line))?;
            trace.map_or(Ok(()), |trace| write!(writer, ",\"trace_id\":\"{trace}\""))?;
            return writeln!(writer, "}}");
        }
        write!(writer, "{line} request_id={id}")?;
        trace.map_or(Ok(()), |trace| write!(writer, " trace_id={trace}"))?;
        writeln!(writer)
    }
}
