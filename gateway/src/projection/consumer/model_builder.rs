//! Builds a read model: reads a sale and applies its journal, entry by entry.

use std::collections::HashSet;
use std::sync::Arc;

use redis::Value;
use redis::aio::ConnectionLike;

use crate::domain::catalogue::ASIDE;
use crate::domain::identity::buyer_mark;
use crate::projection::consumer::ENTRIES_MAX;
use crate::projection::consumer::confirmed_count::{ConfirmedBootstrap, copy_confirmed_counts};
use crate::projection::consumer::position::Position;
use crate::projection::consumer::preparation::Preparation;
use crate::projection::read_model::{ReadModel, Sale, SignedUpBuyers, StandbyQueues, marks_of};
use crate::projection::snapshot;
use crate::store::journal::{self, Entry, Total};
use crate::store::keys::Keys;
use crate::store::reply;
use crate::store::scripts::{Failure, Refusal, Scripts};

/// Where a sale is read from.
pub(crate) struct JournalSource<'a, C> {
    pub(crate) conn: &'a mut C,
    pub(crate) scripts: &'a Scripts,
    pub(crate) keys: &'a Keys,
    /// The incarnation of the sale.
    pub(crate) incarnation: &'a str,
}

/// A read model while its journal is read.
pub(crate) struct ModelBuilder {
    pub(crate) read_model: ReadModel,
    /// The last entry that was read.
    pub(crate) position: Position,
    /// The entries as they were read.
    pub(crate) entries: Vec<Value>,
    /// Records that were read ahead of the journal.
    bootstrap: ConfirmedBootstrap,
    /// The read model of a definition that the journal has next.
    prepared: Option<Preparation>,
    /// Whether it may end at a definition that takes long to prepare.
    may_defer: bool,
}

/// Why entries were not applied to the end.
pub(crate) enum Stop {
    /// What is wrong with the next entry.
    Stuck(String),
    /// The next entry is a definition that is being prepared.
    Preparing(Preparation),
}

impl ModelBuilder {
    /// Continues from a position, with what was prepared for it.
    pub(crate) fn from(read_model: ReadModel, position: Position, prepared: Option<Preparation>) -> Self {
        let bootstrap = ConfirmedBootstrap::default();
        Self { read_model, position, entries: Vec::new(), bootstrap, prepared, may_defer: true }
    }

    /// Applies entries, and calls back with the read model after each; returns what ended it early.
    pub(crate) async fn apply_entries<C: ConnectionLike>(
        &mut self,
        journal: &mut JournalSource<'_, C>,
        entries: Vec<Value>,
        mut each: impl FnMut(&Entry, &ReadModel),
    ) -> Result<Option<Stop>, Failure> {
        let keys = journal.keys;
        for value in entries {
            let entry = Entry::parse(&value);
            let entry =
                entry.filter(|entry| self.bootstrap.apply_entry(&mut self.read_model, entry).is_some());
            let Some(entry) = entry else {
                let why = format!("{} has an entry that can't be read", keys.journal());
                return Ok(Some(Stop::Stuck(why)));
            };
            // A definition may be from a later sequence already: older state never overwrites
            // newer.
            if entry.sequence > self.read_model.sequence {
                if entry.kind == "define" {
                    let read = match self.prepare(journal, entry.sequence).await {
                        Ok(preparation) if self.may_defer && !preparation.is_finished() => {
                            return Ok(Some(Stop::Preparing(preparation)));
                        }
                        Ok(preparation) => preparation.finish().await,
                        Err(failure) => Err(failure),
                    };
                    match read {
                        Ok(mut read) => {
                            copy_confirmed_counts(&self.read_model, &mut read);
                            self.read_model = read;
                        }
                        Err(lost) if lost.ends_connection() => return Err(lost),
                        Err(lost @ Failure::Refused(Refusal::Incarnation { .. })) => return Err(lost),
                        Err(failure) => return Ok(Some(Stop::Stuck(failure.to_string()))),
                    }
                } else {
                    apply(&mut self.read_model, &entry);
                }
            }
            each(&entry, &self.read_model);
            self.position = Position::of(&entry);
            self.entries.push(value);
        }
        Ok(None)
    }

