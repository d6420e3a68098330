//! The JSON of the admin calls as types; the OpenAPI document is generated from them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::api::bodies::whole_number;
use crate::domain::catalogue::ASIDE;
use crate::domain::definition::{Definition, Sells};
use crate::domain::draw::DrawStage;
use crate::domain::rfc3339::rfc3339;
use crate::domain::sale::{Condition, Phase};
use crate::manage::admin::ShownSale;
use crate::manage::audit::Counts;
use crate::projection::actions::ActionNote;

/// The reason of an operator action.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorActionRequest {
    /// The reason, at most 500 characters, not a lone hyphen; it goes into the journal.
    #[serde(default)]
    #[schema(max_length = 500, pattern = r"^($|[^-]|-[\s\S])")]
    pub reason: Option<String>,
}

/// A new total for an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestockRequest {
    /// `model:ID`, `package:ID` or `store:ID`.
    #[schema(example = "model:air-400-white")]
    pub item: String,
    /// The new total.
    #[serde(deserialize_with = "whole_number")]
    #[schema(maximum = 1_000_000_000)]
    pub total: u64,
    /// The total that the operator saw.
    #[serde(deserialize_with = "whole_number")]
    #[schema(maximum = 1_000_000_000)]
    pub was: u64,
    /// The reason, at most 500 characters, not a lone hyphen; it goes into the journal.
    #[serde(default)]
    #[schema(max_length = 500, pattern = r"^($|[^-]|-[\s\S])")]
    pub reason: Option<String>,
}

/// An item after a restock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Restock)]
pub struct RestockView {
    /// The item.
    pub item: String,
    /// The new total.
    pub total: i64,
    /// The free units.
    pub free: i64,
}

/// An operator action that is in force.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ActionInForce)]
pub struct ActionView {
    /// Name of the ops token, or of the user of the command line.
    pub by: String,
    /// The operator's reason; null without one.
    #[schema(required)]
    pub reason: Option<String>,
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
}

impl ActionView {
    pub(crate) fn of(note: &ActionNote) -> Self {
        Self { by: note.by.clone(), reason: note.reason.clone(), at: rfc3339(note.at) }
    }
}

/// How far the draw of a sale is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = DrawProgress)]
pub struct DrawNow {
    /// Its stage.
    pub stage: DrawStage,
    /// How many entrants it has; 0 until they are fixed.
    pub entrants: u64,
    /// To how many of them, in order of rank, something was allocated, or nothing could be.
    pub allocated: u64,
}

/// A sale's live numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleState {
    /// Its id.
    pub sale: String,
    /// Its name.
    pub name: String,
    /// The revision of the definition.
    pub revision: u64,
    /// The sequence of the ledger.
    pub sequence: u64,
    /// What it does now: its phase, or why the ledger serves none of it.
    pub state: Condition,
    /// closed > upcoming > paused > sold_out > open.
    pub phase: Phase,
    /// Load tests may send load to it.
    pub rehearsal: bool,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// RFC 3339, milliseconds, UTC.
    #[schema(format = DateTime)]
    pub closes_at: String,
    /// The server's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
    /// New reservations are stopped.
    pub paused: bool,
    /// The sale clock is frozen.
    pub frozen: bool,
    /// Closed by an operator action.
    pub closed: bool,
    /// Grants to the standby queues are suspended.
    pub suspended: bool,
    /// Who paused it; left out while it is not paused, or if an earlier version of the gateway paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pause: Option<ActionView>,
    /// Who froze its clock; left out likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub freeze: Option<ActionView>,
    /// Who closed it; left out likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub close: Option<ActionView>,
    /// Who suspended the grants; left out while they are not suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub suspension: Option<ActionView>,
    /// How many buyers wait in standby queues; left out where the sale has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub waiting: Option<u64>,
    /// Who gets what is for sale.
    pub sells: Sells,
    /// How far the draw is; left out where the sale has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub draw: Option<DrawNow>,
    /// Reservations by state.
    pub reservations: Counts,
}

/// A sale's live numbers, its items, and the definition as last applied.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleDetail {
    /// Live numbers.
    #[serde(flatten)]
    pub state: SaleState,
    /// Models and packages, then stores.
    pub items: Vec<ItemView>,
    /// The definition, as `PUT` accepts it.
    #[schema(value_type = Object)]
    pub definition: Definition,
}

