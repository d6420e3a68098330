//! The entrants of a draw, from the ledger: all who are signed up when sign-up is over, each with the latest choices.
//!
//! There may be ten million, and a gateway keeps eight bytes of each. Where more is needed of all for a while, it is made in
//! passes over the journal, each of which keeps one part of them.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use redis::aio::ConnectionLike;

use crate::domain::draw::merkle::{MerkleTree, leaf};
use crate::domain::draw::{Hash, Pseudonym, Ranking, Secret, Seed};
use crate::domain::hex;
use crate::domain::identity::buyer_part;
use crate::domain::subject::from_word;
use crate::manage::admin::Admin;
use crate::store::journal::{self, Entry};
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

/// Journal entries of one read: each may have some dozens of sign-ups.
const ENTRIES: usize = 64;
/// Fields of one read.
const FIELDS: usize = 1_000;
/// The most entrants of a pass: some 50 MB.
const PASS: u64 = 1_000_000;

/// An entrant, as a pass finds it.
pub(crate) struct Entrant<'e> {
    pub(crate) pseudonym: Pseudonym,
    /// As a word of the ledger.
    pub(crate) sub: &'e str,
    /// As a word of the ledger.
    pub(crate) choices: &'e str,
}

/// The entrants of a sale whose sign-up is over.
pub(crate) struct LedgerEntrants<'a> {
    pub(crate) admin: &'a Admin,
    pub(crate) sale: &'a str,
    pub(crate) secret: &'a Secret,
    /// How many there are: it sets the number of passes.
    pub(crate) count: u64,
}

/// Equal parts of all numbers, so many that each has the entrants of one pass: first and last of each.
fn parts(count: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    let parts = u128::from(count.div_ceil(PASS).max(1));
    let first = move |part: u128| (part << 64) / parts;
    (0..parts).map(move |part| {
        let [from, to] = [first(part), first(part + 1) - 1].map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        from..=to
    })
}

/// Fails unless these are the entrants that were fixed.
pub(crate) fn check_root(found: &MerkleTree, count: u64, root: &str) -> Result<(), Failure> {
    let found_root = hex::encode(&found.root());
    if found_root == root {
        return Ok(());
    }
    let found = found.leaves();
    Err(Failure::NotDone(format!(
        "the ledger has {found} entrants with the root {found_root}, and {count} with the root {root} were fixed: run `gateway audit`"
    )))
}

