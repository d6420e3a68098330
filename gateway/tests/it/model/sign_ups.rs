//! Sign-ups, side by side on the ledger and on the model.

use gateway::reserve::batch::SignUpDecision;
use gateway::reserve::signup::{self, Withdrawal};

use super::Outcome;
use super::life::{Life, fail, same};
use super::link::Fault;
use super::plan::{Op, SignUpRequest};

impl Life<'_> {
    pub(super) async fn sign_up(&mut self, op: &Op, at: usize, requests: &[SignUpRequest]) -> Outcome {
        // It would wait for the new definition for seconds.
        self.refresh_if_outdated(at).await;
        same(op, self.instances[at].sign_up(requests).await, self.model.sign_up(requests))
    }

    pub(super) async fn withdraw(&mut self, op: &Op, at: usize, buyer: &str) -> Outcome {
        let instance = &self.instances[at];
        let answered = signup::withdraw(&instance.redis_connection, &instance.sale, buyer).await;
        same(op, answered, self.model.withdraw(buyer))
    }

    pub(super) async fn read_sign_up(&mut self, op: &Op, at: usize, buyer: &str) -> Outcome {
        let instance = &self.instances[at];
        let answered = signup::read(&instance.redis_connection, &instance.sale, buyer).await;
        same(op, answered.unwrap().map(|(sign_up, _)| sign_up), self.model.sign_up_of(buyer))
    }

    /// Sign-ups whose call meets a fault.
    pub(super) async fn faulty_sign_up(
        &mut self,
        op: &Op,
        (at, fault): (usize, Fault),
        requests: &[SignUpRequest],
    ) -> Outcome {
        let instance = &self.instances[at];
        instance.link.arm(fault, 0);
        let answered = match fault {
            Fault::AnswerLate => instance.sign_up_and_leave(requests).await,
            _ => instance.sign_up(requests).await,
        };
        let was_met = self.is_fault_over(at).await;
        let mut as_if = self.model.clone();
        let first = as_if.sign_up(requests);
        let expected = if was_met && fault == Fault::Doubled { as_if.sign_up(requests) } else { first };
        let is_lost = was_met && fault != Fault::Doubled;
        for (answered, expected) in answered.iter().zip(&expected) {
            let is_true = match answered {
                SignUpDecision::NotTaken(_) => fault == Fault::AnswerLate && !was_met,
                SignUpDecision::Unknown => is_lost,
                answered => !is_lost && answered == expected,
            };
            if !is_true {
                return fail(&(fault, was_met, op), answered, expected);
            }
        }
        let was_sent = !answered.iter().any(|answered| matches!(answered, SignUpDecision::NotTaken(_)));
        if was_sent && (!was_met || fault != Fault::RequestLost) {
            if was_met && fault == Fault::AnswerLost {
                as_if.late_unanswered(&self.model);
            }
            self.model = as_if;
        }
        Ok(())
    }

    /// A withdrawal whose call meets a fault.
    pub(super) async fn faulty_withdrawal(
        &mut self,
        op: &Op,
        (at, fault): (usize, Fault),
        buyer: &str,
    ) -> Outcome {
        let instance = &self.instances[at];
        instance.link.arm(fault, 0);
        let answered = tokio::select! {
            biased;
            answered = signup::withdraw(&instance.redis_connection, &instance.sale, buyer) => Some(answered),
            () = instance.link.held() => None,
        };
        let was_met = self.is_fault_over(at).await;
        let before = self.model.clone();
        let mut expected = Some(Withdrawal::Unknown);
        if !was_met || fault != Fault::RequestLost {
            expected = Some(self.model.withdraw(buyer));
        }
        match fault {
            Fault::Doubled if was_met => expected = Some(self.model.withdraw(buyer)),
            Fault::AnswerLost | Fault::AnswerLate if was_met => {
                self.model.late_unanswered(&before);
                expected = (fault == Fault::AnswerLost).then_some(Withdrawal::Unknown);
            }
            _ => {}
        }
        same(&(fault, was_met, op), answered, expected)
    }
}
