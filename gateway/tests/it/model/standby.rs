//! Standby queues, side by side on the ledger and on the model.

use gateway::domain::identity::BuyerHash;
use gateway::reserve::batch::JoinDecision;
use gateway::reserve::rounds::make_round;
use gateway::reserve::standby::{self, Leaving};

use super::Outcome;
use super::instance::plain;
use super::life::{Life, fail, same};
use super::link::Fault;
use super::plan::{BUYERS, JoinRequest, Op};

/// All items that may be set aside.
fn models() -> Vec<String> {
    ["model:m1", "model:m2", "model:m3"].map(str::to_owned).to_vec()
}

/// Reduced to what the contract shows.
fn shown(decision: JoinDecision) -> JoinDecision {
    match decision {
        JoinDecision::Granted(model, r) => JoinDecision::Granted(model, Box::new(plain(*r))),
        other => other,
    }
}

impl Life<'_> {
    pub(super) async fn join(&mut self, op: &Op, at: usize, requests: &[JoinRequest]) -> Outcome {
        // It would wait for the new definition for seconds.
        self.refresh_if_outdated(at).await;
        let answered = self.instances[at].join(requests).await;
        same(op, answered.into_iter().map(shown).collect(), self.model.join(requests))
    }

    pub(super) async fn leave(&mut self, op: &Op, at: usize, buyer: &str) -> Outcome {
        let instance = &self.instances[at];
        let answered = standby::leave(&instance.redis_connection, &instance.sale, buyer).await;
        self.model.leave(buyer);
        same(op, answered, Leaving::Done)
    }

    /// What the sweeper does with what is set aside.
    pub(super) async fn grant(&mut self, op: &Op, at: usize) -> Outcome {
        let instance = &self.instances[at];
        let (models, live) = (models(), instance.redis_connection.live().unwrap());
        let items: Vec<&str> = models.iter().map(String::as_str).collect();
        let granted =
            standby::grant(&instance.redis_connection, &live, &self.ledger.scripts, &instance.sale, &items)
                .await;
        same(op, granted.unwrap(), self.model.grant(&models, usize::MAX))
    }

    /// Makes what a recovery has not brought back, since it was shown to nobody, and what was left to grant before.
    pub(super) async fn grant_again(&mut self) {
        let instance = &self.instances[0];
        let (models, live) = (models(), instance.redis_connection.live().unwrap());
        let items: Vec<&str> = models.iter().map(String::as_str).collect();
        let scripts = &self.ledger.scripts;
        standby::grant(&instance.redis_connection, &live, scripts, &instance.sale, &items).await.unwrap();
        self.model.grant(&models, usize::MAX);
        self.model.sequence = self.ledger.command(&["HGET", instance.sale.keys.state(), "sequence"]).await;
    }

    /// Every gateway that has read all, and one that starts now, show every place as the model has it.
    pub(super) async fn compare_places(&self, op: &Op) -> Outcome {
        let expected = BUYERS.map(|buyer| self.model.place_of(buyer));
        let started = self.ledger.load(&self.instances[0].sale.id).await;
        let places = BUYERS.map(|buyer| started.place(&BuyerHash::new(&started.id, buyer)));
        same(&("a gateway that starts", op), &places, &expected)?;
        for instance in self.instances.iter().filter(|_| self.following) {
            make_round(&instance.redis_connection, instance.sales(), &instance.sale).await;
            let places = BUYERS.map(|buyer| instance.sale.place(&BuyerHash::new(&instance.sale.id, buyer)));
            same(&("a gateway that follows", op), &places, &expected)?;
        }
        Ok(())
    }

    /// Requests to join whose call meets a fault.
    pub(super) async fn faulty_join(
        &mut self,
        op: &Op,
        (at, fault): (usize, Fault),
        requests: &[JoinRequest],
    ) -> Outcome {
        use gateway::domain::decision::Decision::{NotTaken, Unknown};
        let instance = &self.instances[at];
        instance.link.arm(fault, 0);
        let answered = match fault {
            Fault::AnswerLate => instance.join_and_leave(requests).await,
            _ => instance.join(requests).await,
        };
        let was_met = self.is_fault_over(at).await;
        let mut as_if = self.model.clone();
        let first = as_if.join(requests);
        let expected = if was_met && fault == Fault::Doubled { as_if.join(requests) } else { first };
        let is_lost = was_met && fault != Fault::Doubled;
        for (answered, expected) in answered.iter().zip(&expected) {
            let is_true = match answered {
                JoinDecision::Refused(NotTaken(_)) => fault == Fault::AnswerLate && !was_met,
                JoinDecision::Refused(Unknown) => is_lost,
                answered => !is_lost && shown(answered.clone()) == *expected,
            };
            if !is_true {
                return fail(&(fault, was_met, op), answered, expected);
            }
        }
        let was_sent =
            !answered.iter().any(|answered| matches!(answered, JoinDecision::Refused(NotTaken(_))));
        if was_sent && (!was_met || fault != Fault::RequestLost) {
            if was_met && fault == Fault::AnswerLost {
                as_if.late_unanswered(&self.model);
            }
            self.model = as_if;
        }
        Ok(())
    }
}