    /// The read model with a definition that was applied at this sequence.
    async fn prepare<C: ConnectionLike>(
        &mut self,
        journal: &mut JournalSource<'_, C>,
        sequence: u64,
    ) -> Result<Preparation, Failure> {
        let is_of_it = |prepared: &Preparation| {
            prepared.sequence >= sequence && prepared.incarnation == journal.incarnation
        };
        if let Some(prepared) = self.prepared.take().filter(is_of_it) {
            return Ok(prepared);
        }
        let snapshot = snapshot::read(journal.conn, journal.scripts, journal.keys, true).await?;
        let snapshot = snapshot.of_incarnation(journal.incarnation)?;
        Ok(Preparation::start(snapshot, journal.keys, Some(self.read_model.catalogue.clone())))
    }

    /// Reads on until the whole read model is at one sequence: past the definition and the records,
    /// which were read later.
    pub(crate) async fn catch_up<C: ConnectionLike>(
        &mut self,
        journal: &mut JournalSource<'_, C>,
        mut each: impl FnMut(&Entry, &ReadModel),
    ) -> Result<Option<Stop>, Failure> {
        while self.position.sequence < self.read_model.sequence.max(self.bootstrap.complete_from()) {
            let from = self.position.sequence;
            let entries = journal::after(journal.conn, journal.keys, from, ENTRIES_MAX).await?;
            if entries.is_empty() {
                return Ok(Some(Stop::Stuck(missing_entry(journal.keys, from + 1).to_string())));
            }
            if let Some(stop) = self.apply_entries(journal, entries, &mut each).await? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }
}

pub(crate) fn missing_entry(keys: &Keys, sequence: u64) -> Refusal {
    Refusal::Damaged(format!("{} has no entry {sequence}-0", keys.journal()))
}

/// Reads a sale whole. It stays at that sequence until a consumer follows it.
pub async fn load(conn: &mut impl ConnectionLike, scripts: &Scripts, id: &str) -> Result<Sale, Failure> {
    let keys = Keys::of(id);
    let preparation = Preparation::start(snapshot::read(conn, scripts, &keys, true).await?, &keys, None);
    let LoadedSale { incarnation, read_model, buyers, signed_up, standby } =
        load_sale(conn, scripts, &keys, preparation).await?;
    let sequence = read_model.sequence;
    let sale = Sale::new(id, &incarnation, read_model, buyers, signed_up, standby);
    sale.advance_known_sequence(sequence);
    sale.set_consumed_sequence(sequence);
    Ok(sale)
}

/// A sale at one sequence.
pub(crate) struct LoadedSale {
    pub(crate) incarnation: String,
    pub(crate) read_model: ReadModel,
    /// All its buyers until then; later ones may be among them.
    pub(crate) buyers: HashSet<u64>,
    /// The same of its sign-ups.
    pub(crate) signed_up: SignedUpBuyers,
    /// The places in its standby queues.
    pub(crate) standby: StandbyQueues,
}

/// Reads what is not in a sale's snapshot: its buyers, and what changed since.
pub(crate) async fn load_sale(
    conn: &mut impl ConnectionLike,
    scripts: &Scripts,
    keys: &Keys,
    preparation: Preparation,
) -> Result<LoadedSale, Failure> {
    let incarnation = preparation.incarnation.clone();
    let mut read_model = preparation.finish().await?;
    let (mut buyers, mut bootstrap) = (HashSet::new(), ConfirmedBootstrap::default());
    let mut cursor = 0_u64;
    loop {
        let (next, fields) = scan(conn, keys.records(), cursor).await?;
        for (buyer, record) in fields {
            // A scan may return a field twice.
            if buyer_mark(&buyer).is_some_and(|buyer| buyers.insert(buyer)) {
                bootstrap.count_record(&mut read_model, &buyer, &record);
            }
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let signed_up = SignedUpBuyers::default();
    loop {
        let (next, rows) = scan(conn, keys.signups(), cursor).await?;
        let marks =
            rows.into_iter().filter_map(|(buyer, row)| Some((buyer_mark(&buyer)?, !row.starts_with("0 "))));
        signed_up.add(marks);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let mut places = Vec::new();
    loop {
        let (next, rows) = scan(conn, keys.standby(), cursor).await?;
        places.extend(rows);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let standby = StandbyQueues::of_rows(places.iter().map(|(buyer, row)| (buyer.as_str(), row.as_str())));
    let position = Position::at(read_model.sequence);
    let (entries, prepared) = (Vec::new(), None);
    let mut builder = ModelBuilder { read_model, position, entries, bootstrap, prepared, may_defer: false };
    let mut journal = JournalSource { conn, scripts, keys, incarnation: &incarnation };
    let each = |entry: &Entry, _: &ReadModel| {
        buyers.extend(entry.buyers().filter_map(buyer_mark));
        signed_up.add(marks_of(keys.sale(), entry));
        standby.apply(keys.sale(), entry);
    };
    // It never defers, so what ends it is damage.
    if let Some(Stop::Stuck(why)) = builder.catch_up(&mut journal, each).await? {
        return Err(Refusal::Damaged(why).into());
    }
    Ok(LoadedSale { read_model: builder.read_model, buyers, signed_up, standby, incarnation })
}

/// Every entry has absolute values, so that applying it is an assignment.
fn apply(read_model: &mut ReadModel, entry: &Entry) {
    read_model.sequence = entry.sequence;
    read_model.counts = entry.counts;
    read_model.actions.note(entry);
    if let Some(signed_up) = entry.signed_up() {
        read_model.sign_ups.note(signed_up, entry.at);
    }
    for (item, left) in entry.stock() {
        if let Some(model) = item.strip_prefix(ASIDE) {
            let place = read_model.catalogue.index_of_id("model", model);
            if let Some(aside) = place.and_then(|place| read_model.aside.get_mut(place)) {
                *aside = left;
            }
        } else if let Some(place) = read_model.catalogue.index_of(item) {
            read_model.set_free(place, left);
        }
    }
    if let Some(allocated) = entry.field("allocated").and_then(|n| n.parse().ok()) {
        read_model.allocated = allocated;
    }
    if let Some(draw) =
        read_model.draw.as_mut().filter(|_| matches!(entry.kind.as_str(), "entrants" | "draw"))
    {
        Arc::make_mut(draw).note(entry);
    }
    match entry.kind.as_str() {
        "allocate" if entry.field("over").is_some() => read_model.controls.is_drawing = false,
        "pause" => read_model.controls.paused = true,
        "resume" => read_model.controls.paused = false,
        "freeze" => read_model.controls.frozen = true,
        "unfreeze" => read_model.controls.frozen = false,
        "close" => read_model.controls.closed = true,
        "standby-suspend" => read_model.controls.suspended = true,
        "standby-resume" => read_model.controls.suspended = false,
        "restock" => {
            for (item, total) in entry.totals() {
                if let (Some(place), Total::Of(total)) = (read_model.catalogue.index_of(&item), total) {
                    read_model.set_total(place, total);
                }
            }
        }
        _ => {}
    }
}

/// One step of a scan over a hash: the next cursor, and fields with their values.
pub(crate) async fn scan(
    conn: &mut impl ConnectionLike,
    key: &str,
    cursor: u64,
) -> redis::RedisResult<(u64, Vec<(String, String)>)> {
    let (next, flat): (u64, Value) =
        redis::cmd("HSCAN").arg(key).arg(cursor).arg("COUNT").arg(1000).query_async(conn).await?;
    let pairs = reply::pairs(&flat);
    let pairs =
        pairs.ok_or_else(|| reply::unreadable("HSCAN", "fields and values in turn", &reply::shape(&flat)))?;
    Ok((next, pairs))
}
