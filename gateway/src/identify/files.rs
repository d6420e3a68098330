//! The reading of files that hold secrets: bounded, complained about in words, never printed.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What RFC 7518 (3.2) asks of a key for HS256.
pub(super) const SECRET_BYTES_MIN: usize = 32;
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The shared secret that signs tokens; it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes to sign with.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads the shared secret: at least 32 bytes, the line end that editors add not counted. The error
/// says what to do.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let (secret, metadata) = read_secret_again(path)?;
    warn_if_shared(path, "auth secret file", &metadata);
    Ok(secret)
}

/// Like [`read_secret`], without a warning: for a file that is looked at every other second.
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
/// the start, or a later reload, for ever.
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

/// Warns when others on this machine may use a file that holds a secret. Only a warning: mounted
/// secrets often can't be set otherwise.
pub(crate) fn warn_if_shared(path: &Path, what: &str, metadata: &Metadata) {
    if let Some(mode) = shared_mode(metadata) {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{mode:03o}"),
            "{what} is open to other users of this machine; `chmod 600` it"
        );
    }
}

/// The mode of a file that others on this machine may use.
pub(crate) fn shared_mode(metadata: &Metadata) -> Option<u32> {
    Some(metadata.permissions().mode() & 0o777).filter(|mode| mode & 0o077 != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use super::*;

    fn file(contents: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        file
    }

    #[test]
    fn one_trailing_line_end_is_not_part_of_the_secret() {
        let secret = [b'x'; 32];
        for end in ["", "\n", "\r\n"] {
            let file = file(&[&secret, end.as_bytes()].concat());
            assert_eq!(read_secret(file.path()).unwrap().as_bytes(), secret, "{end:?}");
        }
        let file = file(b" 0123456789012345678901234567890\n\n");
        let read = read_secret(file.path()).unwrap();
        assert_eq!(read.as_bytes(), b" 0123456789012345678901234567890\n");
    }

    #[test]
    fn a_short_secret_is_refused_without_being_shown() {
        let file = file(b"0123456789012345678901234567890\n");
        let error = read_secret(file.path()).unwrap_err();
        assert!(error.contains("31 bytes") && error.contains("openssl rand"), "{error}");
        assert!(!error.contains("0123"), "{error}");
    }

    #[test]
    fn missing_odd_and_huge_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(read_secret(&missing).unwrap_err().contains("check the path"));
        assert!(read_secret(dir.path()).unwrap_err().contains("not a regular file"));
        assert!(read_secret(Path::new("/dev/zero")).unwrap_err().contains("not a regular file"));
        let huge = file(&vec![b'x'; SECRET_FILE_BYTES_MAX as usize + 1]);
        assert!(read_secret(huge.path()).unwrap_err().contains("right file"));
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let file = file(b"a-very-secret-secret-of-32-bytes!");
        let secret = read_secret(file.path()).unwrap();
        assert!(!format!("{secret:?}").contains("very"));
    }
}
