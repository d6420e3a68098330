//! Runs one history on the ledger and on the model, and compares the answers.

use std::cell::Cell;
use std::fmt::Debug;

use gateway::domain::decision::Decision;
use gateway::domain::identity::{buyer_part, reservation_id};
use gateway::draw::follow::FollowedDraw;
use gateway::manage::admin::Performed;
use gateway::manage::audit::AuditVerdict;
use gateway::reserve::changes::{self, Change, Payment, Requester};
use proptest::test_runner::TestCaseError;

use super::Outcome;
use super::crash::Past;
use super::definition::edited;
use super::draw::followed;
use super::instance::{Instance, plain};
use super::plan::{BUYERS, GATEWAYS, History, Op, Role, START, Tap};
use super::sale::Model;
use super::world::{Ledger, ops};
use crate::recovery::confirmed_count::agrees;

/// What was met on the way.
#[derive(Default)]
pub struct Met {
    pub crashes: Cell<u64>,
    /// Calls that went wrong.
    pub faults: Cell<u64>,
    /// Calls that were made at once, two each time.
    pub pairs: Cell<u64>,
    /// Taps that the read model refused.
    pub refused: Cell<u64>,
    /// Buyers who signed up.
    pub sign_ups: Cell<u64>,
    /// Entrants who were served in a draw.
    pub drawn: Cell<u64>,
    /// Reservations that were granted.
    pub granted: Cell<u64>,
}

/// Adds what it meets.
pub async fn live_through(
    ledger: &Ledger,
    sale: &str,
    history: &History,
    following: bool,
    met: &Met,
) -> Outcome {
    let definition = history.definition(sale);
    ledger.set_time(START).await;
    ledger.apply(&definition).await;
    let mut life = Life {
        ledger,
        model: Model::new(definition),
        instances: Vec::new(),
        followed: followed(),
        revisions: vec![1; GATEWAYS],
        following,
        past: history.crashes().then(|| Past::new(ledger, GATEWAYS)),
        faults: 0,
        pairs: 0,
        refused: 0,
    };
    for at in 0..GATEWAYS {
        life.instances.push(match following {
            true => ledger.following_instance(at, sale).await,
            false => ledger.instance(at, sale).await,
        });
    }
    life.learn_secret().await;
    life.remember(true).await;
    for op in &history.ops {
        // Then a gateway reads the sale anew before it amends.
        let outdated = (0..GATEWAYS).any(|at| life.is_outdated(at));
        life.step(op).await?;
        if life.is_shown_only() {
            // Nobody acts on a grant that was not shown.
            for sub in BUYERS {
                life.read(op, 0, sub).await?;
            }
        }
        life.model.check(op).map_err(TestCaseError::fail)?;
        // Definitions are not replayed, and a gateway that reads a sale again has lost its
        // acknowledgement buffer.
        let afresh = match op {
            Op::Apply(_) => true,
            Op::Refresh(_) => !following,
            Op::Amend { .. } | Op::SignUp(..) | Op::Join(..) => outdated,
            // Only a gateway that has read an unacknowledged change can replay it.
            Op::Faulty(..) => !following,
            _ => false,
        };
        life.remember(afresh).await;
    }
    met.crashes.set(met.crashes.get() + life.past.as_ref().map_or(0, |past| past.crashes));
    met.faults.set(met.faults.get() + life.faults);
    met.pairs.set(met.pairs.get() + life.pairs);
    met.refused.set(met.refused.get() + life.refused);
    let granted = life.model.claims.iter().filter(|claim| claim.want.key.is_empty()).count();
    met.granted.set(met.granted.get() + granted as u64);
    met.drawn.set(met.drawn.get() + life.model.drawn() as u64);
    met.sign_ups.set(met.sign_ups.get() + life.model.signed_up().unwrap_or_default());
    life.end().await
}

