//! Sets Redis back by some steps and lets the gateways recover it, as shipped ones do.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway::fleet::membership::Membership;
use gateway::recovery::failover::{Fence, Recovery};
use gateway::store::keys::Keys;

use super::instance::Instance;
use super::sale::Clocks;
use super::world::Ledger;

/// A sale as it was after a step: each key's dump, if it was there, and the clocks.
struct Moment {
    dumps: Vec<Option<Vec<u8>>>,
    clocks: Clocks,
}

/// What there is to fall back to.
pub struct Past {
    moments: Vec<Moment>,
    recoveries: Vec<Recovery>,
    /// How often it crashed.
    pub crashes: u64,
}

impl Past {
    pub fn new(ledger: &Ledger, gateways: usize) -> Self {
        let recovery = |n| Recovery {
            pool: ledger.pool.clone(),
            scripts: ledger.scripts.clone(),
            membership: Arc::new(Membership::new(format!("gateway-{n}"))),
            acknowledged_survives: false,
        };
        Self { moments: Vec::new(), recoveries: (0..gateways).map(recovery).collect(), crashes: 0 }
    }

    /// Notes the sale as it is; `afresh`: it is not to fall back to what was before.
    pub async fn note(&mut self, ledger: &Ledger, sale: &str, clocks: Clocks, afresh: bool) {
        if afresh {
            self.moments.clear();
        }
        let mut dumps = Vec::new();
        for key in Keys::of(sale).all() {
            dumps.push(ledger.command(&["DUMP", key]).await);
        }
        self.moments.push(Moment { dumps, clocks });
    }

    /// Sets Redis back so many steps, or as far as possible, recovers it, and returns the clocks of
    /// that step.
    pub async fn crash(&mut self, ledger: &Ledger, instances: &[Instance], back: usize) -> Clocks {
        let sale = &instances[0].sale;
        let at = self.moments.len().saturating_sub(1 + back);
        let then = &self.moments[at];
        for (key, dump) in sale.keys.all().iter().zip(&then.dumps) {
            ledger.command::<()>(&["DEL", key]).await;
            if let Some(dump) = dump {
                ledger.restore(key, dump).await;
            }
        }
        self.crashes += 1;
        let old = format!("before-crash-{}", self.crashes);
        ledger.command::<()>(&["HSET", sale.keys.state(), "epoch", &old]).await;
        let clocks = then.clocks;
        self.moments.truncate(at + 1);
        self.recover_all(ledger, instances, &old).await;
        clocks
    }

    /// Lets each gateway recover in turn: the first ones wait for the reports of the others.
    async fn recover_all(&self, ledger: &Ledger, instances: &[Instance], old: &str) {
        let peers: BTreeMap<String, String> = self
            .recoveries
            .iter()
            .map(|recovery| (recovery.membership.id.clone(), "here".to_owned()))
            .collect();
        let mut why = Vec::new();
        for (instance, recovery) in instances.iter().zip(&self.recoveries) {
            let live = instance.redis_connection.live().unwrap();
            let mut fence = Fence::new(old, &live.epoch, peers.clone());
            match recovery.recover(&instance.redis_connection, &live, &instance.sale, &mut fence).await {
                Ok(()) => return,
                Err(reason) => why.push(reason),
            }
        }
        let output: BTreeMap<String, String> =
            ledger.command(&["HGETALL", instances[0].sale.keys.recovery()]).await;
        panic!("not recovered: {why:#?}\nrecovery reports: {output:#?}");
    }
}
