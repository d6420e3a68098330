//! The public state of a sale at one moment: phase, availability.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::label::label;

/// Closed > upcoming > paused > sold out > open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before `opens_at`, or until the allocation of a draw is over.
    Upcoming,
    /// Accepts reservations.
    Open,
    /// An operator action stopped new reservations.
    Paused,
    /// No model has stock left; an outstanding hold may still return some.
    SoldOut,
    /// Closed permanently.
    Closed,
}

/// What keeps the ledger from serving a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerStop {
    /// Redis was restarted or replaced: recovery has not adopted its epoch yet.
    Fenced,
    /// The ledger is damaged, has lost changes, or takes no writes.
    Halted,
}

label! {
    /// What a sale does now, as operators see it: a phase, or why the ledger serves none of it.
    #[derive(Serialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    Condition:
    /// Before `opens_at`, or until the allocation of a draw is over.
    Upcoming "upcoming",
    /// Accepts reservations.
    Open "open",
    /// An operator action stopped new reservations.
    Paused "paused",
    /// No model has stock left; an outstanding hold may still return some.
    SoldOut "sold_out",
    /// Closed permanently.
    Closed "closed",
    /// Redis was restarted or replaced, and recovery has not adopted its epoch yet: every call waits.
    Fenced "fenced",
    /// The ledger is damaged, has lost changes, or takes no writes: every call waits.
    Halted "halted",
}

impl Condition {
    /// The only decision of a sale's condition: metrics, the live page, `/readyz`, admin calls and the command line show
    /// it. A ledger that does not serve counts for more than any phase: payments fail, too.
    pub fn of(phase: Phase, stop: Option<LedgerStop>) -> Self {
        match (stop, phase) {
            (Some(LedgerStop::Fenced), _) => Self::Fenced,
            (Some(LedgerStop::Halted), _) => Self::Halted,
            (None, Phase::Upcoming) => Self::Upcoming,
            (None, Phase::Open) => Self::Open,
            (None, Phase::Paused) => Self::Paused,
            (None, Phase::SoldOut) => Self::SoldOut,
            (None, Phase::Closed) => Self::Closed,
        }
    }
}

impl Phase {
    /// The phase that buyers see: a sale that the ledger does not serve shows as paused, since its reservations would only
    /// wait.
    pub fn shown_to_buyers(self, stop: Option<LedgerStop>) -> Self {
        match self {
            Self::Open | Self::SoldOut if stop.is_some() => Self::Paused,
            phase => phase,
        }
    }
}

/// Whether the time of holds goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaleClock {
    /// Holds expire at their deadlines.
    Running,
    /// No hold expires.
    Frozen,
}

/// The controls and terms in the ledger's state that decide the phase.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SaleControls {
    /// New reservations are paused.
    pub paused: bool,
    /// The sale clock is stopped.
    pub frozen: bool,
    /// New reservations are stopped permanently.
    pub closed: bool,
    /// Grants to the standby queues are suspended.
    pub suspended: bool,
    /// The sale sells by a draw whose allocation is not over: until then nobody can reserve.
    pub is_drawing: bool,
    /// The opening instant, ms on Redis's `TIME`.
    pub opens: i64,
    /// The closing instant, likewise.
    pub closes: i64,
}

impl SaleControls {
    /// The phase at this `TIME`.
    pub fn phase(&self, time: i64, models_left: bool) -> Phase {
        if self.closed || time >= self.closes {
            Phase::Closed
        } else if time < self.opens || self.is_drawing {
            Phase::Upcoming
        } else if self.paused {
            Phase::Paused
        } else if models_left {
            Phase::Open
        } else {
            Phase::SoldOut
        }
    }
}

/// The stock level that buyers see, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// More than a tenth is free, or there is no limit.
    InStock,
    /// A tenth or less is free.
    Low,
    /// Nothing is free now.
    SoldOut,
}

impl Availability {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InStock => "in_stock",
            Self::Low => "low",
            Self::SoldOut => "sold_out",
        }
    }

    /// The level of an item with this total (`None`: no limit) and this free stock.
    ///
    /// ```
    /// use gateway::domain::sale::Availability;
    /// assert_eq!(Availability::of(Some(3000), 300), Availability::Low);
    /// assert_eq!(Availability::of(None, -7), Availability::InStock);
    /// ```
    pub fn of(total: Option<i64>, free: i64) -> Self {
        match total {
            None => Self::InStock,
            Some(_) if free <= 0 => Self::SoldOut,
            Some(total) if free.saturating_mul(10) <= total => Self::Low,
            Some(_) => Self::InStock,
        }
    }
}

#[cfg(test)]
mod tests;
