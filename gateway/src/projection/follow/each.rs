//! In a cluster: a follower for each sale, and one look a moment at which sales there are.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::projection::follow::{BLOCK_MS, Following, GATHER, One, READ_MAX};
use crate::store::dial::Conn;
use crate::store::keys::SALES;
use crate::store::outage::Outage;
use crate::store::reply::{list_of_texts, note};

impl Following {
    /// Keeps a follower for each sale that there is.
    pub(crate) async fn follow_each(self) {
        let outage = Outage::of("the sales of the cluster can't be listed");
        let listed: Rc<RefCell<HashSet<String>>> = Rc::default();
        let mut followers: HashMap<String, JoinHandle<()>> = HashMap::new();
        let mut conn = None;
        loop {
            let before = followers.len();
            match self.list(&mut conn).await {
                Ok(ids) => {
                    outage.is_over();
                    for id in &ids {
                        followers.entry(id.clone()).or_insert_with(|| {
                            self.caught_up.is_behind(id);
                            let one = One { id: id.clone(), listed: listed.clone() };
                            tokio::task::spawn_local(self.clone().follow(Some(one)))
                        });
                    }
                    // One that is not listed any more is followed until it is known that it was purged.
                    followers.retain(|id, task| {
                        let goes_on = ids.contains(id) || self.sales.get(id).is_some();
                        if !goes_on {
                            task.abort();
                            self.caught_up.without(id);
                        }
                        goes_on
                    });
                    let unread = ids.iter().filter(|id| self.sales.get(id).is_none());
                    self.sales.set_unread(unread.cloned().collect());
                    self.sales.forget_replaced(|id| ids.contains(id));
                    *listed.borrow_mut() = ids;
                    self.caught_up.has_begun();
                }
                Err(error) => {
                    note(&error);
                    self.uses.failed(&error);
                    outage.goes_on(error);
                    conn = None;
                }
            }
            // A new one is unread only for as long as its follower takes.
            let is_new = followers.len() > before;
            tokio::time::sleep(if is_new { GATHER } else { Duration::from_millis(BLOCK_MS) }).await;
        }
    }

    async fn list(&self, conn: &mut Option<Conn>) -> redis::RedisResult<HashSet<String>> {
        let conn = match conn {
            Some(conn) => conn,
            none => none.insert(self.redis.dial_primary(SALES, READ_MAX).await?),
        };
        let reply = redis::cmd("SMEMBERS").arg(SALES).query_async(conn).await?;
        Ok(list_of_texts("SMEMBERS", &reply)?.into_iter().collect())
    }
}
