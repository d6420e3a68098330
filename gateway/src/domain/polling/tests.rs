//! Unit tests of `polling.rs`.

use proptest::prelude::*;

use super::*;

fn loads() -> impl Strategy<Value = u32> {
    prop_oneof![Just(1), Just(2), Just(4), Just(8)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_sleeps_through_the_opening(until in 0..10_000_000_i64, load in loads()) {
        let poll = poll_after_ms(Phase::Upcoming, until, load);
        prop_assert!(poll <= until.unsigned_abs().max(1_000), "{poll}");
        prop_assert!(STEPS_MS.contains(&poll));
    }

    #[test]
    fn it_grows_with_the_distance_and_with_load(
        until in 0..10_000_000_i64, more in 0..10_000_000_i64, load in loads(),
    ) {
        let poll = poll_after_ms(Phase::Upcoming, until, load);
        prop_assert!(poll <= poll_after_ms(Phase::Upcoming, until + more, load));
        for phase in [Phase::Upcoming, Phase::Open, Phase::Paused, Phase::SoldOut, Phase::Closed] {
            prop_assert!(poll_after_ms(phase, until, load) <= poll_after_ms(phase, until, load * 2));
        }
    }

    /// Apps that were opened at any time before the opening, all with the same load.
    #[test]
    fn clients_do_not_meet_at_the_opening(seed in any::<u64>(), load in loads(), first in 2_000..400_000_i64) {
        const CLIENTS: usize = 4_000;
        let mut random = fastrand::Rng::with_seed(seed);
        // Looks by second, from ten before the opening to ten after it.
        let mut seconds = [0_usize; 20];
        for _ in 0..CLIENTS {
            let mut until = random.i64(0..first);
            let mut first_after = None;
            while until > -10_000 {
                if let Some(second) = usize::try_from(10 - (until + 999).div_euclid(1_000)).ok().filter(|s| *s < 20) {
                    seconds[second] += 1;
                }
                if until <= 0 {
                    first_after.get_or_insert(-until);
                }
                let phase = if until > 0 { Phase::Upcoming } else { Phase::Open };
                let poll = i64::try_from(poll_after_ms(phase, until, load)).unwrap();
                until -= random.i64(poll / 2..=poll);
            }
            // Each app sees that the sale is open a second after it at most.
            prop_assert!(first_after.is_some_and(|late| late <= 1_000), "{first_after:?}");
        }
        // A second has hardly more looks than apps that look each second have: 1 / 0.75 each.
        let most = seconds.iter().max().copied().unwrap();
        prop_assert!(most <= CLIENTS * 3 / 2, "{seconds:?}");
        // No second around the opening stands out from the one before.
        let (before, after) = (seconds[9], seconds[10]);
        prop_assert!(after <= before * 3 / 2 + CLIENTS / 10, "{seconds:?}");
    }
}

#[test]
fn the_factor_follows_the_looks_and_comes_back() {
    let start = Instant::now();
    let load = PollLoad::new(start, 2);
    let window = |n: u64, looks: u64| {
        let at = start + WINDOW * u32::try_from(n).unwrap();
        (0..looks).map(|_| load.note(at)).last().unwrap()
    };
    let enough = load.enough;
    assert_eq!(window(0, enough), 1);
    assert_eq!(window(1, enough + 1), 1, "enough was not too much");
    assert_eq!(window(2, enough * 5), 2);
    assert_eq!(window(3, enough * 3), 4);
    assert_eq!(window(4, enough * 2), 8);
    assert_eq!(window(5, enough / 2), 8, "as much as it can be");
    assert_eq!(window(6, enough / 4), 8, "neither too much nor little");
    assert_eq!(window(7, 1), 4);
    // Seconds without any look are seconds without load.
    assert_eq!(window(9, 1), 2);
    assert_eq!(window(500, 1), 1);
}
