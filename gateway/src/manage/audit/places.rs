//! The audit of standby queues: the journal's places against the rows and the queue, and every grant against the order.

use std::collections::{BTreeMap, HashMap, HashSet};

use redis::aio::ConnectionLike;

use crate::domain::identity::{BUYER_CHARS, buyer_part};
use crate::domain::standby::PlaceChange;
use crate::domain::subject::from_word;
use crate::manage::audit::Problems;
use crate::manage::audit::rows::{self, Buyer, buyer};
use crate::store::journal::Entry;
use crate::store::keys::Keys;
use crate::store::reply::list_of_texts;
use crate::store::scripts::Failure;

/// Members in one read of the queue.
const MEMBERS: usize = 1_000;

/// A place as its row has it (see `lua/places.lua`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct PlaceRow {
    sub: String,
    state: &'static str,
    choice: String,
    number: u64,
    sequence: u64,
    key: String,
}

impl PlaceRow {
    fn model(&self) -> &str {
        self.choice.split('/').next().unwrap_or_default()
    }

    fn text(&self) -> String {
        let Self { sub, state, choice, number, sequence, key } = self;
        format!("{sub} {state} {choice} {number} {sequence} {key}")
    }

    fn member(&self, buyer: &Buyer) -> Option<String> {
        let buyer = String::from_utf8_lossy(buyer);
        (self.state == "waiting").then(|| format!("{} {:015} {buyer}", self.model(), self.number))
    }
}

/// The places of the replayed journal at one sequence.
#[derive(Default)]
pub(super) struct ReplayedPlaces {
    rows: HashMap<Buyer, PlaceRow>,
    /// Who waits, by model and in order.
    queues: HashMap<String, BTreeMap<u64, Buyer>>,
    /// How many wait.
    pub(super) waiting: u64,
    /// The last number of a place.
    pub(super) last: u64,
}

fn buyer_of(sale: &str, change: &PlaceChange) -> Option<Buyer> {
    buyer(&buyer_part(sale, &from_word(&change.sub)?))
}

/// The buyers whose places an entry changed.
fn changed_in(sale: &str, entry: &Entry) -> Vec<Buyer> {
    let places = entry.places().unwrap_or_default();
    let granted = entry.buyers().filter(|_| entry.kind == "grant");
    places
        .iter()
        .filter_map(|change| buyer_of(sale, change))
        .chain(granted.chain(entry.skipped().map(|(part, _)| part)).filter_map(buyer))
        .collect()
}

impl ReplayedPlaces {
    /// Applies an entry. After a loss numbers and places may be missing.
    pub(super) fn apply(&mut self, entry: &Entry, has_lost: bool, keys: &Keys, problems: &mut Problems) {
        let (key, sequence) = (keys.journal(), entry.sequence);
        let may_jump = has_lost || entry.field("gap").is_some();
        let Some(changes) = entry.places() else {
            return problems.add(format!("{key} has a place in {sequence}-0 that can't be read"));
        };
        for change in changes {
            let Some(id) = buyer_of(keys.sale(), &change) else { continue };
            let before = self.rows.get(&id).map_or(0, |row| row.number);
            let did_wait = self.stop_waiting(&id, "left", sequence);
            let Some((number, choice)) = change.after else {
                if !did_wait && !may_jump {
                    let part = String::from_utf8_lossy(&id);
                    problems.add(format!("buyer {part} left in {sequence}-0 of {key} and did not wait"));
                }
                continue;
            };
            let is_taken = self.queues.get(&choice.model).is_some_and(|queue| queue.contains_key(&number));
            let fits = number == self.last + 1 || number == before || (may_jump && !is_taken);
            if !fits {
                let part = String::from_utf8_lossy(&id);
                problems.add(format!(
                    "the place of buyer {part} has number {number} in {sequence}-0, and had {before}"
                ));
            }
            self.last = self.last.max(number);
            let row = PlaceRow {
                sub: change.sub,
                state: "waiting",
                choice: choice.to_string(),
                number,
                sequence,
                key: "-".to_owned(),
            };
            self.queues.entry(choice.model).or_default().insert(number, id);
            self.rows.insert(id, row);
            self.waiting += 1;
        }
        if entry.kind == "grant" {
            self.grant(entry, may_jump, key, problems);
        }
        self.check_order(entry, may_jump, key, problems);
    }

