//! Signs webhooks as the Standard Webhooks specification asks, and follows the file of the secrets.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "whsec_";
/// Bounds of the specification, in bytes.
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;
/// One, or two while a rotation lasts.
const SECRETS_MAX: usize = 2;
const FILE_BYTES_MAX: u64 = 4096;

/// The secrets of an endpoint: one, or the new and the old one while a rotation lasts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secrets(Vec<Vec<u8>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Parses a file of one or two lines `whsec_…`; blank lines and lines that begin with `#` are
    /// skipped. An error has the line's number and never its content.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let secrets = lines.map(|(number, line)| {
            let wrong = |problem: String| format!("line {number}: {problem}");
            let encoded = line.strip_prefix(PREFIX).ok_or_else(|| {
                wrong(format!(
                    "a secret begins with {PREFIX}; make one with `echo \"{PREFIX}$(openssl rand -base64 32)\"`"
                ))
            })?;
            let secret = STANDARD.decode(encoded);
            let secret = secret.map_err(|_| wrong(format!("what follows {PREFIX} is not base64")))?;
            if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
                return Err(wrong(format!(
                    "the secret has {} bytes; expected {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}",
                    secret.len()
                )));
            }
            Ok(secret)
        });
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        match secrets.len() {
            0 => Err(format!("it has no secret; expected a line {PREFIX}…")),
            1..=SECRETS_MAX => Ok(Self(secrets)),
            more => Err(format!("it has {more} secrets; expected one, or two during a rotation")),
        }
    }

    /// The value of `webhook-signature`: one signature a secret, in the order of the file.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signatures = self.0.iter().map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
            format!("v1,{}", STANDARD.encode(tag))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

/// The secrets' file, and what it had when it was last usable.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    current: Secrets,
    /// Why it is not usable now; logged once.
    problem: Option<String>,
}

impl SecretFile {
    /// Reads it for the first time.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        Ok(Self { path: path.to_owned(), current: read(path)?, problem: None })
    }

    /// What to sign with.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.current
    }

    /// Reads it again. An unusable file changes nothing. Blocks on the disk.
    pub(crate) fn reload(&mut self) {
        match read(&self.path) {
            Ok(secrets) => {
                if secrets != self.current || self.problem.is_some() {
                    tracing::info!(secrets = secrets.0.len(), "read the webhook secret file again");
                }
                (self.current, self.problem) = (secrets, None);
            }
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    tracing::error!("{problem}; webhooks are signed with the secrets that it had before");
                }
                self.problem = Some(problem);
            }
        }
    }
}

fn read(path: &Path) -> Result<Secrets, String> {
    let failed = |problem: String| format!("webhook secret file {}: {problem}", path.display());
    let outside = |error: std::io::Error| failed(error.to_string());
    // A pipe or a device could block for ever.
    if !std::fs::metadata(path).map_err(outside)?.is_file() {
        return Err(failed("expected a regular file".into()));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(outside)?;
    let size = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(outside)?;
    if size as u64 > FILE_BYTES_MAX {
        return Err(failed(format!("it has more than {FILE_BYTES_MAX} bytes; is it the right file?")));
    }
    Secrets::parse(&text).map_err(failed)
}

#[cfg(test)]
mod tests;
