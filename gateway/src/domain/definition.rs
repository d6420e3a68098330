//! A sale's definition: what it sells, when and under which rules, and every mistake that one can hold.
//!
//! A definition comes as a TOML file with a CSV of stores, or as one JSON document. Both are turned into the same
//! tree of values that know their places (`node`), and one set of rules (`check`) judges that tree, so the two
//! forms can't drift apart.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::domain::text;
use rules::DefinitionSource;

mod check;
mod encoding;
mod header;
mod json;
mod load;
mod node;
mod rules;
mod stores;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
mod toml;

/// The most models that a sale can have.
pub const MODELS_MAX: usize = 1_000;
/// The most packages that a sale can have.
pub const PACKAGES_MAX: usize = 1_000;
/// The most stores that a sale can have.
pub const STORES_MAX: usize = 50_000;
/// The highest price of one item, and the highest deposit, in minor units.
pub const PRICE_MAX: u64 = 1_000_000_000_000;
/// The highest stock or capacity that is counted; more than that is "no limit".
pub const STOCK_MAX: u64 = 1_000_000_000;

// A model and the 16 packages that a request can name: the total stays exact, in Lua's doubles too.
const _: () = assert!(17 * PRICE_MAX < 1 << 53);

/// A validated definition. Made only by [`Definition::load`] and [`Definition::from_json`].
///
/// It serializes to the document that [`Definition::from_json`] reads, and deserializes through the same rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// 1 to 64 of `[a-z0-9-]`.
    pub id: String,
    /// What buyers read.
    pub name: String,
    /// From this instant on reservations are taken; whole milliseconds, not before 1970.
    pub opens_at: Timestamp,
    /// From this instant on they are not; always after `opens_at`.
    pub closes_at: Timestamp,
    /// How long a hold lasts, in milliseconds; `hold`, a text such as "15m", in files and JSON.
    #[serde(rename = "hold", serialize_with = "duration_text")]
    pub hold_ms: u64,
    /// How long after its deadline a hold can still be confirmed, in milliseconds; `grace` in files and JSON.
    #[serde(rename = "grace", serialize_with = "duration_text")]
    pub grace_ms: u64,
    /// How many reservations, held and confirmed, a buyer can have at a time.
    pub per_buyer: u32,
    /// How many reservations a buyer can ever start; at least `per_buyer`.
    pub attempts: u32,
    /// An ISO 4217 code: three capital letters.
    pub currency: String,
    /// Minor units.
    pub deposit: u64,
    /// Whether load tests may be sent to this sale.
    pub rehearsal: bool,
}

/// A model: what a reservation is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// 1 to 64 of `[A-Za-z0-9._-]`, unique among the models.
    pub id: String,
    /// What buyers read.
    pub name: String,
    /// Minor units.
    pub price: u64,
    /// `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
}

/// Something that can be added to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// 1 to 64 of `[A-Za-z0-9._-]`, unique among the packages.
    pub id: String,
    /// What buyers read.
    pub name: String,
    /// Minor units.
    pub price: u64,
    /// `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// Ids of models; `None`: fits every model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
}

/// A place where cars are picked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Store {
    /// 1 to 64 of `[A-Za-z0-9._-]`, unique among the stores.
    pub id: String,
    /// What buyers read.
    pub name: String,
    /// What buyers search by.
    pub city: String,
    /// Pick-up slots; `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
}

/// One mistake in a definition, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// `file.toml:12` for files, a JSON pointer for JSON; empty where it concerns the whole document.
    pub place: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl Definition {
    /// Reads a TOML file and the CSV file of stores that it names (relative to the TOML file's folder).
    ///
    /// # Errors
    ///
    /// Every mistake of both files in the order of their lines, at most 100 and then one that counts the others.
    pub fn load(path: &Path) -> Result<Self, Vec<Mistake>> {
        load::load(path)
    }

    /// Reads the JSON form, which has the stores inline.
    ///
    /// # Errors
    ///
    /// Every mistake, at most 100 and then one that counts the others; only the first where it isn't JSON at all.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        json::read(bytes, DefinitionSource::Operator)
    }

    /// Reads the JSON form as it stands in a ledger, where an older version may have put it: names keep white space of
    /// other kinds and invisible characters, which [`Definition::from_json`] normalises or refuses.
    ///
    /// # Errors
    ///
    /// As [`Definition::from_json`].
    pub fn from_ledger(bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        json::read(bytes, DefinitionSource::Ledger)
    }

    /// Names and cities that this version would not take, or would write otherwise: each with what it belongs to.
    pub fn odd_texts(&self) -> impl Iterator<Item = (String, &str)> {
        let Self { sale, models, packages, stores } = self;
        let names = std::iter::once(("the sale's name".to_owned(), sale.name.as_str()))
            .chain(models.iter().map(|m| (format!("the name of model:{}", m.id), m.name.as_str())))
            .chain(packages.iter().map(|p| (format!("the name of package:{}", p.id), p.name.as_str())))
            .chain(stores.iter().flat_map(|s| {
                [("name", &s.name), ("city", &s.city)]
                    .map(|(what, text)| (format!("the {what} of store:{}", s.id), text.as_str()))
            }));
        names.filter(|(_, text)| text::forbidden(text).is_some() || text::normalised(text) != *text)
    }

    /// The JSON form: [`Definition::from_json`] makes the same definition from it again.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("only texts, numbers, lists and keyed tables")
    }
}

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let root = node::Node::deserialize(deserializer)?;
        json::judge(&root, DefinitionSource::Operator).map_err(|mistakes| {
            let texts: Vec<_> = mistakes.iter().map(Mistake::to_string).collect();
            de::Error::custom(texts.join("; "))
        })
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(out, "{}: ", self.place)?;
        }
        out.write_str(&self.what)
    }
}

fn duration_text<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&rules::DurationText(*ms))
}
