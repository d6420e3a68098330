//! Cluster mode: one consumer for each sale, and a periodic read of the list of sales.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::projection::consumer::{BLOCK_MS, ConsumerContext, GATHER, READ_MAX, SingleSale};
use crate::store::dial::LedgerConnection;
use crate::store::keys::SALES;
use crate::store::outage::Outage;
use crate::store::reply::{list_of_texts, note};

impl ConsumerContext {
    /// Keeps a consumer for each listed sale.
    pub(crate) async fn consume_each(self) {
        let outage = Outage::of("the sales of the cluster can't be listed");
        let listed: Rc<RefCell<HashSet<String>>> = Rc::default();
        let mut consumers: HashMap<String, JoinHandle<()>> = HashMap::new();
        let mut conn = None;
        loop {
            let before = consumers.len();
            match self.list(&mut conn).await {
                Ok(ids) => {
                    outage.record_success();
                    for id in &ids {
                        consumers.entry(id.clone()).or_insert_with(|| {
                            self.caught_up.add_behind(id);
                            let one = SingleSale { id: id.clone(), listed: listed.clone() };
                            tokio::task::spawn_local(self.clone().consume(Some(one)))
                        });
                    }
                    // One that is no longer listed is followed until its purge is confirmed.
                    consumers.retain(|id, task| {
                        let goes_on = ids.contains(id) || self.sales.get(id).is_some();
                        if !goes_on {
                            task.abort();
                            self.caught_up.remove(id);
                        }
                        goes_on
                    });
                    let unread = ids.iter().filter(|id| self.sales.get(id).is_none());
                    self.sales.set_unread(unread.cloned().collect(), Instant::now());
                    self.sales.forget_replaced(|id| ids.contains(id));
                    *listed.borrow_mut() = ids;
                    self.caught_up.set_listed();
                }
                Err(error) => {
                    note(&error);
                    self.uses.failed(&error);
                    outage.record_failure(error);
                    conn = None;
                }
            }
            // A new one is unread only for the time that its consumer needs.
            let is_new = consumers.len() > before;
            tokio::time::sleep(if is_new { GATHER } else { Duration::from_millis(BLOCK_MS) }).await;
        }
    }

    async fn list(&self, conn: &mut Option<LedgerConnection>) -> redis::RedisResult<HashSet<String>> {
        let conn = match conn {
            Some(conn) => conn,
            none => none.insert(self.redis.dial_primary(SALES, READ_MAX).await?),
        };
        let reply = redis::cmd("SMEMBERS").arg(SALES).query_async(conn).await?;
        Ok(list_of_texts("SMEMBERS", &reply)?.into_iter().collect())
    }
}
