//! Random histories, forks, crashes and lost answers against a receiver that does as the page says: afterwards it
//! has what the ledger has.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::change::position_of;

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// The ledger gets a change of this reservation.
    Change(u8),
    /// The ledger loses so many changes.
    Lose(usize),
    /// An operator restores the file that had what was lost last.
    Restore,
    /// The relay reads so many, or finds that it has to take back some; the gateway finds a common cursor that may be
    /// so far before the fork.
    Read { max: usize, before: usize },
    /// Requests go out.
    Send(usize),
    /// One of those in flight is answered.
    Answer { which: usize, is_received: bool, is_ok: bool },
    /// The relay is killed; each request in flight was received or not.
    Crash { received: u8 },
    /// An operator releases all, or time goes by.
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8).prop_map(Step::Change),
        2 => (1..6usize).prop_map(Step::Lose),
        1 => Just(Step::Restore),
        4 => (1..6usize, 0..4usize).prop_map(|(max, before)| Step::Read { max, before }),
        4 => (1..4usize).prop_map(Step::Send),
        6 => (0..4usize, any::<bool>(), any::<bool>())
            .prop_map(|(which, is_received, is_ok)| Step::Answer { which, is_received, is_ok }),
        1 => any::<u8>().prop_map(|received| Step::Crash { received }),
        1 => Just(Step::Release),
    ]
}

/// A receiver that removes duplicates by id, and does as `rescinded` asks: it forgets the id, too, because a change that
/// comes back has the same one. No webhook arrives late here.
#[derive(Default)]
struct Receiver {
    seen: HashSet<String>,
    /// Per reservation what it has, by id, in the order of arrival.
    has: BTreeMap<String, Vec<(String, Value)>>,
}

impl Receiver {
    fn receive(&mut self, webhook: &Due) {
        if !self.seen.insert(webhook.id.clone()) {
            return;
        }
        let body: Value = serde_json::from_str(&webhook.body).unwrap();
        let has = self.has.entry(webhook.reservation.clone()).or_default();
        match body["rescinds"].as_str() {
            Some(id) => {
                self.seen.remove(id);
                // Newest first: nothing stands behind what is taken back. What never arrived is not there.
                if let Some(place) = has.iter().position(|(has, _)| has == id) {
                    assert_eq!(place + 1, has.len(), "{id} is not the newest of {has:?}");
                    has.pop();
                }
            }
            None => has.push((webhook.id.clone(), body["data"].clone())),
        }
    }
}

struct World {
    folder: TempDir,
    outbox: Option<Outbox>,
    ledger: Vec<Change>,
    /// What was lost last, with what was before it.
    lost: Vec<Change>,
    made: u64,
    /// Grows with each fork that is found.
    now: Timestamp,
    flights: Vec<Due>,
    receiver: Receiver,
}

impl World {
    fn new() -> Self {
        let folder = folder();
        let outbox = Some(open(&folder));
        Self {
            folder,
            outbox,
            ledger: Vec::new(),
            lost: Vec::new(),
            made: 0,
            now: NOW,
            flights: Vec::new(),
            receiver: Receiver::default(),
        }
    }

