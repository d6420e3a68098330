//! Two calls at once, at two gateways: what both are told is what one after the other would be told, in either order.

use futures_util::future::join;
use gateway::ledger::batch::Decision;
use gateway::ledger::changes::{self, Amendment, Change};

use super::Outcome;
use super::life::{Life, by, fail};
use super::plan::{Op, Tap, Who};
use super::sale::Model;
use super::world::{Gate, plain_change};

/// A call with all that it says: it is put together before either is made.
enum Call {
    Reserve(Vec<Tap>),
    Confirm(Meant, &'static str, u64),
    Cancel(Meant, Who),
    Amend(Meant, Who, Amendment),
}

/// A reservation: its place in the model, its id, and the buyer that the call is for.
struct Meant {
    place: usize,
    id: String,
    part: String,
}

/// What is told.
#[derive(Debug, PartialEq)]
enum Said {
    Taps(Vec<Decision>),
    Change(Change),
}

impl Life<'_> {
    /// One at each gateway.
    pub(super) async fn together(&mut self, op: &Op, each: [&Op; 2]) -> Outcome {
        for at in [0, 1] {
            // It would wait for the new definition for seconds.
            self.refresh_if_outdated(at).await;
        }
        let [Some(one), Some(other)] = each.map(|op| self.call(op)) else { return Ok(()) };
        let told = join(one.make(&self.gates[0]), other.make(&self.gates[1])).await;
        self.pairs += 1;
        let mut orders = Vec::new();
        for is_first in [true, false] {
            let mut as_if = self.model.clone();
            let early = is_first.then(|| one.expect(&mut as_if));
            let of_other = other.expect(&mut as_if);
            let expected = (early.unwrap_or_else(|| one.expect(&mut as_if)), of_other);
            if told == expected {
                self.model = as_if;
                return Ok(());
            }
            orders.push(expected);
        }
        fail(op, &told, &orders)
    }

    fn call(&self, op: &Op) -> Option<Call> {
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
                Call::Confirm(meant, payment, version)
            }
            Op::Cancel(_, which, who) => Call::Cancel(meant(*which, *who)?, *who),
            Op::Amend { which, who, .. } => Call::Amend(meant(*which, *who)?, *who, op.amendment()),
            _ => return None,
        })
    }
}

impl Call {
    async fn make(&self, gate: &Gate) -> Said {
        let (lane, sale) = (&gate.lane, &gate.sale);
        Said::Change(plain_change(match self {
            Self::Reserve(taps) => return Said::Taps(gate.reserve(taps, false).await),
            Self::Confirm(meant, payment, version) => {
                changes::confirm(lane, sale, &meant.id, payment, *version).await
            }
            Self::Cancel(meant, who) => changes::cancel(lane, sale, &meant.id, by(*who, &meant.part)).await,
            Self::Amend(meant, who, wanted) => {
                changes::amend(lane, sale, &meant.id, by(*who, &meant.part), wanted).await
            }
        }))
    }

    fn expect(&self, model: &mut Model) -> Said {
        Said::Change(match self {
            Self::Reserve(taps) => return Said::Taps(model.reserve(taps)),
            Self::Confirm(meant, payment, version) => {
                // The other call may have made another version.
                let off = version.wrapping_sub(model.version_of(meant.place)).cast_signed();
                model.confirm(meant.place, payment, off)
            }
            Self::Cancel(meant, who) => model.cancel(meant.place, *who),
            Self::Amend(meant, who, wanted) => model.amend(meant.place, *who, wanted),
        })
    }
}
