//! The audit of records: each buyer's reservations against the replayed journal.

use std::collections::{HashMap, HashSet};

use redis::aio::ConnectionLike;

use crate::domain::reservation::parse_record;
use crate::manage::audit::rows::forget_changed;
use crate::manage::audit::{Problems, ReplayedJournal, digest, id_bytes};
use crate::projection::consumer::scan;
use crate::store::journal::Entry;
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

/// Compares the records with the replayed journal.
pub(super) async fn compare(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    sequence: u64,
    journal: &ReplayedJournal,
    problems: &mut Problems,
) -> Result<(), Failure> {
    let mut differing: HashMap<[u8; 32], String> = HashMap::new();
    let mut seen: HashSet<[u8; 32]> = HashSet::with_capacity(journal.reservations.len());
    let mut cursor = 0;
    loop {
        let (next, records) = scan(conn, keys.records(), cursor).await?;
        for (buyer, record) in records {
            let Some(record) = parse_record(&buyer, &record) else {
                problems.add(format!("{} has no reservations in field {}", keys.records(), buyer));
                continue;
            };
            for r in record {
                let Some(id) = id_bytes(&r) else { continue };
                seen.insert(id);
                let how = match journal.reservations.get(&id) {
                    Some(kept) if kept.digest == digest(&r) => continue,
                    Some(_) => "differs between records and journal",
                    None => "is in the records and not in the journal",
                };
                differing.insert(id, format!("reservation {} {how}", r.id));
            }
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    for id in journal.reservations.keys().filter(|id| !seen.contains(*id)) {
        let name = String::from_utf8_lossy(id);
        differing.insert(*id, format!("reservation {name} is in the journal and not in the records"));
    }
    // For reservations that changed during the read only the journal counts.
    let changed =
        |entry: &Entry| entry.reservations().unwrap_or_default().iter().filter_map(id_bytes).collect();
    forget_changed(conn, keys, sequence, &mut differing, changed).await?;
    let mut differing: Vec<String> = differing.into_values().collect();
    differing.sort();
    differing.into_iter().for_each(|problem| problems.add(problem));
    Ok(())
}
