//! The audit of sign-ups: the journal's against the rows.

use std::collections::{HashMap, HashSet};

use redis::aio::ConnectionLike;

use crate::domain::identity::{BUYER_CHARS, buyer_part};
use crate::domain::signup::SignUpChange;
use crate::domain::subject::from_word;
use crate::manage::audit::{ENTRIES, Problems};
use crate::projection::consumer::scan;
use crate::store::journal::{self, Entry};
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

type Buyer = [u8; BUYER_CHARS];

/// The sign-ups of the replayed journal at one sequence.
#[derive(Default)]
pub(super) struct ReplayedSignUps {
    /// The row of each buyer: number, or 0 once it is withdrawn, and the sequence of the latest change.
    rows: HashMap<Buyer, (u64, u64)>,
    /// How many are signed up.
    pub(super) signed_up: u64,
    /// The last number.
    pub(super) last: u64,
}

fn buyer(part: &str) -> Option<Buyer> {
    part.as_bytes().try_into().ok()
}

fn buyer_of(sale: &str, change: &SignUpChange) -> Option<Buyer> {
    buyer(&buyer_part(sale, &from_word(&change.sub)?))
}

impl ReplayedSignUps {
    /// Applies an entry. After a loss numbers may be missing.
    pub(super) fn apply(&mut self, entry: &Entry, may_jump: bool, keys: &Keys, problems: &mut Problems) {
        let (key, sequence) = (keys.journal(), entry.sequence);
        let Some(changes) = entry.sign_ups() else {
            return problems.add(format!("{key} has a sign-up in {sequence}-0 that can't be read"));
        };
        if changes.is_empty() {
            return;
        }
        let may_jump = may_jump || entry.field("gap").is_some();
        for change in changes {
            let Some(id) = buyer_of(keys.sale(), &change) else { continue };
            let before = self.rows.get(&id).map_or(0, |(number, _)| *number);
            let number = change.after.map_or(0, |sign_up| sign_up.number);
            let is_new = number > 0 && before == 0;
            let fits = match (before, number) {
                (0, 0) => false,
                (0, number) => number == self.last + 1 || (may_jump && number > self.last),
                (before, number) => number == 0 || number == before,
            };
            if !fits {
                let part = String::from_utf8_lossy(&id);
                problems.add(format!(
                    "the sign-up of buyer {part} has number {number} in {sequence}-0, and had {before}"
                ));
            }
            self.last = self.last.max(number);
            self.signed_up =
                (self.signed_up + u64::from(is_new)).saturating_sub(u64::from(number == 0 && before > 0));
            self.rows.insert(id, (number, sequence));
        }
        if entry.signed_up() != Some(self.signed_up) {
            problems.add(format!("{key} counts other sign-ups in {sequence}-0 than {}", self.signed_up));
        }
    }

    /// Compares the rows with the replayed journal.
    pub(super) async fn compare(
        self,
        conn: &mut impl ConnectionLike,
        keys: &Keys,
        sequence: u64,
        problems: &mut Problems,
    ) -> Result<(), Failure> {
        let mut differing: HashMap<Buyer, &str> = HashMap::new();
        let mut seen = HashSet::with_capacity(self.rows.len());
        let mut cursor = 0;
        loop {
            let (next, rows) = scan(conn, keys.signups(), cursor).await?;
            for (part, row) in rows {
                let Some(id) = buyer(&part) else {
                    problems.add(format!("{} has a field {part} that is not a buyer's", keys.signups()));
                    continue;
                };
                let numbers =
                    row.split_once(' ').and_then(|(n, at)| Some((n.parse().ok()?, at.parse().ok()?)));
                seen.insert(id);
                match self.rows.get(&id) {
                    Some(expected) if numbers == Some(*expected) => {}
                    Some(_) => drop(differing.insert(id, "differs between rows and journal")),
                    None => drop(differing.insert(id, "is in the rows and not in the journal")),
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let unseen = self.rows.into_keys().filter(|id| !seen.contains(id));
        differing.extend(unseen.map(|id| (id, "is in the journal and not in the rows")));
        // What changed during the read is judged by the journal alone.
        let mut at = sequence;
        while !differing.is_empty() {
            let values = journal::after(conn, keys, at, ENTRIES).await?;
            for entry in values.iter().filter_map(Entry::parse) {
                at = entry.sequence;
                for change in entry.sign_ups().unwrap_or_default() {
                    buyer_of(keys.sale(), &change).map(|id| differing.remove(&id));
                }
            }
            if values.len() < ENTRIES {
                break;
            }
        }
        let mut texts: Vec<String> = differing
            .into_iter()
            .map(|(id, how)| format!("the sign-up of buyer {} {how}", String::from_utf8_lossy(&id)))
            .collect();
        texts.sort();
        texts.into_iter().for_each(|text| problems.add(text));
        Ok(())
    }
}
