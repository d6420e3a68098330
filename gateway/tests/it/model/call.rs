//! A call of a gateway with all that it says, put together before it is made; and what the model says to it.

use gateway::domain::decision::Decision;
use gateway::reserve::changes::{self, Amendment, Change};

use super::life::{Life, by};
use super::plan::{Op, Tap, Who};
use super::sale::Model;
use super::world::{Gate, plain_change};

pub(super) enum Call {
    Reserve(Vec<Tap>),
    Change(Meant, ReserveCommand),
}

/// A reservation: its place in the model, its id, and the buyer that the call is for.
pub(super) struct Meant {
    place: usize,
    id: String,
    part: String,
}

pub(super) enum ReserveCommand {
    /// With this payment, at this version.
    Confirm(&'static str, u64),
    Cancel(Who),
    Amend(Who, Amendment),
}

/// What is told.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Taps(Vec<Decision>),
    Change(Change),
}

impl Life<'_> {
    /// `None`: the step calls nothing, or means a reservation and there is none.
    pub(super) fn call(&self, op: &Op) -> Option<Call> {
        let meant = |which, who| {
            let (place, id) = self.meant(which)?;
            Some(Meant { place, id, part: self.part(place, who) })
        };
        Some(match op {
            Op::Reserve(_, taps) => Call::Reserve(taps.clone()),
            Op::Again(_, which) => Call::Reserve(vec![self.model.claims[self.meant(*which)?.0].want.clone()]),
            Op::Confirm { which, payment, version_off, .. } => {
                let meant = meant(*which, Who::Service)?;
                let version = self.model.version_of(meant.place).saturating_add_signed(*version_off);
                Call::Change(meant, ReserveCommand::Confirm(payment, version))
            }
            Op::Cancel(_, which, who) => Call::Change(meant(*which, *who)?, ReserveCommand::Cancel(*who)),
            Op::Amend { which, who, .. } => {
                Call::Change(meant(*which, *who)?, ReserveCommand::Amend(*who, op.amendment()))
            }
            _ => return None,
        })
    }
}

impl Call {
    pub(super) async fn make(&self, gate: &Gate) -> Said {
        match self {
            Self::Reserve(taps) => Said::Taps(gate.reserve(taps, false).await),
            Self::Change(meant, wanted) => Said::Change(wanted.ask(gate, meant).await),
        }
    }

    pub(super) fn expect(&self, model: &mut Model) -> Said {
        match self {
            Self::Reserve(taps) => Said::Taps(model.reserve(taps)),
            Self::Change(meant, wanted) => Said::Change(wanted.expect(model, meant)),
        }
    }
}

impl ReserveCommand {
    /// What the gateway says, without what the contract does not show.
    pub(super) async fn ask(&self, gate: &Gate, meant: &Meant) -> Change {
        let (redis_connection, sale, id) = (&gate.redis_connection, &gate.sale, &meant.id);
        plain_change(match self {
            Self::Confirm(payment, version) => {
                changes::confirm(redis_connection, sale, id, payment, *version).await
            }
            Self::Cancel(who) => changes::cancel(redis_connection, sale, id, by(*who, &meant.part)).await,
            Self::Amend(who, wanted) => {
                changes::amend(redis_connection, sale, id, by(*who, &meant.part), wanted).await
            }
        })
    }

    pub(super) fn expect(&self, model: &mut Model, meant: &Meant) -> Change {
        match self {
            Self::Confirm(payment, version) => {
                // Another call may have made another version since.
                let off = version.wrapping_sub(model.version_of(meant.place)).cast_signed();
                model.confirm(meant.place, payment, off)
            }
            Self::Cancel(who) => model.cancel(meant.place, *who),
            Self::Amend(who, wanted) => model.amend(meant.place, *who, wanted),
        }
    }
}
