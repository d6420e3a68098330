//! Encodes a batch for the reserve script as columns, and decodes its reply. See `reserve.lua`.

use std::vec;

use redis::{RedisWrite, ToRedisArgs, Value};

use crate::domain::catalogue::Catalogue;
use crate::domain::decision::{Decision, Header, PurchaseLimit, ReserveCommand, Shed};
use crate::domain::identity::{BUYER_CHARS, is_reservation_id};
use crate::domain::reservation::{Reservation, State};
use crate::domain::subject::push_word;
use crate::store::scripts::text;

/// The limit of reservation numbers: Lua's doubles are exact up to here.
const NUMBER_MAX: u64 = 1 << 53;

/// The columns of a batch; the buffers are reused.
#[derive(Default)]
pub struct Columns {
    flags: String,
    limits: String,
    who: String,
    wants: String,
    /// The buyers' parts of the ids, concatenated.
    buyers: String,
    /// All rows, concatenated, and the end of each.
    rows: String,
    row_ends: Vec<usize>,
    items: Items,
    /// The indices of one tap's items.
    found: Vec<usize>,
}

/// The distinct items of a batch, in the order of their first use.
#[derive(Default)]
struct Items {
    /// Indices in the catalogue.
    indices: Vec<usize>,
    /// How many taps of the batch request each item.
    demands: Vec<u32>,
    /// By index in the catalogue: the position from 1, valid if the item at that position has this
    /// index.
    position_of: Vec<u32>,
}

impl Items {
    /// Counts one more tap for this item; returns its position.
    fn count(&mut self, index: usize) -> u32 {
        if self.position_of.len() <= index {
            self.position_of.resize(index + 1, 0);
        }
        let known = self.position_of[index];
        let at = (known as usize).wrapping_sub(1);
        if self.indices.get(at) == Some(&index) {
            self.demands[at] += 1;
            return known;
        }
        self.indices.push(index);
        self.demands.push(1);
        // A batch has at most 1,000 taps of 18 items each.
        let position = u32::try_from(self.indices.len()).unwrap_or(u32::MAX);
        self.position_of[index] = position;
        position
    }
}

impl Columns {
    /// Encodes a batch.
    pub(crate) fn fill<'a>(
        &mut self,
        batch: impl Iterator<Item = &'a ReserveCommand>,
        catalogue: &Catalogue,
    ) {
        let Self { flags, limits, who, wants, buyers, rows, .. } = self;
        for text in [flags, limits, who, wants, buyers, rows] {
            text.clear();
        }
        self.row_ends.clear();
        self.items.indices.clear();
        self.items.demands.clear();
        for command in batch {
            self.add(command, catalogue);
        }
        for index in &self.items.indices {
            self.limits.push(if catalogue.items()[*index].limited { '1' } else { '0' });
        }
    }

    fn add(&mut self, command: &ReserveCommand, catalogue: &Catalogue) {
        if !self.flags.is_empty() {
            self.who.push('\n');
            self.wants.push('\n');
        }
        let (buyer, key) = command.id.split_at(BUYER_CHARS);
        self.buyers.push_str(buyer);
        let who_starts = self.who.len();
        push_word(&mut self.who, &command.sub);
        for text in [" ", key, " ", &command.fingerprint] {
            self.who.push_str(text);
        }
        self.rows.push_str(&self.who[who_starts..]);
        self.found.clear();
        let store = command.store.as_deref();
        self.found.extend(catalogue.indices_of(&command.model, &command.packages, store).map_while(|p| p));
        if self.found.len() < 1 + command.packages.len() + usize::from(store.is_some()) {
            self.flags.push('?');
            self.wants.push('?');
            self.rows.push_str(" ? ? ? -");
            return self.row_ends.push(self.rows.len());
        }
        self.flags.push(if command.accept_partial { 'p' } else { '.' });
        let (mut before, mut digits) = ("", itoa::Buffer::new());
        for &index in &self.found {
            self.wants.push_str(before);
            self.wants.push_str(digits.format(self.items.count(index)));
            before = ",";
        }
        self.rows.push(' ');
        self.rows.push_str(&command.model);
        let mut before = ' ';
        for package in &command.packages {
            self.rows.push(before);
            self.rows.push_str(package);
            before = ',';
        }
        self.rows.push_str(if command.packages.is_empty() { " - " } else { " " });
        self.rows.push_str(store.unwrap_or("-"));
        self.rows.push_str(" -");
        self.row_ends.push(self.rows.len());
    }

    /// The script's arguments, for a ledger of this identity.
    pub(crate) fn args<'a>(&'a self, catalogue: &'a Catalogue, identity: &'a str, known: u64) -> Args<'a> {
        Args { columns: self, catalogue, identity, known }
    }

    /// The decisions of a reply; `None` if it is not a valid reply.
    pub(crate) fn decisions<'a>(
        &'a self,
        reply: &'a [Value],
        catalogue: &'a Catalogue,
    ) -> Option<Decisions<'a>> {
        let header = Header::of(reply).ok()?;
        let first_deadline = reply.get(2).and_then(text)?;
        let (first, deadline) = first_deadline.split_once(' ')?;
        let letters = text(reply.get(3)?)?.into_bytes();
        (letters.len() == self.row_ends.len()).then_some(Decisions {
            columns: self,
            catalogue,
            header,
            number: first.parse().ok().filter(|number| *number < NUMBER_MAX)?,
            deadline: deadline.parse().ok()?,
            letters: letters.into_iter(),
            details: &reply[4..],
        })
    }
}

