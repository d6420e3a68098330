//! Tests thresholds: parsing, formatting, measurement, and those without samples.

use super::*;
use crate::base::outcome::StepEnd;
use crate::figures::AnswerClass;

fn read(text: &str) -> Threshold {
    Threshold::parse(text).unwrap()
}

/// The measured words and whether it is met.
fn judge(text: &str, figures: &Figures) -> (String, Option<bool>) {
    let judged = read(text).judge(figures, Queued::default());
    assert_eq!(judged.threshold, read(text).to_string());
    (judged.measured, judged.met)
}

fn met(text: &str, figures: &Figures) -> Option<bool> {
    judge(text, figures).1
}

/// 100 honest taps: in `crowd` 10 won after 10 to 100 ms and 83 were sold out, in `spike` 7 were
/// shed. Bots: 50 limited, one won. 2 of 160 starts were late, 9 unsent, 30 retries.
fn figures() -> Figures {
    let mut figures = Figures::default();
    let mut end = |scenario, outcome, ms: std::ops::Range<u64>| {
        for ms in ms {
            figures.ended(scenario, outcome, 0, Duration::from_millis(ms));
        }
    };
    (1..=10).for_each(|n| end(Scenario::CROWD, Outcome::Won, n * 10..n * 10 + 1));
    end(Scenario::CROWD, Outcome::SoldOut, 1..84);
    end(Scenario::SPIKE, Outcome::Shed, 500..507);
    end(Scenario::BOTS, Outcome::Limited, 1..51);
    end(Scenario::BOTS, Outcome::Won, 9_000..9_001);
    for n in 0..151 {
        figures.started(0, if n < 2 { 80_000 } else { 1_000 }, Duration::ZERO, Duration::from_millis(50));
    }
    (0..9).for_each(|_| figures.unsent(0));
    requests(&mut figures);
    [1_000, 3_000, 151_000].into_iter().for_each(|us| figures.tapped_at_opening(us));
    figures.retries = 30;
    figures
}

/// Reserves: two decided after 20 and 40 ms, one failed after 60 ms, one lost after 2 s, all within 2 s. Looks: 95 are
/// seen after 5 ms, four limited, one shed. Two steps are done, one is refused; two looks of 100 are undecided. A bot's
/// requests are lost.
fn requests(figures: &mut Figures) {
    let ms = Duration::from_millis;
    figures.answered("reserve", 0, ms(20), (201, AnswerClass::Decided));
    figures.answered("reserve", 0, ms(40), (409, AnswerClass::Decided));
    figures.answered("reserve", 0, ms(60), (500, AnswerClass::Failed));
    figures.lost("reserve", 0, (ms(2_000), ms(2_000)), "no answer in time");
    (0..95).for_each(|_| figures.answered("look", 0, ms(5), (200, AnswerClass::Decided)));
    (0..4).for_each(|_| figures.answered("look", 0, ms(1), (429, AnswerClass::Limited)));
    figures.answered("look", 0, ms(1), (503, AnswerClass::Shed));
    for (name, end, count) in [
        ("confirm", StepEnd::Done, 2),
        ("confirm", StepEnd::Refused, 1),
        ("look", StepEnd::Done, 98),
        ("look", StepEnd::Undecided, 2),
    ] {
        (0..count).for_each(|_| figures.step_ended(name, end));
    }
    (0..9).for_each(|_| figures.lost("reserve-by-bots", 0, (ms(1), ms(9_000)), "connection broken"));
    figures.journey_ended(Scenario::LOOK, 0, ms(700));
}

