//! Rows of buyers against the replayed journal: what sign-ups and places have in common.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use redis::aio::ConnectionLike;

use crate::domain::identity::BUYER_CHARS;
use crate::manage::audit::{ENTRIES, Problems};
use crate::projection::consumer::scan;
use crate::store::journal::{self, Entry};
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

/// The buyer's part of an id.
pub(super) type Buyer = [u8; BUYER_CHARS];

/// That of a text that begins with one.
pub(super) fn buyer(text: &str) -> Option<Buyer> {
    text.as_bytes().get(..BUYER_CHARS)?.try_into().ok()
}

/// The buyers whose rows differ from the expected ones, and how.
pub(super) async fn differing<T>(
    conn: &mut impl ConnectionLike,
    key: &str,
    expected: &HashMap<Buyer, T>,
    is_as: impl Fn(&T, &str) -> bool,
    problems: &mut Problems,
) -> Result<HashMap<Buyer, &'static str>, Failure> {
    let mut differing = HashMap::new();
    let mut seen = HashSet::with_capacity(expected.len());
    let mut cursor = 0;
    loop {
        let (next, rows) = scan(conn, key, cursor).await?;
        for (part, row) in rows {
            let Some(id) = buyer(&part).filter(|_| part.len() == BUYER_CHARS) else {
                problems.add(format!("{key} has a field {part} that is not a buyer's"));
                continue;
            };
            seen.insert(id);
            match expected.get(&id) {
                Some(expected) if is_as(expected, &row) => {}
                Some(_) => drop(differing.insert(id, "differs between rows and journal")),
                None => drop(differing.insert(id, "is in the rows and not in the journal")),
            }
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let unseen = expected.keys().filter(|id| !seen.contains(*id));
    differing.extend(unseen.map(|id| (*id, "is in the journal and not in the rows")));
    Ok(differing)
}

/// Removes what was changed after a sequence: during the read it is judged by the journal alone.
pub(super) async fn forget_changed<K: Eq + Hash, V>(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    sequence: u64,
    differing: &mut HashMap<K, V>,
    changed: impl Fn(&Entry) -> Vec<K>,
) -> Result<(), Failure> {
    let mut at = sequence;
    while !differing.is_empty() {
        let values = journal::after(conn, keys, at, ENTRIES).await?;
        for entry in values.iter().filter_map(Entry::parse) {
            at = entry.sequence;
            changed(&entry).iter().for_each(|id| drop(differing.remove(id)));
        }
        if values.len() < ENTRIES {
            break;
        }
    }
    Ok(())
}

/// Reports what differs, in order: `the WHAT of buyer PART` and how.
pub(super) fn report(what: &str, differing: HashMap<Buyer, &str>, problems: &mut Problems) {
    let text =
        |(id, how): (Buyer, &str)| format!("the {what} of buyer {} {how}", String::from_utf8_lossy(&id));
    let mut texts: Vec<String> = differing.into_iter().map(text).collect();
    texts.sort();
    texts.into_iter().for_each(|text| problems.add(text));
}
