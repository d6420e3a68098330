//! Tests of the rate limits, among them a comparison with a reference model.

use proptest::prelude::*;

use super::*;

fn rate(text: &str) -> Option<Rate> {
    Some(text.parse().unwrap())
}

fn units(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn limits(rates: &[(Policy, &str)]) -> Limits {
    let mut all = Rates::default();
    rates.iter().for_each(|(policy, text)| all.set(*policy, rate(text)));
    let costs = Costs {
        reserve: units(5),
        change: units(5),
        read: units(1),
        status: units(1),
        unverified: units(10),
    };
    Limits::new(LimitSettings { rates: all, costs, keys_max: 1_000 })
}

fn v4(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// How often in a row something is allowed.
fn allowed(mut call: impl FnMut() -> Result<(), Exceeded>) -> usize {
    (0..1_000).take_while(|_| call().is_ok()).count()
}

#[test]
fn a_buyer_has_a_burst_and_then_what_comes_back() {
    let limits = limits(&[(Policy::Buyer, "10:20")]);
    let now = Instant::now();
    assert_eq!(allowed(|| limits.reservation("alice", "s", now)), 4);
    let exceeded = limits.reservation("alice", "s", now).unwrap_err();
    assert_eq!((exceeded.policy, exceeded.quota, exceeded.window_s), (Policy::Buyer, 4, 2));
    assert_eq!(exceeded.wait, Duration::from_millis(500));
    assert!(limits.reservation("bob", "s", now).is_ok());
    let soon = now + exceeded.wait - Duration::from_millis(1);
    assert!(limits.reservation("alice", "s", soon).is_err());
    assert!(limits.reservation("alice", "s", now + exceeded.wait).is_ok());
    // A cheaper call is possible before a dear one.
    assert!(limits.call("alice", units(1), now + Duration::from_millis(600)).is_ok());
}

#[test]
fn what_costs_more_than_the_burst_costs_the_burst() {
    let limits = limits(&[(Policy::Buyer, "1:2")]);
    assert_eq!(allowed(|| limits.reservation("alice", "s", limits.since)), 1);
}

#[test]
fn a_limit_that_is_off_refuses_no_call() {
    let limits = limits(&[]);
    let now = Instant::now();
    assert_eq!(allowed(|| limits.reservation("alice", "s", now)), 1_000);
    assert_eq!(allowed(|| limits.anonymous(v4(1), now)), 1_000);
    (0..1_000).for_each(|_| limits.signature_was_wrong(v4(1), now));
    assert_eq!(allowed(|| limits.signature(v4(1), b"t", now)), 1_000);
}

#[test]
fn an_ipv6_client_is_its_64_bits_and_an_ipv4_client_its_address() {
    let limits = limits(&[(Policy::Address, "1:1")]);
    let now = Instant::now();
    let call = |address: &str| limits.anonymous(address.parse().unwrap(), now).is_ok();
    assert!(call("2001:db8:1:2:3::1"));
    assert!(!call("2001:db8:1:2:ffff::9"), "the same 64 bits");
    assert!(call("2001:db8:1:3::1"));
    assert!(call("192.0.2.1") && call("192.0.2.2"));
    assert!(!call("::ffff:192.0.2.1"), "the same address, written as IPv6");
}

#[test]
fn wrong_signatures_spend_the_budget_of_their_address_and_then_the_shared_one() {
    let limits = limits(&[(Policy::Unverified, "10:100")]);
    let now = Instant::now();
    let check = |token: &[u8], address| limits.signature(address, token, now);
    let forge = |address, times| {
        (0..times).for_each(|_| {
            assert_eq!(check(b"forged", address), Ok(()));
            limits.signature_was_wrong(address, now);
        });
    };
    limits.signature_was_right(b"alice");
    // Ten units each, of the address's hundred; then one each, of the shared hundred.
    forge(v4(1), 10);
    forge(v4(1), 99);
    assert_eq!(check(b"bob", v4(1)), Ok(()), "a first valid token behind the same address");
    assert_eq!(check(b"bob", v4(1)), Ok(()), "a valid token costs nothing");
    forge(v4(1), 1);
    let exceeded = check(b"bob", v4(1)).unwrap_err();
    assert_eq!((exceeded.policy, exceeded.wait), (Policy::Unverified, Duration::from_millis(100)));
    assert!(check(b"alice", v4(1)).is_ok(), "it was valid before");
    assert!(check(b"bob", v4(2)).is_ok(), "another address has its own");
    assert!(
        limits.signature(v4(1), b"bob", now + exceeded.wait).is_ok(),
        "the shared bucket refills ten a second"
    );
    // However many addresses: the shared bucket is bounded.
    (3..8).for_each(|n| forge(v4(n), 10));
    assert!((3..8).all(|n| check(b"bob", v4(n)).is_err()));
}

#[test]
fn a_ceiling_is_shared_by_the_live_gateways_and_what_was_spent_stays_spent() {
    // The sale counts reservations; at the gateway each costs five units.
    let limits = limits(&[(Policy::Sale, "10:20"), (Policy::Gateway, "1000:1000")]);
    let now = Instant::now();
    let reserve = |sale: &str| limits.reservation("buyer", sale, now);
    assert_eq!(allowed(|| reserve("a")), 20);
    let exceeded = reserve("a").unwrap_err();
    assert_eq!((exceeded.policy, exceeded.quota, exceeded.window_s), (Policy::Sale, 20, 2));
    assert_eq!(exceeded.wait, Duration::from_millis(100), "ten reservations a second come back");
    assert_eq!(allowed(|| reserve("b")), 20, "a sale of its own");
    // Two gateways: each has half, and no tokens come back by that.
    assert!(limits.put_in_force(*limits.configured(), units(2)));
    assert!(!limits.put_in_force(*limits.configured(), units(2)), "nothing new");
    assert!(reserve("a").is_err());
    assert_eq!(allowed(|| reserve("c")), 10);
    // Another rate applies at once, and to every buyer.
    let mut rates = *limits.configured();
    rates.set(Policy::Gateway, rate("10:10"));
    assert!(limits.put_in_force(rates, units(1)));
    assert_eq!(allowed(|| reserve("d")), 1);
    assert_eq!(reserve("d").unwrap_err().policy, Policy::Gateway);
    rates.set(Policy::Gateway, None);
    limits.put_in_force(rates, units(1));
    assert!(reserve("d").is_ok());
}

/// A bucket in exact arithmetic: nano-units, so that a rate in units a second adds that many each nanosecond.
struct Reference {
    rate: u64,
    burst: u64,
    level: u64,
    at: Duration,
}

impl Reference {
    fn take(&mut self, cost: u32, at: Duration) -> bool {
        let came = u64::try_from((at - self.at).as_nanos()).unwrap().saturating_mul(self.rate);
        self.level = self.level.saturating_add(came).min(self.burst);
        self.at = at;
        let cost = u64::from(cost) * 1_000_000_000;
        let enough = cost <= self.level;
        if enough {
            self.level -= cost;
        }
        enough
    }
}

proptest! {
    #[test]
    fn limits_follow_the_reference(
        // Rates that a second can be divided by: governor counts in whole nanoseconds for each unit.
        per_second in prop::sample::select(vec![1_u32, 2, 4, 5, 8, 10, 20, 25, 50, 100, 1_000]),
        burst in 10_u32..200,
        calls in prop::collection::vec((0_u64..400, 1_u32..10, 0_usize..3), 1..200),
    ) {
        let limits = limits(&[(Policy::Buyer, &format!("{per_second}:{burst}"))]);
        let full = u64::from(burst) * 1_000_000_000;
        let mut reference: Vec<_> = (0..3)
            .map(|_| Reference { rate: per_second.into(), burst: full, level: full, at: Duration::ZERO })
            .collect();
        let start = Instant::now();
        let mut at = Duration::ZERO;
        for (pause, cost, buyer) in calls {
            at += Duration::from_millis(pause);
            let result = limits.call(["alice", "bob", "carol"][buyer], units(cost), start + at);
            prop_assert_eq!(result.is_ok(), reference[buyer].take(cost, at));
            if let Err(exceeded) = result {
                // No sooner and no later than the refusal states.
                let wait = exceeded.wait;
                prop_assert!(!reference[buyer].clone_and_take(cost, at + wait - Duration::from_nanos(1)));
                prop_assert!(reference[buyer].clone_and_take(cost, at + wait));
            }
        }
    }
}

impl Reference {
    /// The result of `take` without its effect.
    fn clone_and_take(&self, cost: u32, at: Duration) -> bool {
        Self { rate: self.rate, burst: self.burst, level: self.level, at: self.at }.take(cost, at)
    }
}
