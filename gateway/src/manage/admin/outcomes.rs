//! The outcomes of operator calls that change a definition or a total.

/// What an operator action did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Performed {
    /// It is in force.
    Done,
    /// It was in force already.
    Unchanged,
    /// The sale has no standby queues: nothing was done.
    NoStandby,
    /// It is in force, and too few replicas have it: a failover may undo it.
    NotReplicated,
}

/// The outcome of applying a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// The sale is new.
    Created,
    /// The sale now has this revision.
    Updated(u64),
    /// Nothing differs from this revision.
    Unchanged(u64),
    /// These fields are locked.
    Locked(Vec<String>),
    /// Sign-up for its draw has opened by then: the commitment has to stand before that.
    Late,
    /// These items were taken before and can't be removed.
    ItemTaken(Vec<String>),
    /// More is taken of these items than their new total.
    StockTaken(Vec<(String, u64)>),
}

/// The outcome of a restock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestockOutcome {
    /// The item has this total and this free stock.
    Done {
        /// Total of the item.
        total: i64,
        /// Free stock of the item.
        free: i64,
    },
    /// The sale has no such item.
    UnknownItem,
    /// The item has no limit.
    NoLimit,
    /// The total is neither the expected nor the new one.
    Changed {
        /// Current total.
        total: i64,
    },
    /// More is taken than the new total.
    Taken {
        /// Number that is taken.
        taken: i64,
    },
}

/// The outcome of a draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrawOutcome {
    /// It is drawn, by this call or by one before, with this seed in hexadecimal.
    Done {
        /// What all ranks follow from.
        seed: String,
        /// Whether this call drew.
        is_new: bool,
    },
    /// The sale has no draw.
    None,
    /// Its entrants are not fixed yet.
    Unfixed,
    /// The reveal has this SHA-256, and the definition another one as its commitment.
    NotCommitted {
        /// Of the reveal, in hexadecimal.
        found: String,
        /// Of the definition.
        commitment: String,
    },
    /// It was drawn before, with this seed.
    Drawn(String),
    /// The sale is over.
    Closed,
}
