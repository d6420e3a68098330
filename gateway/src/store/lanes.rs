//! The lanes of one thread: one to a Redis that has all sales, one to each master of a cluster.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::store::dial::{Dial, Holder};
use crate::store::keys::Keys;
use crate::store::lane::Lane;
use crate::store::scripts::Scripts;
use crate::telemetry::uses::RedisUse;

/// The lanes of one thread.
pub struct Lanes<D: Dial> {
    /// The lane for all sales. In a cluster it is never open, and stands for a master that is not known yet.
    one: Rc<Lane<D>>,
    /// By the master's address.
    each: RefCell<HashMap<Arc<str>, MasterConnection<D>>>,
}

/// A lane to a master.
struct MasterConnection<D: Dial> {
    lane: Rc<Lane<D>>,
    /// Keeps it open.
    task: JoinHandle<()>,
}

impl<D: Dial> Lanes<D> {
    /// Lanes that are kept open from now on.
    #[must_use]
    pub fn open(dial: D, scripts: Arc<Scripts>, uses: Arc<RedisUse>) -> Rc<Self> {
        Self::open_after(std::future::ready(()), dial, scripts, uses)
    }

    /// Lanes that are kept open from now on, and over which calls may go once this is done.
    #[must_use]
    pub fn open_after(
        start: impl Future<Output = ()> + 'static,
        dial: D,
        scripts: Arc<Scripts>,
        uses: Arc<RedisUse>,
    ) -> Rc<Self> {
        let (is_one, decides) = (matches!(dial.holder(0), Holder::Only), Rc::new(Cell::new(false)));
        let lanes = Self::over(Lane::deciding(dial, scripts, uses, decides.clone()));
        tokio::task::spawn_local(async move {
            start.await;
            decides.set(true);
        });
        if is_one {
            tokio::task::spawn_local(lanes.one.clone().keep_open());
        } else {
            tokio::task::spawn_local(lanes.clone().keep_to_masters());
        }
        lanes
    }

    /// This lane, which somebody else keeps open.
    #[must_use]
    pub fn over(one: Rc<Lane<D>>) -> Rc<Self> {
        Rc::new(Self { one, each: RefCell::default() })
    }

    /// The lane to the master that has these keys by now.
    #[must_use]
    pub fn of(&self, keys: &Keys) -> Rc<Lane<D>> {
        match self.one.dial().holder(keys.slot()) {
            Holder::Only | Holder::Unknown => self.one.clone(),
            Holder::Master(address) => self
                .each
                .borrow()
                .get(&address)
                .map_or_else(|| self.one.clone(), |master| master.lane.clone()),
        }
    }

    /// Opens a lane to every master before a tap needs it, and leaves those that are none any more: who still waits there
    /// for an answer gets it.
    async fn keep_to_masters(self: Rc<Self>) {
        let mut known = HashSet::new();
        loop {
            let mut masters = self.one.dial().masters(&known).await;
            known = masters.keys().cloned().collect();
            let mut each = self.each.borrow_mut();
            each.retain(|address, master| {
                let stays = masters.remove(address).is_some();
                if !stays {
                    master.task.abort();
                }
                stays
            });
            for (address, dial) in masters {
                let lane = self.one.beside(dial);
                let task = tokio::task::spawn_local(lane.clone().keep_open());
                each.insert(address, MasterConnection { lane, task });
            }
        }
    }
}
