//! The support lookup: all that the ledger has of one buyer.

use crate::domain::decision::Header;
use crate::domain::identity::buyer_part;
use crate::domain::reservation::Reservation;
use crate::domain::signup::SignUp;
use crate::domain::subject::to_word;
use crate::manage::admin::Admin;
use crate::manage::admin::history::JournalSearch;
use crate::store::record::{read_record, read_sign_up};
use crate::store::reply::text;
use crate::store::scripts::{Failure, Refusal, Script};

/// The ledger's data about one buyer, at one sequence.
#[derive(Debug)]
pub struct BuyerHistory {
    /// The sale's incarnation.
    pub incarnation: String,
    /// Reservations in their present states.
    pub reservations: Vec<Reservation>,
    /// Sequence and clocks of the read.
    pub header: Header,
    /// The buyer's sign-up, read afterwards.
    pub sign_up: Option<SignUp>,
    /// Journal lines about these reservations.
    pub lines: Vec<serde_json::Value>,
}

impl Admin {
    /// A buyer's reservations and the journal's lines about them, at one sequence.
    pub async fn buyer(&self, sale: &str, sub: &str) -> Result<BuyerHistory, Failure> {
        let (keys, mut conn) = self.open(sale).await?;
        let part = buyer_part(sale, sub);
        let reply = self.scripts.call(&mut conn, Script::Reservations, &keys, &[&part]).await?;
        let (mut reservations, header, grace) = read_record(&keys, &part, &reply)?;
        let incarnation = reply.get(4).and_then(text).unwrap_or_default();
        // Read after the reservations, so that all their items are in it.
        let revision: u64 =
            redis::cmd("HGET").arg(keys.state()).arg("revision").query_async(&mut conn).await?;
        let catalogue = self.catalogue(&mut conn, &keys, sale, &incarnation, revision).await?;
        let search = JournalSearch { keys: &keys, catalogue: &catalogue, buyer_part: &part };
        let mut lines = search.read(&mut conn, &reservations).await?;
        for reservation in &mut reservations {
            reservation.state = reservation.state_at(header.sale_clock, grace);
        }
        let word = to_word(sub);
        let stored = match self.scripts.call(&mut conn, Script::ReadSignup, &keys, &[&part, &word]).await {
            // The audit reports it. It hides no reservation.
            Err(Failure::Refused(Refusal::Damaged(_))) => None,
            reply => read_sign_up(&reply?)?.0,
        };
        let (sign_up, signed_up_in) = stored.unzip();
        // The audit reports damage. It hides no reservation.
        let place = redis::Cmd::hget(keys.standby(), &part);
        let place = place.query_async::<Option<String>>(&mut conn).await.unwrap_or_default();
        let changed_in = place.and_then(|place| place.split(' ').nth(4)?.parse().ok());
        // Earlier changes of both are in the journal only. A grant is among those of its reservation.
        let sequence_of = |line: &serde_json::Value| {
            line["id"].as_str().and_then(|id| id.split('-').next()?.parse::<u64>().ok())
        };
        for sequence in [signed_up_in, changed_in].into_iter().flatten() {
            if lines.iter().all(|line| sequence_of(line) != Some(sequence)) {
                lines.extend(search.line_at(&mut conn, sequence, sub).await?);
            }
        }
        lines.sort_by_key(sequence_of);
        Ok(BuyerHistory { incarnation, reservations, header, sign_up: sign_up.flatten(), lines })
    }
}
