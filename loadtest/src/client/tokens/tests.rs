//! Unit tests of `tokens.rs`.

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

#[test]
fn minted_tokens_carry_their_buyer_and_can_be_read_back() {
    let tokens = mint(SECRET, 42, 4_000_000_000).unwrap();
    let buyers = [0, 1, 2].map(|account| tokens.of(account));
    let subs: Vec<_> = buyers.iter().map(|buyer| buyer.sub.as_str()).collect();
    assert_eq!(subs, ["buyer-42-0", "buyer-42-1", "buyer-42-2"]);
    for buyer in &buyers {
        let token = buyer.bearer.strip_prefix("Bearer ").unwrap();
        assert_eq!(payload(token).map(|payload| payload.sub).as_deref(), Some(buyer.sub.as_str()));
    }
    let service = tokens.service.unwrap();
    let payload = URL_SAFE_NO_PAD.decode(service.split('.').nth(1).unwrap()).unwrap();
    assert!(String::from_utf8(payload).unwrap().contains(r#""scope":"service""#));
}

#[test]
fn bad_tokens_look_like_good_ones() {
    let tokens = mint(SECRET, 42, 4_000_000_000).unwrap();
    let good = &tokens.of(0).bearer;
    let forged = Forger::forged(good, &mut Rng::with_seed(1));
    assert!(forged.len() == good.len() && forged != *good);
    let stale = tokens.forger.stale("buyer-42-0");
    assert_eq!(
        payload(stale.strip_prefix("Bearer ").unwrap()).map(|payload| payload.sub).as_deref(),
        Some("buyer-42-0")
    );
}

#[test]
fn a_short_secret_is_refused_and_not_shown() {
    let error = mint(b"hunter2", 1, 1).err().unwrap().to_string();
    assert!(!error.contains("hunter2"));
}

#[test]
fn one_line_end_is_not_part_of_the_secret() {
    for (file, secret) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), ("s ", "s ")] {
        assert_eq!(without_line_end(file.as_bytes()), secret.as_bytes());
    }
}

#[test]
fn a_token_file_is_read_and_its_faults_have_lines() {
    let minted = mint(SECRET, 7, 4_000_000_000).unwrap();
    let buyers = [0, 1].map(|account| minted.of(account));
    let lines: Vec<_> = buyers.iter().map(|b| b.bearer.strip_prefix("Bearer ").unwrap()).collect();
    assert_eq!(from_lines(&lines.join("\n\n")).unwrap().len(), 2);
    let twice = format!("{}\n{}\n", lines[0], lines[0]);
    assert!(from_lines(&twice).err().unwrap().to_string().contains("line 2"));
    assert!(from_lines("rubbish").err().unwrap().to_string().contains("line 1"));
    assert!(from_lines("\n").is_err());
}

#[test]
fn the_operators_token_is_found_by_name_or_first() {
    let text = "# who may\nwall t-wall watch\nann t-ann\nbob   t-bob \n";
    assert_eq!(ops_token(text, None), Some("t-ann"));
    assert_eq!(ops_token(text, Some("bob")), Some("t-bob"));
    assert_eq!(ops_token(text, Some("wall")), Some("t-wall"));
    assert_eq!(ops_token(text, Some("eve")), None);
}
