//! Journal entries: parsed from the stream, and rendered as one JSON object for each change.

use std::collections::HashMap;
use std::ops::Range;

use redis::Value;
use redis::aio::ConnectionLike;
use serde_json::{Map, json};

use crate::domain::reservation::{Reservation, State};
use crate::domain::rfc3339::rfc3339;
use crate::domain::subject::from_word;
use crate::store::keys::Keys;
use crate::store::reply::{list, pairs, text};
use crate::store::scripts::{Failure, Refusal};

/// One change of the ledger, which may affect many reservations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence; its id is `<sequence>-0`.
    pub sequence: u64,
    /// `define`, `restock`, `reserve`, `amend`, `confirm`, `cancel`, `expire`, `refuse`, `adopt`, `lost` or an operator
    /// action.
    pub kind: String,
    /// Redis's `TIME`, in ms.
    pub at: i64,
    /// The affected items with their free stock, as one text: there may be hundreds.
    stock: String,
    /// The range of each item in that text, and its free stock.
    left: Vec<(Range<usize>, i64)>,
    /// Reservations by state after it: held, confirmed, cancelled, expired.
    pub counts: [u64; 4],
    /// All other fields.
    pub fields: HashMap<String, String>,
}

impl Entry {
    /// Parses an entry of an `XRANGE` or `XREAD` reply; `None` if it is not a valid journal entry.
    pub fn parse(value: &Value) -> Option<Self> {
        let sequence = sequence_of(value)?;
        let mut fields: HashMap<String, String> = entry_fields(value)?.into_iter().collect();
        let stock = fields.remove("stock")?;
        let left = left(&stock)?;
        let counts = fields.remove("counts")?;
        let counts: Option<Vec<u64>> = counts.split(' ').map(|n| n.parse().ok()).collect();
        Some(Self {
            sequence,
            kind: fields.remove("kind")?,
            at: fields.remove("at")?.parse().ok()?,
            stock,
            left,
            counts: counts?.try_into().ok()?,
            fields,
        })
    }

    /// The free stock of each affected item.
    pub fn stock(&self) -> impl Iterator<Item = (&str, i64)> {
        self.left.iter().map(|(item, left)| (&self.stock[item.clone()], *left))
    }

    /// A copy to keep: without what grows with the number of items.
    pub(crate) fn without_items(&self) -> Self {
        let Self { sequence, at, counts, .. } = *self;
        let mut fields = self.fields.clone();
        fields.remove("totals");
        Self { sequence, kind: self.kind.clone(), at, stock: String::new(), left: Vec::new(), counts, fields }
    }

