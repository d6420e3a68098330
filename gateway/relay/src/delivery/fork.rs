//! After a fork: finds the last change that the sink and the ledger have in common, and takes back what came after it.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::change::position;
use crate::delivery::{Delivery, End, LOOK_SOON, fence};
use crate::failure::Failure;
use crate::feed::lease::Lease;
use crate::feed::{FeedError, Read};
use crate::sink::Sink;
use crate::status::Cause;

impl<S: Sink> Delivery<S> {
    /// Lets the sink take back what the ledger lost; returns the cursor to go on from.
    pub(super) async fn rescind(&mut self, common: String, lease: &Lease) -> Result<String, End> {
        self.status.count_failure(Cause::Forked);
        let Some(delivered) = self.sink_position(lease).await? else {
            return Err(End::Failed(Failure::No(format!(
                "the cursor of --from is not in the ledger's history, which has lost what came before it: the last common \
                 cursor is {common}. Take back in your system what came after it, then start with --from {common}"
            ))));
        };
        let common = self.last_common(common, &delivered, lease).await?;
        tracing::warn!(
            "the ledger lost changes that were delivered: those after {common} are rescinded, then its new history follows"
        );
        loop {
            let stop = self.stop.clone();
            let rescinded = tokio::select! {
                () = stop.asked() => return Err(End::Done),
                rescinded = self.sink.rescind(&common, fence(lease)?) => rescinded,
            };
            match rescinded {
                Ok(()) => return self.position(lease).await,
                Err(error) => {
                    self.after_sink_error(error, lease).await?;
                    // It may have done it, and the answer got lost: then it does it again from there.
                    self.sink_position(lease).await?;
                }
            }
        }
    }

    /// The gateway's last common cursor may be a good way before the fork. A change that the sink has is in both
    /// histories, with all before it: the last such one up to where the sink is. One that it does not have proves
    /// nothing: filters held it back, or it is too old to be remembered.
    async fn last_common(
        &mut self,
        mut common: String,
        delivered: &str,
        lease: &Lease,
    ) -> Result<String, End> {
        let mut backoff = Backoff::default();
        let mut from = common.clone();
        while position(&from) < position(delivered) {
            fence(lease)?;
            let stop = self.stop.clone();
            let read = tokio::select! {
                () = stop.asked() => return Err(End::Done),
                () = lease.lost() => { fence(lease)?; continue }
                read = self.feed.read(&from, Duration::ZERO) => read,
            };
            let Read { changes, sequence } = match read {
                Ok(read) => read,
                // The ledger lost more meanwhile.
                Err(FeedError::Forked { common: earlier }) => {
                    common.clone_from(&earlier);
                    from = earlier;
                    continue;
                }
                Err(error) => {
                    self.after_feed_error(error, &mut backoff).await.map_err(End::Failed)?;
                    continue;
                }
            };
            backoff.reset();
            self.feed_works();
            let Some(last) = changes.last() else {
                if self.unread(sequence, &from) == 0 {
                    return Ok(common);
                }
                // Replicas lack it yet.
                self.pause(LOOK_SOON).await;
                continue;
            };
            match self.sink.last_known(&changes).await {
                Ok(known) => {
                    if let Some(known) = known {
                        common.clone_from(&changes[known].cursor);
                    }
                    self.cut_at = last.is_cut.then(|| last.cursor.clone());
                    from.clone_from(&last.cursor);
                }
                Err(error) => self.after_sink_error(error, lease).await?,
            }
        }
        Ok(common)
    }
}
