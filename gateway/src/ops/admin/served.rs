//! Waits until this gateway serves a change that an operator made.

use std::time::Duration;

use crate::http::respond::Refused;
use crate::ops::admin::{Ops, failed};

/// How long the journal consumer may take to reach a change before the response is sent.
const SERVED_MAX: Duration = Duration::from_secs(5);
/// Interval of that check.
const SERVED_LOOK: Duration = Duration::from_millis(5);

impl Ops {
    /// Waits until this gateway shows a sale as the ledger has it now, so that later reads include the
    /// change. `false`: it took too long.
    pub(super) async fn is_served(&self, sale: &str) -> Result<bool, Refused> {
        let (incarnation, sequence) = self.admin.look(sale).await.map_err(failed(sale))?;
        let is_shown = || {
            let shown = self.sales.get(sale).filter(|shown| shown.incarnation() == incarnation);
            shown.is_some_and(|shown| shown.read_model().sequence >= sequence)
        };
        let wait = async {
            while !is_shown() {
                tokio::time::sleep(SERVED_LOOK).await;
            }
        };
        Ok(tokio::time::timeout(SERVED_MAX, wait).await.is_ok())
    }
}
