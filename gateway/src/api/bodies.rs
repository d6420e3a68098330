//! Request bodies of the public API.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use crate::domain::identity::is_item_id;
use crate::domain::text::JsonText;

/// An id of a model, a package or a store: 1 to 64 of `[A-Za-z0-9._-]`, not a lone hyphen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(pattern = "^([A-Za-z0-9._]|[A-Za-z0-9._-]{2,64})$", example = "air-400-white")]
pub struct ItemId<'a>(pub Cow<'a, str>);

impl AsRef<str> for ItemId<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ItemId<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let JsonText(text) = JsonText::deserialize(deserializer)?;
        if is_item_id(&text) {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(
                "an id has 1 to 64 of the characters A-Z a-z 0-9 . _ - and is not a lone hyphen",
            ))
        }
    }
}

/// A reservation request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveRequest<'a> {
    /// The model.
    #[serde(borrow)]
    pub model: ItemId<'a>,
    /// The packages, at most 16, none twice.
    #[serde(borrow, default)]
    #[schema(schema_with = packages_schema)]
    pub packages: Vec<ItemId<'a>>,
    /// The pick-up store; left out or null: it is chosen later, by PATCH.
    #[serde(borrow, default)]
    pub store: Option<ItemId<'a>>,
    /// Whether packages and store may be left off when they are gone: the model alone decides.
    #[serde(default)]
    pub accept_partial: bool,
}

/// The changes to a reservation; a member that is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendRequest<'a> {
    /// Another model.
    #[serde(borrow, default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub model: Option<ItemId<'a>>,
    /// All packages of the reservation, at most 16, none twice.
    #[serde(borrow, default, deserialize_with = "not_null")]
    #[schema(schema_with = packages_schema)]
    pub packages: Option<Vec<ItemId<'a>>>,
    /// Another store, or the first one. A chosen store can't be given back: null is an error.
    #[serde(borrow, default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub store: Option<ItemId<'a>>,
    /// Changes nothing unless the reservation has this version.
    #[serde(default, deserialize_with = "version")]
    #[schema(nullable = false, minimum = 1, maximum = 4_294_967_295_u64)]
    pub version: Option<u64>,
}

/// A sign-up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignupRequest<'a> {
    /// What the buyer would like, the first choice first; 1 to 3.
    #[serde(borrow)]
    #[schema(min_items = 1, max_items = 3)]
    pub choices: Vec<ChoiceRequest<'a>>,
}

/// What a buyer wants: a choice of a sign-up, or what to wait for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceRequest<'a> {
    /// The model.
    #[serde(borrow)]
    pub model: ItemId<'a>,
    /// The packages, at most 16, none twice.
    #[serde(borrow, default)]
    #[schema(schema_with = packages_schema)]
    pub packages: Vec<ItemId<'a>>,
    /// The pick-up store; left out or null: it is chosen later.
    #[serde(borrow, default)]
    pub store: Option<ItemId<'a>>,
}

/// The packages of a request.
fn packages_schema() -> Schema {
    let list = ArrayBuilder::new()
        .items(Ref::from_schema_name("ItemId"))
        .max_items(Some(16))
        .unique_items(true)
        .description(Some("At most 16 packages, none twice."));
    Schema::Array(list.build())
}

/// A member that is left out stays as it is; `null` is ambiguous, so it is an error.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    whole_number(deserializer).map(Some)
}

/// A JSON integer: 5, and 5.0 as well, which JSON Schema (2020-12, 6.1.1) treats as equal.
pub(crate) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct WholeNumber;

    impl Visitor<'_> for WholeNumber {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number from 0 on")
        }

        fn visit_u64<E>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
            to_whole_number(number).ok_or_else(|| E::invalid_type(Unexpected::Float(number), &self))
        }
    }

    deserializer.deserialize_u64(WholeNumber)
}

/// The integer equal to this number, if there is one that an f64 represents exactly.
fn to_whole_number(number: f64) -> Option<u64> {
    /// 2^53
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    // Within these bounds the cast is exact.
    ((0.0..=EXACT_MAX).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// A confirmation by the payment service.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The payment's reference, 1 to 128 visible ASCII characters, not a lone hyphen.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "^([!-,.-~]|[!-~]{2,128})$",
        example = "pay-20261109-000017"
    )]
    pub payment: String,
    /// The version of the reservation that was paid for.
    #[serde(deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 4_294_967_295_u64)]
    pub version: u64,
    /// Whether a hold that has ended without payment is taken again, if all of it is there and the limits allow it.
    #[serde(default)]
    pub accept_late: bool,
}

#[cfg(test)]
mod tests;
