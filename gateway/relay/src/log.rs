//! The log on standard error.

use std::collections::BTreeMap;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::cli::LogFormat;
use crate::failure::Failure;

/// Starts the log. Standard output is for changes.
pub(crate) fn start(format: LogFormat, level: &str) -> Result<(), Failure> {
    let filter: Targets =
        level.parse().map_err(|error| Failure::Usage(format!("--log-level {level:?}: {error}")))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(layer).init(),
        LogFormat::Json => registry.with(layer.json()).init(),
    }
    Ok(())
}

/// Logs each trouble once, and its end: what is tried again for hours must not fill the log.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    now: BTreeMap<&'static str, String>,
}

impl Troubles {
    /// There is a trouble of this kind. Logged, unless the last line about this kind said the same.
    pub(crate) fn report(&mut self, kind: &'static str, text: &str) {
        if self.now.get(kind).is_none_or(|logged| logged != text) {
            tracing::warn!("{text}; trying again");
            self.now.insert(kind, text.to_owned());
        }
    }

    /// It is over.
    pub(crate) fn end(&mut self, kind: &'static str) {
        if self.now.remove(kind).is_some() {
            tracing::info!("{kind}: works again");
        }
    }

    /// Whether there is one of this kind.
    #[cfg(test)]
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.now.contains_key(kind)
    }
}
