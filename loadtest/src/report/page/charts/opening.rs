//! The picture of the opening second: taps sent and answered in each 10 ms.

use crate::figures::{Figures, OPENING_BIN, OPENING_BINS, OPENING_FROM};
use crate::report::page::axis::{Axis, number};
use crate::report::page::canvas::{Canvas, LegendEntry, Sample, Shape};
use crate::report::page::charts::picture;
use crate::report::page::ink::Ink;
use crate::report::page::{Picture, grouped};

/// Taps sent stand up and answers hang down, so that neither hides the other.
pub(crate) fn opening(figures: &Figures) -> Option<Picture> {
    let opening = &figures.opening;
    let highest = |bins: &[u32]| bins.iter().copied().max().unwrap_or(0);
    let [sent_most, answered_most] = [highest(&opening.sent), highest(&opening.answered)];
    if sent_most == 0 && answered_most == 0 {
        return None;
    }
    let from = -ms(OPENING_FROM.as_secs_f64());
    let to = from + OPENING_BINS as f64 * ms(OPENING_BIN.as_secs_f64());
    let x = Axis::exact(from, to, "milliseconds after the opening");
    let y = Axis::mirrored(
        sent_most.into(),
        answered_most.into(),
        "taps in 10 ms: sent upwards, answered downwards",
    );

    let (mut shapes, mut legend) = (Vec::new(), Vec::new());
    for (name, bins, ink, sign) in
        [("sent", &opening.sent, Ink::Blue, 1.0), ("answered", &opening.answered, Ink::Orange, -1.0)]
    {
        shapes.extend(bars(bins, from, sign).into_iter().map(|outline| Shape::Area {
            outline,
            ink,
            strength: 0.85,
        }));
        let sum: u64 = bins.iter().copied().map(u64::from).sum();
        legend.push(LegendEntry {
            sample: Sample::Area(0.85),
            ink,
            text: format!("{name} ({})", grouped(sum)),
        });
    }
    shapes.push(Shape::Line { points: vec![(from, 0.0), (to, 0.0)], ink: Ink::Axis, width: 1 });

    let mut history = Vec::new();
    for (name, at, ink) in [("first tap", opening.first, Ink::Green), ("last tap", opening.last, Ink::Red)] {
        let Some(at) = at else { continue };
        let text = format!("{name}: {}", instant(at));
        history.push(format!("The {text}."));
        let at = at as f64 / 1000.0;
        match x.holds(at) {
            true => {
                shapes.push(Shape::Mark { x: at, ink, width: 2 });
                legend.push(LegendEntry { sample: Sample::Mark(2), ink, text });
            }
            false => legend.push(LegendEntry {
                sample: Sample::None,
                ink,
                text: format!("{text}, not in the picture"),
            }),
        }
    }

    let describes = format!(
        "Taps in each 10 ms from half a second before the opening to two seconds after it: at most {} sent and {} \
         answered. {}",
        grouped(sent_most.into()),
        grouped(answered_most.into()),
        history.join(" ")
    );
    picture("The opening second", &Canvas { x, y, shapes, legend }, describes.trim_end().to_owned())
}

/// `0.4 ms after the opening`; here the millisecond counts.
fn instant(us: i64) -> String {
    let side = if us < 0 { "before" } else { "after" };
    let ms = us.unsigned_abs() as f64 / 1000.0;
    let rounded = if ms < 10.0 { (ms * 10.0).round() / 10.0 } else { ms.round() };
    format!("{} ms {side} the opening", number(rounded))
}

fn ms(seconds: f64) -> f64 {
    seconds * 1000.0
}

/// The outlines of the bars, those side by side as one: hundreds of bars of three pixels would show seams.
fn bars(bins: &[u32], from: f64, sign: f64) -> Vec<Vec<(f64, f64)>> {
    let bin = ms(OPENING_BIN.as_secs_f64());
    let mut outlines = Vec::<Vec<(f64, f64)>>::new();
    let mut open = false;
    for (n, count) in bins.iter().enumerate() {
        let left = from + n as f64 * bin;
        if *count == 0 {
            close(&mut outlines, open, left);
            open = false;
            continue;
        }
        if !open {
            outlines.push(vec![(left, 0.0)]);
            open = true;
        }
        if let Some(outline) = outlines.last_mut() {
            let height = sign * f64::from(*count);
            outline.extend([(left, height), (left + bin, height)]);
        }
    }
    close(&mut outlines, open, from + bins.len() as f64 * bin);
    outlines
}

fn close(outlines: &mut [Vec<(f64, f64)>], open: bool, right: f64) {
    if let Some(outline) = outlines.last_mut().filter(|_| open) {
        outline.push((right, 0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_outline_that_ends_on_the_ground() {
        let outlines = bars(&[0, 2, 3, 0, 1], -500.0, -1.0);
        assert_eq!(
            outlines,
            [
                vec![
                    (-490.0, 0.0),
                    (-490.0, -2.0),
                    (-480.0, -2.0),
                    (-480.0, -3.0),
                    (-470.0, -3.0),
                    (-470.0, 0.0)
                ],
                vec![(-460.0, 0.0), (-460.0, -1.0), (-450.0, -1.0), (-450.0, 0.0)],
            ]
        );
    }
}
