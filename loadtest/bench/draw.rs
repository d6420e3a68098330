//! What a draw of a million entrants takes: sign-up, root, ranks and allocation, in time, CPU and memory.

use std::time::{Duration, Instant, SystemTime};

use gateway::domain::draw::{Pseudonym, Ranking, Secret, Seed, commitment};
use gateway::domain::hex;
use gateway::domain::rfc3339::rfc3339;
use serde_json::{Value, json};
use testkit::definition::{apply_file, known, write};
use testkit::gateway::Gateway;
use testkit::options::Level;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, block_on, print_line, wait_for};

use crate::Options;
use crate::cases::define;
use crate::cpus::make_room;
use crate::servers::{gateway, info, redis, url};

const ENTRANTS: usize = 1_000_000;
const ENTRANTS_QUICK: usize = 20_000;
/// One in so many gets a hold at once.
const SHARE: usize = 10;
/// Sign-ups and reservations that are compared, in a batch.
const BATCH: &str = "64";
/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(600);
const REVEAL: &str = "a reveal of some thirty-two bytes";

/// Measures one draw from sign-up to the end of its allocation.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    make_room(1)?;
    let (_, entrants) = options.either((1, ENTRANTS_QUICK), ENTRANTS);
    rank_alone(2 * entrants);
    let folder = RunFolder::new(&options.bin)?;
    let redis = redis(Level::None, 1)?;
    define(&folder, &redis, 10, 0)?;
    let won = floor(&folder, &redis, "won", &["--count", "100000"])?;

    let opens = now_s() + 3;
    let mut definition = definition(opens, entrants);
    let apply = |definition: &Value| {
        apply_file(&write(definition, &folder.path(""), "drawn")?, &url(&redis)).map(drop)
    };
    apply(&definition)?;
    wait_for("sign-up opens", || (now_s() > opens).then_some(()))?;
    let count = entrants.to_string();
    let signed = floor(&folder, &redis, "drawn", &["--count", &count, "--sign-up"])?;
    let figure = |of: &Value, name: &str| of[name].as_f64().unwrap_or_default();
    print_line(&format!(
        "sign-up           {:>8.2} µs of Redis, {:.0} bytes; a won tap {:.2} µs (batches of {BATCH})",
        figure(&signed, "redis_cpu_us"),
        figure(&signed, "bytes"),
        figure(&won, "redis_cpu_us")
    ));

    let started = Instant::now();
    let gateway = gateway(&folder, redis.address(), 1, &[], &[])?;
    block_on(known(&gateway, "drawn"));
    let draw = Draw { gateway: &gateway, redis: &redis, entrants };
    print_line(&format!(
        "start             {:>8.2} s, {} MB of the gateway",
        started.elapsed().as_secs_f64(),
        gateway.program.resident() >> 20
    ));
    definition["signup"]["closes_at"] = json!(instant(opens + 1));
    apply(&definition)?;
    draw.step("root", || draw.stage() == "fixed")?;

    std::fs::write(folder.path("reveal"), REVEAL).map_err(Failed::to("write the reveal"))?;
    let reveal = folder.path("reveal");
    let reveal = reveal.to_string_lossy();
    folder.run(
        "gateway",
        &["draw", "drawn", "--redis", &url(&redis), "--reveal", &reveal, "--beacon", "482913"],
    )?;
    let buyer = signed["first"].as_str().unwrap_or_default().to_owned();
    let rank = || block_on(gateway.get_as(&buyer, "/v1/sales/drawn/signup")).json.get("rank").is_some();
    draw.step("ranks", rank)?;

    definition["sale"]["opens_at"] = json!(instant(opens + 1));
    apply(&definition)?;
    let memory = used_memory(&redis);
    let allocated = draw.step("allocation", || draw.stage() == "allocated")?;
    let bytes = used_memory(&redis).saturating_sub(memory) / entrants as u64;
    print_line(&format!(
        "                  {:>8.2} µs of Redis and {bytes} bytes an entrant, one in {SHARE} with a hold: {:.2} won taps",
        allocated,
        allocated / figure(&won, "redis_cpu_us")
    ));
    folder.run("gateway", &["audit", "drawn", "--redis", &url(&redis)]).map(drop)
}

