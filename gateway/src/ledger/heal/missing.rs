//! A change that Redis may have lost, as a gateway remembers it: what `lua/heal.lua` needs to make it again.

use redis::Value;
use serde::{Deserialize, Serialize};

use super::kept::Told;
use crate::domain::identity::BUYER_CHARS;
use crate::domain::reservation::Reservation;
use crate::ledger::journal::{Entry, entry_fields};

/// Every entry has these; what else it says is in `fields`.
const COMMON: [&str; 5] = ["kind", "at", "clock", "stock", "counts"];
/// The kind of an entry in the place of one that nobody knows and nobody was told of.
pub(super) const LOST: &str = "lost";

/// A change, as `lua/heal.lua` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) sequence: u64,
    pub(super) kind: String,
    at: i64,
    clock: i64,
    items: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<String>,
    fields: Vec<String>,
    rows: Vec<Row>,
}

/// A reservation as it was after the change.
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
}

impl Missing {
    /// As its entry was read; `None` if that can't be read.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let entry = Entry::parse(value)?;
        let fields = entry_fields(value)?;
        let named =
            |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let (items, left) = entry.stock().map(|(item, left)| (item.to_owned(), left)).unzip();
        let rows = entry.reservations()?.iter().map(|r| Row::of(&line(r))).collect::<Option<_>>()?;
        Some(Self {
            sequence: entry.sequence,
            kind: entry.kind.clone(),
            at: entry.at,
            clock: named("clock")?.parse().ok()?,
            items,
            left: Some(left),
            counts: named("counts"),
            rows,
            fields: fields
                .into_iter()
                .filter(|(name, _)| !COMMON.contains(&name.as_str()))
                .flat_map(|(name, value)| [name, value])
                .collect(),
        })
    }

    /// As it was told; `None` if that makes no sense.
    pub(super) fn told(told: &Told) -> Option<Self> {
        let Told { sequence, kind, at, clock, ref fields, ref rows } = *told;
        let rows: Vec<Row> = rows.lines().map(Row::of).collect::<Option<_>>()?;
        let (mut items, mut fields) = (Vec::new(), fields.clone());
        if kind == "reserve" {
            let reservations = rows
                .iter()
                .map(|row| Reservation::from_row(&row.buyer, &row.sub, &row.row))
                .collect::<Option<Vec<_>>>()?;
            (items, fields) = columns(&reservations)?;
        }
        Some(Self {
            sequence,
            kind: kind.to_owned(),
            at,
            clock,
            items,
            left: None,
            counts: None,
            fields,
            rows,
        })
    }

    /// In the place of a change that nobody knows.
    pub(super) fn lost(sequence: u64) -> Self {
        let fields = ["who", "gateways", "reason", "nobody knows it, and nobody was told"].map(str::to_owned);
        Self {
            sequence,
            kind: LOST.to_owned(),
            at: 0,
            clock: 0,
            items: Vec::new(),
            left: None,
            counts: None,
            fields: fields.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Whether both say the same of the same reservations.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let rows = |missing: &Self| {
            let mut rows: Vec<_> =
                missing.rows.iter().map(|row| (row.buyer.clone(), row.row.clone())).collect();
            rows.sort();
            rows
        };
        self.kind == other.kind && rows(self) == rows(other)
    }
}

/// A line of a reservation, `buyer sub row`, as the journal has it.
fn line(r: &Reservation) -> String {
    let mut line = String::new();
    r.write_line(&mut line);
    line
}

/// The items, and the columns of an entry of winners, as `lua/reserve.lua` writes them.
fn columns(winners: &[Reservation]) -> Option<(Vec<String>, Vec<String>)> {
    fn place(items: &mut Vec<String>, item: String) -> String {
        let at = items.iter().position(|known| *known == item).unwrap_or_else(|| {
            items.push(item);
            items.len() - 1
        });
        (at + 1).to_string()
    }
    let first = winners.first()?;
    let mut items = Vec::new();
    let (mut buyers, mut who, mut wants) = (Vec::new(), Vec::new(), Vec::new());
    for r in winners {
        let (buyer, key) = r.id.split_at_checked(BUYER_CHARS)?;
        buyers.push(buyer);
        who.push(format!("{} {key} {}", r.buyer, r.fingerprint));
        let got: Vec<String> = r.items().into_iter().map(|item| place(&mut items, item)).collect();
        let gone: Vec<String> = r.unavailable.iter().map(|item| place(&mut items, item.clone())).collect();
        let got = got.join(",");
        wants.push(if gone.is_empty() { got } else { format!("{got};{}", gone.join(",")) });
    }
    let fields = [
        ("first", first.number.to_string()),
        ("deadline", first.deadline.to_string()),
        ("buyers", buyers.join(" ")),
        ("who", who.join("\n")),
        ("wants", wants.join("\n")),
    ];
    Some((items, fields.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINNERS: &str = "aliceAAAAAAAAAAAAAAA alice key-AAAAAAAA fa air cover,care gz-1 - 8 1 held 5 905 - 4\n\
                           bobAAAAAAAAAAAAAAAAA bob key-BBBBBBBB fb air - - package:cover,store:gz-1 9 1 held 5 905 - 4";

    /// The entry that the gateway would have read of what it told.
    fn entry(missing: &Missing, left: &str) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let common = ["kind", &missing.kind, "at", "5", "clock", "3", "stock", left, "counts", "2 0 0 0"];
        let fields = common.iter().copied().chain(missing.fields.iter().map(String::as_str)).map(text);
        Value::Array(vec![text(&format!("{}-0", missing.sequence)), Value::Array(fields.collect())])
    }

    #[test]
    fn winners_who_were_told_are_those_of_the_entry_that_was_not_read() {
        let told =
            Told { sequence: 4, kind: "reserve", at: 5, clock: 3, fields: Vec::new(), rows: WINNERS.into() };
        let told = Missing::told(&told).unwrap();
        assert_eq!(told.items, ["model:air", "package:cover", "package:care", "store:gz-1"]);
        let read =
            Missing::read(&entry(&told, "model:air 7 package:cover 0 package:care 3 store:gz-1 0")).unwrap();
        assert!(read.agrees_with(&told), "{read:?}");
        assert_eq!(
            (read.left.as_deref(), read.counts.as_deref()),
            (Some(&[7, 0, 3, 0][..]), Some("2 0 0 0"))
        );
        assert_eq!((&read.fields, &read.rows, read.clock), (&told.fields, &told.rows, 3));
        // It goes as JSON, without what it does not know.
        let json = serde_json::to_string(&told).unwrap();
        assert!(!json.contains("left"), "{json}");
        assert_eq!(serde_json::from_str::<Missing>(&json).unwrap(), told);
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        for rows in ["", "alice", "aliceAAAAAAAAAAAAAAA alice not a row"] {
            let told =
                Told { sequence: 4, kind: "reserve", at: 5, clock: 3, fields: Vec::new(), rows: rows.into() };
            assert_eq!(Missing::told(&told), None, "{rows:?}");
        }
        assert_eq!(Missing::read(&Value::Nil), None);
    }
}
