//! The floor of Redis: drives the script of reservations, or of sign-ups, directly, to measure one of them at one batch size
//! without HTTP.
//!
//! It uses the gateway's own queue and connection, one batch at a time. Prints one JSON object: `batch`, `made`, `first` (the
//! first buyer), `redis_cpu_us`, `script_us` and `bytes` (Redis CPU time, script time and memory, of one). Exit codes: 0
//! measured, 1 one was refused, 2 wrong usage, 3 Redis or the sale is unreachable.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures_util::future::join_all;
use gateway::admit::{AdmissionRequest, TapAdmission};
use gateway::domain::choice::Choice;
use gateway::domain::decision::Decision;
use gateway::projection::consumer;
use gateway::reserve::batch::{Deadlines, QueueHandle, QueueLimits, SignUpCommand, SignUpDecision};
use gateway::store::connection::RedisConnection;
use gateway::store::connections::RedisConnections;
use gateway::store::dial::{LedgerConnection, Redis};
use gateway::store::keys::Keys;
use gateway::store::scripts::{REAL_CLOCK, Scripts};
use redis::InfoDict;
use testkit::ending::exit;
use testkit::{Failed, print_line};

/// Drives the script of an open sale with enough stock, or whose sign-up is open.
#[derive(Parser)]
struct Args {
    /// The URL of Redis.
    #[arg(long)]
    redis: String,
    /// The sale's id.
    #[arg(long)]
    sale: String,
    /// Taps in a batch, 1 to 1,000.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// Total, rounded up to full batches.
    #[arg(long)]
    count: usize,
    /// Sign-ups instead of reservations.
    #[arg(long)]
    sign_up: bool,
}

fn main() -> ExitCode {
    let measured = gateway::runtime::run(measure(Args::parse()));
    exit("redis_floor: ", measured.map_err(outside).flatten().map(|()| 0))
}

async fn measure(args: Args) -> Result<(), Failed> {
    let redis = Redis::new(&args.redis, Duration::from_secs(1), Duration::from_secs(10)).map_err(outside)?;
    let keys = Keys::of(&args.sale);
    let mut conn = redis.dial_for(keys.state(), Duration::from_secs(10)).await.map_err(outside)?;
    let scripts = Arc::new(Scripts::new(REAL_CLOCK));
    let sale = Arc::new(consumer::load(&mut conn, &scripts, &args.sale).await.map_err(outside)?);
    let redis_connection = RedisConnection::new(redis, scripts, Arc::default());
    tokio::task::spawn_local(redis_connection.clone().keep_open());
    while redis_connection.live().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let batch = usize::from(args.batch);
    let limits = QueueLimits { batch_max: batch, queue_max: batch, delay_max: Duration::from_secs(10) };
    let connections = RedisConnections::from_open(redis_connection);
    let queue = QueueHandle::start(sale.clone(), connections.clone(), limits, Arc::default());
    let sign_ups = QueueHandle::<SignUpCommand>::start(sale.clone(), connections, limits, Arc::default());

    let definition = sale.read_model().catalogue.definition.clone();
    let packages: Vec<String> = definition.packages.iter().take(2).map(|p| p.id.clone()).collect();
    // Subjects of ten characters, as in the bench.
    let first = fastrand::u64(10_000_000..60_000_000);
    let tap = |n: usize| {
        let store = fastrand::choice(&definition.stores).map(|store| store.id.as_str());
        let model = &definition.models[0].id;
        let request = AdmissionRequest { model, packages: &packages, store, accept_partial: false };
        let (sub, now) = (format!("b-{}", first + n as u64).into(), std::time::Instant::now());
        TapAdmission::new(&sale, &sub, "tap", request, now).admit(now)
    };

    let sign_up = |n: usize| {
        let model = |n: usize| &definition.models[n % definition.models.len()].id;
        let choice = |n| Choice { model: model(n).clone(), packages: packages.clone(), store: None };
        SignUpCommand::new(&sale.id, &format!("b-{}", first + n as u64), vec![choice(n), choice(n + 1)])
    };
    let deadlines = || {
        let queued = tokio::time::Instant::now();
        let late = queued + Duration::from_secs(10);
        Deadlines { queued, send: late, answer: late }
    };
    // What went wrong.
    let ask = async |n: usize| {
        if args.sign_up {
            let decision = sign_ups.ask(sign_up(n), deadlines()).await;
            return (!matches!(decision, SignUpDecision::New(_))).then(|| format!("{decision:?}"));
        }
        let decision = match tap(n) {
            Ok(admitted) => queue.ask(admitted, deadlines()).await,
            Err((refusal, _)) => refusal,
        };
        (!matches!(decision, Decision::Won(..))).then(|| format!("{decision:?}"))
    };

    let before = Cost::read(&mut conn).await?;
    let batches = args.count.div_ceil(batch);
    for n in 0..batches {
        let asked = (0..batch).map(|i| ask(n * batch + i));
        if let Some(refused) = join_all(asked).await.into_iter().flatten().next() {
            return Err(Failed::Wrong(format!("one was refused: {refused}")));
        }
    }
    let after = Cost::read(&mut conn).await?;

    let made = batches * batch;
    let each = |total: f64| (total / made as f64 * 100.0).round() / 100.0;
    let result = serde_json::json!({
        "batch": batch,
        "made": made,
        "first": format!("b-{first}"),
        "redis_cpu_us": each(after.cpu_us - before.cpu_us),
        "script_us": each(after.script_us - before.script_us),
        "bytes": each(after.bytes - before.bytes),
    });
    print_line(&result.to_string());
    Ok(())
}

/// The resource use of Redis so far.
struct Cost {
    cpu_us: f64,
    script_us: f64,
    bytes: f64,
}

impl Cost {
    async fn read(conn: &mut LedgerConnection) -> Result<Self, Failed> {
        let info: InfoDict = redis::cmd("INFO").arg("everything").query_async(conn).await.map_err(outside)?;
        let number = |name| info.get::<f64>(name).unwrap_or_default();
        let script = info.get::<String>("cmdstat_evalsha").unwrap_or_default();
        let usec = script.split(',').find_map(|v| v.strip_prefix("usec="));
        Ok(Self {
            cpu_us: (number("used_cpu_user") + number("used_cpu_sys")) * 1e6,
            script_us: usec.and_then(|v| v.parse().ok()).unwrap_or_default(),
            bytes: number("used_memory"),
        })
    }
}

fn outside(error: impl ToString) -> Failed {
    Failed::Outside(error.to_string())
}