    /// One of the other fields. A lone hyphen means "no reason" (`check_reason`).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|value| name != "reason" || *value != "-")
    }

    /// The affected reservations after the change; `None` if the text is damaged.
    pub fn reservations(&self) -> Option<Vec<Reservation>> {
        if self.kind == "reserve" && !self.fields.contains_key("data") {
            return self.winners();
        }
        match self.fields.get("data") {
            None => Some(Vec::new()),
            Some(data) => data.lines().map(Reservation::from_journal).collect(),
        }
    }

    /// The winners' buyer parts, in order; empty unless it is a `reserve` entry.
    pub fn buyers(&self) -> impl Iterator<Item = &str> {
        self.fields.get("buyers").into_iter().flat_map(|buyers| buyers.split(' '))
    }

    /// The reservations of a `reserve` entry, whose columns have the differences (see
    /// `reserve.lua`).
    fn winners(&self) -> Option<Vec<Reservation>> {
        let number = |name: &str| self.field(name)?.parse::<u64>().ok();
        let (first, deadline) = (number("first")?, number("deadline")?);
        let (mut who, mut wants) = (self.field("who")?.lines(), self.field("wants")?.lines());
        let winners: Vec<Reservation> = (0..)
            .zip(self.buyers())
            .map(|(n, buyer)| {
                let number = first.checked_add(n)?;
                let mut who = who.next()?.split(' ');
                let (sub, key, fingerprint) = (from_word(who.next()?)?, who.next()?, who.next()?);
                let mut reservation = Reservation {
                    id: format!("{buyer}{key}"),
                    buyer: (&*sub).into(),
                    number,
                    version: 1,
                    state: State::Held,
                    model: String::new(),
                    packages: Vec::new(),
                    store: None,
                    unavailable: Vec::new(),
                    fingerprint: fingerprint.to_owned(),
                    held_at: self.at,
                    deadline: i64::try_from(deadline).ok()?,
                    payment: None,
                    changes: vec![self.sequence],
                };
                let wants = wants.next()?;
                let (got, gone) = wants.split_once(';').unwrap_or((wants, ""));
                for item in self.items(got) {
                    match item?.split_once(':')? {
                        ("model", id) => id.clone_into(&mut reservation.model),
                        ("package", id) => reservation.packages.push(id.to_owned()),
                        ("store", id) => reservation.store = Some(id.to_owned()),
                        _ => return None,
                    }
                }
                reservation.unavailable =
                    self.items(gone).map(|item| Some(item?.to_owned())).collect::<Option<_>>()?;
                (!reservation.model.is_empty()).then_some(reservation)
            })
            .collect::<Option<_>>()?;
        (who.next().is_none() && wants.next().is_none()).then_some(winners)
    }

    /// The items at these positions, from 1, of the entry's own list.
    fn items<'a>(&'a self, places: &'a str) -> impl Iterator<Item = Option<&'a str>> {
        places.split(',').filter(|place| !place.is_empty()).map(|place| {
            let index = place.parse::<usize>().ok()?.checked_sub(1)?;
            Some(&self.stock[self.left.get(index)?.0.clone()])
        })
    }

    /// The items whose total it sets: `Some(None)` no limit, `None` inside the list: removed.
    pub fn totals(&self) -> Vec<(String, Total)> {
        if let (Some(item), Some(total)) = (self.fields.get("item"), self.fields.get("total")) {
            return vec![(item.clone(), Total::parse(total))];
        }
        let words: Vec<&str> = self.fields.get("totals").map(|t| t.split(' ').collect()).unwrap_or_default();
        words.chunks_exact(2).map(|pair| (pair[0].to_owned(), Total::parse(pair[1]))).collect()
    }

    /// One JSON object for each change, as `gateway journal` prints them; `cursor` is the position
    /// to continue from. `None` if a reservation's text is damaged: an incomplete object would
    /// mislead.
    pub fn lines(&self, sale: &str) -> Option<Vec<(Cursor, serde_json::Value)>> {
        let reservations = self.reservations()?;
        let changes = reservations.len().max(1);
        let base = |change: usize| {
            let cursor = Cursor { sequence: self.sequence, change, changes };
            let mut line = Map::new();
            line.insert("cursor".into(), json!(cursor.to_string()));
            line.insert("id".into(), json!(format!("{}-0", self.sequence)));
            line.insert("change".into(), json!(change));
            line.insert("changes".into(), json!(changes));
            line.insert("kind".into(), json!(self.kind));
            line.insert("at".into(), json!(rfc3339(self.at)));
            line.insert("sale".into(), json!(sale));
            (cursor, line)
        };
        if reservations.is_empty() {
            let (cursor, mut line) = base(1);
            for name in ["revision", "item", "total", "was", "epoch", "replayed", "lost", "who", "reason"] {
                if let Some(value) = self.field(name) {
                    let number = value
                        .parse::<u64>()
                        .ok()
                        .filter(|_| matches!(name, "revision" | "total" | "was" | "replayed" | "lost"));
                    line.insert(name.into(), number.map_or_else(|| json!(value), |n| json!(n)));
                }
            }
            return Some(vec![(cursor, line.into())]);
        }
        let lines = reservations.iter().enumerate().map(|(i, r)| {
            let (cursor, mut line) = base(i + 1);
            line.insert("reservation".into(), json!(r.id));
            line.insert("buyer".into(), json!(r.buyer));
            line.insert("number".into(), json!(r.number));
            line.insert("version".into(), json!(r.version));
            line.insert("state".into(), json!(r.state));
            line.insert("model".into(), json!(r.model));
            line.insert("packages".into(), json!(r.packages));
            line.insert("store".into(), json!(r.store));
            line.insert("unavailable".into(), json!(r.unavailable));
            line.insert("payment".into(), json!(r.payment));
            (cursor, line.into())
        });
        Some(lines.collect())
    }
}

/// The sequence of an entry of an `XRANGE` or `XREAD` reply.
pub(crate) fn sequence_of(entry: &Value) -> Option<u64> {
    id_of(entry)?.strip_suffix("-0")?.parse().ok()
}

fn id_of(entry: &Value) -> Option<String> {
    let Value::Array(pair) = entry else { return None };
    pair.first().and_then(text)
}

