//! Who has asked for too much: the rate limits of this gateway, in governor's hands.
//!
//! Nothing here asks Redis. The rates in force can change at any time, and with them the share of a ceiling that
//! is this gateway's; what was spent stays spent.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;

use crate::admit::buckets::{Buckets, BucketsAt};
use crate::admit::known::KnownTokens;
use crate::domain::policy::{Costs, Policy, Rate, Rates};

/// Sales and whole gateways that have a bucket for their ceiling. There are few.
const CEILINGS: usize = 1_024;

/// How a gateway limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// What the configuration says.
    pub rates: Rates,
    /// What calls cost.
    pub costs: Costs,
    /// Buyers, and addresses, that have a bucket of their own at the same time.
    pub keys_max: usize,
}

/// The limits of one gateway, shared by its workers.
pub struct Limits {
    settings: LimitSettings,
    in_force: ArcSwap<InForce>,
    since: Instant,
    /// Of keys; its seed is this process's secret, so that nobody can aim at a set.
    hasher: RandomState,
    buyers: Buckets,
    addresses: Buckets,
    unverified: Buckets,
    ceilings: Buckets,
    /// Tokens that were right when they were seen.
    known: KnownTokens,
}

/// What holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// As ops have set them, or else the configuration.
    pub rates: Rates,
    /// Of these, what is this gateway's: of a ceiling only its share.
    pub shares: Rates,
    /// Gateways that share the ceilings.
    pub gateways: NonZeroU32,
}

/// A policy that has nothing left for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub policy: Policy,
    /// Calls of this kind that the policy allows at once.
    pub quota: u32,
    /// In how many seconds so many come back.
    pub window_s: u32,
    /// Until there is enough for this call again.
    pub wait: Duration,
}

