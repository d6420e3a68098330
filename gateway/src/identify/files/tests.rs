//! Unit tests of `files.rs`.

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

#[test]
fn a_secret_may_be_open_to_its_owner_and_to_the_group_that_root_gave_it() {
    for (mode, owner, group, is_open) in [
        (0o600, 1000, 1000, false),
        (0o400, 0, 0, false),
        (0o640, 0, 995, false),
        (0o440, 0, 65532, false),
        (0o640, 0, 0, true),
        (0o640, 1000, 1000, true),
        (0o660, 0, 995, true),
        (0o644, 0, 995, true),
        (0o604, 1000, 1000, true),
    ] {
        assert_eq!(open_to_others(mode, owner, group).is_some(), is_open, "{mode:o} {owner} {group}");
    }
}