/// Its fields with their values, in order.
pub(crate) fn entry_fields(entry: &Value) -> Option<Vec<(String, String)>> {
    let Value::Array(pair) = entry else { return None };
    pairs(pair.get(1)?)
}

/// Parses items and numbers in turn, separated by blanks: the range of each item, and its number.
fn left(stock: &str) -> Option<Vec<(Range<usize>, i64)>> {
    let mut left = Vec::new();
    let mut from = 0;
    while from < stock.len() {
        let item = from..from + memchr::memchr(b' ', &stock.as_bytes()[from..])?;
        let number = item.end + 1;
        let end = memchr::memchr(b' ', &stock.as_bytes()[number..]).map_or(stock.len(), |at| number + at);
        left.push((item, stock[number..end].parse().ok()?));
        from = end + 1;
    }
    Some(left)
}

/// A total in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// A limit.
    Of(i64),
    /// No limit.
    Unlimited,
    /// The item was removed.
    Removed,
    /// The text is damaged.
    Damaged,
}

impl Total {
    fn parse(word: &str) -> Self {
        match word {
            "*" => Self::Unlimited,
            "-" => Self::Removed,
            number => number.parse().map_or(Self::Damaged, Self::Of),
        }
    }
}

/// A position in the journal: after this change of this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence of the entry.
    pub sequence: u64,
    /// Number of the change in the entry, from 1.
    pub change: usize,
    /// Number of changes in the entry; `usize::MAX` in a cursor without it.
    pub changes: usize,
}

impl Cursor {
    /// Before the first change.
    pub const START: Self = Self { sequence: 0, change: 1, changes: 1 };

    /// Parses `4711-0` (after all of that entry) or `4711-0/3` (after its third change).
    ///
    /// ```
    /// use gateway::store::journal::Cursor;
    /// let third = Cursor::parse("4711-0/3")?;
    /// assert!(Cursor::parse("4711-0")?.is_after(&third));
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a valid journal id: expected 4711-0, or 4711-0/3 after the third change \
                    of that entry"
            )
        };
        let (id, change) = text.split_once('/').unwrap_or((text, ""));
        let sequence = id.strip_suffix("-0").and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let change = if change.is_empty() { usize::MAX } else { change.parse().map_err(|_| wrong())? };
        Ok(Self { sequence, change, changes: usize::MAX })
    }

    /// Whether it is after the given one.
    pub fn is_after(&self, other: &Self) -> bool {
        (self.sequence, self.change) > (other.sequence, other.change)
    }

    /// The last entry that is completely before the cursor, so that reading continues after it.
    fn whole_entries(&self) -> u64 {
        if self.change >= self.changes { self.sequence } else { self.sequence.saturating_sub(1) }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-0/{}", self.sequence, self.change)
    }
}

/// Reads up to `count` entries after a sequence.
pub async fn after(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    sequence: u64,
    count: usize,
) -> redis::RedisResult<Vec<Value>> {
    let from = format!("({sequence}");
    let mut command = redis::cmd("XRANGE");
    command.arg(keys.journal()).arg(from).arg("+").arg("COUNT").arg(count);
    list("XRANGE", command.query_async(conn).await?)
}

/// The changes after a cursor as JSON, from up to `entries` entries.
///
/// # Errors
///
/// [`Refusal::Damaged`] if the next entry is unreadable: entries before it are returned first, and none is skipped.
pub async fn lines_after(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    sale: &str,
    cursor: Cursor,
    entries: usize,
) -> Result<Vec<(Cursor, serde_json::Value)>, Failure> {
    let found = after(conn, keys, cursor.whole_entries(), entries).await?;
    let mut result = Vec::new();
    for value in &found {
        let Some(lines) = Entry::parse(value).and_then(|entry| entry.lines(sale)) else {
            if result.is_empty() {
                return Err(unreadable(keys, value));
            }
            break;
        };
        result.extend(lines.into_iter().filter(|(at, _)| at.is_after(&cursor)));
    }
    Ok(result)
}

/// The failure for an unreadable entry.
pub(crate) fn unreadable(keys: &Keys, entry: &Value) -> Failure {
    let id = id_of(entry).unwrap_or_default();
    Refusal::Damaged(format!("the entry {id} of {} can't be read; run `gateway audit`", keys.journal()))
        .into()
}

#[cfg(test)]
mod tests;
