//! The audit of sign-ups: the journal's against the rows.

use std::collections::HashMap;

use redis::aio::ConnectionLike;

use crate::domain::identity::buyer_part;
use crate::domain::signup::SignUpChange;
use crate::domain::subject::from_word;
use crate::manage::audit::Problems;
use crate::manage::audit::rows::{self, Buyer, buyer};
use crate::store::journal::Entry;
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

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
                (0, number) => number == self.last + 1 || may_jump,
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
        let is_as = |expected: &(u64, u64), row: &str| {
            let numbers = row.split_once(' ').and_then(|(n, at)| Some((n.parse().ok()?, at.parse().ok()?)));
            numbers == Some(*expected)
        };
        let mut differing = rows::differing(conn, keys.signups(), &self.rows, is_as, problems).await?;
        let changed = |entry: &Entry| {
            let changes = entry.sign_ups().unwrap_or_default();
            changes.iter().filter_map(|change| buyer_of(keys.sale(), change)).collect()
        };
        rows::forget_changed(conn, keys, sequence, &mut differing, changed).await?;
        rows::report("sign-up", differing, problems);
        Ok(())
    }
}
