//! Which changes a sink gets: by the state after them, and by the items of their reservation.

use clap::ValueEnum;
use serde_json::Value;

use crate::change::Change;

/// A state of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Not paid yet.
    Held,
    /// Paid.
    Confirmed,
    /// Given back by its buyer or by a service.
    Cancelled,
    /// Its time was over.
    Expired,
}

impl State {
    /// The word in a line.
    fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// A model, a package or a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `model:ID`
    Model(String),
    /// `package:ID`
    Package(String),
    /// `store:ID`
    Store(String),
}

impl Item {
    /// Parses `model:ID`, `package:ID` or `store:ID`.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((_, "")) | None => {}
            Some(("model", id)) => return Ok(Self::Model(id.to_owned())),
            Some(("package", id)) => return Ok(Self::Package(id.to_owned())),
            Some(("store", id)) => return Ok(Self::Store(id.to_owned())),
            Some(_) => {}
        }
        Err("expected model:ID, package:ID or store:ID".to_owned())
    }

    fn is_in(&self, line: &Value) -> bool {
        match self {
            Self::Model(id) => line["model"] == **id,
            Self::Store(id) => line["store"] == **id,
            Self::Package(id) => line["packages"]
                .as_array()
                .is_some_and(|packages| packages.iter().any(|package| *package == **id)),
        }
    }
}

/// Which changes to deliver. A change passes by what its reservation is after it: the one that takes a reservation
/// out of the filter does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The states to deliver; empty: all.
    pub states: Vec<State>,
    /// The items to deliver; empty: all.
    pub items: Vec<Item>,
}

impl Filter {
    /// Whether everything passes.
    pub fn is_open(&self) -> bool {
        self.states.is_empty() && self.items.is_empty()
    }

    /// Whether a change passes. One of the sale, not of a reservation, passes only an open filter.
    pub fn lets_pass(&self, change: &Change) -> bool {
        if self.is_open() {
            return true;
        }
        let has_state =
            self.states.is_empty() || self.states.iter().any(|state| change.line["state"] == state.word());
        let has_item = self.items.is_empty() || self.items.iter().any(|item| item.is_in(&change.line));
        change.reservation.is_some() && has_state && has_item
    }
}

#[cfg(test)]
mod tests;
