//! Reads the options of token verification.

use crate::config::Settings;
use crate::identify::{AuthSettings, LEEWAY_S_DEFAULT, LEEWAY_S_MAX};

impl Settings {
    pub(super) fn auth(&mut self) -> AuthSettings {
        let leeway_s = self.read("auth-leeway", |text| {
            let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
            seconds.filter(|seconds| *seconds <= LEEWAY_S_MAX).ok_or_else(|| {
                format!("is not a number of seconds from 0 to {LEEWAY_S_MAX}, as in {LEEWAY_S_DEFAULT}s")
            })
        });
        AuthSettings {
            secret_file: self.path("auth-secret-file"),
            jwks_file: self.path("auth-jwks-file"),
            service_key_ids: self.list("auth-service-key-ids"),
            issuer: Some(self.text("auth-issuer")).filter(|s| !s.is_empty()),
            audience: Some(self.text("auth-audience")).filter(|s| !s.is_empty()),
            leeway_s: leeway_s.unwrap_or(LEEWAY_S_DEFAULT),
        }
    }
}
