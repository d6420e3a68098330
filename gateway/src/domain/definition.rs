//! A sale's definition: what it sells, when and under which rules; and all mistakes in one.
//!
//! A TOML file with a CSV of stores, and a JSON document, become the same tree (`node`). One set of rules (`check`)
//! checks that tree, so the two forms can't drift apart.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::domain::degrees::Degrees;
use crate::domain::duration::DurationText;
use crate::domain::label::label;
use crate::domain::text;
pub use meta::{META_BYTES_MAX, Meta};
use rules::DefinitionSource;

mod check;
mod encoding;
mod header;
mod json;
mod load;
mod meta;
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
/// The highest stock or capacity; a greater one must be omitted ("no limit").
pub const STOCK_MAX: u64 = 1_000_000_000;

// A model with 16 packages (the most in a request): the total stays exact in Lua's doubles.
const _: () = assert!(17 * PRICE_MAX < 1 << 53);

/// A validated definition, made only by [`Definition::load`] and [`Definition::from_json`].
///
/// It serializes to the document that [`Definition::from_json`] reads, and deserializes through the same rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Definition {
    /// The `[sale]` table.
    pub sale: Terms,
    /// The models for sale; at least one.
    #[serde(rename = "model")]
    pub models: Vec<Model>,
    /// The packages that can be added to a model.
    #[serde(rename = "package")]
    pub packages: Vec<Package>,
    /// The pick-up stores.
    pub stores: Vec<Store>,
    /// The `[signup]` table; `None`: the sale takes no sign-ups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signup: Option<SignupTerms>,
    /// The `[draw]` table; `None`: first come, first served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<DrawTerms>,
}

/// When buyers can sign up, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignupTerms {
    /// Sign-up starts at this instant; whole milliseconds, not before 1970.
    pub opens_at: Timestamp,
    /// Sign-up ends at this instant; always after `opens_at`.
    pub closes_at: Timestamp,
    /// Whether only buyers who signed up can reserve.
    pub required: bool,
}

/// How the order of a draw comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrawTerms {
    /// The SHA-256 of the reveal, in hexadecimal of lower case.
    pub commitment: String,
    /// What the beacon is, in words: which event outside, and when.
    pub beacon: String,
}

label! {
    /// Who gets what is for sale.
    #[derive(Default, Serialize, utoipa::ToSchema)]
    #[serde(rename_all = "kebab-case")]
    Sells:
    /// Taps, in their order.
    #[default]
    FirstCome "first-come",
    /// Those who signed up, in the order of a draw; first come for what is left.
    Draw "draw",
}

