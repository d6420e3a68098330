//! Rate limits of this gateway, by buyer, address, sale and gateway, built on governor.
//!
//! No check asks Redis. The rates in force, and with them this gateway's share of a ceiling, can change
//! at any time; tokens that were spent stay spent.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use foldhash::quality::RandomState;
use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;

use crate::admit::buckets::{Buckets, BucketsAt};
use crate::admit::verified::VerifiedTokens;
use crate::domain::policy::{Costs, Policy, Rate, Rates};

/// Buckets for the ceilings of sales and of this gateway; there are few.
const CEILINGS: usize = 1_024;

/// The settings of the rate limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// The configured rates.
    pub rates: Rates,
    /// What calls cost.
    pub costs: Costs,
    /// Buyers, and addresses, with a bucket of their own at the same time.
    pub keys_max: usize,
}

/// The limits of one gateway, shared by its workers.
pub struct Limits {
    settings: LimitSettings,
    in_force: ArcSwap<InForce>,
    since: Instant,
    /// Hashes keys under this process's secret seed, so that no client can aim at a set.
    hasher: RandomState,
    buyers: Buckets,
    addresses: Buckets,
    unverified: Buckets,
    ceilings: Buckets,
    /// Tokens that passed verification.
    verified: VerifiedTokens,
}

/// The rates in force at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// Set by an operator, else configured.
    pub rates: Rates,
    /// This gateway's rates: of a ceiling only its share.
    pub shares: Rates,
    /// Gateways that share the ceilings.
    pub gateways: NonZeroU32,
}

/// A policy without enough tokens for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// The policy.
    pub policy: Policy,
    /// The burst, in calls of this cost.
    pub quota: u32,
    /// Seconds until the whole burst has come back.
    pub window_s: u32,
    /// Time until there are enough tokens for this call.
    pub wait: Duration,
}

impl Limits {
    /// The limits as configured, for a fleet of one gateway.
    pub fn new(settings: LimitSettings) -> Self {
        let alone = InForce { rates: settings.rates, shares: settings.rates, gateways: NonZeroU32::MIN };
        Self {
            in_force: ArcSwap::from_pointee(alone),
            // A second ago: 0 in a bucket means that it was never used.
            since: Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now),
            hasher: RandomState::default(),
            buyers: Buckets::with_room_for(settings.keys_max),
            addresses: Buckets::with_room_for(settings.keys_max),
            unverified: Buckets::with_room_for(settings.keys_max),
            ceilings: Buckets::with_room_for(CEILINGS),
            verified: VerifiedTokens::default(),
            settings,
        }
    }

    /// What calls cost.
    pub fn costs(&self) -> &Costs {
        &self.settings.costs
    }

    /// The configured rates.
    pub fn configured(&self) -> &Rates {
        &self.settings.rates
    }

    /// The rates in force at the moment.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Puts other rates, or another number of gateways that share the ceilings, in force; returns whether
    /// anything changed.
    pub fn put_in_force(&self, rates: Rates, gateways: NonZeroU32) -> bool {
        let mut shares = rates;
        for policy in Policy::ALL.into_iter().filter(|policy| policy.is_ceiling()) {
            shares.set(policy, rates.of(policy).map(|rate| rate.shared_by(gateways)));
        }
        let next = InForce { rates, shares, gateways };
        let changed = **self.in_force.load() != next;
        if changed {
            self.in_force.store(Arc::new(next));
        }
        changed
    }

    /// Counts a new reservation of a buyer. The ceiling of a sale counts reservations, whatever they cost.
    pub fn reservation(&self, buyer: &str, sale: &str, now: Instant) -> Result<(), Exceeded> {
        let (call, cost) = (self.call_at(now), self.settings.costs.reserve);
        call.take(Policy::Buyer, self.buyers.at(call.now), buyer, cost)?;
        call.take(Policy::Sale, self.ceilings.at(call.now), &(Policy::Sale, sale), NonZeroU32::MIN)?;
        call.take_from_gateway(cost)
    }

    /// Counts any other call of a buyer.
    pub fn call(&self, buyer: &str, cost: NonZeroU32, now: Instant) -> Result<(), Exceeded> {
        let call = self.call_at(now);
        call.take(Policy::Buyer, self.buyers.at(call.now), buyer, cost)?;
        call.take_from_gateway(cost)
    }

    /// Counts a call without a token.
    pub fn anonymous(&self, address: IpAddr, now: Instant) -> Result<(), Exceeded> {
        let (call, cost) = (self.call_at(now), self.settings.costs.status);
        call.take(Policy::Address, self.addresses.at(call.now), &network(address), cost)?;
        call.take_from_gateway(cost)
    }

    /// Whether a token's signature may be checked, where that costs more than a refusal. Addresses that
    /// have spent their budget for invalid tokens share one bucket for unseen tokens; beyond it, only
    /// tokens that were valid before are checked.
    pub fn signature(&self, address: IpAddr, token: &[u8], now: Instant) -> Result<(), Exceeded> {
        let call = self.call_at(now);
        let buckets = || self.unverified.look_at(call.now);
        let Err(exceeded) = call.take_for_address(buckets(), address) else { return Ok(()) };
        let Err(for_all) = call.take_for_all(buckets()) else { return Ok(()) };
        if self.verified.contains(self.key(token)) {
            return Ok(());
        }
        // The shorter of both waits.
        Err(Exceeded { wait: exceeded.wait.min(for_all.wait), ..exceeded })
    }

    /// Records a valid token.
    pub fn signature_was_right(&self, token: &[u8]) {
        self.verified.add(self.key(token));
    }

    /// Charges an invalid token to its address, or to the shared bucket.
    pub fn signature_was_wrong(&self, address: IpAddr, now: Instant) {
        let call = self.call_at(now);
        let buckets = || self.unverified.at(call.now);
        if call.take_for_address(buckets(), address).is_err() {
            let _ = call.take_for_all(buckets());
        }
    }

    fn call_at(&self, now: Instant) -> LimitedCall<'_> {
        let now = now.saturating_duration_since(self.since).into();
        LimitedCall { limits: self, in_force: self.in_force.load(), now }
    }

    fn key(&self, of: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(of)
    }
}

