//! Whether `loadtest` can be believed, and what a core of it offers: reads of the sale's status at a fixed rate, by `loadtest look` and by
//! wrk or h2load, in turn, on the same core, of the same gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cases::define;
use crate::cpus::make_room;
use crate::figures::Spread;
use crate::report::{bracketed, write};
use crate::servers::{Level, Place, Server, children_cpu};
use crate::{Failure, Options, print_line};

/// Who else reads at that rate.
#[derive(Debug, Clone, Copy, Serialize)]
enum Other {
    /// wrk over one connection, which rests so many milliseconds after each answer: the rate is what comes of it. Each request is
    /// sent by itself, as `loadtest` sends them, so that latencies can be compared.
    Wrk { pause_ms: u32 },
    /// h2load, for what a request costs at a higher rate. It sends in bursts, 100 a second, in which one request waits for another
    /// (over 50 connections: a mean of 0.5 ms) or follows it at once, and finds everything still in the caches: its latencies are of
    /// another load.
    H2load { rate: usize, connections: usize },
}

const OTHERS: [Other; 3] =
    [Other::Wrk { pause_ms: 2 }, Other::Wrk { pause_ms: 1 }, Other::H2load { rate: 8_000, connections: 50 }];
/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(8);
const LASTS_QUICK: Duration = Duration::from_secs(3);
/// By how much their figures may differ.
const TOLERANCE: f64 = 0.10;
/// Offered to find out what a core of `loadtest` can start at most: more than it can.
const TOO_MANY: usize = 100_000;

/// What a generator said, and what it cost.
#[derive(Debug, Clone, Copy, Serialize)]
struct Measurement {
    /// Answers a second.
    rate: f64,
    /// From being sent to the answer.
    mean_us: f64,
    p50_us: f64,
    p90_us: f64,
    /// The generator's CPU for a request, its start and its report included.
    cpu_us: f64,
}

#[derive(Serialize)]
struct Round {
    /// Beside each other: `loadtest`, then that one.
    beside: Vec<[Measurement; 2]>,
    /// Reads a second that `loadtest` started when it was asked for far too many.
    most: f64,
}

/// Measures all rounds and prints what was asked for.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    make_room(1)?;
    let (rounds, lasts) = if options.quick { (1, LASTS_QUICK) } else { (options.rounds, LASTS) };
    let place = Place::new(options.bin.clone())?;
    let redis = place.redis(Level::None, 1)?;
    define(&place, &redis, 10, 0)?;
    let gateway = place.gateway(redis.address, 1, &[], &[])?;
    let mut measured = Vec::new();
    for number in 1..=rounds {
        print_line(&format!("round {number} of {rounds}"));
        let mut beside = Vec::new();
        for other in OTHERS {
            let (theirs, rate) = match other {
                Other::Wrk { pause_ms } => {
                    let measurement = wrk(&place, gateway.address, pause_ms, lasts)?;
                    (measurement, measurement.rate.round() as usize)
                }
                Other::H2load { rate, connections } => {
                    (h2load(&place, gateway.address, (rate, connections), lasts)?, rate)
                }
            };
            beside.push([loadtest(&place, &gateway, rate, lasts)?, theirs]);
        }
        let most = loadtest(&place, &gateway, TOO_MANY, LASTS_QUICK)?.rate;
        measured.push(Round { beside, most });
    }
    tell(&measured);
    write(options, json!({ "others": OTHERS, "rounds": measured }))
}

/// One run of `loadtest look`, which must say PASS.
fn loadtest(place: &Place, gateway: &Server, rate: usize, lasts: Duration) -> Result<Measurement, Failure> {
    let report = place.path("report");
    let ops = gateway.ops.ok_or_else(|| Failure::Outside("the gateway has no ops listener".into()))?;
    let before = children_cpu();
    let mut command = place.program("loadtest");
    command.args(["look", "--sale", "won", "--gateway", &format!("http://{}", gateway.address)]);
    command.args(["--ops", &format!("http://{ops}"), "--report"]).arg(&report);
    command.arg("--auth-secret-file").arg(place.path("secret"));
    command.arg("--ops-token-file").arg(place.path("ops"));
    command.args(["--arrivals", &format!("constant:{rate}/s:{}s", lasts.as_secs())]);
    // What is late is what is measured.
    command.args(["--set", "generator = {late = \"60s\", late_share = 100, cpu = 100}"]);
    command.args(["--set", "verdict.thresholds = []"]);
    let done = command.output().map_err(Failure::outside("can't start loadtest"))?;
    let cpu = children_cpu().saturating_sub(before);
    if !done.status.success() {
        return Err(Failure::Wrong(
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned(),
        ));
    }
    let text = std::fs::read_to_string(report.join("verdict.json"));
    let verdict: Value = serde_json::from_str(&text.map_err(Failure::outside("loadtest wrote no verdict"))?)
        .map_err(Failure::outside("loadtest's verdict can't be read"))?;
    let of = |name: &str| verdict["requests_ms"]["look at the sale"][name].as_f64().unwrap_or(f64::NAN);
    // All are answered; the time that it took is as long as the last start was late.
    let late = verdict["arrivals"]["lateness_ms"]["max"].as_f64().unwrap_or(0.0) / 1000.0;
    Ok(Measurement {
        rate: of("count") / (lasts.as_secs_f64() + late),
        mean_us: of("mean") * 1000.0,
        p50_us: of("p50") * 1000.0,
        p90_us: of("p90") * 1000.0,
        cpu_us: cpu.as_secs_f64() * 1e6 / of("count"),
    })
}

