//! Unit tests of `signup.rs`.

use super::*;

#[test]
fn choices_are_read_as_they_were_written() {
    for word in ["a//", "a/p/", "a/p,q/s", "a//s;b/p/;c//"] {
        let choices = choices_from_word(word).expect(word);
        assert_eq!(choices_to_word(&choices), word);
    }
    for word in ["", "a", "a/", "/p/", "a/p,/", "a//;", "a//;b//;c//;d//", "a b//", "a/-/", "a///"] {
        assert_eq!(choices_from_word(word), None, "{word}");
    }
}

#[test]
fn the_page_shows_a_count_for_ten_seconds() {
    let mut count = SignUpCount::of(5);
    assert_eq!(count.shown(1_000), 5);
    count.note(6, 21_000);
    count.note(7, 29_999);
    assert_eq!([count.now, count.shown(29_999), count.shown(30_000)], [7, 5, 7]);
    count.note(8, 30_000);
    assert_eq!([count.shown(30_000), count.shown(39_999), count.shown(40_000)], [7, 7, 8]);
}

#[test]
fn a_line_of_the_journal_names_its_number_or_counts_on() {
    let new = || Some((7, 1_000));
    let made = SignUpChange::from_line("ada a//", new).expect("it is new");
    let buyer = buyer_part("small", "ada");
    assert_eq!(made.to_line("small"), Some(format!("{buyer} ada a// 7 1000")));
    assert_eq!(SignUpChange::from_line("ada a// 7 1000", || None), Some(made));
    let gone = SignUpChange::from_line("ada -", || None).expect("it is a withdrawal");
    assert_eq!((gone.to_line("small"), &gone.after), (Some(format!("{buyer} ada -")), &None));
    for line in ["", "ada", "ada a// 7", "ada a// x 1", "ada a// 0 1", "ada a// 7 1 2", "Zoë a//"] {
        assert_eq!(SignUpChange::from_line(line, new), None, "{line}");
    }
}
