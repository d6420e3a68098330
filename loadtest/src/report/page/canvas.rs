//! How a picture is drawn: axes, a gentle grid, shapes, and the legend above them, where it hides nothing.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::page::axis::Axis;
use crate::report::page::ink::Ink;

/// What is drawn, in the order of drawing, before its size is known.
pub(crate) struct Canvas {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) legend: Vec<LegendEntry>,
}

/// Points are values of the two axes.
pub(crate) enum Shape {
    Line {
        points: Vec<(f64, f64)>,
        ink: Ink,
        width: u32,
    },
    Dot {
        at: (f64, f64),
        ink: Ink,
        radius: u32,
    },
    Area {
        outline: Vec<(f64, f64)>,
        ink: Ink,
        strength: f64,
    },
    /// From top to bottom.
    Mark {
        x: f64,
        ink: Ink,
        width: u32,
    },
}

/// A line of the legend.
pub(crate) struct LegendEntry {
    pub(crate) sample: Sample,
    pub(crate) ink: Ink,
    pub(crate) text: String,
}

/// How the legend shows what it speaks of.
#[derive(Clone, Copy)]
pub(crate) enum Sample {
    Line(u32),
    Area(f64),
    Mark(u32),
    /// Only words.
    None,
}

/// Where a picture will be seen; in pixels.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    width: u32,
    plot_height: u32,
}

impl Size {
    pub(crate) const WIDE: Size = Size { width: 860, plot_height: 250 };
    pub(crate) const NARROW: Size = Size { width: 380, plot_height: 220 };
}

type Drawn<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Letters 12.1 pixels high: the library writes 1/1.24 of what it is asked for.
const FONT: f64 = 15.0;
const ROW: i32 = 20;
const SAMPLE: i32 = 18;
const GAP: i32 = 6;
const BETWEEN: i32 = 18;
const MARGIN: i32 = 2;
/// Half of the last label's width.
const RIGHT: i32 = 22;
/// Ticks stand no closer than this.
const X_TICK: u32 = 50;
const Y_TICK: u32 = 28;

impl Canvas {
    /// `None` when the drawing library failed, which it doesn't into memory.
    pub(crate) fn svg(&self, size: Size) -> Option<String> {
        let legend = self.legend_places(size.width as i32);
        let legend_height = legend.last().map_or(0, |(_, row, _)| row + ROW) + GAP;
        // The y axis's title has a row of its own above the plot, where it needs not be turned.
        let top = legend_height + ROW + GAP;
        let height = top as u32 + size.plot_height + 48;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (size.width, height)).into_drawing_area();
            self.draw_legend(&root, &legend).ok()?;
            self.draw(&root, size, top).ok()?;
            root.present().ok()?;
        }
        Some(svg)
    }

    fn draw(&self, root: &Area<'_>, size: Size, top: i32) -> Drawn<()> {
        let y_ticks = self.y.ticks((size.plot_height / Y_TICK) as usize);
        let longest = y_ticks.iter().map(|place| width_of(&self.y.label(*place))).max().unwrap_or(0);
        let left = longest + 14;
        root.draw_text(&self.y.title, &text(HPos::Left, VPos::Center), (MARGIN, top - ROW / 2 - GAP))?;

        let ((x_from, x_to), (y_from, y_to)) = (self.x.ends(), self.y.ends());
        let plot_width = size.width.saturating_sub((left + MARGIN + RIGHT) as u32);
        let x_ticks = self.x.ticks((plot_width / X_TICK) as usize);
        let mut chart = ChartBuilder::on(root)
            .margin_top(top)
            .margin_left(MARGIN)
            .margin_right(RIGHT)
            .y_label_area_size(left)
            .x_label_area_size(44)
            .build_cartesian_2d(Ruled::new(x_from..x_to, x_ticks), Ruled::new(y_from..y_to, y_ticks))?;
        chart
            .configure_mesh()
            .bold_line_style(Ink::Grid.colour())
            .max_light_lines(0)
            .axis_style(Ink::Axis.colour())
            .label_style(text(HPos::Center, VPos::Center))
            .axis_desc_style(text(HPos::Center, VPos::Center))
            .set_all_tick_mark_size(4)
            .x_label_formatter(&|place| self.x.label(*place))
            .y_label_formatter(&|place| self.y.label(*place))
            .x_desc(self.x.title.clone())
            .draw()?;

        let place = |(x, y): &(f64, f64)| (self.x.place(*x), self.y.place(*y));
        for shape in &self.shapes {
            match shape {
                Shape::Line { points, ink, width } => {
                    let style = ink.colour().stroke_width(*width);
                    let points: Vec<_> = points.iter().map(place).collect();
                    chart.draw_series([PathElement::new(points, style)])?;
                }
                Shape::Dot { at, ink, radius } => {
                    chart.draw_series([Circle::new(place(at), *radius, ink.colour().filled())])?;
                }
                Shape::Area { outline, ink, strength } => {
                    let outline: Vec<_> = outline.iter().map(place).collect();
                    chart.draw_series([Polygon::new(outline, ink.colour().mix(*strength).filled())])?;
                }
                Shape::Mark { x, ink, width } => {
                    let x = self.x.place(*x);
                    let style = ink.colour().stroke_width(*width);
                    chart.draw_series([PathElement::new(vec![(x, y_from), (x, y_to)], style)])?;
                }
            }
        }
        Ok(())
    }

    /// Left, top and text of each entry: side by side as far as there is room, none longer than a row.
    fn legend_places(&self, width: i32) -> Vec<(i32, i32, String)> {
        let room = width - 2 * MARGIN;
        let (mut x, mut y) = (0, GAP);
        let mut places = Vec::new();
        for entry in &self.legend {
            let before = entry.sample.width();
            let text = clipped(&entry.text, room - before);
            let wide = before + width_of(&text);
            if x > 0 && x + wide > room {
                (x, y) = (0, y + ROW);
            }
            places.push((MARGIN + x, y, text));
            x += wide + BETWEEN;
        }
        places
    }

    fn draw_legend(&self, root: &Area<'_>, places: &[(i32, i32, String)]) -> Drawn<()> {
        for (entry, (x, y, words)) in self.legend.iter().zip(places) {
            let (left, middle) = (*x, y + ROW / 2);
            let colour = entry.ink.colour();
            match entry.sample {
                Sample::Line(width) => {
                    let line = vec![(left, middle), (left + SAMPLE, middle)];
                    root.draw(&PathElement::new(line, colour.stroke_width(width)))?;
                }
                Sample::Area(strength) => {
                    let corners = [(left, middle - 6), (left + SAMPLE, middle + 6)];
                    root.draw(&Rectangle::new(corners, colour.mix(strength).filled()))?;
                }
                Sample::Mark(width) => {
                    let line = vec![(left + SAMPLE / 2, middle - 7), (left + SAMPLE / 2, middle + 7)];
                    root.draw(&PathElement::new(line, colour.stroke_width(width)))?;
                }
                Sample::None => {}
            }
            root.draw_text(words, &text(HPos::Left, VPos::Center), (left + entry.sample.width(), middle))?;
        }
        Ok(())
    }
}