/// One run of wrk that rests after each answer, and says by a script of ours what it measured.
fn wrk(place: &Place, gateway: SocketAddr, pause_ms: u32, lasts: Duration) -> Result<Measurement, Failure> {
    let script = place.path("pause.lua");
    let lua = format!(
        "function delay() return {pause_ms} end\n\
         function done(all, latency)\n\
         io.write(string.format('said %d %d %f %f %f\\n', all.requests, all.duration, latency.mean, \
         latency:percentile(50), latency:percentile(90)))\nend\n"
    );
    std::fs::write(&script, lua).map_err(Failure::outside("can't write wrk's script"))?;
    let before = children_cpu();
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-c", "1", "-d", &format!("{}s", lasts.as_secs()), "-s"]).arg(&script);
    let done = command.arg(format!("http://{gateway}/v1/sales/won")).output();
    let done = done.map_err(Failure::outside("can't start wrk"))?;
    let cpu = children_cpu().saturating_sub(before);
    let text = String::from_utf8_lossy(&done.stdout);
    let measurement = said_by_wrk(&text);
    let [answers, lasted_us, mean_us, p50_us, p90_us] =
        measurement.ok_or_else(|| Failure::Outside(format!("wrk told no latencies:\n{text}")))?;
    let rate = answers / (lasted_us / 1e6);
    Ok(Measurement { rate, mean_us, p50_us, p90_us, cpu_us: cpu.as_secs_f64() * 1e6 / answers })
}

/// Requests, duration, mean, p50 and p90, in µs.
fn said_by_wrk(text: &str) -> Option<[f64; 5]> {
    let line = text.lines().find_map(|line| line.strip_prefix("said "))?;
    let numbers: Option<Vec<f64>> = line.split(' ').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// One run of h2load in HTTP/1.1, with a log of every request.
fn h2load(
    place: &Place,
    gateway: SocketAddr,
    (rate, connections): (usize, usize),
    lasts: Duration,
) -> Result<Measurement, Failure> {
    let log = place.path("h2load.log");
    let _ = std::fs::remove_file(&log);
    let (before, started) = (children_cpu(), Instant::now());
    let mut command = Command::new("h2load");
    command.args(["--h1", "-t", "1", "-c", &connections.to_string()]);
    command.args(["--rps", &(rate / connections).to_string(), "-D", &lasts.as_secs().to_string()]);
    command.arg(format!("--log-file={}", log.display())).arg(format!("http://{gateway}/v1/sales/won"));
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let done = done.map_err(Failure::outside("can't start h2load (Debian's nghttp2-client)"))?;
    let (cpu, took) = (children_cpu().saturating_sub(before), started.elapsed());
    let times = times(&log)?;
    if !done.success() || times.is_empty() {
        return Err(Failure::Outside("h2load got no answers".into()));
    }
    let at = |quantile: f64| times[((times.len() - 1) as f64 * quantile) as usize];
    Ok(Measurement {
        rate: times.len() as f64 / took.as_secs_f64().max(lasts.as_secs_f64()),
        mean_us: times.iter().sum::<f64>() / times.len() as f64,
        p50_us: at(0.5),
        p90_us: at(0.9),
        cpu_us: cpu.as_secs_f64() * 1e6 / times.len() as f64,
    })
}

/// How long each request took, in µs, in order: the log's third column; the second is the status.
fn times(log: &Path) -> Result<Vec<f64>, Failure> {
    let text = std::fs::read_to_string(log).map_err(Failure::outside("h2load wrote no log"))?;
    let answered = text.lines().filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        (columns.next()? == "200").then(|| columns.next()?.parse().ok())?
    });
    let mut times: Vec<f64> = answered.collect();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Its name, where it is, and whether both generators are asked to agree on it.
type Figure = (&'static str, fn(&Measurement) -> f64, bool);

fn tell(rounds: &[Round]) {
    print_line("");
    print_line(&format!(
        "reads of the sale's status by loadtest and by another; medians of {} rounds, in brackets the least and the most",
        rounds.len()
    ));
    for (n, other) in OTHERS.iter().enumerate() {
        let alike = matches!(other, Other::Wrk { .. });
        let figures: [Figure; 5] = [
            ("answers/s", |measurement| measurement.rate, true),
            ("mean µs", |measurement| measurement.mean_us, alike),
            ("p50 µs", |measurement| measurement.p50_us, alike),
            ("p90 µs", |measurement| measurement.p90_us, false),
            ("generator's CPU, µs a request", |measurement| measurement.cpu_us, false),
        ];
        print_line(&match other {
            Other::Wrk { pause_ms } => format!("wrk over 1 connection, {pause_ms} ms between two requests"),
            Other::H2load { rate, connections } => {
                format!("h2load over {connections} connections, {rate} a second")
            }
        });
        for (name, figure, is_asked) in figures {
            let of = |who: usize| Spread::of(rounds.iter().map(|round| figure(&round.beside[n][who])));
            let ratios = rounds.iter().map(|round| figure(&round.beside[n][0]) / figure(&round.beside[n][1]));
            let (Some(ours), Some(theirs), Some(ratio)) = (of(0), of(1), Spread::of(ratios)) else {
                continue;
            };
            let met = match (is_asked, (ratio.median - 1.0).abs() <= TOLERANCE) {
                (false, _) => "",
                (true, true) => "  within 10 %: met",
                (true, false) => "  within 10 %: MISSED",
            };
            print_line(&format!(
                "  {name:<30} {}   {}   ÷ {}{met}",
                bracketed(ours),
                bracketed(theirs),
                bracketed(ratio)
            ));
        }
    }
    if let Some(most) = Spread::of(rounds.iter().map(|round| round.most)) {
        print_line(&format!(
            "asked for far too many, loadtest got {} answers a second on its core",
            bracketed(most)
        ));
    }
}

#[cfg(test)]
mod tests;