    fn outbox(&mut self) -> &mut Outbox {
        self.outbox.as_mut().unwrap()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Change(reservation) => {
                self.made += 1;
                let sequence = self.ledger.len() as u64 + 1;
                self.ledger.push(change(sequence, &format!("r{reservation}"), &self.made.to_string()));
            }
            Step::Lose(count) => {
                self.lost.clone_from(&self.ledger);
                self.ledger.truncate(self.ledger.len().saturating_sub(count));
            }
            Step::Restore => {
                if !self.lost.is_empty() {
                    std::mem::swap(&mut self.ledger, &mut self.lost);
                }
            }
            Step::Read { max, before } => self.read(max, before),
            Step::Send(max) => {
                let busy: Vec<String> = self.flights.iter().map(|due| due.reservation.clone()).collect();
                let mut due = self.outbox().failed(i64::MAX, &busy, max).unwrap();
                due.extend(self.outbox().fresh(max as f64 / 4.0, &busy, max).unwrap());
                self.flights.extend(due);
            }
            Step::Answer { which, is_received, is_ok } => {
                if which < self.flights.len() {
                    let sent = self.flights.remove(which);
                    if is_received || is_ok {
                        self.receiver.receive(&sent);
                    }
                    let next = (sent.position % 3 != 0).then_some(0);
                    let outcome = if is_ok { Outcome::Delivered } else { failed("lost", next) };
                    self.outbox().record(&[(sent, outcome)], 0).unwrap();
                }
            }
            Step::Crash { received } => {
                for (index, sent) in std::mem::take(&mut self.flights).iter().enumerate() {
                    if received >> (index % 8) & 1 == 1 {
                        self.receiver.receive(sent);
                    }
                }
                self.outbox = None;
                self.outbox = Some(open(&self.folder));
            }
            Step::Release => {
                self.outbox().release_all().unwrap();
            }
        }
    }

    /// What it counts is what is there; what took a change back is not kept.
    fn check(&mut self) {
        let outbox = self.outbox();
        let sql = "SELECT count(*) FILTER (WHERE delivered = 0), count(*) FILTER (WHERE delivered = 1),
            count(*) FILTER (WHERE delivered = 1 AND cursor IS NULL) FROM webhooks";
        let there: (i64, i64, i64) =
            outbox.connection.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!((signed(outbox.waiting), signed(outbox.delivered), 0), there);
    }

    /// As the core reads: a page after the cursor, or after a fork the way back to what both have.
    fn read(&mut self, max: usize, before: usize) {
        let cursor = self.outbox().cursor().unwrap();
        let read = match &cursor {
            None => 0,
            Some(cursor) => position_of(cursor).unwrap().0 as usize,
        };
        let is_common =
            read == 0 || self.ledger.get(read - 1).map(|change| &change.cursor) == cursor.as_ref();
        if is_common {
            let changes: Vec<Change> = self.ledger[read..].iter().take(max).cloned().collect();
            if !changes.is_empty() {
                self.outbox().store(&page(&changes), 1).unwrap();
            }
            return;
        }
        // The gateway knows a common cursor, which the outbox has had or not.
        let ledger = self.ledger.clone();
        self.now += std::time::Duration::from_millis(1);
        let now = self.now;
        let outbox = self.outbox();
        let fork = (0..ledger.len().min(read)).rev().map(|n| n + 1);
        let fork =
            fork.into_iter().find(|n| outbox.last_known(&ledger[n - 1..*n]).unwrap().is_some()).unwrap_or(0);
        let mut common = fork.saturating_sub(before);
        let mut from = common;
        while from < ledger.len().min(read) {
            let end = (from + max).min(ledger.len());
            if let Some(index) = outbox.last_known(&ledger[from..end]).unwrap() {
                common = from + index + 1;
            }
            from = end;
        }
        let common = if common == 0 { "0-0".to_owned() } else { ledger[common - 1].cursor.clone() };
        outbox.rescind(&common, 1, now).unwrap();
    }

    /// Everything is read, sent and answered.
    fn settle(&mut self) {
        for _ in 0..self.ledger.len() + 2 {
            self.read(5, 2);
        }
        self.take(Step::Crash { received: 0 });
        for round in 0.. {
            self.outbox().release_all().unwrap();
            self.take(Step::Send(9));
            if self.flights.is_empty() {
                break;
            }
            while !self.flights.is_empty() {
                self.take(Step::Answer { which: 0, is_received: true, is_ok: true });
            }
            assert!(round < 1000, "it never ends");
        }
        assert_eq!(self.outbox().counts().unwrap(), Counts::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_receiver_ends_with_what_the_ledger_has(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
        world.settle();
        let mut expected: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for change in &world.ledger {
            expected.entry(change.reservation.clone().unwrap()).or_default().push(change.line.clone());
        }
        let mut has: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (reservation, webhooks) in world.receiver.has {
            if !webhooks.is_empty() {
                has.insert(reservation, webhooks.into_iter().map(|(_, line)| line).collect());
            }
        }
        prop_assert_eq!(has, expected);
    }
}
