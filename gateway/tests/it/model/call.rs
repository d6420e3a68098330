//! Prepares a call, makes it at a gateway and on the model, and returns both answers.

use gateway::domain::decision::Decision;
use gateway::reserve::changes::{self, Amendment, Change, Payment};

use super::instance::{Instance, plain_change};
use super::life::{Life, by};
use super::plan::{Op, Role, Tap};
use super::sale::Model;

pub(super) enum Call {
    Reserve(Vec<Tap>),
    Change(Meant, ReserveCommand),
}

/// A reservation: its index in the model, its id, and the buyer that the call is for.
pub(super) struct Meant {
    index: usize,
    id: String,
    part: String,
}

pub(super) enum ReserveCommand {
    Confirm(Payment<'static>),
    Cancel(Role),
    Amend(Role, Amendment),
}

/// The answer to a call.
#[derive(Debug, PartialEq)]
pub(super) enum CallAnswer {
    Taps(Vec<Decision>),
    Change(Change),
}

impl Life<'_> {
    /// `None`: the step calls nothing, or means a reservation and there is none.
    pub(super) fn call(&self, op: &Op) -> Option<Call> {
        let meant = |which, role| {
            let (index, id) = self.meant(which)?;
            Some(Meant { index, id, part: self.part(index, role) })
        };
        Some(match op {
            Op::Reserve(_, taps) => Call::Reserve(taps.clone()),
            Op::Again(_, which) => {
                // Who was granted a reservation made no request for it.
                let want = &self.model.claims[self.meant(*which)?.0].want;
                Call::Reserve(vec![Some(want.clone()).filter(|want| !want.key.is_empty())?])
            }
            Op::Confirm { which, payment: reference, version_off, late: accepts_late, .. } => {
                let meant = meant(*which, Role::Service)?;
                let version = self.model.version_of(meant.index).saturating_add_signed(*version_off);
                let (reference, accepts_late) = (*reference, *accepts_late);
                Call::Change(meant, ReserveCommand::Confirm(Payment { reference, version, accepts_late }))
            }
            Op::Cancel(_, which, role) => Call::Change(meant(*which, *role)?, ReserveCommand::Cancel(*role)),
            Op::Amend { which, role, .. } => {
                let meant = meant(*which, *role)?;
                let amendment = op.amendment(self.model.version_of(meant.index));
                Call::Change(meant, ReserveCommand::Amend(*role, amendment))
            }
            _ => return None,
        })
    }
}

impl Call {
    pub(super) async fn make(&self, instance: &Instance) -> CallAnswer {
        match self {
            Self::Reserve(taps) => CallAnswer::Taps(instance.reserve(taps, false).await),
            Self::Change(meant, wanted) => CallAnswer::Change(wanted.ask(instance, meant).await),
        }
    }

    pub(super) fn expect(&self, model: &mut Model) -> CallAnswer {
        match self {
            Self::Reserve(taps) => CallAnswer::Taps(model.reserve(taps)),
            Self::Change(meant, wanted) => CallAnswer::Change(wanted.expect(model, meant)),
        }
    }
}

impl ReserveCommand {
    /// The gateway's answer, reduced to what the contract shows.
    pub(super) async fn ask(&self, instance: &Instance, meant: &Meant) -> Change {
        let (redis_connection, sale, id) = (&instance.redis_connection, &instance.sale, &meant.id);
        plain_change(match self {
            Self::Confirm(payment) => changes::confirm(redis_connection, sale, id, *payment).await,
            Self::Cancel(role) => changes::cancel(redis_connection, sale, id, by(*role, &meant.part)).await,
            Self::Amend(role, wanted) => {
                changes::amend(redis_connection, sale, id, by(*role, &meant.part), wanted).await
            }
        })
    }

    pub(super) fn expect(&self, model: &mut Model, meant: &Meant) -> Change {
        match self {
            Self::Confirm(payment) => model.confirm(meant.index, *payment),
            Self::Cancel(role) => model.cancel(meant.index, *role),
            Self::Amend(role, wanted) => model.amend(meant.index, *role, wanted),
        }
    }
}
