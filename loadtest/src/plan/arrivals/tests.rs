//! Tests schedules: parsing, scaling, and the number and instants of starts.

use super::*;

fn read(text: &str) -> Arrivals {
    Arrivals::parse(text).unwrap()
}

fn starts(text: &str, buyers: usize) -> Vec<i64> {
    read(text).offsets(buyers, &mut Rng::with_seed(1)).collect()
}

/// A file with a table, and the text of its schedule.
fn table(rows: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rows).unwrap();
    let text = format!("csv:{}", file.path().display());
    (file, text)
}

#[test]
fn at_once_is_the_instant_of_the_opening() {
    assert_eq!((starts("at-once", 3), read("at-once").count()), (vec![0; 3], None));
}

#[test]
fn a_constant_rate_is_even_and_complete() {
    assert_eq!(starts("constant:500/s", 3), [1_000, 3_000, 5_000]);
    assert_eq!(starts("constant:0.5/s:10s", 100), [1_000_000, 3_000_000, 5_000_000, 7_000_000, 9_000_000]);
    assert_eq!(read("constant:500/s").count(), None);
    assert_eq!(read("constant:500/s:30s").count(), Some(15_000));
    assert_eq!(starts("constant:1000000/s:2s", usize::MAX).len(), 2_000_000);
}

#[test]
fn what_would_start_beyond_the_horizon_is_left_out() {
    assert_eq!(starts("constant:0.00001/s", usize::MAX).len(), 864);
    assert_eq!(starts(&format!("poisson:0.{}1/s", "0".repeat(300)), 5).len(), 0);
}

#[test]
fn a_ramp_follows_the_integral() {
    let starts = starts("ramp:0/s..500/s:30s", usize::MAX);
    assert_eq!((starts.len(), read("ramp:0/s..500/s:30s").count()), (7_500, Some(7_500)));
    for (k, at) in starts.iter().enumerate() {
        // 500 / 30 / 2 · t² = k + 1/2
        let expected = ((k as f64 + 0.5) * 60.0 / 500.0).sqrt();
        assert!((*at as f64 / 1e6 - expected).abs() < 2e-6, "start {k} is at {at}");
    }
}

#[test]
fn a_ramp_down_is_a_ramp_up_in_a_mirror() {
    let up = starts("ramp:3/s..70/s:20s", usize::MAX);
    let down = starts("ramp:70/s..3/s:20s", usize::MAX);
    assert_eq!(up.len(), down.len());
    assert!(up.iter().zip(down.iter().rev()).all(|(up, down)| (up + down - 20_000_000).abs() <= 2));
    assert_eq!(starts("ramp:100/s..0/s:10s", usize::MAX).len(), 500);
}

#[test]
fn each_step_has_its_share() {
    let starts = starts("step:100/s:10s,0/s:5s,500/s:1500ms,1/s:2s", usize::MAX);
    let within = |from: i64, to: i64| starts.iter().filter(|at| (from..to).contains(*at)).count();
    let shares =
        [(0, 10), (10, 15), (15, 16), (16, 30)].map(|(from, to)| within(from * 1_000_000, to * 1_000_000));
    assert_eq!(shares, [1_000, 0, 500, 252]);
}

#[test]
fn a_table_may_begin_before_the_opening() {
    let (_file, text) = table("second,rate\n# early ones\n-2.5,2\n-0.5,0\n0,10\n1,0\n");
    let starts = starts(&text, usize::MAX);
    assert_eq!(starts[..5], [-2_250_000, -1_750_000, -1_250_000, -750_000, 50_000]);
    assert_eq!((starts.len(), read(&text).count()), (14, Some(14)));
    assert_eq!(read(&text).scaled(0.5).count(), Some(7));
}

#[test]
fn random_schedules_have_as_many_starts_by_any_instant_as_the_integral() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let mut steps = Vec::new();
        for _ in 0..rng.usize(1..8) {
            let rate = if rng.u8(0..4) == 0 { 0.0 } else { rng.f64() * 300.0 };
            steps.push((rate, rng.u64(1..5_000)));
        }
        steps.push((10.0, 1_000));
        let text: Vec<String> = steps.iter().map(|(rate, ms)| format!("{rate}/s:{ms}ms")).collect();
        let arrivals = read(&format!("step:{}", text.join(",")));
        let starts: Vec<i64> = arrivals.offsets(usize::MAX, &mut rng).collect();
        assert!(starts.is_sorted() && arrivals.count() == Some(starts.len()), "seed {seed}");
        let (mut integral, mut at) = (0.0, 0);
        for (rate, ms) in steps {
            integral += rate * ms as f64 / 1000.0;
            at += ms as i64 * 1000;
            let before = starts.iter().filter(|start| **start <= at).count() as f64;
            assert!((before - integral).abs() <= 0.51, "seed {seed}: {before} starts, {integral} wanted");
        }
        let few = rng.usize(0..10);
        assert_eq!(
            arrivals.offsets(few, &mut rng).collect::<Vec<_>>(),
            starts[..few.min(starts.len())],
            "seed {seed}"
        );
    }
}

#[test]
fn random_ramps_are_inverted_exactly() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let (from, to, seconds) = (rng.f64() * 100.0, rng.f64() * 100.0, rng.u32(1..40));
        let starts = starts(&format!("ramp:{from}/s..{to}/s:{seconds}s"), usize::MAX);
        for (k, at) in starts.iter().enumerate() {
            let t = *at as f64 / 1e6;
            let integral = from * t + (to - from) / f64::from(seconds) * t * t / 2.0;
            assert!((integral - k as f64 - 0.5).abs() < 1e-3, "seed {seed}, start {k}: {integral}");
        }
    }
}

