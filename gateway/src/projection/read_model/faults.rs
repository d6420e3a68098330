//! What keeps a sale from being served: faults of its ledger and of its consumer; and what it therefore does now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::domain::sale::{Condition, LedgerStop};
use crate::projection::read_model::Sale;

/// A fault that keeps the read model from deciding: the ledger refuses the sale.
const LEDGER_FAULT: u8 = 1;
const CONSUMER_FAULT: u8 = 2;
/// The ledger has a later incarnation of the sale.
pub(super) const REPLACED: u8 = 4;

/// Why the ledger refuses a sale.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LedgerFault {
    stop: LedgerStop,
    why: Arc<String>,
}

impl Sale {
    /// Why the ledger refuses this sale, or why its journal can't be followed.
    pub fn fault(&self) -> Option<Arc<String>> {
        let fault = self.fault.load().as_ref().map(|fault| fault.why.clone());
        fault.or_else(|| self.consumer_fault.load_full())
    }

    /// What keeps the ledger from serving this sale.
    pub fn ledger_stop(&self) -> Option<LedgerStop> {
        self.fault.load().as_ref().map(|fault| fault.stop)
    }

    /// What it does now.
    pub fn condition(&self) -> Condition {
        Condition::of(self.read_model.load().phase(self.best_time()), self.ledger_stop())
    }

    /// Whether the ledger refuses this sale: reservations fail, whatever its phase.
    pub fn is_unavailable(&self) -> bool {
        self.faults.load(Ordering::Acquire) & LEDGER_FAULT != 0
    }

    /// Sets the fault of the consumer; until it is cleared the read model decides nothing.
    pub(crate) fn set_consumer_fault(&self, why: Option<String>) {
        let before = self.consumer_fault.swap(why.clone().map(Arc::new));
        self.set_fault_bit(CONSUMER_FAULT, why.is_some());
        if let Some(why) = why.filter(|why| before.as_deref() != Some(why)) {
            tracing::error!(sale = self.id, "the journal can't be followed: {why}");
        }
    }

    pub(super) fn set_fault_bit(&self, fault: u8, is_there: bool) {
        if is_there {
            self.faults.fetch_or(fault, Ordering::Release);
        } else {
            self.faults.fetch_and(!fault, Ordering::Release);
        }
    }

    pub(crate) fn set_fault(&self, stop: LedgerStop, why: String) {
        let fault = Arc::new(LedgerFault { stop, why: Arc::new(why) });
        let before = self.fault.swap(Some(fault.clone()));
        self.set_fault_bit(LEDGER_FAULT, true);
        if before.as_ref() != Some(&fault) {
            tracing::error!(sale = self.id, "the ledger refuses the sale: {}", fault.why);
        }
    }

    pub(crate) fn clear_fault(&self) {
        let before = self.fault.swap(None);
        self.set_fault_bit(LEDGER_FAULT, false);
        if before.is_some() {
            tracing::info!(sale = self.id, "the ledger accepts the sale again");
        }
    }
}