#[test]
fn canonical_text_is_what_was_written() {
    for text in [
        "won.p99 < 250ms",
        "crowd/winners.p99.9 <= 1500ms",
        "retry-storm/losers.max > 2s",
        "sold_out.mean >= 10us",
        "wrong < 1",
        "shed < 1%",
        "bots/limited >= 99.95%",
        "unknown < 0.000001%",
        "t0_skew < 200ms",
        "t0_skew.p99 < 20ms",
        "late < 1%",
        "late.p99.999 < 50ms",
        "unsent < 1",
        "retries < 250%",
        "request.p99 < 50ms",
        "request:reserve.p50 < 50ms",
        "request:\"look at it\".p99 < 50ms",
        "request:*.failed < 1%",
        "request:*.p99.9 < 50ms",
        "request:confirm.lost < 1",
        "request:look.status:503 < 1%",
        "request:reserve.rate > 100.5/s",
        "request:reserve.answered.p99.9 < 50ms",
        "request.decided.mean < 50ms",
        "status:500 < 1",
        "lost < 1%",
        "failed < 1",
        "confirmed > 10",
        "step:*.undecided < 1%",
        "step:confirm.refused < 10",
        "look/journey.p99 < 250ms",
        "journey > 10",
        "request:\"a/b <.p9\".max < 50ms",
        "request:reserve > 1000",
    ] {
        assert_eq!(read(text).to_string(), text);
    }
    for (text, canonical) in [
        ("  won.p99.0<0.25s ", "won.p99 < 250ms"),
        ("shed<=1.50 %", "shed <= 1.5%"),
        ("crowd / won . p50 > 1m", "crowd/won.p50 > 60s"),
        ("request: reserve .mean>1s", "request:reserve.mean > 1s"),
        ("request:\"reserve\".mean>1s", "request:reserve.mean > 1s"),
        ("request.lost < 1%", "lost < 1%"),
        ("request:reserve.sent.p50 < 1s", "request:reserve.p50 < 1s"),
        ("step:cancel.done>=1", "cancelled >= 1"),
    ] {
        assert_eq!(read(text).to_string(), canonical);
        assert_eq!(read(canonical), read(text));
    }
}

#[test]
fn mistakes_are_reported_with_the_valid_names() {
    for (text, parts) in [
        ("", ["the threshold \"\"", "won.p99 < 250ms"]),
        ("won.p99 = 250ms", ["one of < <= > >= is missing", "won.p99 < 250ms"]),
        (
            "missed < 1",
            [
                "unknown figure \"missed\", expected one of won, replayed",
                "wrong, winners, losers, journey, t0_skew, late, unsent",
            ],
        ),
        ("rush/won < 1", ["unknown scenario \"rush\", expected one of spike, crowd", "retry-storm, bots"]),
        ("spike/late < 1", ["late is of the whole run", "without a scenario"]),
        ("spike/request:reserve < 1", ["request:reserve is of the whole run", "without a scenario"]),
        ("won.p100 < 1s", ["unknown statistic .p100", ".p99.9, .max or .mean"]),
        ("won.p0 < 1s", ["unknown statistic .p0", ".p50"]),
        ("won.p99.9999 < 1s", ["unknown statistic .p99.9999", ".p50"]),
        ("won.avg < 1s", ["unknown statistic .avg", ".mean"]),
        ("won.p99 < 250", ["\"250\" has no unit", "250ms or 250s"]),
        ("won.p99 < 1%", ["\"1%\" must be a time", "90s, 2m or 500ms"]),
        ("t0_skew < 1%", ["\"1%\" must be a time", "500ms"]),
        ("won < 250ms", ["is a time, and won is a count", "won.p99 < 250ms"]),
        ("retries < 250ms", ["retries is counted", "retries < 1%"]),
        ("won < many", ["\"many\" must be a whole number", "1%"]),
        ("won < -1", ["\"-1\" must be a whole number", "1%"]),
        ("won < 1.5", ["\"1.5\" must be a whole number", "1%"]),
        ("won < 101%", ["\"101%\"", "at most 100%"]),
        ("won < 0.0000001%", ["\"0.0000001%\"", "0.1%"]),
        ("unsent.p99 < 1s", ["unsent is counted, and has no times", "unsent < 1%"]),
        ("request < 1%", ["request is a share of nothing", "request.p99 < 50ms"]),
        ("request:look at it.p99 < 1s", ["in quotes", "request:\"look at it\""]),
        ("request:\"look.p99 < 1s", ["one of < <= > >= is missing", ""]),
        ("request: < 1", ["the name after request: is missing", "request:reserve"]),
        ("request:\"a\"b < 1", ["\"b\" after the name", ".p99"]),
        ("request:look.failed.p99 < 1s", ["request:look.failed is counted", "has no times"]),
        ("request:look.failed < 1s", ["request:look.failed is counted", "\"1s\" is a time"]),
        ("request:look.decided < 1", ["decided has times only", ".decided.p99"]),
        ("request:look.slow < 1", ["unknown statistic .slow", ".p50"]),
        ("request:look.status:abc < 1", ["status:abc must be a status code", "status:503"]),
        ("status:9 < 1", ["status:9 must be a status code", ""]),
        ("request:look.rate > 100", ["\"100\" must be a rate", "100/s"]),
        ("step:look < 1", ["a step is counted by its end", ".undecided"]),
        ("step:look.undecided < 1s", ["is counted", "\"1s\" is a time"]),
        ("journey < 1%", ["journey is a share of nothing", "journey.p99"]),
    ] {
        let error = Threshold::parse(text).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
    }
}

