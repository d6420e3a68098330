//! A reservation as the ledger keeps it, its states, and the text that the records and the journal hold.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::identity::BUYER_CHARS;
use crate::domain::subject::{from_word, push_word};

/// `held` → `confirmed` | `cancelled` | `expired`; `confirmed` → `cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not yet paid; it has a deadline.
    Held,
    /// Paid.
    Confirmed,
    /// Ended by its buyer or a service.
    Cancelled,
    /// Ended by its deadline.
    Expired,
}

impl State {
    /// The word that the ledger and the API use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Held, Self::Confirmed, Self::Cancelled, Self::Expired].into_iter().find(|s| s.word() == word)
    }

    /// Whether stock is taken for it.
    #[must_use]
    pub fn takes_stock(self) -> bool {
        matches!(self, Self::Held | Self::Confirmed)
    }
}

/// One buyer's claim on one model, any packages, one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// See [`super::identity::reservation_id`].
    pub id: String,
    /// The `sub` of the buyer's token.
    pub buyer: Arc<str>,
    /// Counts the sale's reservations from 1.
    pub number: u64,
    /// From 1; goes up with every change of what is reserved.
    pub version: u64,
    /// As the ledger has it: a hold past its deadline and grace may still say `held`.
    pub state: State,
    /// The model's id.
    pub model: String,
    /// The packages' ids, in the order asked for.
    pub packages: Vec<String>,
    /// `None`: still to be chosen.
    pub store: Option<String>,
    /// Items that were asked for, gone, and left off.
    pub unavailable: Vec<String>,
    /// Of the request that made it.
    pub fingerprint: String,
    /// Redis's `TIME` when it was taken, in ms.
    pub held_at: i64,
    /// On the sale clock, in ms.
    pub deadline: i64,
    /// The reference that it was paid with.
    pub payment: Option<String>,
    /// The sequence of its latest change, after that of the change before it, if there was one.
    pub changes: Vec<u64>,
}

impl Reservation {
    /// Reads a row of a buyer's record; `None` if it is damaged. `buyer_part` is the hash's field.
    #[must_use]
    pub fn from_row(buyer_part: &str, buyer: &str, row: &str) -> Option<Self> {
        // Nothing that the scripts write has anything else in it, and answers tell it as it is.
        if !row.bytes().fold(true, |all, byte| all & (byte.is_ascii_graphic() | (byte == b' '))) {
            return None;
        }
        let mut fields = row.split(' ');
        let mut next = || fields.next();
        let key = next()?;
        let fingerprint = next()?.to_owned();
        let reservation = Self {
            id: format!("{buyer_part}{key}"),
            buyer: buyer.into(),
            fingerprint,
            model: next()?.to_owned(),
            packages: list(next()?),
            store: optional(next()?),
            unavailable: list(next()?),
            number: next()?.parse().ok()?,
            version: next()?.parse().ok()?,
            state: State::parse(next()?)?,
            held_at: next()?.parse().ok()?,
            deadline: next()?.parse().ok()?,
            payment: optional(next()?),
            changes: next()?.split(',').map(|n| n.parse().ok()).collect::<Option<_>>()?,
        };
        fields.next().is_none().then_some(reservation)
    }

    /// Reads a line of a journal entry, `buyer sub row`; `None` if it is damaged.
    #[must_use]
    pub fn from_journal(line: &str) -> Option<Self> {
        let (buyer_part, rest) = line.split_once(' ')?;
        let (word, row) = rest.split_once(' ')?;
        Self::from_row(buyer_part, &from_word(word)?, row)
    }

