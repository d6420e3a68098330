//! Reads a sale at one sequence, in one step.

use std::collections::HashMap;
use std::sync::Arc;

use redis::Value;
use redis::aio::ConnectionLike;

use crate::domain::catalogue::{Catalogue, Item};
use crate::domain::decision::Header;
use crate::domain::definition::Definition;
use crate::domain::draw::DrawStage;
use crate::domain::sale::SaleControls;
use crate::domain::signup::SignUpCount;
use crate::projection::actions::{self, ActionsInForce};
use crate::projection::read_model::{DrawState, ReadModel};
use crate::store::keys::Keys;
use crate::store::reply::{pairs, text, texts};
use crate::store::scripts::{Failure, Refusal, Script, Scripts};

/// The numbers of the state that the read model needs.
const DECIDING: [&str; 8] =
    ["revision", "opens", "closes", "grace", "held", "confirmed", "cancelled", "expired"];
/// Those that are 0 or 1.
const SWITCHES: [&str; 3] = ["paused", "frozen", "closed"];

/// A sale at one sequence.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Sequence, clocks, holds.
    pub header: Header,
    /// Damaged keys, in words.
    pub damages: Vec<String>,
    /// Fields of the state.
    pub state: HashMap<String, String>,
    /// Who paused, froze or closed it; empty where only the state was read.
    pub actions: ActionsInForce,
    /// Live counter of every item.
    pub stock: HashMap<String, String>,
    /// Total of every limited item.
    pub totals: HashMap<String, String>,
    /// The applied definition; empty if it was not requested.
    pub definition: String,
}

/// Reads the incarnation and the sequence of a sale in the ledger.
pub async fn look(
    conn: &mut impl ConnectionLike,
    scripts: &Scripts,
    keys: &Keys,
) -> Result<(String, u64), Failure> {
    let snapshot = Snapshot::of(&scripts.call(conn, Script::Snapshot, keys, &[] as &[&str]).await?, 0)?;
    Ok((snapshot.incarnation().to_owned(), snapshot.header.sequence))
}

/// Reads a sale, with its definition only on request.
pub async fn read(
    conn: &mut impl ConnectionLike,
    scripts: &Scripts,
    keys: &Keys,
    definition: bool,
) -> Result<Snapshot, Failure> {
    let parts: &[&str] = if definition { &["stock", "totals", "definition"] } else { &["stock", "totals"] };
    let snapshot = Snapshot::of(&scripts.call(conn, Script::Snapshot, keys, parts).await?, parts.len())?;
    if !snapshot.damages.is_empty() {
        return Ok(snapshot);
    }
    // Their entries stay in the journal, so that they can be read later.
    let actions = actions::read(conn, keys, &snapshot.state).await?;
    Ok(Snapshot { actions, ..snapshot })
}

impl Snapshot {
    /// Parses the script's reply, with the first of these parts: stock, totals, definition.
    pub(crate) fn of(reply: &[Value], parts: usize) -> Result<Self, Failure> {
        let header = Header::of(reply)?;
        let unreadable = || Failure::unreadable("a reply of the snapshot script that can't be read");
        Self::whole(header, reply, parts).ok_or_else(unreadable)
    }

    fn whole(header: Header, reply: &[Value], parts: usize) -> Option<Self> {
        (reply.len() == 4 + parts).then_some(())?;
        // A part that was not requested is empty.
        let map = |at: usize| match reply.get(at) {
            Some(part) => Some(pairs(part)?.into_iter().collect()),
            None => Some(HashMap::new()),
        };
        Some(Self {
            header,
            damages: texts(reply.get(2)?)?,
            state: map(3)?,
            actions: ActionsInForce::default(),
            stock: map(4)?,
            totals: map(5)?,
            definition: reply.get(6).map_or(Some(String::new()), text)?,
        })
    }

    /// A number of the state.
    pub fn number(&self, field: &str) -> i64 {
        self.state.get(field).and_then(|v| v.parse().ok()).unwrap_or_default()
    }

    /// Reservations by state: held, confirmed, cancelled, expired.
    pub fn counts(&self) -> [u64; 4] {
        ["held", "confirmed", "cancelled", "expired"].map(|field| self.number(field).unsigned_abs())
    }

    /// The epoch that serves the ledger.
    pub fn epoch(&self) -> &str {
        self.state.get("epoch").map_or("", String::as_str)
    }

    /// The sale's incarnation.
    pub fn incarnation(&self) -> &str {
        self.state.get("incarnation").map_or("", String::as_str)
    }