/// The units of an item.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Item)]
pub struct ItemView {
    /// `model:ID`, `package:ID` or `store:ID`.
    pub item: String,
    /// Total units; null: no limit.
    #[schema(required)]
    pub total: Option<i64>,
    /// Free units; null: no limit.
    #[schema(required)]
    pub free: Option<i64>,
    /// Units that are set aside for buyers who wait; left out before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub aside: Option<i64>,
}

/// All sales.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleStates {
    /// By id.
    pub sales: Vec<SaleState>,
    /// Sales that can't be read, by id.
    pub unreadable: Vec<UnreadableSale>,
}

/// A sale whose ledger is damaged or missing.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnreadableSale {
    /// Its id.
    pub sale: String,
    /// The damage.
    pub problem: String,
}

/// The result of applying a definition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Applied)]
pub struct AppliedView {
    /// The sale.
    pub sale: String,
    /// The revision of the definition in force.
    pub revision: u64,
    /// What it did.
    #[schema(schema_with = outcome_schema)]
    pub outcome: &'static str,
}

fn outcome_schema() -> Schema {
    let words = ["created", "updated", "unchanged"];
    Schema::Object(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build())
}

/// A buyer, for the support desk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Buyer)]
pub struct BuyerView<'a> {
    /// The sale.
    pub sale: String,
    /// The `sub` of the buyer's tokens.
    pub buyer: String,
    /// The sequence up to which this is complete.
    pub sequence: u64,
    /// In the order in which they were taken.
    pub reservations: Vec<crate::api::view::ReservationView<'a>>,
    /// The sign-up; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub signup: Option<crate::api::view::BuyerSignupView<'a>>,
    /// The place in a standby queue, as this gateway has read the journal; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub standby: Option<crate::api::view::StandbyView>,
    /// Their journal entries, as `gateway journal` prints them.
    #[schema(value_type = Vec<Object>)]
    pub journal: Vec<serde_json::Value>,
}

impl SaleState {
    /// Of a sale as it was read.
    pub fn new(sale: &ShownSale) -> Self {
        let ShownSale { snapshot, definition, stop } = sale;
        let controls = snapshot.controls();
        let time = snapshot.header.time;
        let left = |id: &String| {
            let item = format!("model:{id}");
            let free = snapshot.stock.get(&item).and_then(|n| n.parse::<i64>().ok());
            !snapshot.totals.contains_key(&item) || free.is_some_and(|n| n > 0)
        };
        let phase = controls.phase(time, definition.models.iter().any(|model| left(&model.id)));
        let view = |note: &Option<Arc<ActionNote>>| note.as_deref().map(ActionView::of);
        Self {
            sale: definition.sale.id.clone(),
            name: definition.sale.name.clone(),
            revision: snapshot.number("revision").unsigned_abs(),
            sequence: snapshot.header.sequence,
            state: Condition::of(phase, *stop),
            phase,
            rehearsal: definition.sale.rehearsal,
            opens_at: rfc3339(controls.opens),
            closes_at: rfc3339(controls.closes),
            server_time: rfc3339(time),
            paused: controls.paused,
            frozen: controls.frozen,
            closed: controls.closed,
            suspended: controls.suspended,
            pause: view(&snapshot.actions.paused),
            freeze: view(&snapshot.actions.frozen),
            close: view(&snapshot.actions.closed),
            suspension: view(&snapshot.actions.suspended),
            waiting: definition.sale.standby.then(|| snapshot.number("waiting").unsigned_abs()),
            sells: definition.sale.sells,
            draw: snapshot.draw_stage().map(|stage| DrawNow {
                stage,
                entrants: snapshot.number("entrants").unsigned_abs(),
                allocated: snapshot.number("allocated").unsigned_abs(),
            }),
            reservations: Counts::of(snapshot.counts()),
        }
    }
}

impl SaleDetail {
    /// Of a sale as it was read.
    pub fn new(sale: ShownSale) -> Self {
        let state = SaleState::new(&sale);
        let ShownSale { snapshot, definition, .. } = sale;
        let number =
            |map: &std::collections::HashMap<String, String>, item: &str| map.get(item)?.parse::<i64>().ok();
        let items = definition.items().map(|(item, ..)| {
            let total = number(&snapshot.totals, &item);
            let aside = item.strip_prefix("model:").map(|id| format!("{ASIDE}{id}"));
            let aside = aside.and_then(|name| number(&snapshot.stock, &name));
            ItemView { total, free: total.and(number(&snapshot.stock, &item)), aside, item }
        });
        Self { items: items.collect(), state, definition }
    }
}
