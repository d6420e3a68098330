//! A change that Redis may have lost, as a gateway has buffered it, in the form that `lua/replay.lua` replays.

use redis::Value;
use serde::{Deserialize, Serialize};

use crate::domain::identity::BUYER_CHARS;
use crate::domain::reservation::Reservation;
use crate::domain::signup::SignUpChange;
use crate::domain::standby::PlaceChange;
use crate::domain::subject::{from_word, push_word};
use crate::projection::acknowledged::Acknowledged;
use crate::store::journal::{Entry, entry_fields};

/// Every entry has these; its other fields are in `fields`.
const COMMON: [&str; 5] = ["kind", "at", "clock", "stock", "counts"];
/// The kind of an entry in the place of a change that no gateway read or acknowledged.
pub(crate) const LOST: &str = "lost";

/// A change, as `lua/replay.lua` takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MissingChange {
    pub(crate) sequence: u64,
    pub(crate) kind: String,
    at: i64,
    clock: i64,
    items: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<String>,
    fields: Vec<String>,
    rows: Vec<Row>,
    /// See [`Acknowledged::is_whole`]; an earlier version reports it of none.
    #[serde(default, skip_serializing_if = "is_false")]
    is_whole: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A reservation as it was after the change, or a sign-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    buyer: String,
    sub: String,
    row: String,
}

impl Row {
    /// Reads a line `buyer sub row`.
    fn of(line: &str) -> Option<Self> {
        let (buyer, rest) = line.split_once(' ')?;
        let (sub, row) = rest.split_once(' ')?;
        Some(Self { buyer: buyer.to_owned(), sub: sub.to_owned(), row: row.to_owned() })
    }

    fn sign_up(&self) -> Option<SignUpChange> {
        SignUpChange::from_line(&format!("{} {}", self.sub, self.row), || None)
    }

    fn place(&self) -> Option<PlaceChange> {
        PlaceChange::from_line(&format!("{} {}", self.sub, self.row), || None)
    }

    /// The number of a sign-up or a place, which its row has behind the choices.
    fn number(&self) -> Option<u64> {
        self.row.split(' ').nth(1)?.parse().ok()
    }

    fn reservation(&self) -> Option<Reservation> {
        Reservation::from_row(&self.buyer, &from_word(&self.sub)?, &self.row)
    }

    /// Which reservation it is.
    fn reservation_key(&self) -> (&str, &str) {
        (&self.buyer, self.row.split(' ').next().unwrap_or_default())
    }
}

impl MissingChange {
    /// As its entry was read; `None` if that can't be read.
    pub(crate) fn from_entry(sale: &str, value: &Value) -> Option<Self> {
        let entry = Entry::parse(value)?;
        let fields = entry_fields(value)?;
        let named =
            |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let (items, left) = entry.stock().map(|(item, left)| (item.to_owned(), left)).unzip();
        let reservations = entry.reservations()?;
        let sign_ups = entry.sign_ups()?;
        let sign_ups = sign_ups.iter().map(|change| change.to_line(sale));
        let places = entry.places()?;
        let places = places.iter().map(|change| change.to_line(sale));
        let lines = reservations.iter().map(|r| Some(line(r))).chain(sign_ups).chain(places);
        let rows = lines.map(|line| Row::of(&line?)).collect::<Option<_>>()?;
        Some(Self {
            sequence: entry.sequence,
            kind: entry.kind.clone(),
            at: entry.at,
            clock: named("clock")?.parse().ok()?,
            items,
            left: Some(left),
            counts: named("counts"),
            rows,
            is_whole: false,
            fields: fields
                .into_iter()
                .filter(|(name, _)| !COMMON.contains(&name.as_str()))
                .flat_map(|(name, value)| [name, value])
                .collect(),
        })
    }

    /// From an acknowledged change; `None` if it is invalid.
    pub(crate) fn from_acknowledged(acknowledged: &Acknowledged) -> Option<Self> {
        let Acknowledged { sequence, kind, at, clock, ref fields, ref rows, is_whole } = *acknowledged;
        let rows: Vec<Row> = rows.lines().map(Row::of).collect::<Option<_>>()?;
        let is_row = |row: &Row| match list_of(kind) {
            Some("signups") => row.sign_up().is_some(),
            Some(_) => row.place().is_some(),
            None => row.reservation().is_some(),
        };
        let is_valid = rows.iter().all(is_row) && (!matches!(kind, "reserve" | "grant") || !rows.is_empty());
        let (kind, fields) = (kind.to_owned(), fields.clone());
        is_valid.then(|| Self { sequence, kind, at, clock, fields, rows, is_whole, ..Self::default() })
    }

