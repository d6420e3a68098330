//! Renders journal entries as one JSON object for each change.

use serde_json::{Map, Value, json};

use crate::domain::catalogue::Catalogue;
use crate::domain::price::Price;
use crate::domain::reservation::{Reservation, State};
use crate::domain::rfc3339::rfc3339;
use crate::domain::signup::{SignUp, SignUpChange};
use crate::domain::standby::PlaceChange;
use crate::domain::subject::from_word;
use crate::store::journal::{Cursor, Entry, Trail};

/// What a line is about.
enum Subject<'a> {
    Reservation(&'a Reservation),
    SignUp(&'a SignUpChange),
    Place(&'a PlaceChange),
    /// The buyer who waited, as a word of the ledger.
    Skipped(&'a str),
    /// The sale itself.
    Sale,
}

impl Entry {
    /// One JSON object for each change, as `gateway journal` prints them; `cursor` is the position to continue from.
    /// `None` if a reservation's text is damaged: an incomplete object would mislead.
    ///
    /// `catalogue` must be at least as new as the entry: it has the prices, which never change.
    pub fn lines(&self, catalogue: &Catalogue, trail: &mut Trail) -> Option<Vec<(Cursor, Value)>> {
        let reservations = self.reservations()?;
        trail.note(self.sequence, self.digest);
        let at = trail.cursor_at(self.sequence, self.digest);
        let (sign_ups, places) = (self.sign_ups()?, self.places()?);
        let subjects =
            reservations.iter().map(Subject::Reservation).chain(sign_ups.iter().map(Subject::SignUp));
        let subjects = subjects.chain(places.iter().map(Subject::Place));
        let mut subjects: Vec<Subject<'_>> =
            subjects.chain(self.skipped().map(|(_, sub)| Subject::Skipped(sub))).collect();
        if subjects.is_empty() {
            subjects.push(Subject::Sale);
        }
        let changes = subjects.len();
        let line = |(n, subject): (usize, Subject<'_>)| {
            let cursor = at.after_change(n + 1);
            let mut line = Map::new();
            line.insert("cursor".into(), json!(cursor.to_string()));
            line.insert("id".into(), json!(format!("{}-0", self.sequence)));
            line.insert("change".into(), json!(n + 1));
            line.insert("changes".into(), json!(changes));
            line.insert("kind".into(), json!(self.kind));
            line.insert("at".into(), json!(rfc3339(self.at)));
            line.insert("sale".into(), json!(catalogue.definition.sale.id));
            match subject {
                Subject::Reservation(reservation) => {
                    self.add_reservation(&mut line, catalogue, reservation)?
                }
                Subject::SignUp(change) => {
                    self.add_fields(&mut line);
                    add_sign_up(&mut line, change)?;
                }
                Subject::Place(change) => add_place(&mut line, change)?,
                Subject::Skipped(sub) => {
                    line.insert("buyer".into(), json!(from_word(sub)?));
                    line.insert("skipped".into(), json!(true));
                }
                Subject::Sale => self.add_fields(&mut line),
            }
            Some((cursor, line.into()))
        };
        subjects.into_iter().enumerate().map(line).collect()
    }

    /// How many changes it has: lines of [`Entry::lines`]. A damaged one counts as one.
    pub(crate) fn changes(&self) -> usize {
        let reservations = self.reservations().map_or(0, |list| list.len());
        let others =
            self.sign_ups().map_or(0, |list| list.len()) + self.places().map_or(0, |list| list.len());
        (reservations + others + self.skipped().count()).max(1)
    }

    /// What an entry without reservations is about.
    fn add_fields(&self, line: &mut Map<String, Value>) {
        for name in [
            "revision",
            "item",
            "total",
            "was",
            "signed",
            "released",
            "epoch",
            "replayed",
            "lost",
            "root",
            "entrants",
            "reveal",
            "beacon",
            "seed",
            "allocated",
            "who",
            "reason",
        ] {
            if let Some(value) = self.field(name) {
                let number = value.parse::<u64>().ok().filter(|_| {
                    matches!(
                        name,
                        "revision"
                            | "total"
                            | "was"
                            | "signed"
                            | "replayed"
                            | "lost"
                            | "entrants"
                            | "allocated"
                    )
                });
                let name = if name == "signed" { "signed_up" } else { name };
                line.insert(name.into(), number.map_or_else(|| json!(value), |n| json!(n)));
            }
        }
        if self.kind == "allocate" {
            line.insert("over".into(), json!(self.field("over").is_some()));
        }
    }

    /// The whole reservation after the change; `None` if the entry is damaged.
    fn add_reservation(
        &self,
        line: &mut Map<String, Value>,
        catalogue: &Catalogue,
        r: &Reservation,
    ) -> Option<()> {
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
        line.insert("price".into(), json!(Price::new(catalogue, r)));
        line.insert("held_at".into(), json!(rfc3339(r.held_at)));
        let expires_at = match r.state {
            // By the clocks of this entry, so that a line is the same whenever it is read.
            State::Held => {
                let clock: i64 = self.field("clock")?.parse().ok()?;
                Some(rfc3339(self.at.saturating_add(r.deadline.saturating_sub(clock))))
            }
            _ => None,
        };
        line.insert("expires_at".into(), json!(expires_at));
        Some(())
    }
}

/// A sign-up after the change; of a withdrawal only whose it was. `None` if the entry is damaged.
fn add_sign_up(line: &mut Map<String, Value>, SignUpChange { sub, after }: &SignUpChange) -> Option<()> {
    line.insert("buyer".into(), json!(from_word(sub)?));
    if let Some(SignUp { number, at, choices }) = after {
        line.insert("number".into(), json!(number));
        line.insert("choices".into(), json!(choices));
        line.insert("signed_up_at".into(), json!(rfc3339(*at)));
    }
    Some(())
}

/// A place in a standby queue after the change; of someone who left only whose it was. `None` if the entry is damaged.
fn add_place(line: &mut Map<String, Value>, PlaceChange { sub, after }: &PlaceChange) -> Option<()> {
    line.insert("buyer".into(), json!(from_word(sub)?));
    if let Some((number, choice)) = after {
        line.insert("number".into(), json!(number));
        line.insert("choice".into(), json!(choice));
    }
    Some(())
}
