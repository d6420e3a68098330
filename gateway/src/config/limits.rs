//! Reads the rate limits, the costs of calls, and the caps of connections.

use std::num::NonZeroU32;

use crate::admit::limits::LimitSettings;
use crate::config::{Settings, usize_of};
use crate::domain::policy::{Costs, Policy, Rates, parse_rate};
use crate::http::connection_caps::CapSettings;

/// The largest cap of connections.
const CONNECTIONS_MAX: u64 = 10_000_000;
/// The default share of one client address: one in this many of all connections.
const ADDRESS_SHARE: u64 = 10;
/// The least default of one client address, so that a small gateway still serves an office behind one address.
pub(crate) const ADDRESS_LEAST: u64 = 100;

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

    /// The caps of a listener's connections, in all and from one client address.
    pub(super) fn caps(&mut self) -> Option<CapSettings> {
        let connections_max = self.number("connections-max", 1..=CONNECTIONS_MAX);
        let per_address = self.read("connections-per-address-max", |text| match text {
            "" => Ok(connections_max.map(|all| (all / ADDRESS_SHARE).max(ADDRESS_LEAST))),
            "off" => Ok(None),
            number => {
                let fits = number.parse().ok().filter(|n| (1..=CONNECTIONS_MAX).contains(n));
                fits.map(Some)
                    .ok_or_else(|| format!("is neither a number from 1 to {CONNECTIONS_MAX} nor off"))
            }
        });
        Some(CapSettings {
            connections_max: usize_of(connections_max?),
            per_address_max: per_address?.map(usize_of),
        })
    }

    fn cost(&mut self, call: &str) -> Option<NonZeroU32> {
        let cost = self.number(&format!("cost-{call}"), 1..=1_000_000)?;
        NonZeroU32::new(u32::try_from(cost).ok()?)
    }
}
