//! Renders journal entries as one JSON object for each change.

use serde_json::{Map, Value, json};

use crate::domain::catalogue::Catalogue;
use crate::domain::price::Price;
use crate::domain::reservation::{Reservation, State};
use crate::domain::rfc3339::rfc3339;
use crate::domain::signup::{SignUp, SignUpChange};
use crate::domain::subject::from_word;
use crate::store::journal::{Cursor, Entry, Trail};

impl Entry {
    /// One JSON object for each change, as `gateway journal` prints them; `cursor` is the position to continue from.
    /// `None` if a reservation's text is damaged: an incomplete object would mislead.
    ///
    /// `catalogue` must be at least as new as the entry: it has the prices, which never change.
    pub fn lines(&self, catalogue: &Catalogue, trail: &mut Trail) -> Option<Vec<(Cursor, Value)>> {
        let reservations = self.reservations()?;
        trail.note(self.sequence, self.digest);
        let at = trail.cursor_at(self.sequence, self.digest);
        let sign_ups = self.sign_ups()?;
        let changes = reservations.len().max(sign_ups.len()).max(1);
        let base = |change: usize| {
            let cursor = at.after_change(change);
            let mut line = Map::new();
            line.insert("cursor".into(), json!(cursor.to_string()));
            line.insert("id".into(), json!(format!("{}-0", self.sequence)));
            line.insert("change".into(), json!(change));
            line.insert("changes".into(), json!(changes));
            line.insert("kind".into(), json!(self.kind));
            line.insert("at".into(), json!(rfc3339(self.at)));
            line.insert("sale".into(), json!(catalogue.definition.sale.id));
            (cursor, line)
        };
        if !sign_ups.is_empty() {
            let lines = sign_ups.iter().enumerate().map(|(i, change)| {
                let (cursor, mut line) = base(i + 1);
                self.add_fields(&mut line);
                add_sign_up(&mut line, change)?;
                Some((cursor, line.into()))
            });
            return lines.collect();
        }
        if reservations.is_empty() {
            let (cursor, mut line) = base(1);
            self.add_fields(&mut line);
            return Some(vec![(cursor, line.into())]);
        }
        let lines = reservations.iter().enumerate().map(|(i, reservation)| {
            let (cursor, mut line) = base(i + 1);
            self.add_reservation(&mut line, catalogue, reservation)?;
            Some((cursor, line.into()))
        });
        lines.collect()
    }

    /// What an entry without reservations is about.
    fn add_fields(&self, line: &mut Map<String, Value>) {
        for name in
            ["revision", "item", "total", "was", "signed", "epoch", "replayed", "lost", "who", "reason"]
        {
            if let Some(value) = self.field(name) {
                let number = value.parse::<u64>().ok().filter(|_| {
                    matches!(name, "revision" | "total" | "was" | "signed" | "replayed" | "lost")
                });
                let name = if name == "signed" { "signed_up" } else { name };
                line.insert(name.into(), number.map_or_else(|| json!(value), |n| json!(n)));
            }
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
