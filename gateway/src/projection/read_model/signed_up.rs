//! The buyers who are signed up, as marks (see [`crate::domain::identity::buyer_mark`]): a sale that requires a sign-up refuses the
//! others without Redis.

use std::sync::Arc;

use crate::domain::identity::BuyerHash;
use crate::domain::subject::from_word;
use crate::projection::read_model::buyers::Buyers;
use crate::projection::read_model::{Sale, StandbyQueues};
use crate::store::journal::Entry;

/// Whether a buyer is signed up, as far as marks tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUpStatus {
    /// The buyer is signed up.
    SignedUp,
    /// The buyer is not.
    NotSignedUp,
    /// The buyer, or another one of this mark, has withdrawn once: Redis knows.
    Unknown,
}

/// A mark, and whether its buyer is signed up.
pub(crate) type SignUpMark = (u64, bool);

pub(crate) struct SignedUpBuyers {
    /// Those who ever signed up.
    signed_up: Buyers,
    /// Those who ever withdrew: rare, and two buyers may share a mark, so that none is removed above.
    withdrawn: Buyers,
}

impl Default for SignedUpBuyers {
    fn default() -> Self {
        Self { signed_up: Buyers::of([]), withdrawn: Buyers::of([]) }
    }
}

impl SignedUpBuyers {
    pub(crate) fn add(&self, marks: impl IntoIterator<Item = SignUpMark>) {
        for (mark, is_signed_up) in marks {
            let list = if is_signed_up { &self.signed_up } else { &self.withdrawn };
            list.add(mark);
        }
    }

    pub(crate) fn status(&self, mark: u64) -> SignUpStatus {
        if !self.signed_up.contains(mark) {
            SignUpStatus::NotSignedUp
        } else if self.withdrawn.contains(mark) {
            SignUpStatus::Unknown
        } else {
            SignUpStatus::SignedUp
        }
    }
}

impl Sale {
    /// Whether this buyer is signed up.
    pub fn sign_up_status(&self, buyer: u64) -> SignUpStatus {
        self.signed_up.load().status(buyer)
    }

    pub(crate) fn add_sign_ups(&self, marks: impl IntoIterator<Item = SignUpMark>) {
        self.signed_up.load().add(marks);
    }

    /// Replaces sign-ups and places by those of a sale that was read again.
    pub(crate) fn set_signed_up(&self, signed_up: SignedUpBuyers, standby: StandbyQueues) {
        self.signed_up.store(Arc::new(signed_up));
        self.standby.store(Arc::new(standby));
    }
}

/// The marks of an entry's sign-ups.
pub(crate) fn marks_of(sale: &str, entry: &Entry) -> Vec<SignUpMark> {
    let mark = |sub: &str| Some(BuyerHash::new(sale, &from_word(sub)?).mark());
    let changes = entry.sign_ups().unwrap_or_default().into_iter();
    changes.filter_map(|change| Some((mark(&change.sub)?, change.after.is_some()))).collect()
}

#[cfg(test)]
mod tests;
