//! Observes a copy from outside: a reader of the database that looks for new rows, and a scraper of the relay's metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use testkit::Failed;
use testkit::http::Raw;
use testkit::metrics::Samples;
use tokio_postgres::{Client, NoTls};

use crate::relay::SALE;

/// Between two looks: a row counts as visible up to so much after it was.
const LOOK: Duration = Duration::from_millis(20);
/// One scrape in so many looks.
const SCRAPE: usize = 2;
/// Few rows are new, whatever the tables' statistics say: the reader must not cost more than it has to.
const SESSION: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off";
const LAST: &str =
    "SELECT sequence, place FROM changes WHERE sale = $1 ORDER BY sequence DESC, place DESC LIMIT 1";
const NEW: &str = "SELECT sequence, place, (extract(epoch FROM at) * 1000000)::bigint FROM changes
    WHERE sale = $1 AND (sequence, place) > ($2, $3) ORDER BY sequence, place";

/// What was seen; microseconds.
pub(super) struct Observed {
    /// Of each new row: from the change in the ledger, which is before its acknowledgement, to a reader that sees the row.
    pub(super) rows: Histogram<u64>,
    /// `launchgate_relay_lag_seconds`, at each scrape.
    pub(super) metric: Histogram<u64>,
}

/// An observer at work, in a thread of its own.
pub(super) struct Observer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Observed, Failed>>,
}

impl Observer {
    /// Observes what is new from now on; without a relay there is no metric.
    pub(super) fn start(postgres: &str, metrics: Option<SocketAddr>) -> Result<Self, Failed> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (started, starts) = channel();
        let (postgres, over) = (postgres.to_owned(), is_over.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(Failed::to("make a runtime"))?;
            runtime.block_on(observe(&postgres, metrics, &over, &started))
        });
        // A thread that failed before has dropped its end; its failure is the result of `end`.
        let _ = starts.recv();
        Ok(Self { is_over, thread })
    }

    /// Looks once more, and returns what was seen.
    pub(super) fn end(self) -> Result<Observed, Failed> {
        self.is_over.store(true, Relaxed);
        self.thread.join().map_err(|_| Failed::Outside("the observer panicked".into()))?
    }
}

async fn observe(
    postgres: &str,
    metrics: Option<SocketAddr>,
    is_over: &AtomicBool,
    started: &Sender<()>,
) -> Result<Observed, Failed> {
    let client = connect(postgres).await?;
    let [last, new] = [client.prepare(LAST).await, client.prepare(NEW).await];
    let (last, new) = (last.map_err(failed)?, new.map_err(failed)?);
    let row = client.query_opt(&last, &[&SALE]).await.map_err(failed)?;
    let (mut sequence, mut place): (i64, i32) = row.map_or((0, 0), |row| (row.get(0), row.get(1)));
    let empty = Histogram::new_with_bounds(1, 600_000_000, 3).map_err(Failed::to("make a histogram"))?;
    let mut observed = Observed { rows: empty.clone(), metric: empty };
    let _ = started.send(());
    for look in 0.. {
        let is_last = is_over.load(Relaxed);
        let rows = client.query(&new, &[&SALE, &sequence, &place]).await.map_err(failed)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        for row in &rows {
            let at: i64 = row.get(2);
            let lag = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(at);
            observed.rows.saturating_record(u64::try_from(lag).unwrap_or(0).max(1));
            (sequence, place) = (row.get(0), row.get(1));
        }
        if let Some(metrics) = metrics.filter(|_| look % SCRAPE == 0) {
            observed.metric.saturating_record(scrape(metrics).await.max(1));
        }
        if is_last {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(observed)
}

async fn connect(postgres: &str) -> Result<Client, Failed> {
    let (client, connection) = tokio_postgres::connect(postgres, NoTls).await.map_err(failed)?;
    tokio::spawn(connection);
    client.batch_execute(SESSION).await.map_err(failed)?;
    Ok(client)
}

/// The relay's lag, in microseconds.
async fn scrape(metrics: SocketAddr) -> u64 {
    let mut connection = Raw::connect(&format!("http://{metrics}")).await;
    let (_, body) = connection.send("GET /metrics HTTP/1.1\r\nhost: relay.example\r\n\r\n").await.one().await;
    let samples = Samples::read(String::from_utf8_lossy(&body).into_owned());
    (samples.sum("relay_lag_seconds", &[]) * 1e6) as u64
}

fn failed(error: tokio_postgres::Error) -> Failed {
    Failed::to("observe the copy")(error)
}
