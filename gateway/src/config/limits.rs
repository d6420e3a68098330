//! Reads the rate limits and what calls cost.

use std::num::NonZeroU32;

use super::{Settings, usize_of};
use crate::admit::limits::LimitSettings;
use crate::admit::policy::{Costs, Policy, Rates, parse_rate};

impl Settings {
    /// Every policy's rate and every call's cost.
    pub(super) fn rates(&mut self) -> Option<LimitSettings> {
        let mut rates = Rates::default();
        let mut all_good = true;
        for policy in Policy::ALL {
            match self.read(&format!("limit-{}", policy.name()), parse_rate) {
                Some(rate) => rates.set(policy, rate),
                None => all_good = false,
            }
        }
        let keys_max = self.number("limit-keys-max", 1_000..=100_000_000);
        let [reserve, change, read, status, unverified] =
            ["reserve", "change", "read", "status", "unverified"].map(|call| self.cost(call));
        let costs = Costs {
            reserve: reserve?,
            change: change?,
            read: read?,
            status: status?,
            unverified: unverified?,
        };
        all_good.then_some(LimitSettings { rates, costs, keys_max: usize_of(keys_max?) })
    }

    fn cost(&mut self, call: &str) -> Option<NonZeroU32> {
        let cost = self.number(&format!("cost-{call}"), 1..=1_000_000)?;
        NonZeroU32::new(u32::try_from(cost).ok()?)
    }
}
