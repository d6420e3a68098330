//! Calls that go wrong on their way: done or not, nobody is told anything untrue, and asking again finds out.

use std::future::Future;

use gateway::domain::identity::BuyerHash;
use gateway::ledger::batch::Decision;
use gateway::ledger::changes::{self, Amendment, Change};
use gateway::ledger::reaper;

use super::Outcome;
use super::life::{Life, by, fail, same};
use super::link::Fault;
use super::plan::{Op, Tap, Who};
use super::world::plain_change;

/// One call that meets a fault, or ends before there is anything to go wrong.
struct Call<'a> {
    op: &'a Op,
    at: usize,
    fault: Fault,
}

impl Life<'_> {
    /// The call of a script that this step makes, or the one after, meets this fault.
    pub(super) async fn faulty(&mut self, fault: Fault, second: bool, op: &Op) -> Outcome {
        if self.following {
            // A call with an outdated definition would be refused, and there would be another.
            self.audit(op).await?;
        }
        let call = |at| Call { op, at, fault };
        match op {
            Op::Reserve(at, taps) if !self.is_outdated(*at) => self.faulty_reserve(call(*at), taps).await,
            Op::Again(at, which) if !self.is_outdated(*at) => {
                let Some((place, _)) = self.meant(*which) else { return Ok(()) };
                let taps = [self.model.claims[place].want.clone()];
                self.faulty_reserve(call(*at), &taps).await
            }
            Op::Confirm { at, which, payment, version_off } => {
                self.faulty_confirm(call(*at), *which, payment, *version_off).await
            }
            Op::Cancel(at, which, who) => self.faulty_cancel(call(*at), *which, *who).await,
            Op::Amend { at, which, who, .. } if !self.is_outdated(*at) => {
                self.faulty_amend(call(*at), second, *which, *who, &op.amendment()).await
            }
            Op::Sweep(at, entries) => self.faulty_sweep(call(*at), *entries).await,
            _ => Ok(()),
        }
    }

    async fn faulty_reserve(&mut self, call: Call<'_>, taps: &[Tap]) -> Outcome {
        let gate = &self.gates[call.at];
        gate.link.arm(call.fault, 0);
        let told = match call.fault {
            Fault::AnswerLate => gate.reserve_and_leave(taps).await,
            _ => gate.reserve(taps, false).await,
        };
        let was_met = self.is_over(&call).await;
        // Who leaves so soon may be gone before his tap was sent.
        let was_sent = !told.iter().any(|told| matches!(told, Decision::NotTaken(_)));
        let mut as_if = self.model.clone();
        let first = as_if.reserve(taps);
        let heard = match call.fault {
            Fault::Doubled if was_met => as_if.reserve(taps),
            _ => first.clone(),
        };
        let sale = &self.gates[call.at].sale;
        for (((tap, told), first), heard) in taps.iter().zip(&told).zip(&first).zip(&heard) {
            let lost = was_met && call.fault != Fault::Doubled;
            let is_true = match told {
                Decision::NotTaken(_) => call.fault == Fault::AnswerLate && !was_met,
                // Memory refuses him nothing from now on: he may have won.
                Decision::Unknown if call.fault != Fault::AnswerLate => {
                    lost && sale.may_have_won(BuyerHash::new(&sale.id, tap.buyer).mark())
                }
                Decision::Unknown => lost,
                Decision::Won(..) | Decision::Replayed(..) => !lost && told == heard,
                // Memory may have refused it, without a call.
                _ => told == first || (!lost && told == heard),
            };
            if !is_true {
                return fail(&(call.fault, was_met, call.op), told, &(first, heard));
            }
        }
        if was_sent && (!was_met || call.fault != Fault::RequestLost) {
            self.model = as_if;
        }
        Ok(())
    }

    async fn faulty_confirm(&mut self, call: Call<'_>, which: usize, payment: &str, off: i64) -> Outcome {
        let Some((place, id)) = self.meant(which) else { return Ok(()) };
        let version = self.model.version_of(place).saturating_add_signed(off);
        let gate = &self.gates[call.at];
        let told = self.told(&call, 0, changes::confirm(&gate.lane, &gate.sale, &id, payment, version)).await;
        self.compare(&call, told, true, |model| model.confirm(place, payment, off)).await
    }

    async fn faulty_cancel(&mut self, call: Call<'_>, which: usize, who: Who) -> Outcome {
        let Some((place, id)) = self.meant(which) else { return Ok(()) };
        let (gate, part) = (&self.gates[call.at], self.part(place, who));
        let told = self.told(&call, 0, changes::cancel(&gate.lane, &gate.sale, &id, by(who, &part))).await;
        self.compare(&call, told, true, |model| model.cancel(place, who)).await
    }

    /// It reads, and then changes: the second call is the one that may do something.
    async fn faulty_amend(
        &mut self,
        call: Call<'_>,
        second: bool,
        which: usize,
        who: Who,
        wanted: &Amendment,
    ) -> Outcome {
        let Some((place, id)) = self.meant(which) else { return Ok(()) };
        let (gate, part) = (&self.gates[call.at], self.part(place, who));
        let amend = changes::amend(&gate.lane, &gate.sale, &id, by(who, &part), wanted);
        let told = self.told(&call, usize::from(second), amend).await;
        self.compare(&call, told, second, |model| model.amend(place, who, wanted)).await
    }

    /// The reaper tries again, as soon as it can.
    async fn faulty_sweep(&mut self, call: Call<'_>, entries: usize) -> Outcome {
        let gate = &self.gates[call.at];
        let live = gate.lane.live().unwrap();
        let _ = self.told(&call, 0, reaper::sweep(&gate.lane, &live, &gate.sale, entries)).await;
        self.is_over(&call).await;
        let gate = &self.gates[call.at];
        gate.sweep_all(entries).await;
        self.model.sweep();
        let sequence: u64 = self.ledger.command(&["HGET", gate.sale.keys.state(), "sequence"]).await;
        self.model.swept_in(sequence - self.model.sequence);
        Ok(())
    }

    /// What is told; nobody waits for an answer that is late.
    async fn told<T>(&self, call: &Call<'_>, skip: usize, work: impl Future<Output = T>) -> Option<T> {
        let link = &self.gates[call.at].link;
        link.arm(call.fault, skip);
        tokio::select! {
            biased;
            told = work => Some(told),
            () = link.held() => None,
        }
    }

    /// Whether the fault was met. The gateway has a connection again.
    async fn is_over(&mut self, call: &Call<'_>) -> bool {
        let gate = &self.gates[call.at];
        let was_met = gate.link.disarm();
        gate.connected().await;
        self.faults += u64::from(was_met);
        was_met
    }

    /// `changes`: what met the fault would have changed something; otherwise it only read.
    async fn compare<F>(&mut self, call: &Call<'_>, told: Option<Change>, changes: bool, expect: F) -> Outcome
    where
        F: Fn(&mut super::sale::Model) -> Change,
    {
        let told = told.map(plain_change);
        let was_met = self.is_over(call).await;
        let what = (call.fault, was_met, call.op);
        match call.fault {
            _ if !was_met => return same(&what, told, Some(expect(&mut self.model))),
            Fault::Doubled => {
                if changes {
                    expect(&mut self.model);
                }
                return same(&what, told, Some(expect(&mut self.model)));
            }
            Fault::RequestLost => {}
            Fault::AnswerLost | Fault::AnswerLate if changes => drop(expect(&mut self.model)),
            Fault::AnswerLost | Fault::AnswerLate => {}
        }
        let is_true = match &told {
            None => call.fault == Fault::AnswerLate,
            Some(Change::Unknown) => changes,
            Some(Change::NotTaken(_)) => !changes,
            Some(_) => false,
        };
        if is_true { Ok(()) } else { fail(&what, &told, &"unknown, or not taken if it only read") }
    }
}