#[test]
fn times_are_of_the_scenarios_that_are_meant() {
    let figures = figures();
    assert_eq!(judge("won.max < 1s", &figures), ("100 ms".to_owned(), Some(true)));
    assert_eq!(judge("bots/won.max < 1s", &figures), ("9.0 s".to_owned(), Some(false)));
    assert_eq!(met("winners.p50 <= 51ms", &figures), Some(true));
    assert_eq!(met("winners.p50 < 49ms", &figures), Some(false));
    assert_eq!(met("won.p90.001 > 95ms", &figures), Some(true));
    assert_eq!(met("won.p90 > 95ms", &figures), Some(false));
    assert_eq!(met("losers.mean > 41ms", &figures), Some(true));
    assert_eq!(met("late.p99 > 50ms", &figures), Some(true));
    assert_eq!(met("late.p50 < 2ms", &figures), Some(true));
    assert_eq!(met("request.max >= 1990ms", &figures), Some(true));
    assert_eq!(met("request.max < 3s", &figures), Some(true), "without bots");
    assert_eq!(met("request:look.max < 6ms", &figures), Some(true));
    assert_eq!(met("look/journey.max > 690ms", &figures), Some(true));
}

#[test]
fn the_opening_is_from_its_first_tap_to_its_last() {
    let figures = figures();
    assert_eq!(judge("t0_skew <= 150ms", &figures), ("150 ms".to_owned(), Some(true)));
    assert_eq!(met("t0_skew < 150ms", &figures), Some(false));
    assert_eq!(met("t0_skew.p50 < 4ms", &figures), Some(true));
}

#[test]
fn shares_and_counts_are_exact() {
    let figures = figures();
    assert_eq!(judge("shed <= 7%", &figures), ("7.00 % (7 of 100)".to_owned(), Some(true)));
    assert_eq!(met("shed < 7%", &figures), Some(false));
    assert_eq!(met("shed < 7.000001%", &figures), Some(true));
    assert_eq!(judge("bots/limited < 99%", &figures), ("98.04 % (50 of 51)".to_owned(), Some(true)));
    assert_eq!(judge("spike/shed >= 100%", &figures), ("100.00 % (7 of 7)".to_owned(), Some(true)));
    assert_eq!(judge("limited < 1", &figures), ("0".to_owned(), Some(true)));
    assert_eq!(judge("winners >= 10", &figures), ("10".to_owned(), Some(true)));
    assert_eq!(judge("late < 1%", &figures), ("1.25 % (2 of 160)".to_owned(), Some(false)));
    assert_eq!(judge("unsent < 10", &figures), ("9".to_owned(), Some(true)));
    assert_eq!(judge("retries < 20%", &figures), ("19.87 % (30 of 151)".to_owned(), Some(true)));
    assert_eq!(judge("request:reserve > 1", &figures), ("4".to_owned(), Some(true)));
}

#[test]
fn a_lost_request_counts_with_its_timeout() {
    let figures = figures();
    assert_eq!(judge("request:reserve.p99 < 1s", &figures), ("2.0 s".to_owned(), Some(false)));
    assert_eq!(judge("request:reserve.answered.max < 61ms", &figures), ("60 ms".to_owned(), Some(true)));
    assert_eq!(judge("request:reserve.decided.max < 41ms", &figures), ("40 ms".to_owned(), Some(true)));
    assert_eq!(
        judge("request:reserve.rate >= 1.5/s", &figures),
        ("1.5/s (3 in 2.0 s)".to_owned(), Some(true))
    );
    assert_eq!(met("request:reserve.rate > 1.5/s", &figures), Some(false));
}

