//! Credentials for Redis and sentinels: certificates, and a user for sentinels.

use redis::{ClientTlsConfig, TlsCertificates};

/// Credentials of a Redis besides its address.
#[derive(Clone, Default)]
pub struct Access {
    /// PEM of the only authorities whose certificates are trusted, instead of the public ones.
    pub authorities: Option<Vec<u8>>,
    /// Client certificate and key, in PEM.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// User of the sentinels. Redis's own user and password are in the address.
    pub sentinel: Option<SentinelUser>,
}

/// Credentials for sentinels.
#[derive(Clone)]
pub struct SentinelUser {
    /// `None`: `default`.
    pub username: Option<String>,
    /// Its password.
    pub password: String,
}

impl Access {
    /// `None`: no TLS settings.
    pub(crate) fn certificates(&self) -> Option<TlsCertificates> {
        let client = self.client.clone();
        let client_tls = client.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        let root_cert = self.authorities.clone();
        (client_tls.is_some() || root_cert.is_some()).then_some(TlsCertificates { client_tls, root_cert })
    }
}
