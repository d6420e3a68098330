//! Compares what `loadtest look` measures and costs at a fixed rate with wrk and h2load, in turn, on the same core.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use loadtest::VerdictSummary;
use serde::Serialize;
use serde_json::json;
use testkit::cli::{Ended, try_end};
use testkit::gateway::Gateway;
use testkit::run_folder::RunFolder;
use testkit::{Failed, print_line};

use crate::Options;
use crate::cases::{ledger, rounds};
use crate::cpus::make_room;
use crate::figures::Spread;
use crate::report::write;
use crate::servers::{children_cpu, gateway};

/// The other generator at the same rate.
#[derive(Debug, Clone, Copy, Serialize)]
enum Other {
    /// wrk over one connection, which pauses so many milliseconds after each answer, and so sets the rate. Like `loadtest`, it
    /// sends requests one by one, so that latencies compare.
    Wrk { pause_ms: u32 },
    /// h2load, for the cost of a request at a higher rate. It sends 100 bursts a second, in which requests wait for
    /// each other (over 50 connections: a mean of 0.5 ms) or find warm caches: its latencies do not compare.
    H2load { rate: usize, connections: usize },
}

const OTHERS: [Other; 4] = [
    Other::Wrk { pause_ms: 2 },
    Other::Wrk { pause_ms: 1 },
    Other::H2load { rate: 8_000, connections: 50 },
    // What one process is to offer: at lower rates each read pays for waking up a thread, here they share it.
    Other::H2load { rate: 25_000, connections: 50 },
];
/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(8);
const LASTS_QUICK: Duration = Duration::from_secs(3);
/// By how much their figures may differ.
const TOLERANCE: f64 = 0.10;
/// More than a core of `loadtest` can start: shows its maximum.
const TOO_MANY: usize = 100_000;

/// What a generator measured and cost.
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
struct BesideRound {
    /// `loadtest`, then the other generator.
    beside: Vec<[Measurement; 2]>,
    /// Reads a second that `loadtest` started at a rate beyond its maximum.
    most: f64,
}

/// Measures all rounds and prints them.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    make_room(1)?;
    let (count, lasts) = options.either((1, LASTS_QUICK), LASTS);
    let folder = RunFolder::new(&options.bin)?;
    let redis = ledger(&folder, 10, 0)?;
    let gateway = gateway(&folder, redis.address(), 1, &[], &[])?;
    let measured = rounds(count, || {
        let mut beside = Vec::new();
        for other in OTHERS {
            let (theirs, rate) = match other {
                Other::Wrk { pause_ms } => {
                    let measurement = wrk(&folder, gateway.address(), pause_ms, lasts)?;
                    (measurement, measurement.rate.round() as usize)
                }
                Other::H2load { rate, connections } => {
                    (h2load(&folder, gateway.address(), (rate, connections), lasts)?, rate)
                }
            };
            beside.push([loadtest(&folder, &gateway, rate, lasts)?, theirs]);
        }
        let most = loadtest(&folder, &gateway, TOO_MANY, LASTS_QUICK)?.rate;
        Ok(BesideRound { beside, most })
    })?;
    print(&measured);
    write(options, json!({ "others": OTHERS, "rounds": measured }))
}

/// Runs a generator to its end; also its CPU time, in µs.
fn timed(command: Command) -> Result<(Ended, f64), Failed> {
    let before = children_cpu();
    let ended = try_end(command)?;
    Ok((ended, children_cpu().saturating_sub(before).as_secs_f64() * 1e6))
}

/// Runs `loadtest look`, which must pass.
fn loadtest(
    folder: &RunFolder,
    gateway: &Gateway,
    rate: usize,
    lasts: Duration,
) -> Result<Measurement, Failed> {
    let report = folder.path("report");
    let mut command = folder.program("loadtest");
    command.args(["look", "--sale", "won", "--gateway", &gateway.url]);
    command.args(["--ops", &gateway.ops_url, "--report"]).arg(&report);
    command.arg("--auth-secret-file").arg(folder.path("secret"));
    command.arg("--ops-token-file").arg(folder.path("ops"));
    command.args(["--arrivals", &format!("constant:{rate}/s:{}s", lasts.as_secs())]);
    // Late starts must not fail the run: they are measured.
    command.args(["--set", "generator = {late = \"60s\", late_share = 100, skew = \"60s\", cpu = 100}"]);
    command.args(["--set", "verdict.thresholds = []"]);
    let (Ended { code, out, err }, cpu_us) = timed(command)?;
    if code != 0 {
        return Err(Failed::Wrong(out + &err));
    }
    let verdict = VerdictSummary::read(&report).map_err(Failed::to("read loadtest's verdict"))?;
    let reads = verdict.requests.get("look").map(|requests| requests.latency_ms.answered).unwrap_or_default();
    // All requests are answered; the run is longer than planned by the lateness of the last start.
    let late = verdict.arrivals.lateness_ms.max / 1000.0;
    Ok(Measurement {
        rate: reads.count as f64 / (lasts.as_secs_f64() + late),
        mean_us: reads.mean * 1000.0,
        p50_us: reads.p50 * 1000.0,
        p90_us: reads.p90 * 1000.0,
        cpu_us: cpu_us / reads.count as f64,
    })
}

