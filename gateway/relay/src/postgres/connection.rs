//! Connects to PostgreSQL: plain, or with TLS where the URL asks for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::{Failure, causes};
use crate::postgres::errors::failed;
use crate::postgres::schema;
use crate::sink::SinkError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that does not acknowledge what was sent is given up; so is one that is silent when idle.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How to connect to the database.
pub(crate) struct Database {
    config: Config,
    password_file: Option<PathBuf>,
    tls: ClientConfig,
}

impl Database {
    /// Checks the URL; connects to nothing yet.
    pub(crate) fn new(url: &str, password_file: Option<&Path>, tls: ClientConfig) -> Result<Self, Failure> {
        let mut config: Config = url.parse().map_err(|error| {
            // The error does not quote the URL.
            Failure::Usage(format!(
                "--postgres: {}: expected postgres://USER@HOST:PORT/DATABASE, or ?host=FOLDER for a socket",
                causes(&error)
            ))
        })?;
        if config.get_password().is_some() {
            return Err(Failure::Usage(
                "--postgres has a password, which other users of this machine can read: put it into a file, and name \
                 that in --postgres-password-file"
                    .to_owned(),
            ));
        }
        if config.get_hosts().is_empty() {
            return Err(Failure::Usage("--postgres names no host".to_owned()));
        }
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(SILENCE_MAX).keepalives_idle(SILENCE_MAX);
        if config.get_application_name().is_none() {
            config.application_name("launchgate-relay");
        }
        // Without the word it would try TLS and do without, which protects from nothing.
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(SslMode::Disable);
        }
        let database = Self { config, password_file: password_file.map(Path::to_owned), tls };
        database.with_password()?;
        Ok(database)
    }

    /// A new connection, to tables of this version.
    pub(super) async fn connect(&self) -> Result<Client, SinkError> {
        let config = self.with_password()?;
        let mut client = match config.get_ssl_mode() {
            SslMode::Disable => connect(&config, NoTls).await?,
            _ => connect(&config, MakeRustlsConnect::new(self.tls.clone())).await?,
        };
        schema::migrate(&mut client, schema::VERSIONS).await?;
        Ok(client)
    }

    pub(super) fn with_password(&self) -> Result<Config, Failure> {
        let mut config = self.config.clone();
        if let Some(file) = &self.password_file {
            let password = std::fs::read_to_string(file).map_err(|error| {
                Failure::Usage(format!("--postgres-password-file {}: {error}", file.display()))
            })?;
            // The one line end that editors add is not part of it.
            config.password(password.strip_suffix('\n').unwrap_or(&password));
        }
        Ok(config)
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<Client, SinkError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls).await.map_err(failed)?;
    // It ends with the client, or with an error that the client's next call shows.
    tokio::spawn(connection);
    Ok(client)
}
