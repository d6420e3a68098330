//! The state of a gateway, its sales and its fleet: the source of reports, metrics and the live page.

use std::sync::Arc;

use crate::fleet::membership::Membership;
use crate::ops::health::Readiness;
use crate::ops::self_checks::SelfChecks;
use crate::projection::read_model::{Sale, Sales};
use crate::store::durability::Durability;
use crate::telemetry::metrics::{AuditSummary, Metrics};

/// The state of a gateway, shared by all its threads.
#[derive(Clone)]
pub struct GatewayStatus {
    /// The sales that this process follows.
    pub sales: Arc<Sales>,
    /// Counters and histograms of the workers, and the results of audits.
    pub metrics: Arc<Metrics>,
    /// This gateway's view of the fleet.
    pub membership: Arc<Membership>,
    /// Whether it is ready.
    pub readiness: Arc<Readiness>,
    /// The checks of files and clock.
    pub checks: Arc<SelfChecks>,
    /// Options that all gateways of a fleet should share.
    pub options: ServedOptions,
}

/// Options of this gateway that an operator compares with those of the others.
#[derive(Debug, Clone, Copy)]
pub struct ServedOptions {
    /// What its acknowledgements survive.
    pub durability: Durability,
    /// Worker threads.
    pub workers: usize,
    /// What verifies tokens: `hs256` or `jwks`.
    pub token_keys: &'static str,
}

impl GatewayStatus {
    /// The result of a sale's last audit.
    pub fn audit_of(&self, sale: &Sale) -> Option<AuditSummary> {
        self.metrics.audit_of(&sale.id, sale.incarnation())
    }
}
