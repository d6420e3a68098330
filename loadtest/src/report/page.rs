//! Composes the page of a run, section by section, and writes it as report.html and report.md.

use std::path::Path;

use crate::base::failure::Failure;
use crate::base::files;
use crate::base::span::words_of_ms as ms;
use crate::load::output::{GOOSE, SECONDS};
use crate::proof::run_record::RunRecord;
use crate::report::charts::{Chart, Stock, charts};
use crate::report::markdown::{Markdown, escaped};
use crate::report::{ViolationReport, about, equation, goose, met, stores_equation};
use crate::verdict::baseline::Difference;
use crate::verdict::{Quantiles, RequestSummary, Verdict};

/// How many histories of broken rules are shown; verdict.json has the others.
const HISTORIES_MAX: usize = 20;
pub(super) const TIMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// One run: the verdict, why, and what it rests on.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// PASS, FAIL or INVALID.
    pub(crate) word: &'static str,
    /// The reasons for it.
    pub(crate) sentence: String,
    /// All below the verdict.
    pub(crate) body: Markdown,
    pub(crate) charts: Vec<Chart>,
}

/// Writes both files, and puts the verdict on goose's.
pub(crate) fn write(
    dir: &Path,
    verdict: &Verdict,
    run_record: &RunRecord,
    stock: &Stock,
) -> Result<(), Failure> {
    goose::dress(dir, &verdict.sentence())?;
    let page = Page::of(verdict, charts(&run_record.figures, stock), dir.join(GOOSE).exists());
    for (name, text) in [("report.html", page.html()), ("report.md", page.markdown())] {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(files::unwritten(&path))?;
    }
    Ok(())
}

impl Page {
    pub(crate) fn of(verdict: &Verdict, charts: Vec<Chart>, has_goose: bool) -> Page {
        let mut body = Markdown::default();
        lead(&mut body, verdict, has_goose);
        thresholds(&mut body, verdict);
        outcomes(&mut body, verdict);
        for chart in &charts {
            body.heading(chart.title);
            body.paragraph(&chart.summary);
        }
        ledger(&mut body, verdict);
        compared(&mut body, verdict);
        requests(&mut body, verdict);
        about::gateways(&mut body, verdict);
        generator(&mut body, verdict);
        about::identity(&mut body, verdict);
        Page {
            title: format!("Load test of {}", verdict.sale),
            word: verdict.verdict.name(),
            sentence: verdict.reasons.join("; "),
            body,
            charts,
        }
    }

    /// For where HTML isn't shown: a ticket, a pull request, a terminal. Charts are their summaries.
    pub(crate) fn markdown(&self) -> String {
        let (title, sentence) = (escaped(&self.title), escaped(&self.sentence));
        format!("# {title}\n\n**{}** {sentence}\n{}", self.word, self.body.0)
    }
}

fn lead(body: &mut Markdown, verdict: &Verdict, has_goose: bool) {
    let shards = match verdict.shards.as_slice() {
        [] => String::new(),
        shards => format!(" These are parts {} of the run.", shards.join(", ")),
    };
    body.paragraph(&format!(
        "Run {}: {} on the sale {}, {} buyers, seed {}. It opened at {}; the load began at {} and was judged at {}.{shards}",
        verdict.identity.run_id,
        verdict.scenario,
        verdict.sale,
        grouped(verdict.buyers as u64),
        verdict.seed,
        verdict.opening_at,
        verdict.started_at,
        verdict.finished_at,
    ));
    verdict.notes.iter().for_each(|note| body.paragraph(&format!("Note: {note}.")));
    let goose = if has_goose { format!("[goose's own report]({GOOSE}) · ") } else { String::new() };
    body.0 += &format!("\n{goose}[verdict.json](verdict.json) · [each second]({SECONDS})\n");
}

fn thresholds(body: &mut Markdown, verdict: &Verdict) {
    body.heading("What was asked for");
    if verdict.thresholds.is_empty() {
        return body.paragraph("The profile asks for nothing; the proof was judged all the same.");
    }
    let rows = verdict
        .thresholds
        .iter()
        .map(|judged| vec![judged.threshold.clone(), judged.measured.clone(), met(judged).to_owned()]);
    body.table(&["Asked for", "Measured", ""], 0..0, &rows.collect::<Vec<_>>());
}

fn outcomes(body: &mut Markdown, verdict: &Verdict) {
    let all: u64 = verdict.outcomes.values().sum();
    let arrivals = &verdict.arrivals;
    body.heading("How the taps ended");
    body.paragraph(&format!(
        "{} taps came to an outcome, with {} retries. {} starts were intended, {} of them were late, {} never came. What a \
         buyer waited is counted from the instant that was intended, with all retries; measured by our own sender.",
        grouped(all),
        grouped(verdict.retries),
        grouped(arrivals.intended),
        grouped(arrivals.late),
        grouped(arrivals.unsent),
    ));
    body.paragraph(&verdict.t0.skew_ms.map_or_else(
        || "No tap was meant for the opening itself.".to_owned(),
        |skew| format!("The first and the last tap of the opening left {} apart.", ms(skew)),
    ));
    let row = |name: String, of: &Quantiles, all: u64| {
        let share = format!("{:.1} %", 100.0 * of.count as f64 / all.max(1) as f64);
        [name, grouped(of.count), share].into_iter().chain(times(of)).collect()
    };
    let mut rows: Vec<Vec<String>> =
        verdict.latency_ms.iter().map(|(name, of)| row((*name).to_owned(), of, all)).collect();
    for (scenario, outcomes) in verdict.scenarios.iter().filter(|_| verdict.scenarios.len() > 1) {
        let all = outcomes.values().map(|of| of.count).sum();
        rows.extend(outcomes.iter().map(|(name, of)| row(format!("{scenario}/{name}"), of, all)));
    }
    body.table(&[&["Outcome", "Taps", "Share"], &TIMES[..]].concat(), 1..8, &rows);
}

