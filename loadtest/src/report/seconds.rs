//! Writes seconds.csv: a row for each second of a run.

use std::path::Path;

use crate::base::failure::Failure;
use crate::base::files::unwritten;
use crate::base::span::ms;
use crate::figures::{Figures, Second, TimeLine};
use crate::load::output::SECONDS;

const COLUMNS: [&str; 16] = [
    "second",
    "seconds",
    "intended",
    "started",
    "sent",
    "answered",
    "failed",
    "limited",
    "shed",
    "lost",
    "in_flight",
    "taps",
    "winners",
    "sold_out",
    "p50_ms",
    "p99_ms",
];

pub(crate) fn write(dir: &Path, figures: &Figures) -> Result<(), Failure> {
    let path = dir.join(SECONDS);
    std::fs::write(&path, csv(&figures.seconds)).map_err(unwritten(&path))
}

fn csv(line: &TimeLine<Second>) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    let [first, last] = [line.slots.keys().next(), line.slots.keys().next_back()];
    let (Some(first), Some(last)) = (first, last) else { return text };
    let (none, mut in_flight) = (Second::default(), 0);
    for number in *first..=*last {
        let second = line.slots.get(&number).unwrap_or(&none);
        // What was sent and has not ended: known exactly afterwards.
        in_flight += second.sent as i64 - (second.answered + second.lost) as i64;
        let counts = [
            number * line.slot_seconds as i64,
            line.slot_seconds as i64,
            second.intended as i64,
            second.started as i64,
            second.sent as i64,
            second.answered as i64,
            second.failed as i64,
            second.limited as i64,
            second.shed as i64,
            second.lost as i64,
            in_flight,
            second.taps as i64,
            second.winners as i64,
            second.sold_out as i64,
        ];
        let counts = counts.map(|count| count.to_string());
        let time = |quantile| second.latency_at(quantile).map(|took| format!("{:.3}", ms(took)));
        let times = [0.5, 0.99].map(|quantile| time(quantile).unwrap_or_default());
        text += &[counts.as_slice(), times.as_slice()].concat().join(",");
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
