//! The pages of a run: report.html and report.md, made from the verdict, the figures and the stock's course.

use std::path::Path;

use crate::base::failure::Failure;
use crate::load::output::GOOSE;
use crate::proof::run_record::RunRecord;
use crate::report::page::charts::{self, Stock};
use crate::report::page::{Page, Section, Table, goose, grouped};
use crate::report::{equation, ms, stores_equation};
use crate::verdict::{Quantiles, Verdict};

/// Of the stories of broken rules; all that were kept are in verdict.json.
const STORIES_MAX: usize = 20;

/// Writes both pages, and puts the verdict on goose's.
pub(crate) fn write(
    dir: &Path,
    verdict: &Verdict,
    run_record: &RunRecord,
    stock: &Stock,
) -> Result<(), Failure> {
    goose::dress(dir, &verdict.sentence())?;
    let page = page(verdict, run_record, stock, dir.join(GOOSE).exists());
    for (name, text) in [("report.html", page.html()), ("report.md", page.markdown())] {
        let path = dir.join(name);
        std::fs::write(&path, text)
            .map_err(|error| Failure::Outside(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

fn page(verdict: &Verdict, run_record: &RunRecord, stock: &Stock, has_goose: bool) -> Page {
    let figures = &run_record.figures;
    let mut links = vec![("verdict.json", "verdict.json")];
    if has_goose {
        links.insert(0, ("goose's own report", GOOSE));
    }
    let mut sections = vec![thresholds(verdict), outcomes(verdict)];
    sections.extend(Section::picturing(charts::opening(figures)));
    sections.extend(Section::picturing(charts::arrivals(figures)));
    sections.extend(Section::picturing(charts::latency(figures)));
    sections.extend(Section::picturing(charts::stock(figures, stock)));
    sections.push(ledger(verdict));
    sections.extend(buyer_histories(verdict));
    sections.extend(compared(verdict));
    sections.push(requests(verdict));
    sections.extend(generator(verdict));
    let shards = if verdict.shards.is_empty() {
        String::new()
    } else {
        format!(" These are parts {} of the run.", verdict.shards.join(", "))
    };
    let mut lead = vec![format!(
        "{} on the sale {}: {} buyers, seed {}. It opened at {}; the load began at {} and was judged at {}.{shards}",
        verdict.scenario,
        verdict.sale,
        grouped(verdict.buyers as u64),
        verdict.seed,
        verdict.opening_at,
        verdict.started_at,
        verdict.finished_at,
    )];
    lead.extend(verdict.notes.iter().map(|note| format!("Note: {note}.")));
    Page {
        title: format!("Load test of {}", verdict.sale),
        verdict_word: verdict.verdict.name().to_owned(),
        sentence: verdict.reasons.join("; "),
        lead,
        links,
        sections,
    }
}

fn thresholds(verdict: &Verdict) -> Section {
    let mut table = Table::of(["Asked for", "Measured", ""], &[]);
    for judged in &verdict.thresholds {
        let word = match judged.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "nothing to judge",
        };
        table.rows.push(vec![judged.threshold.clone(), judged.measured.clone(), word.to_owned()]);
    }
    let text = match table.rows.is_empty() {
        true => vec!["The profile asks for nothing; the proof was judged all the same.".to_owned()],
        false => Vec::new(),
    };
    let table = (!table.rows.is_empty()).then_some(table);
    Section { text, table, ..Section::titled("What was asked for") }
}

const TIMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

fn times(of: &Quantiles) -> [String; 5] {
    [of.p50, of.p90, of.p99, of.p999, of.max]
        .map(|time| if of.count == 0 { "–".to_owned() } else { ms(time) })
}

fn outcomes(verdict: &Verdict) -> Section {
    let [p50, p90, p99, p999, max] = TIMES;
    let mut table = Table::of(["Outcome", "Taps", "Share", p50, p90, p99, p999, max], &[1, 2, 3, 4, 5, 6, 7]);
    let all: u64 = verdict.outcomes.values().sum();
    let row = |name: String, of: &Quantiles, all: u64| {
        let share = format!("{:.1} %", 100.0 * of.count as f64 / all.max(1) as f64);
        [name, grouped(of.count), share].into_iter().chain(times(of)).collect::<Vec<_>>()
    };
    for (name, of) in &verdict.latency_ms {
        table.rows.push(row((*name).to_owned(), of, all));
    }
    if verdict.scenarios.len() > 1 {
        for (scenario, outcomes) in &verdict.scenarios {
            let all = outcomes.values().map(|of| of.count).sum();
            table.rows.extend(outcomes.iter().map(|(name, of)| row(format!("{scenario}/{name}"), of, all)));
        }
    }
    let arrivals = &verdict.arrivals;
    let text = vec![
        format!(
            "{} taps came to an outcome, with {} retries. {} starts were intended, {} of them were late, {} never came. What a buyer \
             waited is counted from the instant that was intended, with all his retries; measured by our own sender.",
            grouped(all),
            grouped(verdict.retries),
            grouped(arrivals.intended),
            grouped(arrivals.late),
            grouped(arrivals.unsent),
        ),
        verdict.t0.skew_ms.map_or_else(
            || "No tap was meant for the opening itself.".to_owned(),
            |skew| format!("The first and the last tap of the opening left {} apart.", ms(skew)),
        ),
    ];
    Section { text, table: Some(table), ..Section::titled("How the taps ended") }
}

fn ledger(verdict: &Verdict) -> Section {
    let mut lines: Vec<String> = verdict.items.iter().map(equation).collect();
    lines.extend(verdict.stores.iter().flat_map(stores_equation));
    let text = vec![format!(
        "Every answer that any buyer was given was held against the ledger; {} rules were broken. Of the unknown outcomes the ledger has {} as \
         reservations.",
        grouped(verdict.violations_total as u64),
        grouped(verdict.unknown_held)
    )];
    let verbatim = (!lines.is_empty()).then(|| lines.join("\n"));
    Section { text, verbatim, ..Section::titled("The ledger") }
}

fn buyer_histories(verdict: &Verdict) -> Option<Section> {
    if verdict.violations.is_empty() {
        return None;
    }
    let buyer_histories: String =
        verdict.violations.iter().take(STORIES_MAX).map(super::ViolationReport::text).collect();
    Some(Section { verbatim: Some(buyer_histories), ..Section::titled("Broken rules") })
}

fn compared(verdict: &Verdict) -> Option<Section> {
    if verdict.baseline.is_empty() {
        return None;
    }
    let mut table = Table::of(["Figure", "Before", "Now", "", "Why"], &[1, 2]);
    for d in &verdict.baseline {
        let row = [&d.what, &d.before, &d.now, d.direction.word(), &d.why];
        table.rows.push(row.map(str::to_owned).to_vec());
    }
    Some(Section { table: Some(table), ..Section::titled("Compared with the earlier run") })
}

fn requests(verdict: &Verdict) -> Section {
    let [p50, p90, p99, p999, max] = TIMES;
    let mut table = Table::of(["Request", "Answered", p50, p90, p99, p999, max], &[1, 2, 3, 4, 5, 6]);
    for (name, of) in &verdict.requests_ms {
        table.rows.push([name.clone(), grouped(of.count)].into_iter().chain(times(of)).collect());
    }
    let lost: Vec<String> = verdict.lost.iter().map(|(why, n)| format!("{why} {}", grouped(*n))).collect();
    let mut text = vec![
        "Each request from being sent to its answer. Goose's report counts the same requests, by the answer's word.".to_owned(),
    ];
    if !lost.is_empty() {
        text.push(format!("Without an answer: {}.", lost.join(", ")));
    }
    Section { text, table: Some(table), ..Section::titled("Requests") }
}

fn generator(verdict: &Verdict) -> Option<Section> {
    let health = verdict.generator.as_ref()?;
    let mut table = Table::of(["This machine", ""], &[1]);
    let limit = health.descriptors_limit.map_or_else(|| "no limit".to_owned(), |limit| format!("of {limit}"));
    let rows = [
        ("processes", health.processes.to_string()),
        ("cores it may use", health.cores.to_string()),
        ("CPU, whole run", format!("{:.0} %", health.cpu_percent_mean)),
        ("CPU, busiest five seconds", format!("{:.0} %", health.cpu_percent_busiest)),
        ("timers late, p99", ms(health.timer_lag_p99_ms)),
        ("timers late, at most", ms(health.timer_lag_max_ms)),
        ("descriptors, at most", format!("{} {limit}", health.descriptors_peak)),
        ("connects without a free port", health.ports_exhausted.to_string()),
        ("memory, at most", format!("{:.0} MiB", health.rss_peak_mib)),
    ];
    table.rows.extend(rows.map(|(name, value)| vec![name.to_owned(), value]));
    Some(Section { table: Some(table), ..Section::titled("The load generator") })
}