impl Sample {
    fn width(self) -> i32 {
        match self {
            Sample::None => 0,
            _ => SAMPLE + GAP,
        }
    }
}

/// An axis as the drawing library knows it: from here to there, with our ticks instead of its own.
struct Ruled {
    line: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ruled {
    fn new(ends: Range<f64>, ticks: Vec<f64>) -> Ruled {
        Ruled { line: ends.into(), ticks }
    }
}

impl Ranged for Ruled {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.line.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.line.range()
    }
}

fn text(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    ("sans-serif", FONT).into_font().color(&Ink::Text.colour()).pos(Pos::new(horizontal, vertical))
}

/// In pixels, rather too wide: nobody knows the fonts of the reader's machine.
fn width_of(text: &str) -> i32 {
    let width = |letter: char| match letter {
        'f' | 'i' | 'j' | 'l' | 'r' | 't' | ' ' | '.' | ',' | ':' | '-' | '(' | ')' | '|' => 4.5,
        'm' | 'w' | 'M' | 'W' | '%' | '→' => 10.5,
        narrow if narrow.is_ascii() => 7.2,
        _ => 12.5,
    };
    text.chars().map(width).sum::<f64>().ceil() as i32
}

/// A text that fits; what is left out is in the middle, as the ends tell names apart.
fn clipped(text: &str, room: i32) -> String {
    let all: Vec<char> = text.chars().collect();
    let kept = |letters: usize| {
        let (head, tail) = (letters.div_ceil(2), letters / 2);
        let ends = all.iter().take(head).chain(['…'].iter()).chain(all.iter().skip(all.len() - tail));
        ends.collect::<String>()
    };
    match width_of(text) <= room {
        true => text.to_owned(),
        false => (0..all.len()).rev().map(kept).find(|text| width_of(text) <= room).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_wraps_and_no_entry_is_longer_than_a_row() {
        let entry =
            |text: &str| LegendEntry { sample: Sample::Line(2), ink: Ink::Blue, text: text.to_owned() };
        let canvas = Canvas {
            x: Axis::time(0.0, 1.0),
            y: Axis::counts(0.0, 1.0, ""),
            shapes: Vec::new(),
            legend: vec![entry("one"), entry("two"), entry(&"long".repeat(50)), entry("last")],
        };
        let places = canvas.legend_places(380);
        let rows: Vec<i32> = places.iter().map(|(_, y, _)| (y - GAP) / ROW).collect();
        assert_eq!(rows, [0, 0, 1, 2]);
        assert!(places.iter().all(|(x, _, text)| x + SAMPLE + GAP + width_of(text) <= 380));
        assert!(canvas.svg(Size::NARROW).unwrap().contains("sans-serif"));
    }

    #[test]
    fn both_ends_of_a_long_name_stay() {
        assert_eq!(clipped("model:air-400-white", 70), "mode…hite");
        assert_eq!(clipped("short", 70), "short");
    }
}
