//! The audit: checks that every item balances, and that records, counters and journal agree.
//!
//! Counters and sequence N are read in one step. The journal up to N is replayed and gives every reservation and
//! total at N; the records must match, except those that changed after N. So an audit of a live sale is exact.

mod draw;
mod places;
mod records;
mod report;
mod rows;
mod sign_ups;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use draw::ReplayedDraw;
use indexmap::IndexSet;
use places::ReplayedPlaces;
pub(crate) use places::queue_pages;
use redis::aio::ConnectionLike;
pub use report::{AuditReport, AuditVerdict, Counts, ItemReport};
use sign_ups::ReplayedSignUps;

use crate::domain::catalogue::ASIDE;
use crate::domain::reservation::{Reservation, State};
use crate::projection::snapshot::{self, Snapshot};
use crate::store::Pool;
use crate::store::journal::{self, Entry, Total};
use crate::store::keys::Keys;
use crate::store::scripts::{Failure, Refusal, Scripts};

/// Journal entries in one read.
const ENTRIES: usize = 500;
/// The most problems in a report; one more has the count of the others.
const PROBLEMS_MAX: usize = 100;

/// Audits a sale.
pub async fn audit(pool: &Pool, scripts: &Scripts, sale: &str) -> Result<AuditReport, Failure> {
    let mut conn = crate::store::checkout(pool, Keys::of(sale).state()).await?;
    audit_over(&mut conn, scripts, sale).await
}

/// Audits a sale over this connection.
pub(crate) async fn audit_over(
    conn: &mut impl ConnectionLike,
    scripts: &Scripts,
    sale: &str,
) -> Result<AuditReport, Failure> {
    let keys = Keys::of(sale);
    let snapshot = match snapshot::read(conn, scripts, &keys, false).await {
        Err(Failure::Refused(Refusal::Damaged(damage))) => return Ok(unreadable(sale, damage)),
        other => other?,
    };
    let mut problems = Problems::default();
    problems.list.extend(snapshot.damages.iter().cloned());

    let mut journal = ReplayedJournal::default();
    if !damaged(&snapshot, keys.journal()) {
        journal = read_journal(conn, &keys, snapshot.header.sequence, &mut problems).await?;
    }
    if !damaged(&snapshot, keys.records()) && !damaged(&snapshot, keys.journal()) {
        records::compare(conn, &keys, snapshot.header.sequence, &journal, &mut problems).await?;
    }
    let takes_sign_ups = snapshot.number("signup_closes") > 0 || snapshot.number("last_signup") > 0;
    let counted = snapshot.number("signed_up").unsigned_abs();
    let signed_up = journal.sign_ups.signed_up;
    if counted != signed_up && snapshot.damages.is_empty() {
        problems.add(format!("the state counts {counted} sign-ups, the journal {signed_up}"));
    }
    let (counted, last) = (snapshot.number("last_signup").unsigned_abs(), journal.sign_ups.last);
    if counted != last && snapshot.damages.is_empty() {
        problems.add(format!("the state has {counted} as the last number of a sign-up, the journal {last}"));
    }
    if takes_sign_ups && !damaged(&snapshot, keys.signups()) && !damaged(&snapshot, keys.journal()) {
        let sign_ups = std::mem::take(&mut journal.sign_ups);
        sign_ups.compare(conn, &keys, snapshot.header.sequence, &mut problems).await?;
    }
    let has_standby = snapshot.number("standby") == 1 || snapshot.number("last_place") > 0;
    let places = std::mem::take(&mut journal.places);
    let waiting = places.waiting;
    for (field, in_journal) in [("waiting", waiting), ("last_place", places.last)] {
        let counted = snapshot.number(field).unsigned_abs();
        if counted != in_journal && snapshot.damages.is_empty() {
            problems.add(format!("the state has {counted} in {field}, the journal {in_journal}"));
        }
    }
    if snapshot.damages.is_empty() {
        journal.draw.compare(&snapshot, &mut problems);
    }
    let is_damaged = |key| damaged(&snapshot, key);
    if has_standby && ![keys.standby(), keys.queue(), keys.journal()].into_iter().any(is_damaged) {
        places.compare(conn, &keys, snapshot.header.sequence, &mut problems).await?;
    }
    // Journal and records are read after the state: an unchanged incarnation at the end proves one
    // sale.
    if snapshot::look(conn, scripts, &keys).await?.0 != snapshot.incarnation() {
        return Err(Failure::NotDone("the sale was replaced by another of its name meanwhile".into()));
    }
    let (signed_up, waiting) = (takes_sign_ups.then_some(signed_up), has_standby.then_some(waiting));
    Ok(AuditReport { signed_up, waiting, ..compile_report(sale, &snapshot, &journal, problems) })
}

