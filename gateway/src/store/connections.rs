//! The connections of one thread: one for all sales, or one to each master of a cluster.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::store::connection::RedisConnection;
use crate::store::dial::Dial;
use crate::store::keys::Keys;
use crate::store::scripts::Scripts;
use crate::telemetry::uses::RedisUse;

/// The connections of one thread.
pub struct RedisConnections<D: Dial> {
    /// The connection for all sales. In a cluster it is never open, and stands for a master that is
    /// not known yet.
    single: Rc<RedisConnection<D>>,
    /// By the master's address.
    by_master: RefCell<HashMap<Arc<str>, MasterConnection<D>>>,
}

/// A connection to a master.
struct MasterConnection<D: Dial> {
    connection: Rc<RedisConnection<D>>,
    /// The task that keeps it open.
    task: JoinHandle<()>,
}

impl<D: Dial> RedisConnections<D> {
    /// Opens connections and keeps them open.
    pub fn open(dial: D, scripts: Arc<Scripts>, uses: Arc<RedisUse>) -> Rc<Self> {
        Self::open_after(std::future::ready(()), dial, scripts, uses)
    }

    /// Opens connections; calls may go over them once this future is done.
    pub fn open_after(
        start: impl Future<Output = ()> + 'static,
        dial: D,
        scripts: Arc<Scripts>,
        uses: Arc<RedisUse>,
    ) -> Rc<Self> {
        let may_call = Rc::new(Cell::new(false));
        let connections =
            Self::from_open(RedisConnection::with_call_flag(dial, scripts, uses, may_call.clone()));
        tokio::task::spawn_local(async move {
            start.await;
            may_call.set(true);
        });
        if connections.single.dial().has_masters() {
            tokio::task::spawn_local(connections.clone().follow_masters());
        } else {
            tokio::task::spawn_local(connections.single.clone().keep_open());
        }
        connections
    }

    /// Wraps this connection, which its owner keeps open.
    pub fn from_open(single: Rc<RedisConnection<D>>) -> Rc<Self> {
        Rc::new(Self { single, by_master: RefCell::default() })
    }

    /// The connection to the current master of these keys.
    pub fn of(&self, keys: &Keys) -> Rc<RedisConnection<D>> {
        let (holder, by_master) = (self.single.dial().holder(keys.slot()), self.by_master.borrow());
        let master = holder.and_then(|address| by_master.get(&address));
        master.map_or(&self.single, |master| &master.connection).clone()
    }

    /// Connects to every master before a tap needs it, and leaves former masters; pending calls
    /// there still get their replies.
    async fn follow_masters(self: Rc<Self>) {
        let mut known = HashSet::new();
        loop {
            let mut masters = self.single.dial().masters(&known).await;
            known = masters.keys().cloned().collect();
            let mut by_master = self.by_master.borrow_mut();
            by_master.retain(|address, master| {
                let stays = masters.remove(address).is_some();
                if !stays {
                    master.task.abort();
                }
                stays
            });
            for (address, dial) in masters {
                let connection = self.single.to_master(dial);
                let task = tokio::task::spawn_local(connection.clone().keep_open());
                by_master.insert(address, MasterConnection { connection, task });
            }
        }
    }
}
