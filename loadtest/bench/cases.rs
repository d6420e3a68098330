//! Defines the cases: their sales, requests and right answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use clap::ValueEnum;
use gateway::domain::identity::reservation_id;
use serde_json::{Value, json};
use testkit::definition::write;
use testkit::gateway::{Gateway, send};
use testkit::options::{Level, Named};
use testkit::program::Program;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, Method, block_on, print_line};

use crate::figures::Figures;
use crate::generator::{Generator, Outcome, Requests};
use crate::servers::{info, redis, url};

/// Connections of the base.
pub(crate) const CONNECTIONS: usize = 128;
/// The most that it is varied to.
pub(crate) const MOST_CONNECTIONS: usize = 10_000;
/// Batches that the reserve script is driven with straight.
pub(crate) const BATCHES: [usize; 4] = [1, 16, 64, 256];
/// Requests before each measurement that do not count.
pub(crate) const WARM_UP: usize = 5_000;
/// What the buyers' names begin with.
const BUYER: &str = "b";
/// One tap in so many wins in the mixed launch.
const MIXED_WINS: usize = 100;

/// A case that the gateway is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Every tap wins.
    Won,
    /// The model is sold out; the read model refuses.
    SoldOut,
    /// The sale opens later; the read model refuses.
    NotOpen,
    /// The taps that won, sent again.
    Replay,
    /// Reads of the sale.
    Status,
    /// 99 of 100 taps come too late.
    Mixed,
    /// Tokens that are not right: 401.
    Unauthenticated,
    /// A buyer over the rate limit: 429.
    Limited,
    /// A body with a field that is not known: 400.
    Invalid,
    /// Taps beyond the in-flight permits while Redis is stopped: 503.
    Shed,
}

impl Case {
    /// As the report calls it.
    pub(crate) fn title(self) -> String {
        self.name().replace('-', " ")
    }

    /// Refusals of admission: the options of the case's own gateway, and the status of nearly every
    /// answer.
    pub(crate) fn admission_refusal(self) -> Option<(&'static [&'static str], u16)> {
        match self {
            Self::Unauthenticated => Some((&[], 401)),
            Self::Limited => Some((&["--limit-buyer", "1:1"], 429)),
            Self::Invalid => Some((&[], 400)),
            // Nine taps find room, and wait there.
            Self::Shed => Some((&["--in-flight-max", "10"], 503)),
            _ => None,
        }
    }

    /// Whether the read model refuses every tap.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::SoldOut | Self::NotOpen)
    }

    /// The sale that it is about.
    fn sale(self) -> &'static str {
        match self {
            Self::Won | Self::Replay | Self::Status | Self::Shed => "won",
            Self::SoldOut | Self::Unauthenticated | Self::Limited | Self::Invalid => "gone",
            Self::NotOpen => "later",
            Self::Mixed => "mixed",
        }
    }

    /// Whether these are the answers that so many requests must get.
    fn is_right(self, statuses: &BTreeMap<u16, u64>, count: u64) -> bool {
        let wins = count / MIXED_WINS as u64;
        if let Some((_, expected)) = self.admission_refusal() {
            return statuses.get(&expected).is_some_and(|n| *n * 100 >= count * 99);
        }
        let expected = match self {
            Self::Won => vec![(201, count)],
            Self::SoldOut | Self::NotOpen => vec![(409, count)],
            Self::Replay | Self::Status => vec![(200, count)],
            _ => vec![(201, wins), (409, count - wins)],
        };
        statuses.iter().map(|(status, n)| (*status, *n)).eq(expected)
    }

    /// Ends the bench if the answers are not the right ones.
    pub(crate) fn check(self, outcome: &Outcome) -> Result<(), Failed> {
        let statuses = outcome.statuses();
        if self.is_right(&statuses, outcome.requests) {
            return Ok(());
        }
        Err(Failed::Wrong(format!("{}: wrong answers, by status: {statuses:?}", self.title())))
    }
}

/// Buyers with their tokens.
pub(crate) struct Buyers {
    tokens: Vec<String>,
}