impl Limits {
    /// The limits as configured, for a gateway that is alone.
    #[must_use]
    pub fn new(settings: LimitSettings) -> Self {
        let alone = InForce { rates: settings.rates, shares: settings.rates, gateways: NonZeroU32::MIN };
        Self {
            in_force: ArcSwap::from_pointee(alone),
            // A bit ago: the first nanosecond of a bucket must not be 0, which means: never used.
            since: Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now),
            hasher: RandomState::default(),
            buyers: Buckets::with_room_for(settings.keys_max),
            addresses: Buckets::with_room_for(settings.keys_max),
            unverified: Buckets::with_room_for(settings.keys_max),
            ceilings: Buckets::with_room_for(CEILINGS),
            known: KnownTokens::default(),
            settings,
        }
    }

    /// What calls cost.
    #[must_use]
    pub fn costs(&self) -> &Costs {
        &self.settings.costs
    }

    /// What the configuration says.
    #[must_use]
    pub fn configured(&self) -> &Rates {
        &self.settings.rates
    }

    /// What holds at the moment.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Puts other rates in force, or another number of gateways that share the ceilings; whether that changed anything.
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

    /// A new reservation of a buyer.
    pub fn reservation(&self, buyer: &str, sale: &str, now: Instant) -> Result<(), Exceeded> {
        let (rates, now) = (self.in_force.load(), self.nanos(now));
        let cost = self.settings.costs.reserve;
        take(&rates, Policy::Buyer, || self.buyers.at(now), || self.key(buyer), cost, now)?;
        take(&rates, Policy::Sale, || self.ceilings.at(now), || self.key(&(Policy::Sale, sale)), cost, now)?;
        self.ceiling(&rates, cost, now)
    }

    /// Any other call of a buyer.
    pub fn call(&self, buyer: &str, cost: NonZeroU32, now: Instant) -> Result<(), Exceeded> {
        let (rates, now) = (self.in_force.load(), self.nanos(now));
        take(&rates, Policy::Buyer, || self.buyers.at(now), || self.key(buyer), cost, now)?;
        self.ceiling(&rates, cost, now)
    }

    /// A call without a token.
    pub fn anonymous(&self, address: IpAddr, now: Instant) -> Result<(), Exceeded> {
        let (rates, now) = (self.in_force.load(), self.nanos(now));
        let cost = self.settings.costs.status;
        take(&rates, Policy::Address, || self.addresses.at(now), || self.key(&network(address)), cost, now)?;
        self.ceiling(&rates, cost, now)
    }

    /// Whether the signature of a token may be checked, where that costs more than a refusal. An address that has spent
    /// what it has for wrong signatures shares with all others like it what the gateway keeps for tokens that it has not
    /// seen; beyond that only a token that was right before is checked.
    pub fn signature(&self, address: IpAddr, token: &[u8], now: Instant) -> Result<(), Exceeded> {
        let (rates, now) = (self.in_force.load(), self.nanos(now));
        let look = || self.unverified.look_at(now);
        let own = || {
            take(
                &rates,
                Policy::Unverified,
                look,
                || self.key(&network(address)),
                self.settings.costs.unverified,
                now,
            )
        };
        let shared = || take(&rates, Policy::Unverified, look, || self.reserve(), NonZeroU32::MIN, now);
        let Err(exceeded) = own() else { return Ok(()) };
        let Err(for_all) = shared() else { return Ok(()) };
        if self.known.contains(self.key(token)) {
            return Ok(());
        }
        // Whichever has enough again first.
        Err(Exceeded { wait: exceeded.wait.min(for_all.wait), ..exceeded })
    }

    /// A signature was right: its token is known from now on.
    pub fn signature_was_right(&self, token: &[u8]) {
        self.known.add(self.key(token));
    }

    /// A signature was wrong: its address pays, or else what is kept for all.
    pub fn signature_was_wrong(&self, address: IpAddr, now: Instant) {
        let (rates, now) = (self.in_force.load(), self.nanos(now));
        let buckets = || self.unverified.at(now);
        let cost = self.settings.costs.unverified;
        if take(&rates, Policy::Unverified, buckets, || self.key(&network(address)), cost, now).is_err() {
            let _ = take(&rates, Policy::Unverified, buckets, || self.reserve(), NonZeroU32::MIN, now);
        }
    }

    /// The bucket for tokens that were not seen before, of all addresses that have spent their own.
    fn reserve(&self) -> u64 {
        self.key(&Policy::Unverified)
    }

    fn ceiling(&self, rates: &InForce, cost: NonZeroU32, now: Nanos) -> Result<(), Exceeded> {
        take(rates, Policy::Gateway, || self.ceilings.at(now), || self.key(&Policy::Gateway), cost, now)
    }

    fn nanos(&self, now: Instant) -> Nanos {
        now.saturating_duration_since(self.since).into()
    }

    fn key(&self, of: &(impl std::hash::Hash + ?Sized)) -> u64 {
        use std::hash::BuildHasher;
        self.hasher.hash_one(of)
    }
}

/// Takes a call's cost from a bucket, if the policy is on.
fn take<'a>(
    rates: &InForce,
    policy: Policy,
    buckets: impl FnOnce() -> BucketsAt<'a>,
    key: impl FnOnce() -> u64,
    cost: NonZeroU32,
    now: Nanos,
) -> Result<(), Exceeded> {
    let Some(rate) = rates.shares.of(policy) else {
        return Ok(());
    };
    // A cost above the burst could never be paid.
    let cost = cost.min(rate.burst);
    // A limiter is only its parameters: the state is in the buckets, and its clock stands where this call came.
    let clock = CallClock::default();
    let limiter = RateLimiter::<_, _, _, NoOpMiddleware<Nanos>>::new(rate.quota(), buckets(), clock);
    limiter.clock().0.set(now);
    match limiter.check_key_n(&key(), cost) {
        Ok(Ok(())) | Err(_) => Ok(()),
        Ok(Err(until)) => Err(exceeded(policy, rate, cost, until.wait_time_from(now))),
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

/// Stands at the instant of the call. It begins at 0, so that what buckets remember does not depend on when a limiter
/// was made.
#[derive(Debug, Default, Clone)]
struct CallClock(Cell<Nanos>);

impl Clock for CallClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get()
    }
}

/// What of an address is one client: an IPv4 address, or the first 64 bits of an IPv6 address, which is what one
/// subscriber gets at least (RFC 6177).
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
