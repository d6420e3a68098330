//! The price of a reservation, as the API, the journal and the support lookup show it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::catalogue::Catalogue;
use crate::domain::reservation::Reservation;

/// An amount in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub struct Price<'a> {
    /// ISO 4217.
    pub currency: &'a str,
    /// The sum of the lines.
    pub total: u64,
    /// To be paid at once.
    pub deposit: u64,
    /// What is left to pay after the deposit.
    pub balance: u64,
    /// The model, then the packages.
    pub lines: Vec<PriceLine<'a>>,
}

/// What one item costs.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceLine<'a> {
    /// `model:ID` or `package:ID`.
    #[schema(example = "model:air-400-white")]
    pub item: &'a str,
    /// In minor units.
    pub amount: u64,
}

impl<'a> Price<'a> {
    /// The price of what a reservation contains.
    pub fn new(catalogue: &'a Catalogue, r: &'a Reservation) -> Self {
        let terms = &catalogue.definition.sale;
        let mut lines = Vec::with_capacity(1 + r.packages.len());
        let charged = catalogue.charged(&r.model, &r.packages);
        lines.extend(charged.map(|item| PriceLine { item: &item.name, amount: item.price }));
        let total: u64 = lines.iter().map(|line| line.amount).sum();
        // Doctor reports a deposit above a price; the balance is never negative.
        let balance = total.saturating_sub(terms.deposit);
        Self { currency: &terms.currency, total, deposit: terms.deposit, balance, lines }
    }
}