impl Buyers {
    /// So many, with tokens that the real program has minted.
    pub(crate) fn new(folder: &RunFolder, count: usize) -> Result<Self, Failed> {
        let (count, secret) = (count.to_string(), folder.path("secret"));
        let secret = secret.to_string_lossy();
        let args = ["token", "--sub", BUYER, "--ttl", "2h", "--count", &count, "--auth-secret-file", &secret];
        let tokens = folder.run("gateway", &args)?;
        Ok(Self { tokens: tokens.lines().map(str::to_owned).collect() })
    }

    /// The tap of each buyer, with a key of its own, over so many stores.
    pub(crate) fn taps(&self, sale: &str, stores: usize) -> Requests {
        let mut requests = Requests::default();
        (0..self.tokens.len()).for_each(|n| requests.push(&self.tap(n, sale, stores)));
        requests
    }

    /// The tap of one of them.
    pub(crate) fn tap(&self, n: usize, sale: &str, stores: usize) -> String {
        // Next to each other in time is not next to each other in the list.
        let body = selection(n.wrapping_mul(7_919) % stores).to_string();
        format!(
            "POST /v1/sales/{sale}/reservations HTTP/1.1\r\nhost: launch.example\r\n\
             authorization: Bearer {}\r\nidempotency-key: \"{}\"\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.tokens[n],
            key(n),
            body.len()
        )
    }

    /// The id that the tap's reservation gets, and the buyer's token.
    pub(crate) fn reservation(&self, n: usize, sale: &str) -> (String, &str) {
        (reservation_id(sale, &format!("{BUYER}-{n}"), &key(n)), &self.tokens[n])
    }
}

/// The one request that reads the sale.
pub(crate) fn status_read() -> Requests {
    let mut requests = Requests::default();
    requests.push("GET /v1/sales/won HTTP/1.1\r\nhost: launch.example\r\naccept: application/json\r\n\r\n");
    requests
}

/// The requests of a case.
pub(crate) fn requests(case: Case, buyers: &Buyers, stores: usize) -> Requests {
    let taps = || buyers.taps(case.sale(), stores);
    match case {
        Case::Status => status_read(),
        Case::Unauthenticated => taps().with("\r\nidempotency-key", "x\r\nidempotency-key"),
        Case::Limited => taps().only(0),
        Case::Invalid => taps().with("{\"model\"", "{\"modal\""),
        _ => taps(),
    }
}

/// A Redis without a file beside one worker, with all sales.
pub(crate) fn ledger(folder: &RunFolder, stores: usize, mixed_taps: usize) -> Result<Redis, Failed> {
    let redis = redis(Level::None, 1)?;
    define(folder, &redis, stores, mixed_taps)?;
    Ok(redis)
}

/// Applies the definitions of all sales to a Redis. In the mixed launch so many taps come.
pub(crate) fn define(
    folder: &RunFolder,
    redis: &Redis,
    stores: usize,
    mixed_taps: usize,
) -> Result<(), Failed> {
    const PLENTY: usize = 1_000_000_000;
    let store = |n: usize| {
        let (id, name, city) = (format!("gz-{n:05}"), format!("Store {n}"), format!("City {}", n % 300));
        json!({"id": id, "name": name, "city": city, "capacity": PLENTY})
    };
    let stores: Vec<_> = (0..stores).map(store).collect();
    let sales = [
        ("won", "2020-01-01T00:00:00Z", PLENTY),
        ("gone", "2020-01-01T00:00:00Z", 0),
        ("later", "2090-01-01T00:00:00Z", PLENTY),
        ("mixed", "2020-01-01T00:00:00Z", mixed_taps / MIXED_WINS),
    ];
    for (id, opens_at, stock) in sales {
        let definition = json!({
            "sale": {
                "id": id, "name": "National Good Car", "opens_at": opens_at, "closes_at": "2099-01-01T00:00:00Z",
                "hold": "15m", "currency": "CNY", "deposit": 99900, "rehearsal": true,
            },
            "model": [{"id": "air-400-white", "name": "Air 400, white", "price": 4_999_900, "stock": stock}],
            "package": [
                {"id": "cover", "name": "Custom car cover", "price": 29_900, "stock": PLENTY},
                {"id": "maintenance", "name": "Maintenance plan", "price": 99_900},
            ],
            "stores": stores,
        });
        let file = write(&definition, &folder.path(""), id)?;
        folder.run("gateway", &["sale", "apply", &file.to_string_lossy(), "--redis", &url(redis)])?;
    }
    Ok(())
}

