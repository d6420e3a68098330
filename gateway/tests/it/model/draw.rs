//! Draws, side by side on the ledger and on the model.

use gateway::domain::draw::{Secret, commitment};
use gateway::domain::hex;
use gateway::draw::follow::FollowedDraw;
use gateway::reserve::rounds::make_round;

use super::Outcome;
use super::life::{Life, same};
use super::plan::Op;
use super::world::ops;
use proptest::test_runner::TestCaseError;

const REVEAL: &[u8] = b"what was committed to";

/// The commitment of every definition.
pub(super) fn committed() -> String {
    hex::encode(&commitment(REVEAL))
}

impl Life<'_> {
    /// Tells the model the secret that the ledger has made.
    pub(super) async fn learn_secret(&mut self) {
        if self.model.definition.draw.is_some() {
            let state = self.instances[0].sale.keys.state();
            let secret: String = self.ledger.command(&["HGET", state, "draw_secret"]).await;
            self.model.draws_with(Secret::from_hex(&secret).unwrap());
        }
    }

    /// An operator draws, with one beacon or another.
    pub(super) async fn draw(&mut self, op: &Op, beacon: u8) -> Outcome {
        let admin = self.ledger.admin_of(&self.instances[0]);
        let answered = admin.draw(&self.instances[0].sale.id, REVEAL, &[beacon], &ops()).await;
        same(op, answered.unwrap(), self.model.draw_with(REVEAL, &[beacon]))
    }

    /// A gateway takes its next step, of one entrant.
    pub(super) async fn follow_draw(&mut self, op: &Op, at: usize) -> Outcome {
        self.catch_up(at).await;
        same(op, self.instances[at].read_clock().await, self.model.tick())?;
        self.learn_allocated().await?;
        let instance = &self.instances[at];
        let mut followed = FollowedDraw::new(None, 1, 1);
        let admin = self.ledger.admin_of(instance);
        let mut step = async || {
            followed.step(&admin, &instance.sale).await.map_err(|e| TestCaseError::fail(e.to_string()))
        };
        // Where a rank got nothing, its journal does not tell: it goes on where the ledger is found to be.
        if !step().await? {
            step().await?;
        }
        self.model.follow_draw();
        self.learn_allocated().await
    }

    /// Its read model has all that the ledger has.
    async fn catch_up(&mut self, at: usize) {
        if self.following {
            let instance = &self.instances[at];
            make_round(&instance.redis_connection, instance.sales(), &instance.sale).await;
        } else {
            self.refresh(at).await;
        }
    }

    /// A recovery brings back what is in the journal.
    pub(super) async fn learn_allocated(&mut self) -> Outcome {
        if self.model.definition.draw.is_none() {
            return Ok(());
        }
        let state = self.instances[0].sale.keys.state();
        let allocated: usize = self.ledger.command(&["HGET", state, "allocated"]).await;
        self.model.allocated_in_ledger(allocated).map_err(TestCaseError::fail)
    }
}