/// Tickets and their order, without what has to be read from the ledger before.
fn rank_alone(entrants: usize) {
    let Some(secret) = Secret::from_hex(&"5a".repeat(32)) else { return };
    let entrants: Vec<Pseudonym> = (0..entrants).map(|n| secret.pseudonym(&format!("buyer-{n}"))).collect();
    let seed = Seed::new("drawn", &[0; 32], entrants.len() as u64, REVEAL.as_bytes(), b"482913");
    let started = Instant::now();
    let ranking = Ranking::new(seed, &entrants);
    let took = started.elapsed().as_secs_f64();
    print_line(&format!(
        "ranking alone     {took:>8.2} s for {} entrants, without reading them",
        ranking.len()
    ));
}

fn used_memory(redis: &Redis) -> u64 {
    info(redis, ["used_memory", "maxmemory"])[0]
}

/// Drives a script straight.
fn floor(folder: &RunFolder, redis: &Redis, sale: &str, more: &[&str]) -> Result<Value, Failed> {
    let url = url(redis);
    let args = [&["--redis", &url, "--sale", sale, "--batch", BATCH], more].concat();
    let printed = folder.run("examples/redis_floor", &args)?;
    serde_json::from_str(&printed).map_err(Failed::to("read what redis_floor prints"))
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or_default()
}

fn instant(second: i64) -> String {
    rfc3339(second * 1_000)
}

/// Sells to one entrant in [`SHARE`]; sign-up opens then, and ends with the bench's word.
fn definition(opens: i64, entrants: usize) -> Value {
    let commitment = hex::encode(&commitment(REVEAL.as_bytes()));
    let stock = entrants / SHARE / 2;
    json!({
        "sale": {
            "id": "drawn", "name": "National Good Car", "opens_at": "2099-01-01T00:00:00Z",
            "closes_at": "2099-12-01T00:00:00Z", "hold": "24h", "currency": "CNY", "rehearsal": true, "sells": "draw",
            "standby": true,
        },
        "signup": {"opens_at": instant(opens), "closes_at": "2098-01-01T00:00:00Z"},
        "draw": {"commitment": commitment, "beacon": "six digits"},
        "model": [
            {"id": "air-400-white", "name": "Air 400, white", "price": 4_999_900, "stock": stock},
            {"id": "air-400-black", "name": "Air 400, black", "price": 4_999_900, "stock": stock},
        ],
        "package": [{"id": "cover", "name": "Cover", "price": 29_900}, {"id": "care", "name": "Care", "price": 59_900}],
    })
}

struct Draw<'a> {
    gateway: &'a Gateway,
    redis: &'a Redis,
    entrants: usize,
}

impl Draw<'_> {
    fn stage(&self) -> String {
        let answer = block_on(self.gateway.get("/v1/sales/drawn/draw"));
        answer.json["stage"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for the end of a step, and prints what it took; µs of Redis an entrant.
    fn step(&self, name: &str, is_over: impl Fn() -> bool) -> Result<f64, Failed> {
        let (started, cpu, redis) = (Instant::now(), self.gateway.program.cpu(), self.redis.program.cpu());
        let mut most = 0;
        while !is_over() {
            if started.elapsed() > PATIENCE {
                return Err(Failed::Wrong(format!("{name}: not over after {} s", PATIENCE.as_secs())));
            }
            most = most.max(self.gateway.program.resident());
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = started.elapsed().as_secs_f64();
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / self.entrants as f64;
        let cpu = each(self.gateway.program.cpu().saturating_sub(cpu));
        let redis = each(self.redis.program.cpu().saturating_sub(redis));
        print_line(&format!(
            "{name:<17} {took:>8.2} s; an entrant {cpu:.2} µs of the gateway, {redis:.2} µs of Redis; {} MB, {} MB at most",
            self.gateway.program.resident() >> 20,
            most >> 20
        ));
        Ok(redis)
    }
}
