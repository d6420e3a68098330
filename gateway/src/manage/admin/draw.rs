//! The operator's part of a draw: reveal and beacon, once.

use crate::domain::definition::DrawTerms;
use crate::domain::draw::{Seed, commitment};
use crate::domain::hex;
use crate::manage::admin::{AcknowledgedChange, Actor, Admin, DrawOutcome, unreadable_answer};
use crate::projection::read_model::DrawState;
use crate::store::keys::Keys;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Script};

/// Why the terms of a draw are refused once sign-up is open.
pub const LATE_DRAW: &str =
    "the commitment of a draw has to stand before sign-up opens: set `signup.opens_at` to an instant to come";

/// A secret for pseudonyms, in hexadecimal.
pub(super) fn new_secret() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let read = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match read {
        Ok(count) if count == bytes.len() => Ok(hex::encode(&bytes)),
        _ => Err(Failure::NotDone("this system has no random numbers".to_owned())),
    }
}

impl Admin {
    /// The draw of a sale, and its terms; `None`: the sale has none.
    pub async fn draw_state(&self, sale: &str) -> Result<Option<(DrawTerms, DrawState)>, Failure> {
        let shown = self.show(sale).await?;
        let Some(terms) = shown.definition.draw else { return Ok(None) };
        let draw = shown.snapshot.parse_draw(&Keys::of(sale))?;
        Ok(draw.map(|draw| (terms, draw)))
    }

    /// Draws. Repeating it with the same reveal and beacon is harmless.
    pub async fn draw(
        &self,
        sale: &str,
        reveal: &[u8],
        beacon: &[u8],
        by: &Actor,
    ) -> Result<DrawOutcome, Failure> {
        let Some((DrawTerms { commitment: committed, .. }, draw)) = self.draw_state(sale).await? else {
            return Ok(DrawOutcome::None);
        };
        let found = hex::encode(&commitment(reveal));
        if found != committed {
            return Ok(DrawOutcome::NotCommitted { found, commitment: committed });
        }
        let Some(entrants) = draw.entrants else { return Ok(DrawOutcome::Unfixed) };
        let seed = Seed::new(sale, &entrants.root, entrants.count, reveal, beacon);
        let seed = hex::encode(&seed.0);
        let (root, count) = (hex::encode(&entrants.root), entrants.count.to_string());
        let (reveal, beacon) = (hex::encode(reveal), hex::encode(beacon));
        let fields = [
            ("root", root.clone()),
            ("entrants", count.clone()),
            ("reveal", reveal.clone()),
            ("beacon", beacon.clone()),
            ("seed", seed.clone()),
        ];
        let has_changed = |reply: &[redis::Value]| reply.get(2).and_then(text).as_deref() == Some("1");
        let change = AcknowledgedChange { kind: "draw", fields: &fields, by, has_changed };
        let args = [root, count, reveal, beacon, seed.clone()].into_iter().chain(by.args()).collect();
        let reply = self.call_latest(Script::Draw, sale, args, change).await?;
        Ok(match reply.first().and_then(text).unwrap_or_default().as_str() {
            "ok" => DrawOutcome::Done { seed, is_new: has_changed(&reply) },
            "none" => DrawOutcome::None,
            "unfixed" => DrawOutcome::Unfixed,
            "drawn" => DrawOutcome::Drawn(reply.get(1).and_then(text).unwrap_or_default()),
            "closed" => DrawOutcome::Closed,
            "differs" => {
                return Err(Failure::NotDone("the entrants were fixed anew meanwhile; try again".into()));
            }
            other => return Err(unreadable_answer(other)),
        })
    }
}
