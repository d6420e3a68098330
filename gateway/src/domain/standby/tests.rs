//! Unit tests of `standby.rs`.

use super::*;

const WORDS: [&str; 3] = ["alice air/cover/", "alice air/cover/gz-0001 7", "alice -"];

#[test]
fn lines_of_the_journal_are_read_and_written() {
    let read = |line: &str| PlaceChange::from_line(line, || Some(4)).unwrap();
    let part = buyer_part("small", "alice");
    let lines = WORDS.map(|line| read(line).to_line("small").unwrap());
    assert_eq!(
        lines,
        [
            format!("{part} alice air/cover/ 4"),
            format!("{part} alice air/cover/gz-0001 7"),
            format!("{part} alice -")
        ]
    );
    for bad in ["", "alice", "alice air", "alice air// x", "alice air// 1 2", "alice a!r//"] {
        assert_eq!(PlaceChange::from_line(bad, || Some(1)), None, "{bad:?}");
    }
    assert_eq!(PlaceChange::from_line("alice air//", || None), None, "a new place without a number");
}

#[test]
fn odds_with_a_known_share_are_those_of_the_negative_binomial() {
    let outlook = Outlook { aside: 0, held: 3, paid: 60_000_000, unpaid: 40_000_000, outcomes: None };
    // P(at least 1 return) = 1 − 0.6³; P(at least 2) = 1 − 0.6³ − 3 · 0.4 · 0.6³; in steps of 0.01.
    assert_eq!([1, 2].map(|position| outlook.odds(position).unwrap()), [0.78, 0.52]);
    // What is set aside comes for sure.
    assert_eq!(Outlook { aside: 2, ..outlook }.odds(2), Some(1.0));
    assert_eq!(Outlook { aside: 2, ..outlook }.odds(3), outlook.odds(1));
    let large = Outlook { held: 1_000_000, ..outlook };
    let [near, middle, far] = [600_000, 666_667, 800_000].map(|position| large.odds(position).unwrap());
    assert!(near > 0.99 && (0.45..=0.55).contains(&middle) && far < 0.01, "{near} {middle} {far}");
}

#[test]
fn odds_at_the_edges_are_numbers() {
    let outlook = Outlook { aside: 0, held: 10, paid: 50, unpaid: 50, outcomes: None };
    assert_eq!(Outlook { held: 0, ..outlook }.odds(1), Some(0.0));
    for (paid, unpaid) in [(0, 20), (20, 0), (50, 50), (1, 1_000_000)] {
        // Who is further behind never has better odds.
        let outlook = Outlook { paid, unpaid, ..outlook };
        let falling: Vec<f64> = (1..60).map(|position| outlook.odds(position).unwrap()).collect();
        assert!(falling.is_sorted_by(|a, b| a >= b && (0.0..=1.0).contains(b)), "{falling:?}");
    }
}

/// A thousand sales, each of 200 holds of which a third or so is not paid, with 150 buyers who wait and pay as seldom.
#[test]
fn odds_are_what_becomes_of_those_who_wait() {
    let mut random = fastrand::Rng::with_seed(24);
    let mut outcomes = vec![(0_u32, 0_u32, 0.0); 10];
    for _ in 0..1_000 {
        let share = random.f64() * 0.4 + 0.1;
        let does_not_pay = |random: &mut fastrand::Rng| random.f64() < share;
        let (mut paid, mut unpaid) = (0_u64, 0_u64);
        // 60 of the holds have ended; what those gave back is held by the first who waited.
        let mut held = 200_u64;
        for _ in 0..60 {
            if does_not_pay(&mut random) { unpaid += 1 } else { (paid, held) = (paid + 1, held - 1) }
        }
        let outlook = Outlook { aside: 0, held, paid, unpaid, outcomes: None };
        let mut returns = 0_u64;
        while held > 0 {
            if does_not_pay(&mut random) { returns += 1 } else { held -= 1 }
        }
        for position in 1..=150 {
            let odds = outlook.odds(position).unwrap();
            let (count, granted, sum) = &mut outcomes[((odds * 10.0) as usize).min(9)];
            *count += 1;
            *granted += u32::from(returns >= position);
            *sum += odds;
        }
    }
    for (count, granted, sum) in outcomes.into_iter().filter(|(count, ..)| *count > 1_000) {
        let (said, was) = (sum / f64::from(count), f64::from(granted) / f64::from(count));
        assert!((said - was).abs() < 0.05, "odds of {said:.2} came true in {was:.2} of {count}");
    }
}

