//! Finds the primary through sentinels:
//! `redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/SERVICE[?db=N]`, and `rediss+sentinel://`
//! for TLS. Every connection asks again, since the primary changes.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates, TlsMode,
};

use crate::store::dial::{SentinelUser, user_and_hosts, wrong};

/// The default port of sentinels.
const PORT: u16 = 26_379;

/// Some sentinels, and the service that they are asked for.
pub(crate) struct Sentinels {
    all: Vec<ConnectionInfo>,
    service: String,
    /// User, password and database of the primary.
    primary: RedisConnectionInfo,
    has_tls: bool,
    /// The trusted authorities; `None`: the public ones.
    trusted: Option<TlsCertificates>,
    /// The user for the sentinels; `None`: without a password.
    pub(crate) user: Option<SentinelUser>,
    /// The address without user and password.
    pub(crate) shown: String,
}

impl Sentinels {
    /// Parses a URL; `None` if it is of another kind.
    pub(crate) fn parse(url: &str) -> RedisResult<Option<Self>> {
        let Some((scheme, rest)) = url.split_once("+sentinel://") else { return Ok(None) };
        let has_tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(wrong("is neither redis+sentinel:// nor rediss+sentinel://")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (service, query) = path.split_once('?').unwrap_or((path, ""));
        if service.is_empty() || service.contains('/') {
            return Err(wrong("names no service after the hosts, as in redis+sentinel://HOST:26379/SERVICE"));
        }
        let (user, hosts) = user_and_hosts(authority);
        let db = match query.split_once('=') {
            None if query.is_empty() => 0,
            Some(("db", db)) => db.parse().map_err(|_| wrong("has a db that is not a number"))?,
            _ => return Err(wrong("has something other than db=N after the service")),
        };
        // The crate decodes user and password.
        let primary = format!("redis://{user}primary/{db}").into_connection_info()?;
        let one = |host: &str| format!("{scheme}://{}", with_port(host)).into_connection_info();
        let all =
            hosts.split(',').filter(|host| !host.is_empty()).map(one).collect::<RedisResult<Vec<_>>>()?;
        if all.is_empty() {
            return Err(wrong("names no sentinel"));
        }
        Ok(Some(Self {
            all,
            service: service.to_owned(),
            primary: primary.redis_settings().clone(),
            has_tls,
            trusted: None,
            user: None,
            shown: format!("{scheme}+sentinel://{hosts}/{service}"),
        }))
    }

    /// Trusts only these authorities, and presents their client certificate.
    pub(crate) fn trust(&mut self, trusted: TlsCertificates) -> RedisResult<()> {
        if !self.has_tls {
            return Err(wrong("has no TLS: it begins with rediss+sentinel:// where it has"));
        }
        self.trusted = Some(trusted);
        Ok(())
    }

    /// A client of the primary that a sentinel names and that confirms its role. `node_timeout` limits
    /// each sentinel.
    pub(crate) async fn primary(&self, node_timeout: Duration) -> RedisResult<Client> {
        let sentinels = self.all.iter().map(|sentinel| sentinel.addr().clone());
        let mut asked = SentinelClientBuilder::new(sentinels, &self.service, SentinelServerType::Master)?
            .set_client_to_redis_db(self.primary.db())
            .set_client_to_redis_tcp_settings(TcpSettings::default().set_nodelay(true));
        if let Some(user) = self.primary.username() {
            asked = asked.set_client_to_redis_username(user);
        }
        if let Some(password) = self.primary.password() {
            asked = asked.set_client_to_redis_password(password);
        }
        if self.has_tls {
            asked = asked.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(trusted) = &self.trusted {
            asked = asked.set_client_to_redis_certificates(trusted.clone());
            asked = asked.set_client_to_sentinel_certificates(trusted.clone());
        }
        if let Some(SentinelUser { username, password }) = &self.user {
            asked = asked.set_client_to_sentinel_password(password);
            if let Some(username) = username {
                asked = asked.set_client_to_sentinel_username(username);
            }
        }
        let mut asked = asked.build()?;
        let node_timeout = node_timeout.saturating_mul(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        // The crate waits half a second for an answer, whatever is configured: a slower sentinel is asked again.
        let found = async {
            loop {
                match asked.async_get_client().await {
                    Err(error) if error.is_timeout() => {}
                    found => return found,
                }
            }
        };
        match tokio::time::timeout(node_timeout, found).await {
            Ok(found) => found,
            Err(_) => Err(RedisError::from((ErrorKind::Io, "no sentinel answers in time"))),
        }
    }
}

/// Adds the sentinels' port: the crate's default is that of a Redis.
fn with_port(host: &str) -> String {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    if after.contains(':') { host.to_owned() } else { format!("{host}:{PORT}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
