//! A sale's definition: what it sells, when and under which rules, and every mistake that one can hold.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A validated definition. Made only by [`Definition::load`] and [`Definition::from_json`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The `[sale]` table.
    pub sale: Terms,
    /// What is sold; at least one.
    #[serde(rename = "model")]
    pub models: Vec<Model>,
    /// What can be added to a model.
    #[serde(rename = "package")]
    pub packages: Vec<Package>,
    /// Where it is picked up.
    pub stores: Vec<Store>,
}

/// The terms of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub id: String,
    pub name: String,
    pub opens_at: Timestamp,
    pub closes_at: Timestamp,
    /// Milliseconds (a text such as "15m" in a file).
    pub hold_ms: u64,
    pub grace_ms: u64,
    pub per_buyer: u32,
    pub attempts: u32,
    pub currency: String,
    /// Minor units.
    pub deposit: u64,
    pub rehearsal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    pub id: String,
    pub name: String,
    pub price: u64,
    /// `None`: no limit.
    pub stock: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub price: u64,
    pub stock: Option<u64>,
    /// `None`: fits every model.
    pub models: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    pub id: String,
    pub name: String,
    pub city: String,
    pub capacity: Option<u64>,
}

/// One mistake in a definition, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// `file.toml:12` for files, a JSON pointer for JSON.
    pub place: String,
    /// What is wrong and what would be right.
    pub what: String,
}