/// A call at its instant.
struct LimitedCall<'a> {
    limits: &'a Limits,
    in_force: Guard<Arc<InForce>>,
    now: Nanos,
}

impl LimitedCall<'_> {
    /// Takes a call's cost from a bucket, if the policy is on.
    fn take(
        &self,
        policy: Policy,
        buckets: BucketsAt<'_>,
        key: &(impl Hash + ?Sized),
        cost: NonZeroU32,
    ) -> Result<(), Exceeded> {
        let Some(rate) = self.in_force.shares.of(policy) else {
            return Ok(());
        };
        // A cost above the burst could never be paid.
        let cost = cost.min(rate.burst);
        // A limiter holds only parameters: the state is in the buckets, and its clock is the instant of the call.
        let clock = CallClock::default();
        let limiter = RateLimiter::<_, _, _, NoOpMiddleware<Nanos>>::new(rate.quota(), buckets, clock);
        limiter.clock().0.set(self.now);
        match limiter.check_key_n(&self.limits.key(key), cost) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(until)) => Err(exceeded(policy, rate, cost, until.wait_time_from(self.now))),
        }
    }

    fn take_from_gateway(&self, cost: NonZeroU32) -> Result<(), Exceeded> {
        self.take(Policy::Gateway, self.limits.ceilings.at(self.now), &Policy::Gateway, cost)
    }

    /// Takes the cost of an invalid token from its address.
    fn take_for_address(&self, buckets: BucketsAt<'_>, address: IpAddr) -> Result<(), Exceeded> {
        self.take(Policy::Unverified, buckets, &network(address), self.limits.settings.costs.unverified)
    }

    /// Takes from the shared bucket for unseen tokens from addresses that have spent their own.
    fn take_for_all(&self, buckets: BucketsAt<'_>) -> Result<(), Exceeded> {
        self.take(Policy::Unverified, buckets, &Policy::Unverified, NonZeroU32::MIN)
    }
}

#[cold]
fn exceeded(policy: Policy, rate: Rate, cost: NonZeroU32, wait: Duration) -> Exceeded {
    Exceeded {
        policy,
        quota: rate.burst.get() / cost,
        window_s: rate.burst.get().div_ceil(rate.per_second.get()),
        wait,
    }
}

/// A clock fixed at the instant of the call. It begins at 0, so that buckets do not depend on when a
/// limiter was made.
#[derive(Debug, Default, Clone)]
struct CallClock(Cell<Nanos>);

impl Clock for CallClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get()
    }
}

/// The part of an address that identifies a client: an IPv4 address, or the first 64 bits of an IPv6
/// address, the least that one subscriber gets (RFC 6177).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
