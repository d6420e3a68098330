//! Computes the price of a reservation from the sale's definition, as the contract shows it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A price in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Price {
    /// ISO 4217.
    pub(crate) currency: String,
    pub(crate) total: u64,
    pub(crate) deposit: u64,
    pub(crate) balance: u64,
    pub(crate) lines: Vec<PriceLine>,
}

/// What one item costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PriceLine {
    /// `model:ID` or `package:ID`.
    pub(crate) item: String,
    pub(crate) amount: u64,
}

/// What a sale's items cost. Prices, currency and deposit are locked once a reservation exists.
#[derive(Clone, Debug, Default)]
pub(crate) struct PriceList {
    pub(crate) currency: String,
    pub(crate) deposit: u64,
    /// By item, as in `model:ID`.
    pub(crate) amounts: HashMap<String, u64>,
}

impl PriceList {
    /// The price of a model with these packages; an item that the sale does not have costs nothing.
    pub(crate) fn price(&self, model: &str, packages: &[String]) -> Price {
        let items = std::iter::once(format!("model:{model}"));
        let items = items.chain(packages.iter().map(|id| format!("package:{id}")));
        let line = |item: String| PriceLine { amount: self.amounts.get(&item).copied().unwrap_or(0), item };
        let lines: Vec<PriceLine> = items.map(line).collect();
        let total = lines.iter().map(|line| line.amount).sum();
        let balance = u64::saturating_sub(total, self.deposit);
        Price { currency: self.currency.clone(), total, deposit: self.deposit, balance, lines }
    }
}