/// The terms of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// 1 to 64 of `[a-z0-9-]`.
    pub id: String,
    /// The display name.
    pub name: String,
    /// Reservations start at this instant; whole milliseconds, not before 1970.
    pub opens_at: Timestamp,
    /// Reservations end at this instant; always after `opens_at`.
    pub closes_at: Timestamp,
    /// The duration of a hold in milliseconds; `hold` in files and JSON, a text such as "15m".
    #[serde(rename = "hold", serialize_with = "duration_text")]
    pub hold_ms: u64,
    /// How long after its deadline a hold can still be confirmed, in milliseconds; `grace` in files
    /// and JSON.
    #[serde(rename = "grace", serialize_with = "duration_text")]
    pub grace_ms: u64,
    /// The most reservations, held and confirmed, of a buyer at a time.
    pub per_buyer: u32,
    /// The most reservations that a buyer can ever start; at least `per_buyer`.
    pub attempts: u32,
    /// An ISO 4217 code: three capital letters.
    pub currency: String,
    /// In minor units.
    pub deposit: u64,
    /// Whether load tests may use this sale.
    pub rehearsal: bool,
    /// Who gets what is for sale. Written only of a draw: older gateways do not know it.
    #[serde(skip_serializing_if = "is_default")]
    pub sells: Sells,
    /// Whether buyers can wait for models that are sold out. Written only where it is true: older gateways do not know it.
    #[serde(skip_serializing_if = "is_default")]
    pub standby: bool,
    /// How long a hold lasts that a waiting buyer is granted, in milliseconds; `None`: as others. There with `standby` only.
    #[serde(
        rename = "standby_hold",
        serialize_with = "may_duration_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub standby_hold_ms: Option<u64>,
    /// The most buyers who wait for a model; `None`: no limit. There with `standby` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby_max: Option<u64>,
    /// Until then buyers can change what is confirmed, too; `None`: they can't. Always after `opens_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configure_until: Option<Timestamp>,
    /// Whether the list of sales shows it. Written only where it is false: older gateways do not know it.
    #[serde(skip_serializing_if = "is_true")]
    pub listed: bool,
    /// What apps show besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// A model: the main item of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// 1 to 64 of `[A-Za-z0-9._-]`, unique among the models.
    pub id: String,
    /// The display name.
    pub name: String,
    /// In minor units.
    pub price: u64,
    /// `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// What apps show besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// A package that can be added to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// 1 to 64 of `[A-Za-z0-9._-]`, unique among the packages.
    pub id: String,
    /// The display name.
    pub name: String,
    /// In minor units.
    pub price: u64,
    /// `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<u64>,
    /// Ids of models that it fits; `None`: every model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What apps show besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// A store where cars are picked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Store {
    /// 1 to 64 of `[A-Za-z0-9._-]`, unique among the stores.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The city that buyers search by.
    pub city: String,
    /// Pick-up slots; `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
    /// The province that buyers search by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub province: Option<String>,
    /// Where it is in its city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its latitude; there with `lng` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lat: Option<Degrees>,
    /// Its longitude.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lng: Option<Degrees>,
}

/// One mistake in a definition, with its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// `file.toml:12` for files, a JSON pointer for JSON; empty if it concerns the whole document.
    pub place: String,
    /// What was found and what was expected.
    pub what: String,
}

impl Definition {
    /// Every item by its name, with its stock and its price: models, packages, stores, in their order.
    pub fn items(&self) -> impl Iterator<Item = (String, Option<u64>, u64)> {
        let models = self.models.iter().map(|m| (format!("model:{}", m.id), m.stock, m.price));
        let packages = self.packages.iter().map(|p| (format!("package:{}", p.id), p.stock, p.price));
        let stores = self.stores.iter().map(|s| (format!("store:{}", s.id), s.capacity, 0));
        models.chain(packages).chain(stores)
    }

    /// Names and places that this version would refuse or normalise, each with its item.
    pub fn odd_texts(&self) -> impl Iterator<Item = (String, &str)> {
        let Self { sale, models, packages, stores, signup: _, draw: _ } = self;
        let names = std::iter::once(("the sale's name".to_owned(), sale.name.as_str()))
            .chain(models.iter().map(|m| (format!("the name of model:{}", m.id), m.name.as_str())))
            .chain(packages.iter().map(|p| (format!("the name of package:{}", p.id), p.name.as_str())))
            .chain(stores.iter().flat_map(|s| {
                let texts =
                    [("name", Some(&s.name)), ("city", Some(&s.city)), ("province", s.province.as_ref())];
                let texts = texts.into_iter().chain([("address", s.address.as_ref())]);
                texts.filter_map(|(what, text)| {
                    Some((format!("the {what} of store:{}", s.id), text?.as_str()))
                })
            }));
        names.filter(|(_, text)| text::forbidden(text).is_some() || text::normalised(text) != *text)
    }

    /// The JSON form, which [`Definition::from_json`] reads back to the same definition.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("only texts, numbers, lists and keyed tables")
    }
}

impl Terms {
    /// How long a hold lasts that a waiting buyer is granted, in milliseconds.
    pub fn granted_hold_ms(&self) -> u64 {
        self.standby_hold_ms.unwrap_or(self.hold_ms)
    }
}

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let root = node::Node::deserialize(deserializer)?;
        check::check(&root, DefinitionSource::Operator, node::Mistakes::default()).map_err(|mistakes| {
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

fn duration_text<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&DurationText(*ms))
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference")]
fn may_duration_text<S: Serializer>(ms: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match ms {
        Some(ms) => duration_text(ms, serializer),
        None => serializer.serialize_none(),
    }
}