/// Runs wrk with a pause after each answer; a script prints what it measured.
fn wrk(
    folder: &RunFolder,
    gateway: SocketAddr,
    pause_ms: u32,
    lasts: Duration,
) -> Result<Measurement, Failed> {
    let lua = format!(
        "function delay() return {pause_ms} end\n\
         function done(all, latency)\n\
         io.write(string.format('measured %d %d %f %f %f\\n', all.requests, all.duration, latency.mean, \
         latency:percentile(50), latency:percentile(90)))\nend\n"
    );
    let script = folder.write("pause.lua", &lua)?;
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-c", "1", "-d", &format!("{}s", lasts.as_secs()), "-s"]).arg(&script);
    command.arg(format!("http://{gateway}/v1/sales/won"));
    let (Ended { out, .. }, cpu_us) = timed(command)?;
    let [answers, lasted_us, mean_us, p50_us, p90_us] =
        parse_wrk(&out).ok_or_else(|| Failed::Outside(format!("wrk reported no latencies:\n{out}")))?;
    let rate = answers / (lasted_us / 1e6);
    Ok(Measurement { rate, mean_us, p50_us, p90_us, cpu_us: cpu_us / answers })
}

/// Requests, duration, mean, p50 and p90, in µs.
fn parse_wrk(text: &str) -> Option<[f64; 5]> {
    let line = text.lines().find_map(|line| line.strip_prefix("measured "))?;
    let numbers: Option<Vec<f64>> = line.split(' ').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// One run of h2load in HTTP/1.1, with a log of every request.
fn h2load(
    folder: &RunFolder,
    gateway: SocketAddr,
    (rate, connections): (usize, usize),
    lasts: Duration,
) -> Result<Measurement, Failed> {
    let log = folder.path("h2load.log");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new("h2load");
    command.args(["--h1", "-t", "1", "-c", &connections.to_string()]);
    command.args(["--rps", &(rate / connections).to_string(), "-D", &lasts.as_secs().to_string()]);
    command.arg(format!("--log-file={}", log.display())).arg(format!("http://{gateway}/v1/sales/won"));
    let started = Instant::now();
    let (ended, cpu_us) = timed(command)?;
    let took = started.elapsed();
    let times = times(&log)?;
    if ended.code != 0 || times.is_empty() {
        return Err(Failed::Outside("h2load got no answers".into()));
    }
    let at = |quantile: f64| times[((times.len() - 1) as f64 * quantile) as usize];
    Ok(Measurement {
        rate: times.len() as f64 / took.as_secs_f64().max(lasts.as_secs_f64()),
        mean_us: times.iter().sum::<f64>() / times.len() as f64,
        p50_us: at(0.5),
        p90_us: at(0.9),
        cpu_us: cpu_us / times.len() as f64,
    })
}

/// How long each request took, in µs, in order: the log's third column; the second is the status.
fn times(log: &Path) -> Result<Vec<f64>, Failed> {
    let text = std::fs::read_to_string(log).map_err(Failed::to("read the log of h2load"))?;
    let answered = text.lines().filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        (columns.next()? == "200").then(|| columns.next()?.parse().ok())?
    });
    let mut times: Vec<f64> = answered.collect();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Its name, its value, and whether both generators must agree on it.
type Figure = (&'static str, fn(&Measurement) -> f64, bool);

fn print(rounds: &[BesideRound]) {
    print_line("");
    print_line(&format!(
        "reads of the sale's status by loadtest and by another; medians of {} rounds, in brackets the minimum and the maximum",
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
            let of = |side: usize| Spread::of(rounds.iter().map(|round| figure(&round.beside[n][side])));
            let ratios = rounds.iter().map(|round| figure(&round.beside[n][0]) / figure(&round.beside[n][1]));
            let (Some(ours), Some(theirs), Some(ratio)) = (of(0), of(1), Spread::of(ratios)) else {
                continue;
            };
            let met = match (is_asked, (ratio.median - 1.0).abs() <= TOLERANCE) {
                (false, _) => "",
                (true, true) => "  within 10 %: met",
                (true, false) => "  within 10 %: MISSED",
            };
            print_line(&format!("  {name:<30} {ours}   {theirs}   ÷ {ratio}{met}"));
        }
    }
    if let Some(most) = Spread::of(rounds.iter().map(|round| round.most)) {
        print_line(&format!(
            "at a rate beyond its maximum, loadtest got {most} answers a second on its core"
        ));
    }
}

#[cfg(test)]
mod tests;
