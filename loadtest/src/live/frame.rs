//! Formats one second of progress: the difference to the previous second.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::base::outcome::Outcome;
use crate::base::requests::is_of_buyers;
use crate::base::span;
use crate::figures::{Figures, Latency, Population, RequestFigures};

/// The shown figures, since the start.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Bots are not buyers: they have their own count, the last one.
    outcomes: Vec<(&'static str, u64)>,
    winners: Latency,
    losers: Latency,
    requests: BTreeMap<String, RequestFigures>,
    in_flight: u64,
    lateness: Latency,
    starts: [(&'static str, u64); 4],
}

impl Snapshot {
    pub(super) fn of(figures: &Figures, in_flight: u64) -> Snapshot {
        let honest =
            Outcome::ALL.map(|outcome| (outcome.name(), figures.honest(|own| own == outcome).count()));
        let bots = figures.latency(|scenario, _| !scenario.is_honest()).count();
        Snapshot {
            outcomes: honest.into_iter().chain([("bots", bots)]).collect(),
            winners: figures.honest(Outcome::holds),
            losers: figures.honest(Outcome::lost),
            requests: figures.requests.clone(),
            in_flight,
            lateness: figures.lateness.clone(),
            starts: [
                ("started", figures.lateness.count()),
                ("late", figures.late),
                ("unsent", figures.unsent),
                ("retries", figures.retries),
            ],
        }
    }

    /// All that is worth a line of its own when it changes.
    pub(super) fn sums(&self) -> [u64; 7] {
        let outcomes = self.outcomes.iter().map(|(_, count)| count).sum();
        let requests = self.requests.values().map(RequestFigures::sent_count).sum();
        let [started, late, unsent, retries] = self.starts.map(|(_, count)| count);
        [outcomes, requests, self.in_flight, started, late, unsent, retries]
    }
}

/// One second.
pub(super) struct Frame<'a> {
    pub(super) earlier: &'a Snapshot,
    pub(super) now: &'a Snapshot,
    /// Between the two.
    pub(super) took: Duration,
    /// Negative before it.
    pub(super) since_opening: SignedDuration,
    pub(super) stock_left: Option<u64>,
}

/// Requests of a name, or all of them: in this second, and what went wrong since the start.
struct Row<'a> {
    name: &'a str,
    latency: Latency,
    /// Failed, limited, shed, lost.
    troubles: [u64; 4],
}

const TROUBLES: [&str; 4] = ["failed", "limited", "shed", "lost"];

