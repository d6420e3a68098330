//! Injects faults into calls: done or not, no answer is untrue, and a retry shows the result.

use std::future::Future;

use gateway::domain::decision::Decision;
use gateway::domain::identity::BuyerHash;
use gateway::recovery::sweeper;
use gateway::reserve::changes::Change;

use super::Outcome;
use super::call::Call;
use super::life::{Life, fail, same};
use super::link::Fault;
use super::plan::Op;
use super::sale::Model;

/// One call that meets a fault, or ends before there is anything to go wrong.
struct Attempt<'a> {
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
        let attempt = |at: &usize| Attempt { op, at: *at, fault };
        match op {
            Op::Reserve(at, _) | Op::Again(at, _) | Op::Amend { at, .. } if self.is_outdated(*at) => Ok(()),
            Op::SignUp(at, _) | Op::Join(at, _) if self.is_outdated(*at) => Ok(()),
            Op::Join(at, requests) => self.faulty_join(op, (*at, fault), requests).await,
            Op::SignUp(at, requests) => self.faulty_sign_up(op, (*at, fault), requests).await,
            Op::Withdraw(at, buyer) => self.faulty_withdrawal(op, (*at, fault), buyer).await,
            Op::Sweep(at, entries) => self.faulty_sweep(attempt(at), *entries).await,
            // It reads, and then changes: the second call is the one that may do something.
            Op::Amend { at, .. } => self.faulty_change(attempt(at), usize::from(second), second).await,
            Op::Confirm { at, .. } | Op::Cancel(at, ..) => self.faulty_change(attempt(at), 0, true).await,
            Op::Reserve(at, _) | Op::Again(at, _) => self.faulty_reserve(attempt(at)).await,
            _ => Ok(()),
        }
    }

    async fn faulty_reserve(&mut self, attempt: Attempt<'_>) -> Outcome {
        let Some(Call::Reserve(taps)) = self.call(attempt.op) else { return Ok(()) };
        let instance = &self.instances[attempt.at];
        instance.link.arm(attempt.fault, 0);
        let answered = match attempt.fault {
            Fault::AnswerLate => instance.reserve_and_leave(&taps).await,
            _ => instance.reserve(&taps, false).await,
        };
        let was_met = self.is_over(&attempt).await;
        // Such an early leaver may be gone before the tap was sent.
        let was_sent = !answered.iter().any(|answered| matches!(answered, Decision::NotTaken(_)));
        let mut as_if = self.model.clone();
        let first = as_if.reserve(&taps);
        let second_answer = match attempt.fault {
            Fault::Doubled if was_met => as_if.reserve(&taps),
            _ => first.clone(),
        };
        let sale = &self.instances[attempt.at].sale;
        for (((tap, answered), first), second_answer) in
            taps.iter().zip(&answered).zip(&first).zip(&second_answer)
        {
            let lost = was_met && attempt.fault != Fault::Doubled;
            let is_true = match answered {
                Decision::NotTaken(_) => attempt.fault == Fault::AnswerLate && !was_met,
                // The read model refuses this buyer nothing from now on: the tap may have won.
                Decision::Unknown if attempt.fault != Fault::AnswerLate => {
                    lost && sale.may_have_won(BuyerHash::new(&sale.id, tap.buyer).mark())
                }
                Decision::Unknown => lost,
                Decision::Won(..) | Decision::Replayed(..) => !lost && answered == second_answer,
                // The read model may have refused it, without a call.
                _ => answered == first || (!lost && answered == second_answer),
            };
            if !is_true {
                return fail(&(attempt.fault, was_met, attempt.op), answered, &(first, second_answer));
            }
        }
        if was_sent && (!was_met || attempt.fault != Fault::RequestLost) {
            if was_met && attempt.fault == Fault::AnswerLost {
                as_if.late_unanswered(&self.model);
            }
            self.model = as_if;
        }
        Ok(())
    }

    /// `changes`: what meets the fault, after so many calls, would change something; otherwise it only reads.
    async fn faulty_change(&mut self, attempt: Attempt<'_>, skip: usize, changes: bool) -> Outcome {
        let Some(Call::Change(meant, wanted)) = self.call(attempt.op) else { return Ok(()) };
        let answered = self.answer_of(&attempt, skip, wanted.ask(&self.instances[attempt.at], &meant)).await;
        let expect = |model: &mut Model| wanted.expect(model, &meant);
        let was_met = self.is_over(&attempt).await;
        let what = (attempt.fault, was_met, attempt.op);
        match attempt.fault {
            _ if !was_met => return same(&what, answered, Some(expect(&mut self.model))),
            Fault::Doubled => {
                if changes {
                    expect(&mut self.model);
                }
                return same(&what, answered, Some(expect(&mut self.model)));
            }
            Fault::RequestLost => {}
            Fault::AnswerLost | Fault::AnswerLate if changes => {
                let before = self.model.clone();
                expect(&mut self.model);
                self.model.late_unanswered(&before);
            }
            Fault::AnswerLost | Fault::AnswerLate => {}
        }
        let is_true = match &answered {
            None => attempt.fault == Fault::AnswerLate,
            Some(Change::Unknown) => changes,
            Some(Change::NotTaken(_)) => !changes,
            Some(_) => false,
        };
        if is_true { Ok(()) } else { fail(&what, &answered, &"unknown, or not taken if it only read") }
    }

    /// The sweeper tries again, as soon as it can.
    async fn faulty_sweep(&mut self, attempt: Attempt<'_>, entries: usize) -> Outcome {
        let instance = &self.instances[attempt.at];
        let live = instance.redis_connection.live().unwrap();
        let _ = self
            .answer_of(
                &attempt,
                0,
                sweeper::sweep(&instance.redis_connection, &live, &instance.sale, entries),
            )
            .await;
        self.is_over(&attempt).await;
        let instance = &self.instances[attempt.at];
        instance.sweep_all(entries).await;
        let ended = self.model.sweep();
        let sequence: u64 = self.ledger.command(&["HGET", instance.sale.keys.state(), "sequence"]).await;
        // Where a step also grants, it is the only one.
        let has_standby = self.model.definition.sale.standby;
        self.model.swept_in(if has_standby { u64::from(ended > 0) } else { sequence - self.model.sequence });
        same(attempt.op, sequence, self.model.sequence)
    }

    /// The answer; `None` if it is late.
    async fn answer_of<T>(
        &self,
        attempt: &Attempt<'_>,
        skip: usize,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let link = &self.instances[attempt.at].link;
        link.arm(attempt.fault, skip);
        tokio::select! {
            biased;
            answered = work => Some(answered),
            () = link.held() => None,
        }
    }

    async fn is_over(&mut self, attempt: &Attempt<'_>) -> bool {
        self.is_fault_over(attempt.at).await
    }

    /// Whether the fault at this gateway was met. It has a connection again.
    pub(super) async fn is_fault_over(&mut self, at: usize) -> bool {
        let instance = &self.instances[at];
        let was_met = instance.link.disarm();
        instance.connected().await;
        self.faults += u64::from(was_met);
        was_met
    }
}
