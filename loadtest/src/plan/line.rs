//! Draws the starts of one scenario as they come, and counts them ahead.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::scenario::Scenario;
use crate::plan::arrivals::Offsets;
use crate::plan::{Person, Shard, Start};

/// The starts of one scenario in this process.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) scenario: Scenario,
    pub(crate) starts: Starts,
    /// How many there are.
    pub(crate) count: usize,
    /// One more than the highest account.
    pub(crate) accounts: usize,
    /// How many prepare before the opening.
    pub(crate) ready: usize,
    pub(crate) last_us: i64,
    /// How many may be at work at the same time.
    pub(crate) users: usize,
    /// They are as many as the starts may need, or as reads may.
    pub(crate) has_users_enough: bool,
}

/// The starts of one scenario, one by one. A copy gives the same ones again.
#[derive(Clone, Debug)]
pub(crate) struct Starts {
    pub(super) offsets: Offsets,
    pub(super) scenario: Scenario,
    /// The number of its first buyer, and of the next one, in the whole run.
    pub(super) from: usize,
    pub(super) next: usize,
    /// How many connections share an account of bots.
    pub(super) connections: usize,
    pub(super) shard: Shard,
}

impl Line {
    /// Draws all starts once, to know what they need; `None` without any. A journey takes so long at most, and at most so
    /// many are at work at once.
    pub(super) fn new(starts: Starts, takes: Duration, at_once_max: usize) -> Option<Line> {
        let scenario = starts.scenario;
        let (count, accounts, ready, last_us, users) = (0, 0, 0, 0, 0);
        let has_users_enough = true;
        let mut line = Line { scenario, starts, count, accounts, ready, last_us, users, has_users_enough };
        let takes = i64::try_from(takes.as_micros()).unwrap_or(i64::MAX);
        let mut ends = VecDeque::new();
        for start in line.starts.clone() {
            line.count += 1;
            line.accounts = line.accounts.max(start.person.account + 1);
            line.ready += usize::from(start.is_ready());
            line.last_us = start.at_us;
            // Buyers that come before the opening stay for it.
            ends.push_back(start.at_us.max(0).saturating_add(takes));
            while ends.front().is_some_and(|end| *end < start.at_us) {
                ends.pop_front();
            }
            line.users = line.users.max(ends.len());
            // More are not needed to know that there are too many.
            if ends.len() > at_once_max {
                ends.pop_front();
            }
        }
        // A read does nothing but wait for its answer.
        line.has_users_enough = line.users <= at_once_max || scenario == Scenario::LOOK;
        line.users = line.users.min(at_once_max);
        (line.count > 0).then_some(line)
    }
}

impl Starts {
    fn account(&self, number: usize) -> usize {
        match self.scenario {
            Scenario::BOTS => self.from + (number - self.from) / self.connections,
            _ => number,
        }
    }
}

impl Iterator for Starts {
    type Item = Start;

    fn next(&mut self) -> Option<Start> {
        loop {
            let at_us = self.offsets.next()?;
            let number = self.next;
            self.next += 1;
            let account = self.account(number);
            // Split by account: buyers of one account must be in one process, which proves them together.
            if self.shard.has(account) {
                return Some(Start { at_us, person: Person { number, scenario: self.scenario, account } });
            }
        }
    }
}
