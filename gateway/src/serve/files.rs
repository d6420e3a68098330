//! The files of a serving gateway: keys, ops tokens, certificates. Loaded at the start, and reloaded when
//! they change.

use std::sync::Arc;

use crate::config::ServeConfig;
use crate::http::tls::Tls;
use crate::identify::TokenKeys;
use crate::identify::ops_tokens::OpsTokens;
use crate::ops::files::WatchedFiles;
use crate::serve::signals::Signals;
use crate::telemetry::labels::WatchedFile;
use crate::terminal::CommandError;

/// The loaded contents.
pub(super) struct ServedFiles {
    pub(super) keys: Arc<TokenKeys>,
    pub(super) tokens: Arc<OpsTokens>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) ops_tls: Option<Arc<Tls>>,
}

impl ServedFiles {
    /// Loads all; fails with every mistake in every file.
    pub(super) fn load(config: &ServeConfig) -> Result<Self, CommandError> {
        let keys = TokenKeys::load(&config.auth);
        let tokens = OpsTokens::load(&config.ops_token_file);
        let [tls, ops_tls] = [&config.tls, &config.ops_tls]
            .map(|files| files.as_ref().map(Tls::load).transpose().map(|tls| tls.map(Arc::new)));
        match (keys, tokens, tls, ops_tls) {
            (Ok(keys), Ok(tokens), Ok(tls), Ok(ops_tls)) => {
                keys.log_findings();
                Ok(Self { keys: Arc::new(keys), tokens: Arc::new(tokens), tls, ops_tls })
            }
            (keys, tokens, tls, ops_tls) => {
                let problems = [keys.err(), tokens.err(), tls.err(), ops_tls.err()];
                Err(problems.into_iter().flatten().flatten().collect::<Vec<_>>().into())
            }
        }
    }

    /// Reloads them while the gateway runs, at every hang-up at once.
    pub(super) fn watch(&self, files: &Arc<WatchedFiles>, signals: &Signals) {
        let Self { keys, tokens, tls, ops_tls } = self;
        let file = if keys.are_public() { WatchedFile::AuthJwks } else { WatchedFile::AuthSecret };
        tokio::task::spawn_local(files.clone().watch(
            file,
            (keys.clone(), signals.hangups()),
            TokenKeys::reload_if_changed,
            1,
        ));
        let ops_tokens = (tokens.clone(), signals.hangups());
        let reload = OpsTokens::reload_if_changed;
        tokio::task::spawn_local(files.clone().watch(WatchedFile::OpsTokens, ops_tokens, reload, 1));
        for (file, tls) in [(WatchedFile::Tls, tls), (WatchedFile::OpsTls, ops_tls)] {
            if let Some(tls) = tls {
                // Certificate and key are replaced one after the other.
                tokio::task::spawn_local(files.clone().watch(
                    file,
                    (tls.clone(), signals.hangups()),
                    Tls::reload_if_changed,
                    2,
                ));
            }
        }
    }
}