/// When things happen in a sale that a test plays: a hold of this buyer ends, paid or not.
type Ending = std::cmp::Reverse<(i64, bool, i64, bool)>;

/// A sale of 300 holds of 100 s at once and a queue of 400: those who pay do it in the first third of their hold, few cancel
/// meanwhile, and the others let it expire. At some moment after 20 have ended, everybody in the queue is shown odds.
fn odds_and_grants(random: &mut fastrand::Rng) -> (Vec<f64>, usize) {
    let (length, pays) = (100_000, 0.4 + random.f64() * 0.4);
    let mut endings = std::collections::BinaryHeap::<Ending>::new();
    let hold =
        |endings: &mut std::collections::BinaryHeap<Ending>, random: &mut fastrand::Rng, at, granted| {
            let roll = random.f64();
            let (age, is_paid) = match () {
                () if roll < pays => (random.i64(0..length / 3), true),
                () if roll < pays + 0.05 => (random.i64(0..length / 3), false),
                () => (length, false),
            };
            endings.push(std::cmp::Reverse((at + age, granted, at, is_paid)));
        };
    let mut times = HoldTimes::new(100_000, 100_000);
    times.take(0, false, 300);
    (0..300).for_each(|_| hold(&mut endings, random, 0, false));
    let (mut counts, mut granted, mut shown) = ([0_u64; 2], 0_usize, None);
    let look_at = random.i64(0..300_000);
    while let Some(std::cmp::Reverse((at, was_granted, taken, is_paid))) = endings.pop() {
        if shown.is_none() && at > look_at && counts.iter().sum::<u64>() >= 20 {
            let outlook = Outlook {
                aside: 0,
                held: endings.len() as u64 + 1,
                paid: counts[0],
                unpaid: counts[1],
                outcomes: times.outcomes(at),
            };
            let odds = (granted + 1..=400).map(|place| outlook.odds((place - granted) as u64).unwrap());
            shown = Some((odds.collect::<Vec<_>>(), granted));
        }
        times.end(taken, was_granted, at, is_paid);
        counts[usize::from(!is_paid)] += 1;
        if !is_paid && granted < 400 {
            granted += 1;
            times.take(at, true, 1);
            hold(&mut endings, random, at, true);
        }
    }
    let (odds, before) = shown.unwrap_or_default();
    (odds, granted - before)
}

/// By the share of the holds that had ended, whatever their age, the odds were 26 points too low.
#[test]
fn odds_come_true_where_those_who_pay_do_it_early() {
    let mut random = fastrand::Rng::with_seed(25);
    let (mut places, mut sum, mut came_true) = (0, 0.0, 0);
    for _ in 0..500 {
        let (odds, granted) = odds_and_grants(&mut random);
        places += odds.len();
        sum += odds.iter().sum::<f64>();
        came_true += granted.min(odds.len());
    }
    let [said, was] = [sum, came_true as f64].map(|of| of / places as f64);
    assert!((said - was).abs() < 0.05, "odds of {said:.3} came true in {was:.3} of {places}");
}

#[test]
fn the_ages_of_holds_tell_what_becomes_of_the_others() {
    let mut times = HoldTimes::new(1_000, 1_000);
    (0..100).for_each(|_| times.end(5, false, 9, true));
    assert_eq!(times.outcomes(10), None, "the ends of holds whose beginning was not seen");
    times.take(0, false, 40);
    (0..20).for_each(|_| times.end(0, false, 100, true));
    // Half of them paid at a tenth of their time, and nobody since: the others will not, and of new ones every other.
    let Outcomes { granted, outstanding, .. } = times.outcomes(900).unwrap();
    assert!(outstanding > 0.99 && (granted - 0.5).abs() < 0.01, "{outstanding} {granted}");
    let long_after = times.outcomes(10_000).unwrap();
    assert_eq!(long_after.outstanding, long_after.granted, "what must be over does not count");
}