impl Frame<'_> {
    /// The lines of a terminal's block: ever more, as more kinds of requests occur.
    pub(super) fn block(&self) -> Vec<String> {
        let head = ["request", "a second", "p50", "p99"].into_iter().chain(TROUBLES).map(str::to_owned);
        let rows = self.rows();
        let all = (rows.len() != 1).then(|| all_of("buyers", rows.iter().filter(|row| row.is_of_buyers())));
        let mut table = vec![head.collect()];
        for row in all.iter().chain(&rows) {
            let figures = self.figures(row).into_iter();
            let troubles = row.troubles.into_iter().map(|count| count.to_string());
            table.push(std::iter::once(row.name.to_owned()).chain(figures).chain(troubles).collect());
        }
        let mut block = vec![format!("{}{}, {} in flight", self.clock(), self.stock(), self.now.in_flight)];
        block.extend(table.iter().map(|cells: &Vec<String>| aligned(cells)));
        block.extend([
            format!("taps a second   {}; p99 {}", self.rates(), self.tails().as_deref().unwrap_or("none")),
            format!("taps so far     {}", listed(self.now.outcomes.iter().copied())),
            format!("starts so far   {}", self.starts()),
        ]);
        block
    }

    /// All in one line: what there is.
    pub(super) fn line(&self) -> String {
        let rows = self.rows();
        // Bots are limited with good reason: they stand apart.
        let (of_buyers, of_bots): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
            rows.iter().partition(|row| row.is_of_buyers());
        let all = all_of("buyers", of_buyers.iter().copied());
        let bots = all_of("bots", of_bots.iter().copied()).latency.count();
        let [rate, p50, p99] = self.figures(&all);
        let each = of_buyers.iter().filter(|row| row.latency.count() > 0);
        let mut each: Vec<String> =
            each.map(|row| format!("{} {}", row.name, self.figures(row)[0])).collect();
        if !of_bots.is_empty() {
            each.push(format!("and of bots {}", self.a_second(bots)));
        }
        let each = if rows.len() > 1 && !each.is_empty() {
            format!(" ({})", each.join("  "))
        } else {
            String::new()
        };
        let times = if all.latency.count() > 0 { format!(", p50 {p50}  p99 {p99}") } else { String::new() };
        let in_flight = self.now.in_flight;
        let mut parts = vec![format!("{rate} requests/s{each}, {in_flight} in flight{times}")];
        if self.now.outcomes.iter().any(|(_, count)| *count > 0) {
            let tails = self.tails().map(|tails| format!(", p99 {tails}"));
            parts.push(format!("taps/s {}{}", self.rates(), tails.unwrap_or_default()));
        }
        let troubles: Vec<String> = TROUBLES
            .iter()
            .zip(all.troubles)
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let troubles = if troubles.is_empty() { "no errors".to_owned() } else { troubles.join("  ") };
        parts.push(format!("so far {troubles}  {}", self.starts()));
        format!("{}{}: {}", self.clock(), self.stock(), parts.join("; "))
    }

    fn clock(&self) -> String {
        match self.since_opening {
            // Rounded up: it does not open in 0 s.
            before if before.is_negative() => {
                format!("opens in {} s", before.unsigned_abs().as_millis().div_ceil(1000))
            }
            after => format!("open for {} s", after.as_secs()),
        }
    }

    fn stock(&self) -> String {
        self.stock_left.map(|left| format!(", {left} left")).unwrap_or_default()
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let (none, mut rows) = (RequestFigures::default(), Vec::new());
        for (name, now) in &self.now.requests {
            let earlier = self.earlier.requests.get(name).unwrap_or(&none);
            let latency = now.latency(Population::Sent).since(&earlier.latency(Population::Sent));
            rows.push(Row { name, latency, troubles: [now.failed, now.limited, now.shed, now.lost_count()] });
        }
        rows.sort_by_key(|row: &Row<'_>| !row.is_of_buyers());
        rows
    }

    /// The rate, the median and the 99th percentile.
    fn figures(&self, row: &Row<'_>) -> [String; 3] {
        let time = |quantile| row.latency.at(quantile).map_or_else(|| "none".to_owned(), span::words);
        [self.a_second(row.latency.count()).to_string(), time(0.5), time(0.99)]
    }

    /// What is rare is not rounded away.
    fn a_second(&self, count: u64) -> u64 {
        let rate = count as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE);
        if count > 0 { (rate.round() as u64).max(1) } else { 0 }
    }

    /// Outcomes a second.
    fn rates(&self) -> String {
        let rate = |(now, earlier): (&(&'static str, u64), &(&str, u64))| {
            (now.0, self.a_second(now.1.saturating_sub(earlier.1)))
        };
        listed(self.now.outcomes.iter().zip(&self.earlier.outcomes).map(rate))
    }

    /// `None`: no tap came to an outcome.
    fn tails(&self) -> Option<String> {
        let [winners, losers] = [
            ("winners", &self.now.winners, &self.earlier.winners),
            ("losers", &self.now.losers, &self.earlier.losers),
        ]
        .map(|(name, now, earlier)| Some(format!("{name} {}", span::words(now.since(earlier).at(0.99)?))));
        let tails: Vec<String> = winners.into_iter().chain(losers).collect();
        (!tails.is_empty()).then(|| tails.join("  "))
    }

    fn starts(&self) -> String {
        let lateness = self.now.lateness.since(&self.earlier.lateness);
        let lateness = lateness.at(0.99).map(|late| format!("  start lateness p99 {}", span::words(late)));
        self.now.starts.map(|(name, count)| format!("{name} {count}")).join("  ")
            + &lateness.unwrap_or_default()
    }
}

impl Row<'_> {
    fn is_of_buyers(&self) -> bool {
        is_of_buyers(self.name)
    }
}

fn all_of<'a>(name: &'static str, rows: impl Iterator<Item = &'a Row<'a>>) -> Row<'static> {
    let mut all = Row { name, latency: Latency::default(), troubles: [0; 4] };
    for row in rows {
        all.latency.add(&row.latency);
        all.troubles.iter_mut().zip(row.troubles).for_each(|(sum, count)| *sum += count);
    }
    all
}

/// The first cell names its row, the others are flush right.
fn aligned(cells: &[String]) -> String {
    let mut line = format!("{:<16}", cells.first().map_or("", String::as_str));
    cells.iter().skip(1).for_each(|cell| line += &format!("{cell:>9}"));
    line
}

/// The outcomes that there are.
fn listed(outcomes: impl Iterator<Item = (&'static str, u64)>) -> String {
    let outcomes: Vec<String> =
        outcomes.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    if outcomes.is_empty() { "none".to_owned() } else { outcomes.join("  ") }
}