fn damaged(snapshot: &Snapshot, key: &str) -> bool {
    snapshot.damages.iter().any(|damage| damage.split(' ').next() == Some(key))
}

#[derive(Default)]
struct Problems {
    list: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, problem: String) {
        if self.list.len() < PROBLEMS_MAX { self.list.push(problem) } else { self.more += 1 }
    }
}

/// The replayed journal at one sequence. Compact, since a sale can have millions of reservations.
#[derive(Default)]
struct ReplayedJournal {
    reservations: HashMap<[u8; 32], ReservationSummary>,
    /// Distinct sets of items, which are few.
    bundles: IndexSet<Vec<String>>,
    /// Items by name; `None`: no limit.
    totals: HashMap<String, Option<i64>>,
    sign_ups: ReplayedSignUps,
    places: ReplayedPlaces,
    draw: ReplayedDraw,
    /// What is set aside, by counter.
    asides: HashMap<String, i64>,
}

#[derive(Clone, Copy)]
struct ReservationSummary {
    state: State,
    bundle: usize,
    /// A hash of all mutable fields, to compare with the record.
    digest: u64,
}

fn id_bytes(r: &Reservation) -> Option<[u8; 32]> {
    r.id.as_bytes().try_into().ok()
}

fn digest(r: &Reservation) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&r.buyer, r.number, r.version, r.state, &r.model, &r.packages, &r.store).hash(&mut hasher);
    (&r.unavailable, &r.fingerprint, r.held_at, r.deadline, &r.payment).hash(&mut hasher);
    hasher.finish()
}

/// Counts of the reservations so far.
#[derive(Default)]
struct Numbers {
    last: u64,
    may_jump: bool,
    /// Whether any entry before was lost.
    has_lost: bool,
}

/// Replays the journal up to `until`, and checks that it is complete.
async fn read_journal(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    until: u64,
    problems: &mut Problems,
) -> Result<ReplayedJournal, Failure> {
    let mut journal = ReplayedJournal::default();
    let (mut at, mut numbers, key) = (0, Numbers::default(), keys.journal());
    'reading: loop {
        let values = journal::after(conn, keys, at, ENTRIES).await?;
        for value in &values {
            let Some(entry) = Entry::parse(value) else {
                problems.add(format!("{key} has an entry after {at}-0 that can't be read"));
                break 'reading;
            };
            let sequence = entry.sequence;
            if sequence != at + 1 {
                problems.add(format!("{key} has no entries between {at}-0 and {sequence}-0"));
            }
            if sequence > until {
                break 'reading;
            }
            at = sequence;
            apply_entry(&mut journal, &entry, keys, &mut numbers, problems);
        }
        if values.len() < ENTRIES {
            break;
        }
    }
    if at < until {
        problems.add(format!("{key} ends at {at}-0, the state at {until}"));
    }
    Ok(journal)
}

fn apply_entry(
    journal: &mut ReplayedJournal,
    entry: &Entry,
    keys: &Keys,
    numbers: &mut Numbers,
    problems: &mut Problems,
) {
    let (key, sequence) = (keys.journal(), entry.sequence);
    // A lost entry can have had winners, none of them acknowledged; of a partly lost batch only
    // some were (see `recovery/missing.rs`).
    let is_in_part = match entry.kind.as_str() {
        "reserve" => entry.fields.contains_key("data"),
        "grant" => entry.field("gap").is_some(),
        _ => false,
    };
    numbers.may_jump |= entry.kind == "lost" || is_in_part;
    numbers.has_lost |= entry.kind == "lost" || entry.field("gap").is_some();
    for (item, aside) in entry.stock().filter(|(item, _)| item.starts_with(ASIDE)) {
        journal.asides.insert(item.to_owned(), aside);
    }
    journal.sign_ups.apply(entry, numbers.has_lost, keys, problems);
    journal.places.apply(entry, numbers.has_lost, keys, problems);
    journal.draw.apply(entry, journal.sign_ups.signed_up, numbers.has_lost, keys, problems);
    for (item, total) in entry.totals() {
        match total {
            Total::Of(n) => journal.totals.insert(item, Some(n)),
            Total::Unlimited => journal.totals.insert(item, None),
            Total::Removed => journal.totals.remove(&item),
            Total::Damaged => {
                problems.add(format!("{key} has a total of {item} in {sequence}-0 that can't be read"));
                None
            }
        };
    }
    let Some(reservations) = entry.reservations() else {
        return problems.add(format!("{key} has a reservation in {sequence}-0 that can't be read"));
    };
    for r in reservations {
        let Some(id) = id_bytes(&r) else { continue };
        let (bundle, _) = journal.bundles.insert_full(r.items());
        let kept = ReservationSummary { state: r.state, bundle, digest: digest(&r) };
        let before = journal.reservations.insert(id, kept);
        if matches!(entry.kind.as_str(), "reserve" | "grant") {
            let expected = numbers.last + 1;
            let fits = r.number == expected || (numbers.may_jump && r.number > expected);
            if !fits || before.is_some() {
                problems.add(format!(
                    "reservation {} has number {} in {sequence}-0, expected {expected}, and once",
                    r.id, r.number
                ));
            }
            *numbers = Numbers { last: r.number, may_jump: is_in_part, ..*numbers };
        } else if before.is_none() {
            problems.add(format!("reservation {} was changed in {sequence}-0 and never created", r.id));
        }
    }
}