    /// Adds the reservations of this change that another gateway acknowledged: each has only its own.
    pub(crate) fn merge(&mut self, mut other: Self) {
        if self.fields.is_empty() && !other.fields.is_empty() {
            // The gateway whose batch of sign-ups or places it was has the rows in their order.
            std::mem::swap(self, &mut other);
        }
        for row in other.rows {
            if self.rows.iter().all(|known| known.reservation_key() != row.reservation_key()) {
                self.rows.push(row);
            }
        }
        (self.at, self.clock) = (self.at.min(other.at), self.clock.min(other.clock));
        self.is_whole |= other.is_whole;
    }

    /// Adds the fields of its entry to a change that was only acknowledged.
    pub(crate) fn with_entry_fields(mut self) -> Self {
        if let Some(list) = list_of(&self.kind).filter(|_| self.left.is_none()) {
            self.add_list(list);
        }
        if self.kind == "grant" && self.left.is_none() {
            self.rows.sort_by_key(|row| row.reservation().map(|r| r.number));
        }
        if self.kind == "reserve" && self.left.is_none() {
            let mut winners: Vec<Reservation> = self.rows.iter().filter_map(Row::reservation).collect();
            winners.sort_by_key(|r| r.number);
            self.rows.sort_by_key(|row| row.reservation().map(|r| r.number));
            self.at = winners.first().map_or(self.at, |first| first.held_at);
            (self.items, self.fields) = columns(&winners);
            // Its last winners may be lost without a trace: no later change of this ledger needs their numbers. A reader
            // that has read them, or anything after them, must find a fork.
            if !self.is_whole {
                self.fields.extend(["gap", "1"].map(str::to_owned));
            }
        }
        self
    }

    /// Adds the lines of acknowledged sign-ups or places, as the scripts write them: what is new in a whole batch names no
    /// number.
    fn add_list(&mut self, list: &str) {
        let mut next = match &self.fields[..] {
            [name, first] if name == "first" => first.parse::<u64>().ok(),
            _ => {
                // Only shown, in any order: later numbers follow earlier ones.
                self.rows.sort_by_key(Row::number);
                None
            }
        };
        let line = |row: &Row| {
            let Row { sub, row: words, .. } = row;
            match words.split_once(' ') {
                Some((choices, _)) if next.is_some() && row.number() == next => {
                    next = next.map(|number| number + 1);
                    format!("{sub} {choices}")
                }
                _ => format!("{sub} {words}"),
            }
        };
        let lines: Vec<String> = self.rows.iter().map(line).collect();
        self.fields.extend([list.to_owned(), lines.join("\n")]);
    }

    /// In the place of a change that no report has.
    pub(crate) fn placeholder(sequence: u64) -> Self {
        let fields = ["who", "gateways", "reason", "no gateway has read or acknowledged it"];
        let fields = fields.map(str::to_owned).to_vec();
        Self { sequence, kind: LOST.to_owned(), fields, ..Self::default() }
    }

    /// Whether the entry contains the acknowledged reservations.
    pub(crate) fn contains(&self, acknowledged: &Self) -> bool {
        let is_there =
            |row: &Row| self.rows.iter().any(|read| read.buyer == row.buyer && read.row == row.row);
        // A sweep is buffered without its reservations; a call that finds its change made can't tell a payment from a later move.
        let same_kind = self.kind == acknowledged.kind || !acknowledged.rows.is_empty();
        same_kind && acknowledged.rows.iter().all(is_there)
    }
}

/// The field of an entry of this kind that lists sign-ups or places.
fn list_of(kind: &str) -> Option<&'static str> {
    match kind {
        "signup" | "withdraw" => Some("signups"),
        "join" | "leave" => Some("places"),
        _ => None,
    }
}

/// A line of a reservation, `buyer sub row`, as the journal has it.
fn line(r: &Reservation) -> String {
    let mut line = String::new();
    r.write_line(&mut line);
    line
}

/// The items, and the columns of an entry of acknowledged winners, as `lua/reserve.lua` writes them. `data` has the line of each
/// in the place of `wants`: reports need not have all of a batch, so that numbers may have gaps.
fn columns(winners: &[Reservation]) -> (Vec<String>, Vec<String>) {
    let (first, deadline) = winners.first().map_or((0, 0), |first| (first.number, first.deadline));
    let mut items: Vec<String> = winners.iter().flat_map(Reservation::items).collect();
    items.sort();
    items.dedup();
    let (mut buyers, mut who) = (Vec::new(), Vec::new());
    for r in winners {
        let (buyer, key) = r.id.split_at_checked(BUYER_CHARS).unwrap_or_default();
        buyers.push(buyer);
        let mut line = String::new();
        push_word(&mut line, &r.buyer);
        line.extend([" ", key, " ", &r.fingerprint]);
        who.push(line);
    }
    let fields = [
        ("first", first.to_string()),
        ("deadline", deadline.to_string()),
        ("buyers", buyers.join(" ")),
        ("who", who.join("\n")),
        ("data", winners.iter().map(line).collect::<Vec<_>>().join("\n")),
    ];
    (items, fields.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect())
}

#[cfg(test)]
mod tests;