    /// Ends the places that an entry grants or skips: they must be the first of their queues.
    fn grant(&mut self, entry: &Entry, may_jump: bool, key: &str, problems: &mut Problems) {
        let sequence = entry.sequence;
        let granted = entry.reservations().unwrap_or_default();
        let granted = granted.iter().filter_map(|r| Some((buyer(&r.id)?, r.id.get(BUYER_CHARS..)?)));
        let skipped = entry.skipped().filter_map(|(part, _)| Some((buyer(part)?, "-")));
        let ended: Vec<(Buyer, &str)> = granted.chain(skipped).collect();
        let mut first: HashSet<Buyer> = HashSet::new();
        let mut models: HashMap<&str, usize> = HashMap::new();
        for (id, _) in &ended {
            if let Some(row) = self.rows.get(id) {
                *models.entry(row.model()).or_default() += 1;
            }
        }
        for (model, count) in models {
            first.extend(self.queues.get(model).into_iter().flat_map(BTreeMap::values).take(count));
        }
        for (id, grant_key) in ended {
            if !first.contains(&id) && !may_jump {
                let part = String::from_utf8_lossy(&id);
                problems.add(format!("buyer {part} was not the first of the queue in {sequence}-0 of {key}"));
            }
            let state = if grant_key == "-" { "skipped" } else { "granted" };
            if self.stop_waiting(&id, state, sequence)
                && let Some(row) = self.rows.get_mut(&id)
            {
                grant_key.clone_into(&mut row.key);
            }
        }
    }

    /// Nothing of a model is free, and nobody wins it, while buyers wait for it.
    fn check_order(&self, entry: &Entry, may_jump: bool, key: &str, problems: &mut Problems) {
        if self.waiting == 0 || may_jump {
            return;
        }
        let is_awaited = |model: &str| self.queues.get(model).is_some_and(|queue| !queue.is_empty());
        let sequence = entry.sequence;
        for (item, free) in entry.stock() {
            if free > 0 && item.strip_prefix("model:").is_some_and(is_awaited) {
                problems.add(format!("{item} is free in {sequence}-0 of {key} while buyers wait for it"));
            }
        }
        if entry.kind == "reserve" {
            let winners = entry.reservations().unwrap_or_default();
            let passed = winners.iter().filter(|r| is_awaited(&r.model));
            passed.for_each(|r| {
                problems.add(format!("reservation {} passed those who wait for model:{}", r.id, r.model))
            });
        }
    }

    /// Takes a buyer out of the queue; `false`: the buyer did not wait.
    fn stop_waiting(&mut self, id: &Buyer, state: &'static str, sequence: u64) -> bool {
        let Some(row) = self.rows.get_mut(id).filter(|row| row.state == "waiting") else { return false };
        if let Some(queue) = self.queues.get_mut(row.model()) {
            queue.remove(&row.number);
        }
        (row.state, row.sequence) = (state, sequence);
        self.waiting -= 1;
        true
    }

    /// Compares rows and queue with the replayed journal.
    pub(super) async fn compare(
        self,
        conn: &mut impl ConnectionLike,
        keys: &Keys,
        sequence: u64,
        problems: &mut Problems,
    ) -> Result<(), Failure> {
        let is_as = |expected: &PlaceRow, row: &str| expected.text() == row;
        let mut differing = rows::differing(conn, keys.standby(), &self.rows, is_as, problems).await?;
        let queued: HashSet<String> = self.rows.iter().filter_map(|(id, row)| row.member(id)).collect();
        let found: HashSet<String> = queue_pages(conn, keys).await?.into_iter().flatten().collect();
        for member in queued.symmetric_difference(&found) {
            let id = member.rsplit(' ').next().and_then(buyer);
            let how = if found.contains(member) {
                "is in the queue and does not wait"
            } else {
                "waits and is not in the queue"
            };
            match id {
                Some(id) => drop(differing.entry(id).or_insert(how)),
                None => problems.add(format!("{} has a member {member} that is not a buyer's", keys.queue())),
            }
        }
        rows::forget_changed(conn, keys, sequence, &mut differing, |entry| changed_in(keys.sale(), entry))
            .await?;
        rows::report("place", differing, problems);
        Ok(())
    }
}

/// The members of the queue, in pages.
pub(crate) async fn queue_pages(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
) -> Result<Vec<Vec<String>>, Failure> {
    let mut pages: Vec<Vec<String>> = Vec::new();
    loop {
        let from =
            pages.last().and_then(|page| page.last()).map_or("-".to_owned(), |last| format!("({last}"));
        let mut command = redis::cmd("ZRANGEBYLEX");
        command.arg(keys.queue()).arg(from).arg("+").arg("LIMIT").arg(0).arg(MEMBERS);
        let page = list_of_texts("ZRANGEBYLEX", &command.query_async(conn).await?)?;
        if page.is_empty() {
            return Ok(pages);
        }
        pages.push(page);
    }
}