/// The ledger and the model, side by side.
pub(super) struct Life<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) model: Model,
    pub(super) instances: Vec<Instance>,
    pub(super) followed: [FollowedDraw; GATEWAYS],
    /// The definition's revision at each gateway.
    revisions: Vec<u64>,
    pub(super) following: bool,
    /// What Redis falls back to, if it does.
    past: Option<Past>,
    /// Calls that went wrong.
    pub(super) faults: u64,
    pub(super) pairs: u64,
    refused: u64,
}

impl Life<'_> {
    async fn remember(&mut self, afresh: bool) {
        if let Some(past) = &mut self.past {
            past.note(self.ledger, &self.instances[0].sale.id, self.model.clocks(), afresh).await;
        }
    }

    /// Whether grants come back from a crash only because a gateway has shown them.
    fn is_shown_only(&self) -> bool {
        self.past.is_some() && self.model.definition.sale.standby && !self.following
    }

    async fn crash(&mut self, op: &Op, back: usize) -> Outcome {
        // By then journal consumers have read unacknowledged changes, too.
        self.audit(op).await?;
        let is_shown_only = self.is_shown_only();
        if let Some(past) = &mut self.past {
            self.model.crashed(past.crash(self.ledger, &self.instances, back).await);
            // By then no answer of it is acknowledged.
            for instance in &self.instances {
                let sequence = self.model.sequence;
                let answered = instance.tick().await;
                if is_shown_only {
                    // No gateway was told who was skipped, or what nobody waited for.
                    self.model.sequence = answered.sequence;
                }
                same(op, answered, self.model.tick())?;
                self.model.sequence = sequence;
            }
        }
        if is_shown_only {
            self.grant_again().await;
        }
        self.audit(op).await
    }

    async fn step(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Pass(ms) => self.pass(*ms).await,
            Op::Tick => self.tick().await?,
            Op::Run(steps) => self.run(*steps).await?,
            Op::Reserve(at, taps) => self.reserve(op, *at, taps).await?,
            Op::Again(at, which) => {
                if let Some((index, _)) = self.meant(*which) {
                    let tap = self.model.claims[index].want.clone();
                    if !tap.key.is_empty() {
                        self.reserve(op, *at, &[tap.clone(), tap]).await?;
                    }
                }
            }
            Op::Confirm { at, .. } | Op::Cancel(at, ..) | Op::Amend { at, .. } => {
                self.change(op, *at).await?
            }
            Op::Read(at, sub) => self.read(op, *at, sub).await?,
            Op::SignUp(at, requests) => self.sign_up(op, *at, requests).await?,
            Op::Withdraw(at, buyer) => self.withdraw(op, *at, buyer).await?,
            Op::ReadSignUp(at, buyer) => self.read_sign_up(op, *at, buyer).await?,
            Op::Join(at, requests) => self.join(op, *at, requests).await?,
            Op::Leave(at, buyer) => self.leave(op, *at, buyer).await?,
            Op::Grant(at) => self.grant(op, *at).await?,
            Op::FollowDraw(at) => self.follow_draw(op, *at).await?,
            Op::Draw(beacon) => self.draw(op, *beacon).await?,
            Op::Sweep(at, entries) => self.sweep(op, *at, *entries).await?,
            Op::OperatorAction(action) => {
                let answered = self
                    .ledger
                    .admin_of(&self.instances[0])
                    .perform(self.id(), *action, &ops())
                    .await
                    .unwrap();
                same(op, answered == Performed::Done, self.model.perform(*action))?;
            }
            Op::Restock { item, total, was_off } => {
                let was = self.model.total(item).unwrap_or_default().unsigned_abs() + was_off;
                let answered = self
                    .ledger
                    .admin_of(&self.instances[0])
                    .restock(self.id(), item, *total, was, &ops())
                    .await;
                same(op, answered.unwrap(), self.model.restock(item, *total, was))?;
            }
            Op::Apply(edits) => {
                let after = edited(&self.model.definition, edits);
                same(op, self.ledger.apply(&after).await, self.model.apply(&after))?;
            }
            Op::Refresh(at) => self.refresh(*at).await,
            Op::Audit => self.audit(op).await?,
            Op::Crash(back) => self.crash(op, *back).await?,
            Op::Faulty(fault, second, op) => self.faulty(*fault, *second, op).await?,
            Op::Together(one, other) => self.together(op, [one, other]).await?,
        }
        Ok(())
    }

    fn id(&self) -> &str {
        &self.instances[0].sale.id
    }

    pub(super) fn is_outdated(&self, at: usize) -> bool {
        !self.following && self.revisions[at] != self.model.revision
    }

    pub(super) async fn refresh_if_outdated(&mut self, at: usize) {
        if self.is_outdated(at) {
            self.refresh(at).await;
        }
    }

    pub(super) async fn refresh(&mut self, at: usize) {
        if !self.following {
            self.instances[at] = self.ledger.instance(at, self.id()).await;
            self.revisions[at] = self.model.revision;
        }
    }

    async fn pass(&mut self, ms: i64) {
        self.ledger.set_time(self.model.pass(ms)).await;
    }

    async fn tick(&mut self) -> Outcome {
        same(&Op::Tick, self.instances[0].tick().await, self.model.tick())
    }

    async fn run(&mut self, steps: u8) -> Outcome {
        for _ in 0..steps {
            self.pass(2_000).await;
            self.tick().await?;
        }
        Ok(())
    }

    async fn reserve(&mut self, op: &Op, at: usize, taps: &[Tap]) -> Outcome {
        if self.is_outdated(at) {
            let answered = self.instances[at].reserve(taps, true).await;
            let none = answered.iter().all(|d| matches!(d, Decision::NotTaken(_) | Decision::Unknown));
            return if none { Ok(()) } else { fail(op, &answered, &"none was taken") };
        }
        // Its tick is not among what Redis falls back to.
        if self.following && self.past.is_none() {
            return self.reserve_or_refuse(op, at, taps).await;
        }
        same(op, self.instances[at].reserve(taps, false).await, self.model.reserve(taps))
    }

    /// As a gateway does: what the read model refuses does not reach the ledger, and is as if it had come first.
    async fn reserve_or_refuse(&mut self, op: &Op, at: usize, taps: &[Tap]) -> Outcome {
        let instance = &self.instances[at];
        let header = instance.read_clock().await;
        same(op, header, self.model.tick())?;
        let (refused, answered) = instance.reserve_or_refuse(taps, header.time).await;
        self.refused += refused.len() as u64;
        let taps_of = |refuses: bool| -> Vec<Tap> {
            let of = |n: &usize| refused.contains_key(n) == refuses;
            (0..taps.len()).filter(of).map(|n| taps[n].clone()).collect()
        };
        same(op, refused.values().cloned().collect(), self.model.reserve(&taps_of(true)))?;
        same(op, answered, self.model.reserve(&taps_of(false)))
    }

    /// The id of the reservation meant, if there is any.
    pub(super) fn meant(&self, which: usize) -> Option<(usize, String)> {
        let index = which.checked_rem(self.model.claims.len())?;
        Some((index, self.model.id_of(index)))
    }

    async fn change(&mut self, op: &Op, at: usize) -> Outcome {
        let Some(call) = self.call(op) else { return self.confirm_unknown(op, at).await };
        if matches!(op, Op::Amend { .. }) {
            // It would wait for the new definition for seconds.
            self.refresh_if_outdated(at).await;
        }
        same(op, call.make(&self.instances[at]).await, call.expect(&mut self.model))
    }

    /// Without a reservation, none can be confirmed.
    async fn confirm_unknown(&self, op: &Op, at: usize) -> Outcome {
        let Op::Confirm { payment, late, .. } = op else { return Ok(()) };
        let (instance, id) = (&self.instances[at], reservation_id(self.id(), "absent", "k0"));
        let payment = Payment { reference: payment, version: 1, accepts_late: *late };
        let answered = changes::confirm(&instance.redis_connection, &instance.sale, &id, payment).await;
        same(op, answered, Change::NotFound)
    }

    pub(super) fn part(&self, index: usize, role: Role) -> String {
        let owner = self.model.claims[index].sub;
        let other = BUYERS.iter().find(|sub| **sub != owner).unwrap();
        let sub = if matches!(role, Role::Stranger) { other } else { owner };
        buyer_part(self.id(), sub)
    }

    async fn read(&mut self, op: &Op, at: usize, sub: &str) -> Outcome {
        let instance = &self.instances[at];
        let answered =
            changes::read(&instance.redis_connection, &instance.sale, &buyer_part(self.id(), sub)).await;
        let (list, header) = answered.unwrap();
        let answered = (list.into_iter().map(plain).collect(), header);
        same(op, answered, self.model.list(sub))
    }

    async fn sweep(&mut self, op: &Op, at: usize, entries: usize) -> Outcome {
        let (ended, changes) = self.instances[at].sweep_all(entries).await;
        same(op, ended, self.model.sweep())?;
        self.model.swept_in(changes);
        same(op, changes > 0, ended > 0)
    }

    /// The gateway's own audit balances, and agrees with the model.
    pub(super) async fn audit(&self, op: &Op) -> Outcome {
        let mut report = self.ledger.audit(self.id()).await;
        if self.following {
            for instance in &self.instances {
                agrees(self.ledger, &report, instance).await;
            }
        }
        same(op, (report.verdict, report.problems), (AuditVerdict::Balanced, Vec::new()))?;
        // Before the first unit there is no counter.
        report.items.iter_mut().for_each(|item| item.aside = item.aside.filter(|aside| *aside != 0));
        report.items.sort_by(|a, b| a.item.cmp(&b.item));
        same(op, report.items, self.model.items())?;
        same(op, report.reservations, self.model.counts())?;
        same(op, report.signed_up, self.model.signed_up())?;
        same(op, report.waiting, self.model.waiting())?;
        if report.waiting.is_some() {
            self.compare_places(op).await?;
        }
        same(op, report.sequence, self.model.sequence)
    }

    /// All holds end by their deadlines, and all stock but what is paid for is back.
    async fn end(&mut self) -> Outcome {
        self.audit(&Op::Audit).await?;
        self.step(&Op::OperatorAction(gateway::manage::admin::OperatorAction::Unfreeze)).await?;
        let terms = &self.model.definition.sale;
        let hold = terms.hold_ms.max(terms.granted_hold_ms());
        let steps = (hold + terms.grace_ms).div_ceil(2_000);
        // After TIME stepped back a tick only finds that out.
        let has_standby = terms.standby;
        self.tick().await?;
        self.run(u8::try_from(steps).unwrap()).await?;
        let entries = if has_standby { 64 } else { 3 };
        self.sweep(&Op::Sweep(1, entries), 1, entries).await?;
        // What came back may be held by those who waited, and so on.
        for _ in 0..BUYERS.len() * 8 {
            if !has_standby || self.model.counts().held == 0 {
                break;
            }
            self.run(u8::try_from(steps).unwrap()).await?;
            self.sweep(&Op::Sweep(1, entries), 1, entries).await?;
        }
        self.audit(&Op::Audit).await?;
        for sub in BUYERS {
            self.read(&Op::Read(0, sub), 0, sub).await?;
        }
        self.publish_and_verify().await?;
        same(&"the holds at the end", self.model.counts().held, 0)
    }
}

pub(super) fn by(role: Role, part: &str) -> Requester<'_> {
    match role {
        Role::Service => Requester::Service,
        Role::Owner | Role::Stranger => Requester::Buyer(part),
    }
}

pub(super) fn same<T: Debug + PartialEq>(what: &impl Debug, answered: T, expected: T) -> Outcome {
    if answered == expected { Ok(()) } else { fail(what, &answered, &expected) }
}

pub(super) fn fail(what: &impl Debug, answered: &impl Debug, expected: &impl Debug) -> Outcome {
    Err(TestCaseError::fail(format!("{what:?}\n answered: {answered:?}\n expected: {expected:?}")))
}
