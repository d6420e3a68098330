//! At which age the holds of a sale ended, and what that says of those that are outstanding.
//!
//! Who pays does it soon, and who does not lets the hold expire: at first only payments are seen, and at last all that is
//! outstanding will expire. So the share of the holds that have ended says little of the others; their ages do. This is a
//! life table: of the holds that reached an age, how many were paid then, and how many ended otherwise.

use std::collections::BTreeMap;

/// Parts of the longest hold, which are its ages.
const PARTS: usize = 48;
/// With fewer holds that have ended, their ages say little.
const ENDED_MIN: u64 = 20;

/// The ages of the holds of a sale. Times are in ms of Redis's `TIME`: while an operator has frozen the sale clock, ages go
/// on.
#[derive(Debug, Clone)]
pub struct HoldTimes {
    /// How long a hold lasts, and one that was granted in a queue.
    lengths: [i64; 2],
    /// How many are outstanding that were taken then: of the first kind and of the second.
    outstanding: [BTreeMap<i64, u64>; 2],
    /// How many ended at each age, with a payment and without.
    paid: [u64; PARTS],
    unpaid: [u64; PARTS],
}

/// What becomes of holds, as far as those that have ended tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcomes {
    /// The probability that a hold ends without a payment that a queue grants now.
    pub granted: f64,
    /// The mean of this probability over the outstanding holds.
    pub outstanding: f64,
    /// The mean of the variances that follow from it.
    pub variance: f64,
}

impl HoldTimes {
    /// Of a sale whose holds last so long, and those that are granted in a queue, in ms.
    pub fn new(hold_ms: u64, granted_hold_ms: u64) -> Self {
        let lengths = lengths(hold_ms, granted_hold_ms);
        Self { lengths, outstanding: Default::default(), paid: [0; PARTS], unpaid: [0; PARTS] }
    }

    /// Whether it is of a sale whose holds last so long.
    pub fn is_of(&self, hold_ms: u64, granted_hold_ms: u64) -> bool {
        self.lengths == lengths(hold_ms, granted_hold_ms)
    }

    /// Notes new holds.
    pub fn take(&mut self, at: i64, is_granted: bool, count: u64) {
        *self.outstanding[usize::from(is_granted)].entry(at).or_default() += count;
    }

    /// Notes the end of a hold that was taken then; one that is not known, or is over already, changes nothing.
    pub fn end(&mut self, taken: i64, is_granted: bool, at: i64, is_paid: bool) {
        let outstanding = &mut self.outstanding[usize::from(is_granted)];
        let Some(count) = outstanding.get_mut(&taken) else { return };
        *count -= 1;
        if *count == 0 {
            outstanding.remove(&taken);
        }
        let part = self.part(at - taken);
        let ended = if is_paid { &mut self.paid } else { &mut self.unpaid };
        ended[part] += 1;
    }

    fn longest(&self) -> i64 {
        self.lengths[0].max(self.lengths[1])
    }

    /// The part in which a hold of this age is; the last one from its end on.
    fn part(&self, age: i64) -> usize {
        let part = i128::from(age.max(0)) * PARTS as i128 / i128::from(self.longest());
        usize::try_from(part).unwrap_or(PARTS).min(PARTS - 1)
    }

    /// What becomes of holds; `None` until enough have ended.
    pub fn outcomes(&self, now: i64) -> Option<Outcomes> {
        if self.paid.iter().chain(&self.unpaid).sum::<u64>() < ENDED_MIN {
            return None;
        }
        // How many reached each age. A hold whose end was never seen is left out once it is surely over.
        let mut reached = [0_u64; PARTS + 1];
        let known = |age: &i64| (0..2 * self.longest()).contains(age);
        let ages: [Vec<(usize, u64)>; 2] = [0, 1].map(|kind| {
            let taken = self.outstanding[kind].iter().map(|(taken, count)| (now - taken, *count));
            taken.filter(|(age, _)| known(age)).map(|(age, count)| (self.part(age), count)).collect()
        });
        ages.iter().flatten().for_each(|(part, count)| reached[*part] += count);
        for part in (0..PARTS).rev() {
            reached[part] += reached[part + 1] + self.paid[part] + self.unpaid[part];
        }
        let unpaid = self.lengths.map(|length| self.unpaid_from(self.part(length - 1), &reached));
        let (mut count, mut mean, mut variance) = (0.0, 0.0, 0.0);
        for (ages, unpaid) in ages.iter().zip(&unpaid) {
            for (part, holds) in ages {
                #[expect(clippy::cast_precision_loss, reason = "they are far below 2^53")]
                let (holds, share) = (*holds as f64, unpaid[*part]);
                count += holds;
                mean += holds * share;
                variance += holds * share * (1.0 - share);
            }
        }
        let granted = unpaid[1][0];
        let [outstanding, variance] = match count > 0.0 {
            true => [mean / count, variance / count],
            false => [granted, granted * (1.0 - granted)],
        };
        Some(Outcomes { granted, outstanding, variance })
    }

    /// For each age the probability that a hold of this age ends without a payment, if it ends in this part.
    fn unpaid_from(&self, end: usize, reached: &[u64; PARTS + 1]) -> [f64; PARTS] {
        #[expect(clippy::cast_precision_loss, reason = "they are far below 2^53")]
        let share = |ended: &[u64], part: usize, of: u64| ended[part] as f64 / of.max(1) as f64;
        // Beyond the ages that were seen, as in the last quarter of these.
        let seen = (0..end).rev().find(|part| reached[*part] > 0).unwrap_or(0);
        let quarter = seen.saturating_sub(seen / 4)..=seen;
        let all = |ended: &[u64; PARTS]| -> f64 {
            let parts = quarter.clone().map(|part| share(ended, part, reached[part]));
            parts.sum::<f64>() / (1 + seen / 4) as f64
        };
        let beyond = [all(&self.paid), all(&self.unpaid)];
        let mut unpaid = [1.0; PARTS];
        let last = self.paid[end..].iter().sum::<u64>();
        let ended = last + self.unpaid[end..].iter().sum::<u64>();
        let at_end = 1.0 - share(&[last], 0, ended);
        unpaid[end..].fill(if ended == 0 { 1.0 } else { at_end });
        for part in (0..end).rev() {
            let [paid, otherwise] = match reached[part] {
                0 => beyond,
                of => [share(&self.paid, part, of), share(&self.unpaid, part, of)],
            };
            unpaid[part] = otherwise + (1.0 - paid - otherwise).max(0.0) * unpaid[part + 1];
        }
        unpaid
    }
}

fn lengths(hold_ms: u64, granted_hold_ms: u64) -> [i64; 2] {
    [hold_ms, granted_hold_ms].map(|ms| i64::try_from(ms).unwrap_or(i64::MAX).max(1))
}