fn ledger(body: &mut Markdown, verdict: &Verdict) {
    body.heading("The ledger");
    if !verdict.is_proved {
        body.paragraph("No answer was held against the ledger: it does not have the sale any more.");
        return;
    }
    body.paragraph(&format!(
        "Every answer that any buyer was given was held against the ledger; {} rules were broken. Of the unknown outcomes \
         the ledger has {} as reservations.",
        grouped(verdict.violations_total as u64),
        grouped(verdict.unknown_held)
    ));
    let mut lines: Vec<String> = verdict.items.iter().map(equation).collect();
    lines.extend(verdict.stores.iter().flat_map(stores_equation));
    if !lines.is_empty() {
        body.verbatim(&lines.join("\n"));
    }
    if !verdict.violations.is_empty() {
        body.heading("Broken rules");
        let histories = verdict.violations.iter().take(HISTORIES_MAX).map(ViolationReport::text);
        body.verbatim(&histories.collect::<String>());
    }
}

fn compared(body: &mut Markdown, verdict: &Verdict) {
    if !verdict.baseline.is_empty() {
        body.heading("Compared with the earlier run");
        let row = |d: &Difference| {
            [&d.what, &d.before, &d.now, d.direction.word(), &d.why].map(str::to_owned).to_vec()
        };
        body.table(
            &["Figure", "Before", "Now", "", "Why"],
            1..3,
            &verdict.baseline.iter().map(row).collect::<Vec<_>>(),
        );
    }
}

fn requests(body: &mut Markdown, verdict: &Verdict) {
    body.heading("Requests");
    body.paragraph(
        "Each request from being sent to its answer; one that was lost counts as long as its client would have waited. \
         Failed are answers that the contract does not allow. A step is a request with its retries; it is undecided if \
         none of them got an answer that counts. Goose's report counts the same requests, by the answer's word.",
    );
    let lost: Vec<String> = verdict.lost.iter().map(|(why, n)| format!("{why} {}", grouped(*n))).collect();
    if !lost.is_empty() {
        body.paragraph(&format!("Without an answer: {}.", lost.join(", ")));
    }
    let row = |(name, of): (&String, &RequestSummary)| {
        let counts = [of.sent, of.failed, of.limited, of.shed, of.lost, of.steps.undecided].map(grouped);
        let rate = format!("{:.1}/s", of.rate);
        [name.clone()].into_iter().chain(counts).chain([rate]).chain(times(&of.latency_ms.sent)).collect()
    };
    let head = ["Request", "Sent", "Failed", "Limited", "Shed", "Lost", "Undecided", "Rate"];
    body.table(&[&head, &TIMES[..]].concat(), 1..13, &verdict.requests.iter().map(row).collect::<Vec<_>>());
    let row = |(name, of): (&String, &RequestSummary)| {
        let statuses = of.by_status.iter().map(|(status, count)| format!("{status}: {}", grouped(*count)));
        let [decided, answered] = [of.latency_ms.decided, of.latency_ms.answered]
            .map(|of| [times(&of)[0].clone(), times(&of)[2].clone()]);
        [vec![name.clone(), statuses.collect::<Vec<_>>().join(", ")], decided.into(), answered.into()]
            .concat()
    };
    let head =
        ["Request", "Statuses", "p50 of decided", "p99 of decided", "p50 of answered", "p99 of answered"];
    body.table(&head, 2..6, &verdict.requests.iter().map(row).collect::<Vec<_>>());
    if !verdict.journeys_ms.is_empty() {
        body.heading("Journeys");
        body.paragraph(
            "From the intended start of a buyer's journey to its end, without the buyer's pauses.",
        );
        let rows = verdict.journeys_ms.iter().map(|(scenario, of)| {
            [(*scenario).to_owned(), grouped(of.count)].into_iter().chain(times(of)).collect()
        });
        body.table(&[&["Scenario", "Journeys"], &TIMES[..]].concat(), 1..7, &rows.collect::<Vec<_>>());
    }
}

fn generator(body: &mut Markdown, verdict: &Verdict) {
    let Some(health) = &verdict.generator else { return };
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
        ("requests that queued for a connection", grouped(health.requests_queued)),
        ("memory, at most", format!("{:.0} MiB", health.rss_peak_mib)),
    ];
    body.heading("The load generator");
    body.table(&["This machine", ""], 1..2, &rows.map(|(name, value)| vec![name.to_owned(), value]));
}

pub(super) fn times(of: &Quantiles) -> [String; 5] {
    [of.p50, of.p90, of.p99, of.p999, of.max]
        .map(|time| if of.count == 0 { "–".to_owned() } else { ms(time) })
}

/// A count as people read it: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
