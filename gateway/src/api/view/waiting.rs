//! The JSON responses about sign-ups, draws and standby queues.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::choice::Choice;
use crate::domain::draw::{DrawStage, Pseudonym};
use crate::domain::rfc3339::rfc3339;
use crate::domain::signup::SignUp;
use crate::domain::standby::PlaceState;

/// When buyers can sign up for a sale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Signup)]
pub struct SignupView {
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub closes_at: String,
    /// Whether only buyers who signed up can reserve.
    pub required: bool,
    /// How many are signed up; up to 10 s old, so that the page's `ETag` holds for a while.
    pub count: u64,
}

/// A buyer's sign-up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BuyerSignup)]
pub struct BuyerSignupView<'a> {
    /// Counts the sale's sign-ups from 1. Other choices keep it; who withdraws and signs up again gets a new one.
    pub number: u64,
    /// The first choice first.
    pub choices: &'a [Choice],
    /// When it was made.
    #[schema(format = DateTime)]
    pub signed_up_at: String,
    /// Until then it can be changed or withdrawn.
    #[schema(format = DateTime)]
    pub withdraw_until: String,
    /// What the buyer is called in the published file of the draw; left out where the sale has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pseudonym: Option<String>,
    /// The place among all entrants, from 1; left out until it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rank: Option<u64>,
    /// The id of the reservation that the draw gave, at once or in the queue, whatever became of it since; left out until
    /// there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reservation: Option<String>,
}

impl<'a> BuyerSignupView<'a> {
    /// A sign-up of a sale whose sign-up ends at this instant, with the buyer's pseudonym and rank, if the sale has a draw,
    /// and the reservation that it gave.
    pub fn new(
        SignUp { number, at, choices }: &'a SignUp,
        closes_at: Timestamp,
        place: Option<(Pseudonym, Option<u64>)>,
        reservation: Option<String>,
    ) -> Self {
        let (signed_up_at, withdraw_until) = (rfc3339(*at), rfc3339(closes_at.as_millisecond()));
        let (pseudonym, rank) = place.unzip();
        let (pseudonym, rank) = (pseudonym.map(|pseudonym| pseudonym.to_string()), rank.flatten());
        Self { number: *number, choices, signed_up_at, withdraw_until, pseudonym, rank, reservation }
    }
}

/// What is public of a draw.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Draw)]
pub struct DrawView {
    /// How far it is.
    pub stage: DrawStage,
    /// The SHA-256 of the reveal, in hexadecimal, which stood in the definition before sign-up opened.
    pub commitment: String,
    /// What the beacon is, in words: which event outside, and when.
    pub beacon_rule: String,
    /// The root of all entrants, in hexadecimal: the Merkle tree hash of RFC 9162; null until they are fixed.
    #[schema(required)]
    pub root: Option<String>,
    /// How many entrants there are; null until they are fixed.
    #[schema(required)]
    pub entrants: Option<u64>,
    /// The reveal, in hexadecimal; null until it is drawn.
    #[schema(required)]
    pub reveal: Option<String>,
    /// The beacon, in hexadecimal; null until it is drawn.
    #[schema(required)]
    pub beacon: Option<String>,
    /// The seed, in hexadecimal; null until it is drawn.
    #[schema(required)]
    pub seed: Option<String>,
}

/// A buyer's place in a standby queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Standby)]
pub struct StandbyView {
    /// The model that the buyer waits for, or waited for.
    pub model: String,
    /// How many wait up to this buyer, from 1; null unless `state` is `waiting`.
    #[schema(required)]
    pub position: Option<u64>,
    /// The probability, in steps of 0.01, that enough units come back; null until 20 holds of the sale have ended.
    #[schema(required)]
    pub odds: Option<f64>,
    /// What became of it.
    pub state: PlaceState,
    /// The id of the reservation that was granted, whatever became of it since; null unless `state` is `granted`.
    #[schema(required)]
    pub reservation: Option<String>,
}
