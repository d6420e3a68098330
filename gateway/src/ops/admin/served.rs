//! Waiting until this gateway serves what ops have changed.

use std::time::Duration;

use crate::http::respond::Refused;
use crate::ops::admin::{Ops, failed};

/// The journal consumer may take so long to come to a change before the answer goes out.
const SERVED_MAX: Duration = Duration::from_secs(5);
/// Between two looks at whether it has.
const SERVED_LOOK: Duration = Duration::from_millis(5);

impl Ops {
    /// Waits until this gateway shows a sale as the ledger has it now, so that a read after the answer shows what was done.
    /// `false`: it took too long.
    pub(super) async fn is_served(&self, sale: &str) -> Result<bool, Refused> {
        let (incarnation, sequence) = self.admin.look(sale).await.map_err(|f| failed(sale, &f))?;
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