impl LedgerEntrants<'_> {
    /// Calls back for each, in no order.
    pub(crate) async fn each(&self, mut each: impl FnMut(Entrant<'_>)) -> Result<(), Failure> {
        let (keys, mut conn) = self.admin.open(self.sale).await?;
        let mut at = 0;
        loop {
            let values = journal::after(&mut conn, &keys, at, ENTRIES).await?;
            let mut entries = Vec::with_capacity(values.len());
            for value in &values {
                entries.push(Entry::parse(value).ok_or_else(|| journal::unreadable(&keys, value))?);
            }
            let Some(last) = entries.last() else { return Ok(()) };
            at = last.sequence;
            self.latest(&mut conn, &keys, &entries, &mut each).await?;
            // Behind it there are no more.
            if entries.iter().any(|entry| entry.kind == "entrants") {
                return Ok(());
            }
        }
    }

    /// Those sign-ups of these entries that no later entry has changed.
    async fn latest(
        &self,
        conn: &mut impl ConnectionLike,
        keys: &Keys,
        entries: &[Entry],
        each: &mut impl FnMut(Entrant<'_>),
    ) -> Result<(), Failure> {
        // By buyer's part of an id, with sub and choices. The last one of an entry counts, and a later entry.
        let mut found: HashMap<String, (u64, &str, &str)> = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.kind == "signup") {
            for line in entry.field("signups").unwrap_or_default().lines() {
                let mut words = line.split(' ');
                let (Some(word), Some(choices)) = (words.next(), words.next()) else { continue };
                let Some(sub) = from_word(word) else { continue };
                found.insert(buyer_part(self.sale, &sub), (entry.sequence, word, choices));
            }
        }
        let found: Vec<_> = found.into_iter().collect();
        for some in found.chunks(FIELDS) {
            let mut command = redis::cmd("HMGET");
            command.arg(keys.signups()).arg(some.iter().map(|(buyer, _)| buyer).collect::<Vec<_>>());
            let rows: Vec<Option<String>> = command.query_async(conn).await?;
            for ((_, (sequence, word, choices)), row) in some.iter().zip(rows) {
                // "number sequence"; number 0: withdrawn.
                let row = row.as_deref().and_then(|row| row.split_once(' '));
                let is_latest =
                    row.is_some_and(|(number, latest)| number != "0" && latest.parse() == Ok(*sequence));
                if let Some(sub) = from_word(word).filter(|_| is_latest) {
                    each(Entrant { pseudonym: self.secret.pseudonym(&sub), sub: word, choices });
                }
            }
        }
        Ok(())
    }

    /// The root of all, and how many there are.
    pub(crate) async fn root(&self) -> Result<(Hash, u64), Failure> {
        let mut tree = MerkleTree::default();
        self.by_pseudonym(|entrant| leaf(&entrant.pseudonym, entrant.choices), |_, leaf| tree.add(leaf))
            .await?;
        Ok((tree.root(), tree.leaves()))
    }

    /// Calls back for all in the order of their pseudonyms, with what `keep` has kept of each.
    pub(crate) async fn by_pseudonym<T>(
        &self,
        mut keep: impl FnMut(&Entrant<'_>) -> T,
        mut each: impl FnMut(Pseudonym, T),
    ) -> Result<(), Failure> {
        for part in parts(self.count) {
            let mut kept = Vec::new();
            self.each(|entrant| {
                if part.contains(&entrant.pseudonym.start()) {
                    kept.push((entrant.pseudonym, keep(&entrant)));
                }
            })
            .await?;
            kept.sort_unstable_by_key(|(pseudonym, _)| *pseudonym);
            kept.into_iter().for_each(|(pseudonym, kept)| each(pseudonym, kept));
        }
        Ok(())
    }

    /// The order of all, if they are those of this root.
    pub(crate) async fn ranking(&self, seed: Seed, root: &str) -> Result<Ranking, Failure> {
        let (mut tree, mut pseudonyms) = (MerkleTree::default(), Vec::new());
        let each = |pseudonym: Pseudonym, leaf| {
            tree.add(leaf);
            pseudonyms.push(pseudonym);
        };
        self.by_pseudonym(|entrant| leaf(&entrant.pseudonym, entrant.choices), each).await?;
        check_root(&tree, self.count, root)?;
        Ok(Ranking::new(seed, &pseudonyms))
    }

    /// Those of these ranks, as `lua/allocate.lua` takes them, in order.
    pub(crate) async fn of_ranks(
        &self,
        ranking: &Ranking,
        ranks: RangeInclusive<u64>,
    ) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        self.each(|Entrant { pseudonym, sub, choices }| {
            let rank = ranking.rank(&pseudonym).filter(|rank| ranks.contains(rank));
            if let (Some(rank), Some(name)) = (rank, from_word(sub)) {
                found.push((rank, format!("{} {sub} {choices}", buyer_part(self.sale, &name))));
            }
        })
        .await?;
        found.sort_unstable();
        if !found.iter().map(|(rank, _)| *rank).eq(ranks) {
            let why = "the entrants in the ledger are others than those that were ranked";
            return Err(Failure::NotDone(why.to_owned()));
        }
        Ok(found.into_iter().map(|(_, line)| line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_cover_all_numbers_once() {
        for (count, passes) in [(0, 1), (1, 1), (PASS, 1), (PASS + 1, 2), (10 * PASS, 10)] {
            let parts: Vec<_> = parts(count).collect();
            assert_eq!((parts.len(), *parts[0].start()), (passes, 0));
            assert!(parts.windows(2).all(|two| *two[0].end() + 1 == *two[1].start()));
            assert_eq!(parts.last().map(|part| *part.end()), Some(u64::MAX));
        }
    }
}
