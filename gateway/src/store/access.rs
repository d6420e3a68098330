//! What it takes to be let in by a Redis and by sentinels: certificates, and a user for sentinels.

use redis::{ClientTlsConfig, TlsCertificates};

/// What a Redis is reached with, besides its address.
#[derive(Clone, Default)]
pub struct Access {
    /// In PEM: its certificates must be signed by these, and not by public authorities.
    pub authorities: Option<Vec<u8>>,
    /// The certificate that it is shown, and its key, in PEM.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// For sentinels. User and password for Redis itself stand in the address.
    pub sentinel: Option<SentinelUser>,
}

/// How sentinels let a gateway in.
#[derive(Clone)]
pub struct SentinelUser {
    /// `None`: `default`.
    pub username: Option<String>,
    /// Its password.
    pub password: String,
}

impl Access {
    /// `None`: nothing that concerns TLS.
    pub(crate) fn certificates(&self) -> Option<TlsCertificates> {
        let client = self.client.clone();
        let client_tls = client.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        let root_cert = self.authorities.clone();
        (client_tls.is_some() || root_cert.is_some()).then_some(TlsCertificates { client_tls, root_cert })
    }
}
