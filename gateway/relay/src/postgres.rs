//! Keeps an exact copy in PostgreSQL: each page and its cursor are one transaction.

mod connection;
mod errors;
pub(crate) mod schema;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio_postgres::{Client, Transaction};

use crate::change::{Change, Page, position_of};
use crate::failure::Failure;
use crate::sink::{Sink, SinkError};
use crate::status::Status;
pub(crate) use connection::Database;
use errors::{failed, fatal};

/// A transaction that takes longer is given up, with its connection.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// After a purge it takes back a whole sale.
const RESCIND_TIMEOUT: Duration = Duration::from_secs(3600);

/// Adds the changes of a page.
const CHANGES: &str = "
INSERT INTO changes (sale, sequence, place, generation, kind, at, reservation, cursor, line)
SELECT $1, sequence, place, $2, kind, at::timestamptz, reservation, cursor, line::jsonb
FROM unnest($3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
    AS new (sequence, place, kind, at, reservation, cursor, line)";

/// Brings reservations to their latest change. `{}` says which.
const RESERVATIONS: &str = "
INSERT INTO reservations (
    sale, reservation, buyer, number, version, state, model, packages, store, unavailable, payment,
    currency, total, deposit, balance, price_lines, held_at, expires_at, changed_at, sequence, place
)
SELECT DISTINCT ON (reservation)
    sale, reservation, line->>'buyer', (line->>'number')::bigint, (line->>'version')::bigint, line->>'state',
    line->>'model', array(SELECT jsonb_array_elements_text(line->'packages')), line->>'store',
    array(SELECT jsonb_array_elements_text(line->'unavailable')), line->>'payment',
    line->'price'->>'currency', (line->'price'->>'total')::bigint, (line->'price'->>'deposit')::bigint,
    (line->'price'->>'balance')::bigint, line->'price'->'lines', (line->>'held_at')::timestamptz,
    (line->>'expires_at')::timestamptz, at, sequence, place
FROM changes
WHERE sale = $1 AND reservation IS NOT NULL AND rescinded_at IS NULL AND {}
ORDER BY reservation, sequence DESC, place DESC
ON CONFLICT (sale, reservation) DO UPDATE SET
    buyer = EXCLUDED.buyer, number = EXCLUDED.number, version = EXCLUDED.version, state = EXCLUDED.state,
    model = EXCLUDED.model, packages = EXCLUDED.packages, store = EXCLUDED.store,
    unavailable = EXCLUDED.unavailable, payment = EXCLUDED.payment, currency = EXCLUDED.currency,
    total = EXCLUDED.total, deposit = EXCLUDED.deposit, balance = EXCLUDED.balance,
    price_lines = EXCLUDED.price_lines, held_at = EXCLUDED.held_at, expires_at = EXCLUDED.expires_at,
    changed_at = EXCLUDED.changed_at, sequence = EXCLUDED.sequence, place = EXCLUDED.place";

/// Marks what the ledger lost.
const RESCIND: &str = "
UPDATE changes SET rescinded_at = now()
WHERE sale = $1 AND (sequence, place) > ($2, $3) AND rescinded_at IS NULL";

/// Which of the new history's changes are there: the last one's number, from 1.
const LAST_KNOWN: &str = "
SELECT max(number)
FROM unnest($2::bigint[], $3::integer[], $4::text[]) WITH ORDINALITY AS new (sequence, place, cursor, number)
JOIN changes USING (sequence, place, cursor)
WHERE sale = $1 AND rescinded_at IS NULL";

/// The copy of one sale.
pub(crate) struct Postgres {
    database: Database,
    status: Arc<Status>,
    /// `None`: not connected.
    client: Option<Client>,
    /// What the copy's row said last; `None`: there is none yet.
    cursor: Option<String>,
}

impl Postgres {
    pub(crate) fn new(database: Database, status: Arc<Status>) -> Self {
        Self { database, status, client: None, cursor: None }
    }

    /// Does it within the time; any error costs the connection, and with it the transaction.
    async fn within<T>(
        &mut self,
        timeout: Duration,
        work: impl AsyncFnOnce(&mut Client, &Status, Option<&str>) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let timed_out = || SinkError::Transient(format!("PostgreSQL gave no answer within {timeout:?}"));
        let work = async {
            let mut client = match self.client.take() {
                Some(client) if !client.is_closed() => client,
                _ => self.database.connect().await?,
            };
            let done = work(&mut client, &self.status, self.cursor.as_deref()).await?;
            Ok::<_, SinkError>((client, done))
        };
        let (client, done) = tokio::time::timeout(timeout, work).await.map_err(|_| timed_out())??;
        self.client = Some(client);
        Ok(done)
    }
}

impl Sink for Postgres {
    async fn position(&mut self) -> Result<Option<String>, SinkError> {
        self.cursor = self
            .within(TRANSACTION_TIMEOUT, async |client, status, _| position(client, status).await)
            .await?;
        Ok(self.cursor.clone())
    }

    async fn deliver(&mut self, page: &Page, fence: u64) -> Result<(), SinkError> {
        self.within(TRANSACTION_TIMEOUT, async |client, status, cursor| {
            let transaction = client.transaction().await.map_err(failed)?;
            let generation = move_cursor(&transaction, status, cursor, &page.cursor, fence, 0).await?;
            insert(&transaction, status, generation, page).await?;
            if let Some(first) = page.changes.first() {
                let latest = RESERVATIONS.replace("{}", "(sequence, place) >= ($2, $3)");
                let [sequence, place] = place_of(first.position())?;
                let place = narrow(place)?;
                transaction.execute(&latest, &[&status.sale, &sequence, &place]).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
        .await?;
        self.cursor = Some(page.cursor.clone());
        self.status.delivered.fetch_add(page.changes.len() as u64, Relaxed);
        Ok(())
    }

    async fn last_known(&mut self, changes: &[Change]) -> Result<Option<usize>, SinkError> {
        let Columns { sequences, places, cursors, .. } = Columns::of(changes)?;
        let last = self
            .within(TRANSACTION_TIMEOUT, async |client, status, _| {
                let row = client.query_one(LAST_KNOWN, &[&status.sale, &sequences, &places, &cursors]).await;
                Ok(row.map_err(failed)?.get::<_, Option<i64>>(0))
            })
            .await?;
        Ok(last.and_then(|number| usize::try_from(number - 1).ok()))
    }

    async fn rescind(&mut self, common: &str, fence: u64) -> Result<(), SinkError> {
        let [sequence, place] = place_of(position_of(common)?)?;
        let place = narrow(place)?;
        let lost = self
            .within(RESCIND_TIMEOUT, async |client, status, cursor| {
                let transaction = client.transaction().await.map_err(failed)?;
                move_cursor(&transaction, status, cursor, common, fence, 1).await?;
                let lost =
                    transaction.execute(RESCIND, &[&status.sale, &sequence, &place]).await.map_err(failed)?;
                // A reservation's row names its latest change.
                let touched = "DELETE FROM reservations WHERE sale = $1 AND (sequence, place) > ($2, $3)
                    RETURNING reservation";
                let rows =
                    transaction.query(touched, &[&status.sale, &sequence, &place]).await.map_err(failed)?;
                let touched: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
                let back = RESERVATIONS.replace("{}", "reservation = ANY($2)");
                transaction.execute(&back, &[&status.sale, &touched]).await.map_err(failed)?;
                transaction.commit().await.map_err(failed)?;
                Ok(lost)
            })
            .await?;
        self.cursor = Some(common.to_owned());
        self.status.rescinded.fetch_add(lost, Relaxed);
        Ok(())
    }
}

/// The cursor of the copy, if it is this reader's.
async fn position(client: &Client, status: &Status) -> Result<Option<String>, SinkError> {
    let row = client.query_opt("SELECT reader, cursor FROM cursor WHERE sale = $1", &[&status.sale]).await;
    let Some(row) = row.map_err(failed)? else { return Ok(None) };
    let reader: &str = row.get(0);
    if reader != status.reader {
        return Err(fatal(Failure::Usage(format!(
            "this schema has the copy of {} by the reader {reader:?}, not {:?}: use --name {reader}, or another schema \
             (`options=-csearch_path%3DNAME` in --postgres)",
            status.sale, status.reader
        ))));
    }
    Ok(Some(row.get(1)))
}

/// Locks the copy's row and moves its cursor; returns the generation. Refused unless the cursor is where this process
/// left it and the fence is not older.
async fn move_cursor(
    transaction: &Transaction<'_>,
    status: &Status,
    from: Option<&str>,
    to: &str,
    fence: u64,
    forks: i32,
) -> Result<i32, SinkError> {
    let (sale, reader) = (&status.sale, &status.reader);
    let fence = i64::try_from(fence)
        .map_err(|_| fatal(Failure::Outside(format!("the gateway gave an impossible fence: {fence}"))))?;
    let moved = match from {
        None => {
            let insert = "INSERT INTO cursor (sale, reader, cursor, fence) VALUES ($1, $2, $3, $4)
                ON CONFLICT (sale) DO NOTHING RETURNING generation";
            transaction.query_opt(insert, &[sale, reader, &to, &fence]).await
        }
        Some(from) => {
            let update =
                "UPDATE cursor SET cursor = $3, fence = $4, generation = generation + $6, updated_at = now()
                WHERE sale = $1 AND reader = $2 AND cursor = $5 AND fence <= $4 RETURNING generation";
            transaction.query_opt(update, &[sale, reader, &to, &fence, &from, &forks]).await
        }
    };
    if let Some(row) = moved.map_err(failed)? {
        return Ok(row.get(0));
    }
    let stored = "SELECT fence FROM cursor WHERE sale = $1 AND fence > $2";
    Err(match transaction.query_opt(stored, &[sale, &fence]).await.map_err(failed)? {
        Some(_) => SinkError::Superseded,
        // A commit whose answer was lost, for one.
        None => SinkError::Transient("the copy's cursor has moved meanwhile".to_owned()),
    })
}

async fn insert(
    transaction: &Transaction<'_>,
    status: &Status,
    generation: i32,
    page: &Page,
) -> Result<(), SinkError> {
    let Columns { sequences, places, kinds, times, reservations, cursors, lines } =
        Columns::of(&page.changes)?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
        [&status.sale, &generation, &sequences, &places, &kinds, &times, &reservations, &cursors, &lines];
    transaction.execute(CHANGES, &values).await.map_err(failed)?;
    Ok(())
}

/// Changes by column: one statement takes all of a page.
struct Columns<'c> {
    sequences: Vec<i64>,
    places: Vec<i32>,
    kinds: Vec<&'c str>,
    times: Vec<&'c str>,
    reservations: Vec<Option<&'c str>>,
    cursors: Vec<&'c str>,
    lines: Vec<String>,
}

impl<'c> Columns<'c> {
    fn of(changes: &'c [Change]) -> Result<Self, SinkError> {
        let places =
            changes.iter().map(|change| place_of(change.position())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            sequences: places.iter().map(|[sequence, _]| *sequence).collect(),
            places: places.iter().map(|[_, place]| narrow(*place)).collect::<Result<_, _>>()?,
            kinds: changes.iter().map(|change| &*change.kind).collect(),
            times: changes.iter().map(|change| &*change.at).collect(),
            reservations: changes.iter().map(|change| change.reservation.as_deref()).collect(),
            cursors: changes.iter().map(|change| &*change.cursor).collect(),
            lines: changes.iter().map(|change| change.line.to_string()).collect(),
        })
    }
}

/// PostgreSQL has no unsigned integers.
fn place_of((sequence, place): (u64, u64)) -> Result<[i64; 2], SinkError> {
    match (i64::try_from(sequence), i64::try_from(place)) {
        (Ok(sequence), Ok(place)) => Ok([sequence, place]),
        _ => Err(fatal(Failure::Outside(format!(
            "the gateway gave an impossible place: {sequence}-0/{place}"
        )))),
    }
}

fn narrow(place: i64) -> Result<i32, SinkError> {
    i32::try_from(place).map_err(|_| {
        fatal(Failure::Outside(format!("the gateway gave an impossible place in an entry: {place}")))
    })
}

#[cfg(test)]
mod tests;
