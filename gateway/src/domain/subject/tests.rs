//! Unit tests of `subject.rs`.

use super::*;

#[test]
fn every_subject_is_one_word_that_reads_back() {
    let longest = "x".repeat(SUB_BYTES_MAX);
    for sub in ["alice", "-", "%20", "a%20b", "CN=Zhang San, OU=R  D", "a b c", &longest] {
        let mut word = String::new();
        push_word(&mut word, sub);
        assert!(!word.contains([' ', '\n']), "{word}");
        let read = from_word(&word);
        assert_eq!(read.as_deref(), Some(sub));
    }
    let mut word = String::new();
    push_word(&mut word, "Zhang San");
    assert_eq!(word, "Zhang␣San");
}

#[test]
fn other_texts_are_refused() {
    for bad in ["", " ", " a", "a ", "a\tb", "a\nb", "a\u{a0}b", "é", "a␣b", "a\x7f", &"x".repeat(256)] {
        assert!(!is_subject(bad), "{bad:?}");
    }
    for bad in ["", "␣a", "a␣", "é", "a b\n"] {
        assert_eq!(from_word(bad), None, "{bad:?}");
    }
}