/// Proves that a sale's ledger balances; a drift ends the bench.
pub(crate) fn audit(folder: &RunFolder, redis: &Redis, case: Case) -> Result<(), Failed> {
    folder.run("gateway", &["audit", case.sale(), "--redis", &url(redis)]).map(drop)
}

/// Measures so many rounds, one after the other.
pub(crate) fn rounds<T>(
    count: usize,
    mut round: impl FnMut() -> Result<T, Failed>,
) -> Result<Vec<T>, Failed> {
    let numbered = |number| {
        print_line(&format!("round {number} of {count}"));
        round()
    };
    (1..=count).map(numbered).collect()
}

/// Measures one load of a case against a server, and checks the answers.
pub(crate) fn measure(
    case: Case,
    servers: (&Program, Option<&Redis>),
    load: impl FnOnce() -> Result<Outcome, Failed>,
) -> Result<Figures, Failed> {
    measure_any(servers, || {
        let outcome = load()?;
        case.check(&outcome)?;
        Ok(outcome)
    })
}

/// Measures one load, whatever is answered.
pub(crate) fn measure_any(
    (server, redis): (&Program, Option<&Redis>),
    load: impl FnOnce() -> Result<Outcome, Failed>,
) -> Result<Figures, Failed> {
    const COUNTED: [&str; 2] = ["total_commands_processed", "used_memory"];
    let redis_now = || redis.map(|redis| (info(redis, COUNTED), redis.program.cpu())).unwrap_or_default();
    let ([commands, memory], redis_cpu) = redis_now();
    let cpu = server.cpu();
    let outcome = load()?;
    let cpu = server.cpu().saturating_sub(cpu);
    let ([commands_after, memory_after], redis_cpu_after) = redis_now();
    let redis_cpu = redis_cpu_after.saturating_sub(redis_cpu);
    let used = [commands_after.saturating_sub(commands), memory_after.saturating_sub(memory)];
    Ok(Figures::new(outcome, cpu, redis_cpu, used))
}

/// So many connections to a server, over which the warm-up was sent.
pub(crate) fn warmed(
    address: SocketAddr,
    connections: usize,
    requests: &Requests,
) -> Result<Generator, Failed> {
    let mut generator = Generator::connect(address, connections)?;
    generator.run(requests, 0, WARM_UP, None)?;
    Ok(generator)
}

/// Bytes of a 201's body and of its `Location`, from the last buyer's tap.
pub(crate) fn sizes_of_a_win(buyers: &Buyers, gateway: &Gateway) -> Result<(usize, usize), Failed> {
    let n = buyers.tokens.len() - 1;
    let request = gateway.request(Method::POST, "/v1/sales/won/reservations").bearer_auth(&buyers.tokens[n]);
    let key = format!("\"{}\"", key(n));
    let answer = block_on(send(request.header("idempotency-key", key).json(&selection(0))));
    let location = answer.header("location");
    if answer.status != 201 || location.is_empty() {
        return Err(Failed::Wrong(format!("the first tap did not win: {} {}", answer.status, answer.text)));
    }
    Ok((answer.text.len(), location.len()))
}

/// The key of a buyer's tap.
fn key(buyer: usize) -> String {
    format!("tap-{buyer:010}")
}

/// What a tap asks for, at this store.
fn selection(store: usize) -> Value {
    json!({"model": "air-400-white", "packages": ["cover", "maintenance"], "store": format!("gz-{store:05}")})
}