/// Computes the equation of every item.
fn compile_report(
    sale: &str,
    snapshot: &Snapshot,
    journal: &ReplayedJournal,
    mut problems: Problems,
) -> AuditReport {
    let mut bundles = vec![(0_i64, 0_i64); journal.bundles.len()];
    let mut states = [0; 4];
    for kept in journal.reservations.values() {
        states[kept.state as usize] += 1;
        let (held, confirmed) = &mut bundles[kept.bundle];
        *held += i64::from(kept.state == State::Held);
        *confirmed += i64::from(kept.state == State::Confirmed);
    }
    let mut taken: HashMap<&str, (i64, i64)> = HashMap::new();
    for (items, (held, confirmed)) in journal.bundles.iter().zip(bundles) {
        for item in items {
            let sum = taken.entry(item).or_default();
            sum.0 += held;
            sum.1 += confirmed;
        }
    }

    let counters = snapshot.stock.keys().filter(|name| !name.starts_with(ASIDE));
    let mut names: Vec<&String> = journal.totals.keys().chain(counters).collect();
    names.sort_by_key(|name| (kind_order(name), *name));
    names.dedup();
    let number_of = |map: &HashMap<String, String>, name: &str| map.get(name)?.parse::<i64>().ok();
    let items = names.into_iter().map(|name| {
        let number = |map: &HashMap<String, String>| number_of(map, name);
        let total = journal.totals.get(name).copied().flatten();
        let counter = number(&snapshot.stock);
        let set_aside = name.strip_prefix("model:").map(|id| format!("{ASIDE}{id}"));
        let aside = set_aside.as_ref().and_then(|name| number_of(&snapshot.stock, name));
        let replayed = set_aside.as_ref().and_then(|name| journal.asides.get(name)).copied();
        if aside.unwrap_or(0) != replayed.unwrap_or(0) && snapshot.damages.is_empty() {
            problems.add(format!(
                "{} differs from the journal in what is set aside of {name}",
                Keys::of(sale).stock()
            ));
        }
        let (held, confirmed) = taken.get(name.as_str()).copied().unwrap_or_default();
        if counter.is_none() && snapshot.damages.is_empty() {
            problems.add(format!("{} has no number in {name}", Keys::of(sale).all()[1]));
        }
        if number(&snapshot.totals) != total && snapshot.damages.is_empty() {
            problems.add(format!("{} differs from the journal in {name}", Keys::of(sale).all()[5]));
        }
        if total.is_some() && counter.is_some_and(|free| free < 0) {
            problems.add(format!("{name} is oversold"));
        }
        ItemReport {
            item: name.clone(),
            total,
            free: total.and(counter),
            aside,
            held,
            confirmed,
            drift: counter.unwrap_or_default() + aside.unwrap_or_default() + held + confirmed
                - total.unwrap_or_default(),
        }
    });
    let items: Vec<ItemReport> = items.collect();
    let (counts, reservations) = (Counts::of(snapshot.counts()), Counts::of(states));
    if counts != reservations && snapshot.damages.is_empty() {
        problems.add(format!("the state counts {counts:?}, the journal {reservations:?}"));
    }
    if problems.more > 0 {
        problems.list.push(format!("and {} more", problems.more));
    }
    let balanced = problems.list.is_empty() && items.iter().all(|item| item.drift == 0);
    AuditReport {
        sale: sale.to_owned(),
        sequence: snapshot.header.sequence,
        verdict: if balanced { AuditVerdict::Balanced } else { AuditVerdict::Drift },
        items,
        reservations,
        signed_up: None,
        waiting: None,
        problems: problems.list,
    }
}

fn kind_order(item: &str) -> u8 {
    match item.split(':').next() {
        Some("model") => 0,
        Some("package") => 1,
        _ => 2,
    }
}

/// The report of a damaged state, which can't be balanced.
fn unreadable(sale: &str, damage: String) -> AuditReport {
    AuditReport {
        sale: sale.to_owned(),
        sequence: 0,
        verdict: AuditVerdict::Drift,
        items: Vec::new(),
        reservations: Counts::default(),
        signed_up: None,
        waiting: None,
        problems: vec![damage],
    }
}
