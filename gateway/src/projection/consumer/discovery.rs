//! Finds sales, and starts to follow them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::projection::consumer::model_builder::{LoadedSale, load_sale, missing_entry};
use crate::projection::consumer::position::{Position, entry_at, incarnation_in};
use crate::projection::consumer::preparation::Preparation;
use crate::projection::consumer::{JournalConsumer, SingleSale};
use crate::projection::read_model::Sale;
use crate::projection::{snapshot, tail};
use crate::store::dial::read_run_id;
use crate::store::keys::{Keys, SALES};
use crate::store::reply::list_of_texts;
use crate::store::scripts::{Failure, Refusal};

/// The delay before a sale that could not be read is tried again.
const START_RETRY: Duration = Duration::from_secs(1);

impl JournalConsumer<'_> {
    /// Starts to follow new sales.
    pub(super) async fn find_sales(&mut self) -> Result<(), Failure> {
        let ids: Vec<String> = match self.one {
            None => {
                let reply = redis::cmd("SMEMBERS").arg(SALES).query_async(&mut self.conn).await?;
                list_of_texts("SMEMBERS", &reply)?
            }
            Some(SingleSale { id, listed }) => listed.borrow().get(id).cloned().into_iter().collect(),
        };
        // An unreadable sale that is no longer listed was purged, or its import never finished.
        self.refused.retain(|id, _| ids.contains(id));
        self.preparing.retain(|id, _| ids.contains(id));
        // The sale was purged or replaced.
        self.positions.retain(|id, _| self.shared.sales.get(id).is_some());
        for id in &ids {
            let id = id.clone();
            let tried = self.refused.get(&id);
            let is_early = tried.is_some_and(|at| at.elapsed() < START_RETRY) || self.is_preparing(&id);
            if self.positions.contains_key(&id) || is_early {
                continue;
            }
            match self.start(&id).await {
                Ok(None) => {}
                Ok(Some(position)) => {
                    tracing::info!(sale = id, sequence = position.sequence, "following");
                    self.refused.remove(&id);
                    self.positions.insert(id, position);
                }
                Err(lost) if lost.ends_connection() => return Err(lost),
                // The sale was replaced during the read: the next read finds the new one.
                Err(Failure::Refused(Refusal::Incarnation { .. }))
                    if self.shared.sales.get(&id).is_none() => {}
                // Other sales continue; the next read tries this one again.
                Err(failure) => {
                    if self.refused.insert(id.clone(), Instant::now()).is_none() {
                        tracing::error!(sale = id, %failure, "a sale can't be followed");
                    }
                }
            }
        }
        if self.one.is_none() {
            // A known sale that can't be read again reports it as a fault.
            let unread = self.refused.keys().chain(self.preparing.keys());
            let unread = unread.filter(|id| self.shared.sales.get(id).is_none());
            self.shared.sales.set_unread(unread.cloned().collect(), Instant::now());
            self.shared.sales.forget_replaced(|id| ids.iter().any(|listed| listed == id));
        }
        Ok(())
    }

    /// Reads a sale whole, with all its buyers. Later buyers are in the journal. `None`: its definition is being
    /// prepared, and other sales are followed meanwhile.
    async fn start(&mut self, id: &str) -> Result<Option<Position>, Failure> {
        let keys = Keys::of(id);
        let scripts = &self.shared.scripts;
        let known = self.shared.sales.get(id);
        // What is known of a followed sale is newer.
        let prepared = self.preparing.remove(id).filter(|_| known.is_none());
        let preparation = match prepared {
            Some(prepared) => prepared,
            None => {
                let snapshot = snapshot::read(&mut self.conn, scripts, &keys, true).await?;
                Preparation::start(
                    snapshot,
                    &keys,
                    known.as_ref().map(|sale| sale.read_model().catalogue.clone()),
                )
            }
        };
        // A starting gateway waits: it is ready once it follows every sale.
        let may_defer = known.is_none() && self.shared.caught_up.age().is_some();
        if may_defer && !preparation.is_finished() {
            self.preparing.insert(id.to_owned(), preparation);
            return Ok(None);
        }
        let LoadedSale { incarnation, read_model, buyers, signed_up, standby } =
            load_sale(&mut self.conn, scripts, &keys, preparation).await?;
        let sequence = read_model.sequence;
        if let Some(sale) = self.shared.sales.get(id) {
            sale.note_incarnation(&incarnation);
        }
        let known = self.shared.sales.get(id);
        let epoch: String =
            redis::cmd("HGET").arg(keys.state()).arg("epoch").query_async(&mut self.conn).await?;
        let is_served = epoch == read_run_id(&mut self.conn).await?;
        if let Some(sale) = &known {
            if sale.incarnation() != incarnation {
                return Err(Refusal::Incarnation { incarnation, epoch: String::new() }.into());
            }
            if sequence < sale.known_sequence() {
                return Err(Refusal::Behind(sequence).into());
            }
            // Keep what was read of it before, as long as it may be missing here.
            if !is_served {
                return Err(Refusal::Epoch(epoch).into());
            }
        }
        let position = entry_at(&mut self.conn, &keys, sequence).await?;
        let position = position.ok_or_else(|| missing_entry(&keys, sequence))?;
        let (tail, entries) = tail::read(&mut self.conn, &keys, sequence).await?;
        // Its keys were read one after the other: an unchanged incarnation proves one sale.
        let at_last = incarnation_in(&mut self.conn, &keys).await?;
        if let Some(other) = at_last.filter(|at_last| *at_last != incarnation) {
            return Err(Refusal::Incarnation { incarnation: other, epoch: String::new() }.into());
        }
        let is_known = known.is_some();
        let sale = match known {
            // Its queues and its sweeper hold this very sale. An extra buyer only costs a call to
            // Redis.
            Some(sale) => {
                sale.add_buyers(buyers);
                sale.set_signed_up(signed_up, standby);
                sale.set_read_model(read_model);
                sale
            }
            None => Arc::new(Sale::new(id, &incarnation, read_model, buyers, signed_up, standby)),
        };
        *sale.lock_tail() = tail;
        sale.restart_holds(&entries);
        sale.acknowledged().reset(sequence, entries);
        sale.set_consumed_sequence(sequence);
        sale.note_read(sequence, &self.shared.scripts);
        if !is_known {
            if is_served {
                // Covers a failover before the first tick of this gateway.
                sale.tick_status().note_success();
            }
            self.shared.sales.insert(sale);
        }
        Ok(Some(position))
    }
}
