//! Reads files with secrets: with a size limit, and with errors that never contain their contents.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// RFC 7518 (3.2) requires this of a key for HS256.
pub(super) const SECRET_BYTES_MIN: usize = 32;
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The shared secret that signs tokens; its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes of the signing key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads the shared secret: at least 32 bytes without a final line end. The error has the remedy.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let (secret, metadata) = read_secret_again(path)?;
    warn_if_shared(path, "auth secret file", &metadata);
    Ok(secret)
}

/// Like [`read_secret`], without a warning: for the check every two seconds.
pub(super) fn read_secret_again(path: &Path) -> Result<(Secret, Metadata), String> {
    let (mut bytes, metadata) = read_limited(path, "auth secret file", SECRET_FILE_BYTES_MAX)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "auth secret file {}: the secret has {} bytes and needs at least {SECRET_BYTES_MIN}; \
             make one with `openssl rand -hex 32`",
            path.display(),
            bytes.len()
        ));
    }
    Ok((Secret(bytes), metadata))
}

/// Reads a whole regular file of at most `bytes_max`. Anything else (a pipe, a device) could block
/// the start or a reload forever.
pub(crate) fn read_limited(path: &Path, what: &str, bytes_max: u64) -> Result<(Vec<u8>, Metadata), String> {
    let failed = |e: std::io::Error| {
        format!("{what} {}: {e}; check the path and that this user may read it", path.display())
    };
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("{what} {}: not a regular file; name one", path.display()));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("{what} {}: over {bytes_max} bytes; is it the right file?", path.display()));
    }
    Ok((bytes, metadata))
}

/// Warns when other users of this host can access a file with a secret. Only a warning: mounted
/// secrets often can't be set otherwise.
pub(crate) fn warn_if_shared(path: &Path, what: &str, metadata: &Metadata) {
    if let Some(mode) = shared_mode(metadata) {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{mode:03o}"),
            "{what} is open to other users of this machine; `chmod 600` it, or 640 if it is root's and its group is this user's"
        );
    }
}

/// The mode of a file that other users of this host can access.
pub(crate) fn shared_mode(metadata: &Metadata) -> Option<u32> {
    open_to_others(metadata.mode() & 0o777, metadata.uid(), metadata.gid())
}

/// A group other than root's may read what is root's: in this way Kubernetes and the drop-ins for systemd give a file to
/// a service that does not own it.
fn open_to_others(mode: u32, owner: u32, group: u32) -> Option<u32> {
    let others = if owner == 0 && group != 0 { 0o037 } else { 0o077 };
    Some(mode).filter(|mode| mode & others != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
