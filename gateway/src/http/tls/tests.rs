//! Unit tests of `tls.rs`.

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.issue(true, true);
        files
    }

    fn paths(&self) -> TlsFiles {
        TlsFiles { cert: self.0.path().join("cert"), key: self.0.path().join("key") }
    }

    /// Makes a new pair and writes these halves of it.
    fn issue(&self, cert: bool, key: bool) {
        let new = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        if cert {
            std::fs::write(self.paths().cert, new.cert.pem()).unwrap();
        }
        if key {
            std::fs::write(self.paths().key, new.signing_key.serialize_pem()).unwrap();
        }
    }
}

fn problems(files: &Files) -> String {
    Tls::load(&files.paths()).err().map(|problems| problems.join("\n")).unwrap_or_default()
}

#[test]
fn mismatched_and_empty_files_are_reported() {
    let files = Files::new();
    assert_eq!(problems(&files), "");
    files.issue(true, false);
    assert!(problems(&files).contains("does not match the certificate"), "{}", problems(&files));
    std::fs::write(files.paths().cert, "nothing").unwrap();
    std::fs::write(files.paths().key, "-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n")
        .unwrap();
    let result = problems(&files);
    assert!(result.contains("holds no certificate") && result.contains("holds no private key"), "{result}");
    assert!(!result.contains("secret!"), "{result}");
    std::fs::remove_file(files.paths().cert).unwrap();
    assert!(problems(&files).contains("check the path"));
}

#[test]
fn a_changed_pair_is_loaded_and_an_invalid_one_changes_nothing() {
    let files = Files::new();
    let tls = Tls::load(&files.paths()).map_err(|p| p.join("\n")).unwrap();
    let in_use = || tls.current.0.load().digest;
    let first = in_use();
    assert_eq!(tls.reload_if_changed(), Ok(false));
    files.issue(true, false);
    let result = tls.reload_if_changed().unwrap_err();
    assert_eq!(tls.reload_if_changed().unwrap_err(), result, "every call returns the same problems");
    assert_eq!(in_use(), first);
    files.issue(true, true);
    assert_eq!(tls.reload_if_changed(), Ok(true));
    assert_ne!(in_use(), first);
    assert_eq!(tls.reload_if_changed(), Ok(false));
}