    /// This snapshot, if it is of this incarnation.
    pub fn of_incarnation(self, incarnation: &str) -> Result<Self, Failure> {
        if self.incarnation() == incarnation {
            return Ok(self);
        }
        let (incarnation, epoch) = (self.incarnation().to_owned(), self.epoch().to_owned());
        Err(Refusal::Incarnation { incarnation, epoch }.into())
    }

    /// The controls and the two instants.
    pub fn controls(&self) -> SaleControls {
        SaleControls {
            paused: self.number("paused") == 1,
            frozen: self.number("frozen") == 1,
            closed: self.number("closed") == 1,
            suspended: self.number("suspended") == 1,
            // Until the allocation of a draw is over, the ledger's own opening instant never comes.
            is_drawing: self.number("draw_opens") > 0 && self.number("allocated_in") == 0,
            opens: if self.number("draw_opens") > 0 {
                self.number("draw_opens")
            } else {
                self.number("opens")
            },
            closes: self.number("closes"),
        }
    }

    /// How far the draw is; `None`: the sale has none.
    pub fn draw_stage(&self) -> Option<DrawStage> {
        let [is_fixed, is_drawn, is_allocated] =
            ["fixed_in", "drawn_in", "allocated_in"].map(|field| self.number(field) > 0);
        (self.number("draw_opens") > 0).then(|| DrawStage::of(is_fixed, is_drawn, is_allocated))
    }

    /// The draw; `None`: the sale has none.
    pub fn parse_draw(&self, keys: &Keys) -> Result<Option<DrawState>, Failure> {
        let no_text = |field| Refusal::Damaged(format!("{} has no text in {field}", keys.state()));
        let draw = (self.number("draw_opens") > 0).then(|| DrawState::from_state(&self.state));
        Ok(draw.transpose().map_err(no_text)?)
    }

    /// The applied definition.
    pub fn parse_definition(&self, keys: &Keys) -> Result<Definition, Failure> {
        Definition::from_ledger(self.definition.as_bytes()).map_err(|mistakes| {
            let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
            Failure::Refused(Refusal::Damaged(format!("{} can't be read: {first}", keys.definition())))
        })
    }

    /// Converts it to a read model. Needs the definition. With that of an earlier revision it takes less time.
    ///
    /// # Errors
    ///
    /// [`Refusal::Damaged`] if a required value is not a valid number: none is guessed.
    pub fn into_read_model(self, keys: &Keys, before: Option<&Catalogue>) -> Result<ReadModel, Failure> {
        if !self.damages.is_empty() {
            return Err(Refusal::Damaged(self.damages.join("; ")).into());
        }
        let no_number = |key: &str, field: &str| Refusal::Damaged(format!("{key} has no number in {field}"));
        let counted = |field: &&str| {
            let number = self.state.get(*field).and_then(|v| v.parse::<i64>().ok());
            number.is_some_and(|number| !SWITCHES.contains(field) || matches!(number, 0 | 1))
        };
        if let Some(field) = DECIDING.iter().chain(&SWITCHES).find(|field| !counted(field)) {
            return Err(no_number(keys.state(), field).into());
        }
        let revision = self.number("revision").unsigned_abs();
        let catalogue = Catalogue::after(before, self.parse_definition(keys)?, revision);
        let number = |item: &Item, map: &HashMap<String, String>, key: &str| {
            let number = map.get(&item.name).and_then(|v| v.parse().ok());
            number.ok_or_else(|| no_number(key, &item.name))
        };
        let free = |item: &Item| number(item, &self.stock, keys.stock());
        let free = catalogue.items().iter().map(free).collect::<Result<Vec<_>, Refusal>>()?;
        let total = |item: &Item| item.limited.then(|| number(item, &self.totals, keys.totals())).transpose();
        let totals: Arc<[_]> = catalogue.items().iter().map(total).collect::<Result<_, Refusal>>()?;
        let aside = catalogue.aside_counters().map(|name| match self.stock.get(&name) {
            Some(n) => n.parse().map_err(|_| no_number(keys.stock(), &name)),
            None => Ok(0),
        });
        let aside = aside.collect::<Result<Vec<_>, Refusal>>()?;
        Ok(ReadModel {
            sequence: self.header.sequence,
            controls: self.controls(),
            actions: self.actions.clone(),
            grace_ms: self.number("grace"),
            stores: ReadModel::store_levels(&catalogue, &totals, &free),
            free,
            totals,
            counts: self.counts(),
            aside,
            sign_ups: SignUpCount::of(self.number("signed_up").unsigned_abs()),
            draw: self.parse_draw(keys)?.map(Arc::new),
            allocated: self.number("allocated").unsigned_abs(),
            confirmed: vec![0; catalogue.counted().len()],
            models_left: false,
            catalogue: catalogue.into(),
        })
    }
}
