//! Journal entries, parsed from the stream.

mod cursor;
mod lines;
mod page;

use std::collections::HashMap;
use std::hash::Hasher;
use std::ops::Range;

pub use cursor::{Cursor, Trail};
pub use page::LedgerHead;
pub(crate) use page::{last_common, read_page};
use redis::Value;
use redis::aio::ConnectionLike;
use siphasher::sip::SipHasher13;

use crate::domain::operator_action::OperatorAction;
use crate::domain::reservation::{Reservation, State};
use crate::domain::signup::SignUpChange;
use crate::domain::standby::PlaceChange;
use crate::domain::subject::from_word;
use crate::store::keys::Keys;
use crate::store::reply::{list, pairs, text};
use crate::store::scripts::{Failure, Refusal};

/// One change of the ledger, which may affect many reservations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence; its id is `<sequence>-0`.
    pub sequence: u64,
    /// `define`, `restock`, `signup`, `withdraw`, `entrants`, `draw`, `allocate`, `join`, `leave`, `grant`, `reserve`, `amend`,
    /// `confirm`, `cancel`, `expire`, `refuse`, `adopt`, `lost` or an operator action.
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
    /// Identifies the entry, see [`digest`].
    pub digest: u64,
}

impl Entry {
    /// Parses an entry of an `XRANGE` or `XREAD` reply; `None` if it is not a valid journal entry.
    pub fn parse(value: &Value) -> Option<Self> {
        let sequence = sequence_of(value)?;
        let mut fields = entry_fields(value)?;
        fields.sort_unstable();
        let digest = digest(sequence, &fields);
        let mut fields: HashMap<String, String> = fields.into_iter().collect();
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
            digest,
        })
    }

    /// The free stock of each affected item.
    pub fn stock(&self) -> impl Iterator<Item = (&str, i64)> {
        self.left.iter().map(|(item, left)| (&self.stock[item.clone()], *left))
    }

    /// A copy to keep: without what grows with the number of items.
    pub(crate) fn without_items(&self) -> Self {
        let Self { sequence, at, counts, digest, .. } = *self;
        let mut fields = self.fields.clone();
        fields.remove("totals");
        Self {
            sequence,
            kind: self.kind.clone(),
            at,
            stock: String::new(),
            left: Vec::new(),
            counts,
            fields,
            digest,
        }
    }

    /// One of the other fields. A lone hyphen means "no reason" (`check_reason`).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|value| name != "reason" || *value != "-")
    }

    /// Who made it, if it is a definition, a restock, a draw or an operator action.
    pub fn operator(&self) -> Option<&str> {
        let is_made_by_operator = matches!(self.kind.as_str(), "define" | "restock" | "draw")
            || OperatorAction::parse(&self.kind).is_some();
        self.field("who").filter(|_| is_made_by_operator)
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

    /// Its sign-ups or its withdrawal; `None` if the text is damaged.
    pub fn sign_ups(&self) -> Option<Vec<SignUpChange>> {
        let mut next = self.field("first").and_then(|first| first.parse::<u64>().ok());
        let lines = self.fields.get("signups").map(String::as_str).unwrap_or_default().lines();
        let change = |line| {
            SignUpChange::from_line(line, || {
                let number = next?;
                next = number.checked_add(1);
                Some((number, self.at))
            })
        };
        lines.map(change).collect()
    }

    /// Who joined standby queues, or left one; `None` if the text is damaged.
    pub fn places(&self) -> Option<Vec<PlaceChange>> {
        let mut next = self.field("first").and_then(|first| first.parse::<u64>().ok());
        let lines = self.fields.get("places").map(String::as_str).unwrap_or_default().lines();
        let change = |line| {
            PlaceChange::from_line(line, || {
                let number = next?;
                next = number.checked_add(1);
                Some(number)
            })
        };
        lines.map(change).collect()
    }

    /// The buyers who were skipped in a standby queue: their parts of ids, and their subs as words of the ledger.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .get("skipped")
            .into_iter()
            .flat_map(|lines| lines.lines())
            .filter_map(|line| line.split_once(' '))
    }

    /// How many buyers are signed up after it, if it changed that.
    pub fn signed_up(&self) -> Option<u64> {
        self.field("signed")?.parse().ok()
    }

    /// The buyers' parts of those who got reservations, in order; empty unless it is a `reserve` or a `grant` entry.
    pub fn buyers(&self) -> impl Iterator<Item = &str> {
        let granted = self.fields.get("data").filter(|_| self.kind == "grant");
        let granted =
            granted.into_iter().flat_map(|data| data.lines()).filter_map(|line| line.split(' ').next());
        self.fields.get("buyers").into_iter().flat_map(|buyers| buyers.split(' ')).chain(granted)
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

/// A digest of an entry that stays the same in every version and at every gateway, also when the entry is replayed after
/// a loss. A change that was only acknowledged is replayed without the columns of its batch: stock, counts and clock then
/// follow from the ledger, and `data` is in the place of `wants`. Everything else is part of the digest.
fn digest(sequence: u64, sorted: &[(String, String)]) -> u64 {
    let is_reserve = sorted.iter().any(|(name, value)| name == "kind" && value == "reserve");
    let follows = |name: &str| match name {
        "stock" | "counts" | "clock" => true,
        "data" | "wants" => is_reserve,
        _ => false,
    };
    let mut hash = SipHasher13::new_with_keys(0x6c61_756e_6368_6761, 0x7465_206a_6f75_726e);
    hash.write(&sequence.to_le_bytes());
    for (name, value) in sorted.iter().filter(|(name, _)| !follows(name)) {
        for text in [name, value] {
            hash.write(&(text.len() as u64).to_le_bytes());
            hash.write(text.as_bytes());
        }
    }
    hash.finish()
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

/// The failure for an unreadable entry.
pub(crate) fn unreadable(keys: &Keys, entry: &Value) -> Failure {
    unreadable_entry(keys, &id_of(entry).unwrap_or_default())
}

/// The failure for the unreadable entry of this id.
pub(crate) fn unreadable_entry(keys: &Keys, id: &str) -> Failure {
    Refusal::Damaged(format!("the entry {id} of {} can't be read; run `gateway audit`", keys.journal()))
        .into()
}
