//! Draws, side by side on the ledger and on the model.

use gateway::domain::draw::{Secret, commitment};
use gateway::domain::hex;
use gateway::draw::file;
use gateway::draw::follow::FollowedDraw;
use gateway::manage::file_error::FileError;
use gateway::reserve::rounds::make_round;

use super::Outcome;
use super::life::{Life, same};
use super::plan::{GATEWAYS, Op};
use super::world::ops;
use proptest::test_runner::TestCaseError;

/// How many entrants each gateway serves at once.
const BATCHES: [usize; GATEWAYS] = [1, 3];
const REVEAL: &[u8] = b"what was committed to";

/// The commitment of every definition.
pub(super) fn committed() -> String {
    hex::encode(&commitment(REVEAL))
}

/// What each gateway has of a draw.
pub(super) fn followed() -> [FollowedDraw; GATEWAYS] {
    BATCHES.map(|batch| FollowedDraw::new(None, batch as u64, 1))
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

    /// A gateway takes its next step: the first one serves entrants one by one, the other in batches.
    pub(super) async fn follow_draw(&mut self, op: &Op, at: usize) -> Outcome {
        self.catch_up(at).await;
        same(op, self.instances[at].read_clock().await, self.model.tick())?;
        let instance = &self.instances[at];
        let admin = self.ledger.admin_of(instance);
        // Where it takes the other gateway for busy, it takes the step the next time.
        for _ in 0..2 {
            let step = self.followed[at].step(&admin, &instance.sale).await;
            if step.map_err(|failure| TestCaseError::fail(failure.to_string()))? {
                break;
            }
        }
        self.model.follow_draw(BATCHES[at]);
        Ok(())
    }

    /// Whoever has the published file can repeat the draw.
    pub(super) async fn publish_and_verify(&self) -> Outcome {
        if !self.model.has_entrants() {
            return Ok(());
        }
        let folder = tempfile::tempdir().unwrap();
        let (path, sale) = (folder.path().join("published"), &self.instances[0].sale.id);
        let fail = |error: FileError| TestCaseError::fail(error.to_string());
        file::publish(&self.ledger.admin, sale, &path).await.map_err(fail)?;
        file::verify(&path).map(drop).map_err(fail)
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
}