/// An encoded batch, ready to be sent.
pub(crate) struct Args<'a> {
    columns: &'a Columns,
    catalogue: &'a Catalogue,
    identity: &'a str,
    known: u64,
}

impl ToRedisArgs for Args<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let Columns { flags, limits, who, wants, buyers, rows, row_ends, items, .. } = self.columns;
        out.write_arg(self.identity.as_bytes());
        out.write_arg_fmt(self.known);
        out.write_arg_fmt(self.catalogue.revision);
        out.write_arg_fmt(row_ends.len());
        out.write_arg_fmt(items.indices.len());
        for text in [flags, limits, who, wants] {
            out.write_arg(text.as_bytes());
        }
        for index in &items.indices {
            out.write_arg(self.catalogue.items()[*index].name.as_bytes());
        }
        let mut digits = itoa::Buffer::new();
        for demand in &items.demands {
            out.write_arg(digits.format(*demand).as_bytes());
        }
        for buyer in buyers.as_bytes().chunks_exact(BUYER_CHARS) {
            out.write_arg(buyer);
        }
        let mut start = 0;
        for &end in row_ends {
            out.write_arg(&rows.as_bytes()[start..end]);
            start = end;
        }
    }

    fn num_of_args(&self) -> usize {
        9 + 2 * (self.columns.items.indices.len() + self.columns.row_ends.len())
    }
}

/// The decisions of one reply, in the batch's order.
pub(crate) struct Decisions<'a> {
    columns: &'a Columns,
    catalogue: &'a Catalogue,
    /// The common header.
    pub(crate) header: Header,
    /// The number of the next winner.
    number: u64,
    deadline: i64,
    letters: vec::IntoIter<u8>,
    details: &'a [Value],
}

impl Decisions<'_> {
    /// The decision for the next tap; [`Decision::Unknown`] if it can't be decoded.
    pub(crate) fn next(&mut self, command: ReserveCommand) -> Decision {
        self.read(command).unwrap_or(Decision::Unknown)
    }

    fn read(&mut self, command: ReserveCommand) -> Option<Decision> {
        Some(match self.letters.next()? {
            b'W' => Decision::Won(Box::new(self.hold(command)), self.header),
            b'V' => {
                self.number += 1;
                let row = self.row(&command)?;
                let is_part =
                    command.accept_partial && row.model == command.model && row.state == State::Held;
                Decision::Won(is_part.then_some(row)?, self.header)
            }
            b'R' => Decision::Replayed(self.row(&command)?, self.header),
            b'K' => Decision::KeyReused,
            b'C' => Decision::Closed,
            b'N' => Decision::NotOpen(self.header.time),
            b'P' => Decision::Paused,
            b'G' => Decision::NotSignedUp,
            b'U' => {
                let ReserveCommand { model, packages, store, .. } = &command;
                Decision::UnknownItem(self.catalogue.unknown(model, packages, store.as_deref()))
            }
            letter @ (b'L' | b'A') => {
                let id = |id: &str| is_reservation_id(id).then(|| id.to_owned());
                let limit = if letter == b'L' { PurchaseLimit::PerBuyer } else { PurchaseLimit::Attempts };
                Decision::PurchaseLimit(limit, self.detail()?.split(' ').map(id).collect::<Option<_>>()?)
            }
            b'S' => {
                let items =
                    self.detail()?.split(',').map(|position| self.item(position)).collect::<Option<_>>()?;
                Decision::SoldOut { items, is_final: self.header.held == 0 }
            }
            b'D' => Decision::NotTaken(Shed::Ledger),
            _ => return None,
        })
    }

    /// A new reservation with all requested items.
    fn hold(&mut self, command: ReserveCommand) -> Reservation {
        let number = self.number;
        self.number += 1;
        Reservation {
            id: command.id,
            buyer: command.sub,
            number,
            version: 1,
            state: State::Held,
            model: command.model,
            packages: command.packages,
            store: command.store,
            unavailable: Vec::new(),
            fingerprint: command.fingerprint,
            held_at: self.header.time,
            deadline: self.deadline,
            payment: None,
            changes: vec![self.header.sequence],
        }
    }

    /// Parses a row of the reservation for this tap's key, and of no other.
    fn row(&mut self, command: &ReserveCommand) -> Option<Box<Reservation>> {
        let row = self.detail()?;
        let row = Reservation::from_row(&command.id[..BUYER_CHARS], &command.sub, &row)?;
        (row.id == command.id && row.fingerprint == command.fingerprint).then(|| Box::new(row))
    }

    fn detail(&mut self) -> Option<String> {
        let (detail, rest) = self.details.split_first()?;
        self.details = rest;
        text(detail)
    }

    fn item(&self, position: &str) -> Option<String> {
        let at = position.parse::<usize>().ok()?.checked_sub(1)?;
        Some(self.catalogue.items()[*self.columns.items.indices.get(at)?].name.clone())
    }
}
