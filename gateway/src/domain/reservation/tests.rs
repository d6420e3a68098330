//! Unit tests of `reservation.rs`.

use super::*;

const ROW: &str =
    "key-AAAAAAAA fingerprint air cover,care - store:gz-0001 17 2 held 1700000000000 905000 - 4,9";

#[test]
fn a_record_reads_back_what_the_scripts_write() {
    let record = parse_record("aliceAAAAAAAAAAAAAAA", &format!("alice {ROW}")).unwrap();
    let r = &record[0];
    assert_eq!(r.id, "aliceAAAAAAAAAAAAAAAkey-AAAAAAAA");
    assert_eq!((r.number, r.version, r.state), (17, 2, State::Held));
    assert_eq!(r.items(), ["model:air", "package:cover", "package:care"]);
    assert_eq!(r.unavailable, ["store:gz-0001"]);
    assert_eq!(r.changes, [4, 9]);
    assert_eq!((&r.store, &r.payment), (&None, &None));
}

#[test]
fn a_line_of_the_journal_is_written_as_it_is_read() {
    let bare = ROW.replace("cover,care - store:gz-0001", "- gz-0001 -").replace(" - 4,9", " pay-1 4");
    for row in [ROW, &bare] {
        let line = format!("aliceAAAAAAAAAAAAAAA alice {row}");
        let mut written = String::new();
        Reservation::from_journal(&line).unwrap().write_line(&mut written);
        assert_eq!(written, line);
    }
}

#[test]
fn a_buyer_with_blanks_is_written_as_one_word() {
    let line = format!("aliceAAAAAAAAAAAAAAA CN=Zhang␣San,␣OU=R {ROW}");
    let r = Reservation::from_journal(&line).unwrap();
    assert_eq!(&*r.buyer, "CN=Zhang San, OU=R");
    let mut written = String::new();
    r.write_line(&mut written);
    assert_eq!(written, line);
    let record = parse_record("b", &format!("CN=Zhang␣San {ROW}\n{ROW}")).unwrap();
    assert!(record.len() == 2 && record.iter().all(|r| &*r.buyer == "CN=Zhang San"));
    for bad in ["é", "a␣", "\t"] {
        assert_eq!(parse_record("b", &format!("{bad} {ROW}")), None);
        assert_eq!(Reservation::from_journal(&format!("b {bad} {ROW}")), None);
    }
}

#[test]
fn a_hold_is_expired_once_deadline_and_grace_are_over() {
    let r = Reservation::from_row("b", "alice", ROW).unwrap();
    assert_eq!(r.state_at(905_000 + 59_999, 60_000), State::Held);
    assert_eq!(r.state_at(905_000 + 60_000, 60_000), State::Expired);
    let paid = Reservation { state: State::Confirmed, ..r };
    assert_eq!(paid.state_at(i64::MAX / 2, 0), State::Confirmed);
}

#[test]
fn paid_reservations_are_found() {
    let confirmed = ROW.replace(" held ", " confirmed ").replace(" - 4,9", " pay-1 4,9");
    let refunded = confirmed.replace(" confirmed ", " cancelled ");
    let text = format!("alice {ROW}\n{confirmed}\nrubbish\n{refunded} too much\n{refunded}");
    let states: Vec<State> = paid("b", &text).map(|r| r.state).collect();
    assert_eq!(states, [State::Confirmed, State::Cancelled]);
    assert_eq!(paid("b", "").count() + paid("b", "alice").count(), 0);
}

#[test]
fn damaged_text_is_refused() {
    for cut in 0..ROW.split(' ').count() {
        let short: Vec<_> = ROW.split(' ').take(cut).collect();
        assert_eq!(Reservation::from_row("b", "alice", &short.join(" ")), None);
    }
    assert_eq!(Reservation::from_row("b", "alice", &ROW.replace("held", "gone")), None);
    assert_eq!(Reservation::from_row("b", "alice", &format!("{ROW} x")), None);
    assert_eq!(parse_record("b", "alice"), None);
}