#[test]
fn requests_and_steps_are_judged_by_name_and_together() {
    let figures = figures();
    for (text, measured, is_met) in [
        ("request:reserve.failed < 1%", "25.00 % (1 of 4)", false),
        ("request:look.limited < 4%", "4.00 % (4 of 100)", false),
        ("request:look.shed <= 1", "1", true),
        ("lost < 1%", "0.96 % (1 of 104)", true),
        ("request:*.lost < 1%", "reserve 25.00 % (1 of 4)", false),
        ("request:*.limited < 1%", "look 4.00 % (4 of 100)", false),
        ("request:*.limited < 5%", "met by each of look, reserve", true),
        ("request:*.max < 3ms", "look 5.0 ms, reserve 2.0 s", false),
        ("request:reserve-by-bots.lost < 1", "9", false),
        ("status:500 < 1", "1", false),
        ("request:look.status:500 < 1", "0", true),
        ("step:*.undecided < 1%", "look 2.00 % (2 of 100)", false),
        ("step:confirm.refused < 34%", "33.33 % (1 of 3)", true),
        ("confirmed > 1", "2", true),
        ("cancelled > 0", "0", false),
        ("request:time.rate > 1/s", "0.0/s (0 in 0 µs)", false),
        ("step:cancel.done > 90%", "0.00 % (0 of 0)", false),
        ("request:reserve-by-bots.max > 8s", "9.0 s", true),
    ] {
        assert_eq!(judge(text, &figures), (measured.to_owned(), Some(is_met)), "{text}");
    }
}

#[test]
fn without_samples_nothing_is_judged() {
    let (none, some) = (Figures::default(), figures());
    for (text, figures, why) in [
        ("won.p99 < 1s", &none, "no taps of honest buyers"),
        ("wrong < 1", &none, "no taps of honest buyers"),
        ("shed < 1%", &none, "no taps of honest buyers"),
        ("soak/shed < 1%", &some, "no taps of soak"),
        ("wrong.p99 < 1s", &some, "none of 100 taps of honest buyers ended as wrong"),
        ("t0_skew < 1s", &none, "no tap was meant for the opening"),
        ("late < 1%", &none, "nothing was to start"),
        ("retries < 1", &none, "no taps"),
        ("request.p99 < 1s", &none, "no requests"),
        (
            "request:time.p99 < 1s",
            &some,
            "no requests \"time\"; there were: confirm, look, reserve, reserve-by-bots",
        ),
        ("request:reserve.decided.p99 < 1s", &none, "no requests \"reserve\"; there were: "),
        ("request:*.failed < 1%", &none, "no requests"),
        ("step:*.undecided < 1%", &none, "no step ended"),
        ("step:confirm.undecided < 1%", &none, "no step \"confirm\" ended"),
        ("request:look.rate < 1/s", &none, "no requests \"look\"; there were: "),
        ("crowd/journey.p99 < 1s", &some, "no journey of crowd"),
    ] {
        assert_eq!(judge(text, figures), (why.to_owned(), None), "{text}");
    }
}

#[test]
fn a_quantile_takes_no_value_too_many() {
    let mut figures = Figures::default();
    for n in 1..=1000 {
        figures.ended(Scenario::SPIKE, Outcome::Won, 0, Duration::from_secs(if n == 1000 { 60 } else { 1 }));
    }
    assert_eq!(met("won.p99.9 < 2s", &figures), Some(true));
    assert_eq!(met("won.p99.901 < 2s", &figures), Some(false));
}

#[test]
fn what_rounds_to_its_limit_is_reported_finely() {
    let mut figures = Figures::default();
    figures.tapped_at_opening(0);
    figures.tapped_at_opening(250_400);
    assert_eq!(judge("t0_skew <= 250ms", &figures), ("250 ms (250400 µs)".to_owned(), Some(false)));
}
