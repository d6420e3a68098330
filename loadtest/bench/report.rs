//! Prints the report: a table for people, JSON for programs.

use procfs::{CpuInfo, Current};
use serde_json::{Value, json};
use testkit::options::Named;
use testkit::{Failed, print_line};

use crate::Options;
use crate::cases::BATCHES;
use crate::figures::{Figures, Round, Row, Spread};
use crate::targets::Target;

/// Prints all figures, and writes them where that was asked for.
pub(crate) fn print(options: &Options, rounds: &[Round], targets: &[Target]) -> Result<(), Failed> {
    print_line("");
    print_line(&format!("medians of {} rounds; in brackets the least and the most of them", rounds.len()));
    print_line(
        "            case           conns workers durability  requests/s   p50 µs   p99 µs  p99.9 µs   server µs                Redis µs  commands  bytes  generator",
    );
    for row in rows(rounds) {
        print_line(&line(rounds, &row));
    }
    redis_floor(rounds);
    recording(rounds);
    idle_connections(rounds);
    print_targets(targets);
    write(options, json!({ "rounds": rounds, "targets": targets }))
}

/// Writes the figures, an object, into the file that was asked for, with the machine that they are of.
pub(crate) fn write(options: &Options, mut figures: Value) -> Result<(), Failed> {
    let Some(file) = &options.json else { return Ok(()) };
    figures["cpus"] = json!(std::thread::available_parallelism().map_or(0, usize::from));
    let cpus = CpuInfo::current().ok();
    figures["cpu"] = json!(cpus.as_ref().and_then(|cpus| cpus.model_name(0)).unwrap_or_default());
    std::fs::write(file, format!("{figures:#}\n"))
        .map_err(|error| Failed::Usage(format!("can't write {}: {error}", file.display())))
}

/// All rows in the order in which they were measured first.
fn rows(rounds: &[Round]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (row, _) in rounds.iter().flat_map(|round| &round.rows) {
        if !rows.contains(row) {
            rows.push(row.clone());
        }
    }
    rows.sort_by_key(|row| (row.level != "none", row.workers, row.connections));
    rows
}

fn line(rounds: &[Round], row: &Row) -> String {
    let of = |figure: fn(&Figures) -> f64| {
        let found = rounds.iter().flat_map(|round| &round.rows).filter(|(r, _)| r == row);
        Spread::of(found.map(|(_, figures)| figure(figures)))
    };
    let median = |figure| of(figure).map_or(f64::NAN, |spread| spread.median);
    let side = row.side.name();
    let server = of(|f| f.server_us).map(|spread| spread.to_string()).unwrap_or_default();
    format!(
        "{side:<8} {:<18} {:>6} {:>7} {:<10} {:>11.0} {:>8.0} {:>8.0} {:>9.0}   {server:<22} {:>9.2} {:>9.2} {:>6.0} {:>9.0}%",
        row.case,
        row.connections,
        row.workers,
        row.level,
        median(|f| f.per_second),
        median(|f| f.p50_us as f64),
        median(|f| f.p99_us as f64),
        median(|f| f.p999_us as f64),
        median(|f| f.redis_us),
        median(|f| f.redis_commands),
        median(|f| f.redis_bytes),
        median(|f| f.generator_busy * 100.0),
    )
}

fn redis_floor(rounds: &[Round]) {
    for batch in BATCHES {
        let of = |figure: &str| {
            let all = rounds.iter().flat_map(|round| &round.redis_floor);
            let found = all.filter(|reply| reply["batch"] == batch);
            Spread::of(found.filter_map(|reply| reply[figure].as_f64()))
        };
        if let (Some(cpu), Some(script), Some(bytes)) = (of("redis_cpu_us"), of("script_us"), of("bytes")) {
            print_line(&format!(
                "redis floor, batches of {batch}: {cpu} µs of Redis's CPU a reservation, {script} in the script, {bytes} bytes"
            ));
        }
    }
}

fn recording(rounds: &[Round]) {
    let of = |figure: &str| {
        Spread::of(rounds.iter().filter_map(|round| round.recording.as_ref()?[figure].as_f64()))
    };
    if let (Some(recording), Some(id)) = (of("recording_us"), of("request_id_us")) {
        print_line(&format!("recording a reservation that is won: {recording} µs; its request id: {id} µs"));
    }
}

fn idle_connections(rounds: &[Round]) {
    let kib = |bytes: fn(&Round) -> Option<f64>| {
        Spread::of(rounds.iter().filter_map(bytes).map(|bytes| bytes / 1024.0))
    };
    if let (Some(gateway), Some(floor)) = (kib(|r| r.idle_connection), kib(|r| r.idle_connection_floor)) {
        print_line(&format!(
            "an idle connection: gateway {gateway} KiB, floor (on the system's allocator) {floor} KiB"
        ));
    }
}

fn print_targets(targets: &[Target]) {
    print_line("");
    print_line("targets, as ratios within a round");
    for target in targets {
        let sign = if target.at_least { "≥" } else { "≤" };
        let measured = target.measured.map_or("not measured".to_owned(), |spread| spread.to_string());
        let met = match target.is_met() {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        print_line(&format!("{:<52} {sign} {:<6} {measured:<26} {met}", target.name, target.bound));
    }
}
