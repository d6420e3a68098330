//! The facts of a sale in the ledger, with its audit.

use crate::doctor::redis::RedisInstance;
use crate::domain::definition::Definition;
use crate::domain::draw::DrawStage;
use crate::domain::sale::{LedgerStop, SaleControls};
use crate::manage::admin::{Admin, ReaderLease, ShownSale};
use crate::manage::audit::AuditReport;
use crate::store::keys::Keys;
use crate::store::scripts::{Failure, Refusal};

/// The facts of a sale.
#[derive(Debug)]
pub(in crate::doctor) struct SaleFacts {
    /// Its id.
    pub id: String,
    /// Redis's clock, in ms.
    pub now_ms: i64,
    /// The sale in the ledger; `None`: no such sale.
    pub applied: Result<Option<AppliedSale>, String>,
    /// Its file, if one was given.
    pub file: Option<(String, Definition)>,
    /// The audit; `None` for a sale that does not exist.
    pub audit: Option<Result<AuditReport, String>>,
    /// The readers of its journal.
    pub readers: Vec<ReaderLease>,
    /// When its journal's last change happened, in ms.
    pub last_change: Option<i64>,
    /// The sequence that the gateway on this host has read; `Some(None)`: it does not have the sale.
    pub followed: Option<Option<u64>>,
    /// Whether any gateway is live.
    pub is_served: bool,
}

/// A sale in the ledger.
#[derive(Debug)]
pub(in crate::doctor) struct AppliedSale {
    /// The definition as last applied.
    pub definition: Definition,
    /// The revision of the definition.
    pub revision: u64,
    /// The sequence of the ledger.
    pub sequence: u64,
    /// The states set by operator actions.
    pub controls: SaleControls,
    /// Reservations: held, confirmed, cancelled, expired.
    pub counts: [u64; 4],
    /// How far its draw is; `None`: it has none.
    pub draw: Option<DrawStage>,
    /// What keeps the ledger from serving it.
    pub stop: Option<LedgerStop>,
}

impl SaleFacts {
    /// Reads a sale. An error means that Redis is unreachable. Read the sequence of the gateway afterwards.
    pub(in crate::doctor) async fn read(
        admin: &Admin,
        redis: &[RedisInstance],
        is_served: bool,
        id: String,
        file: Option<(String, Definition)>,
    ) -> Result<Self, Failure> {
        let keys = Keys::of(&id);
        let here = redis.iter().find(|instance| instance.redis.has_slot(keys.slot()));
        let now_ms = here.map_or(0, |instance| instance.now_ms);
        let applied = match admin.show(&id).await {
            Ok(ShownSale { snapshot, definition, stop }) => Ok(Some(AppliedSale {
                revision: snapshot.number("revision").unsigned_abs(),
                sequence: snapshot.header.sequence,
                controls: snapshot.controls(),
                counts: snapshot.counts(),
                draw: snapshot.draw_stage(),
                stop,
                definition,
            })),
            Err(Failure::Refused(Refusal::Missing)) => Ok(None),
            Err(Failure::Refused(refusal)) => Err(refusal.to_string()),
            Err(failure) => return Err(failure),
        };
        let audit = match &applied {
            Ok(None) => None,
            _ => match admin.audit(&id).await {
                Ok(report) => Some(Ok(report)),
                Err(failure @ Failure::Refused(_)) => Some(Err(failure.to_string())),
                Err(failure) => return Err(failure),
            },
        };
        let readers = admin.readers(&id).await.unwrap_or_default();
        let last_change = admin.last_change(&id).await.ok().flatten();
        Ok(Self { id, now_ms, audit, readers, last_change, followed: None, is_served, applied, file })
    }

    /// The definition in the ledger, or that of the file, and the reservations that were ever started.
    pub(in crate::doctor) fn definition(&self) -> Option<(&Definition, u64)> {
        match (&self.applied, &self.file) {
            (Ok(Some(applied)), _) => Some((&applied.definition, applied.started())),
            (_, Some((_, definition))) => Some((definition, 0)),
            _ => None,
        }
    }

    /// Whether it accepts no more reservations.
    pub(in crate::doctor) fn is_over(&self) -> bool {
        let of = |applied: &AppliedSale| applied.controls.closed || self.now_ms >= applied.controls.closes;
        matches!(&self.applied, Ok(Some(applied)) if of(applied))
    }
}

impl AppliedSale {
    /// Reservations that were ever started.
    pub(in crate::doctor) fn started(&self) -> u64 {
        self.counts.iter().sum()
    }
}