#[test]
fn chance_keeps_to_its_rate_and_its_seed() {
    let arrivals = read("poisson:200/s:60s");
    assert_eq!((arrivals.count(), read("poisson:200/s").count()), (Some(12_000), None));
    let of = |seed| arrivals.offsets(usize::MAX, &mut Rng::with_seed(seed)).collect::<Vec<_>>();
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
    for seed in 0..20 {
        let starts = of(seed);
        // Five standard deviations of a Poisson count.
        assert!(starts.len().abs_diff(12_000) < 550, "seed {seed}: {}", starts.len());
        assert!(starts.is_sorted() && starts.last().is_some_and(|at| *at < 60_000_000));
        // Gaps are exponential: their variance is the square of their mean, which no even schedule has.
        let gaps: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance / mean.powi(2) - 1.0).abs() < 0.15, "seed {seed}");
    }
    assert_eq!(read("poisson:200/s").offsets(5, &mut Rng::with_seed(3)).count(), 5);
}

#[test]
fn a_scaled_schedule_has_rates_that_could_be_written() {
    let (_file, table) = table("0,100\n7.25,0\n");
    let texts = [
        "at-once",
        "constant:500/s",
        "constant:0.5/s:30s",
        "ramp:0/s..500/s:1500ms",
        "ramp:7/s..0/s:2s",
        "step:100/s:10s,0/s:10s,1000000/s:1s",
        "poisson:200/s",
        "poisson:33.3/s:90s",
        &table,
    ];
    for text in texts {
        let rates = |arrivals: &Arrivals| -> Vec<f64> {
            arrivals.curve.pieces().iter().flat_map(|piece| [piece.from, piece.to]).collect()
        };
        let before = rates(&read(text));
        let mut rng = Rng::with_seed(11);
        for factor in std::iter::repeat_with(|| rng.f64() * 3.0).take(50).chain([1e-300, 1e300]) {
            let scaled = read(text).scaled(factor).scaled(factor);
            for (before, after) in before.iter().zip(rates(&scaled)) {
                assert_eq!(*before > 0.0, after > 0.0, "{text} {factor}");
                assert!(after <= RATE_MAX, "{text} {factor}: {after}");
            }
            assert_eq!(scaled.count().is_some(), read(text).count().is_some(), "{text} {factor}");
        }
    }
    assert_eq!(read(" step: 5/s:1m , 2.50/s :90 "), read("step:5/s:60s,2.5/s:90s"));
}

#[test]
fn scaling_changes_the_rates_only() {
    assert_eq!(read("ramp:0/s..500/s:30s").scaled(0.5), read("ramp:0/s..250/s:30s"));
    assert_eq!(read("step:2/s:1s,0/s:1s").scaled(3.0), read("step:6/s:1s,0/s:1s"));
    assert_eq!(read("constant:900000/s").scaled(2.0), read("constant:1000000/s"));
    for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(read("poisson:5/s").scaled(nothing), read("poisson:5/s"));
    }
}

#[test]
fn a_mistake_is_reported_with_the_input_and_an_example() {
    let (_file, zero) = table("0,0\n1,0\n");
    let (_other, broken) = table("0,5\n1,x\n2,0\n");
    let broken_line = format!("{}:2: the rate \"x\"", &broken[4..]);
    for (text, parts) in [
        ("", ["the arrivals \"\": unknown schedule", "at-once, constant:500/s:30s"]),
        ("constnt:5/s", ["constnt:5/s", "unknown schedule"]),
        ("at-once:5s", ["unknown schedule", "at-once, "]),
        ("constant", ["the rate \"\"", "write constant:500/s or constant:500/s:30s"]),
        ("constant:500", ["the rate \"500\" must be a number", "with /s after it"]),
        ("constant:0/s", ["a rate must be above 0", "constant:500/s"]),
        ("constant:-5/s", ["the rate \"-5/s\"", "up to 1000000"]),
        ("constant:1000001/s", ["the rate \"1000001/s\"", "up to 1000000"]),
        ("constant:inf/s", ["the rate \"inf/s\"", "number"]),
        ("constant:1e3/s", ["the rate \"1e3/s\"", "number"]),
        ("constant:5/s:soon", ["the time \"soon\": write it as 90s", "constant:500/s:30s"]),
        ("constant:5/s:0s", ["the time \"0s\" must be above 0", "constant:500/s:30s"]),
        ("poisson:5/s:99999d", ["the time \"99999d\"", "poisson:200/s:60s"]),
        ("poisson:5/s:86400001s", ["longer than 86400000 s", "poisson:200/s:60s"]),
        ("ramp:0/s..500/s", ["the time that the ramp takes", "ramp:0/s..500/s:30s"]),
        ("ramp:500/s:30s", ["two rates with .. between", "ramp:0/s..500/s:30s"]),
        ("ramp:0/s..0/s:3s", ["no start", "ramp:0/s..500/s:30s"]),
        ("step:100/s", ["the step \"100/s\"", "step:100/s:10s,500/s:10s"]),
        ("step:100/s:1s,", ["the step \"\"", "step:100/s:10s"]),
        ("step:1/s:80000000s,1/s:80000000s", ["goes on for more than", "step:100/s:10s"]),
        ("csv:", ["the file's name is missing", "csv:FILE"]),
        ("csv:/nowhere/at-all", ["/nowhere/at-all can't be read", "`-2.5,100`"]),
        ("0*csv:x", ["the factor \"0\"", "0.5*csv:FILE"]),
        (&zero, ["no start", "csv:FILE"]),
        (&broken, [&broken_line, "csv:FILE"]),
    ] {
        let error = Arrivals::parse(text).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
    }
}