    /// Writes it as [`Reservation::from_journal`] reads it. Done for every winner: nothing is allocated but the text.
    pub fn write_line(&self, out: &mut String) {
        let mut digits = itoa::Buffer::new();
        let (buyer, key) = self.id.split_at_checked(BUYER_CHARS).unwrap_or((&self.id, ""));
        out.push_str(buyer);
        out.push(' ');
        push_word(out, &self.buyer);
        out.push(' ');
        for word in [key, &self.fingerprint, &self.model] {
            out.push_str(word);
            out.push(' ');
        }
        push_list(out, &self.packages);
        out.push_str(self.store.as_deref().unwrap_or("-"));
        out.push(' ');
        push_list(out, &self.unavailable);
        for number in [self.number, self.version] {
            out.push_str(digits.format(number));
            out.push(' ');
        }
        out.push_str(self.state.word());
        for number in [self.held_at, self.deadline] {
            out.push(' ');
            out.push_str(digits.format(number));
        }
        out.push(' ');
        out.push_str(self.payment.as_deref().unwrap_or("-"));
        for (n, change) in self.changes.iter().enumerate() {
            out.push(if n == 0 { ' ' } else { ',' });
            out.push_str(digits.format(*change));
        }
    }

    /// The items that it takes: `model:…`, `package:…`, `store:…`.
    #[must_use]
    pub fn items(&self) -> Vec<String> {
        let mut items = vec![format!("model:{}", self.model)];
        items.extend(self.packages.iter().map(|p| format!("package:{p}")));
        items.extend(self.store.iter().map(|s| format!("store:{s}")));
        items
    }

    /// The state that every call shows: past deadline and grace a hold is expired, swept or not.
    #[must_use]
    pub fn state_at(&self, sale_clock: i64, grace_ms: i64) -> State {
        if self.state == State::Held && sale_clock >= self.deadline.saturating_add(grace_ms) {
            State::Expired
        } else {
            self.state
        }
    }
}

/// Reads a buyer's whole record, `sub row` and a line for each further row; `None` if it is damaged.
#[must_use]
pub fn parse_record(buyer_part: &str, text: &str) -> Option<Vec<Reservation>> {
    let (word, rows) = text.split_once(' ')?;
    let buyer = from_word(word)?;
    rows.split('\n').map(|row| Reservation::from_row(buyer_part, &buyer, row)).collect()
}

/// The reservations of a buyer's record that were ever paid. Most were not, and are not looked at any closer; what is
/// damaged is left out.
pub fn paid<'a>(buyer_part: &'a str, text: &'a str) -> impl Iterator<Item = Reservation> + 'a {
    /// Where a row has its payment.
    const PAYMENT: usize = 11;
    let (word, rows) = text.split_once(' ').unwrap_or_default();
    let buyer = from_word(word).unwrap_or_default();
    let is_paid = |row: &&str| row.split(' ').nth(PAYMENT).is_some_and(|payment| payment != "-");
    rows.split('\n').filter(is_paid).filter_map(move |row| Reservation::from_row(buyer_part, &buyer, row))
}

/// Joined by commas, `-` for nothing, and a blank.
fn push_list(out: &mut String, list: &[String]) {
    for (n, word) in list.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(word);
    }
    out.push_str(if list.is_empty() { "- " } else { " " });
}

fn list(text: &str) -> Vec<String> {
    if text == "-" { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}

fn optional(text: &str) -> Option<String> {
    (text != "-").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
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
    fn what_was_paid_is_found_among_the_rest() {
        let confirmed = ROW.replace(" held ", " confirmed ").replace(" - 4,9", " pay-1 4,9");
        let refunded = confirmed.replace(" confirmed ", " cancelled ");
        let text = format!("alice {ROW}\n{confirmed}\nrubbish\n{refunded} too much\n{refunded}");
        let states: Vec<State> = paid("b", &text).map(|r| r.state).collect();
        assert_eq!(states, [State::Confirmed, State::Cancelled]);
        assert_eq!(paid("b", "").count() + paid("b", "alice").count(), 0);
    }

    #[test]
    fn damaged_text_is_noticed() {
        for cut in 0..ROW.split(' ').count() {
            let short: Vec<_> = ROW.split(' ').take(cut).collect();
            assert_eq!(Reservation::from_row("b", "alice", &short.join(" ")), None);
        }
        assert_eq!(Reservation::from_row("b", "alice", &ROW.replace("held", "gone")), None);
        assert_eq!(Reservation::from_row("b", "alice", &format!("{ROW} x")), None);
        assert_eq!(parse_record("b", "alice"), None);
    }
}
