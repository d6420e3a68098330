//! Checks that a followed sale is still the ledger's: another may have its name.

use redis::aio::ConnectionLike;

use crate::projection::consumer::JournalConsumer;
use crate::projection::read_model::INCARNATION;
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

impl JournalConsumer<'_> {
    /// Compares the ledger's incarnation of a sale with the followed one. Without one the sale is
    /// gone or of an earlier format; the next tick resolves both.
    pub(crate) fn compare_incarnation(&mut self, id: &str, found: Option<String>) {
        let (Some(sale), Some(found)) = (self.sales.get(id), found) else { return };
        if found == sale.incarnation() {
            self.verified.insert(id.to_owned());
            return;
        }
        sale.note_incarnation(&found);
        self.mark_stuck(
            id,
            format!(
                "the ledger went back to an earlier incarnation of the sale, {found}: acknowledged \
                    changes may be lost"
            ),
        );
    }
}

/// The sale's incarnation in the ledger; `None` without a sale, or in the first format.
pub(crate) async fn incarnation_in(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
) -> Result<Option<String>, Failure> {
    match redis::cmd("HGET").arg(keys.state()).arg(INCARNATION).query_async(conn).await {
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
        other => Ok(other?),
    }
}
