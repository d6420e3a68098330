//! Tests whole pages, their charts, and what is printed, with made-up figures.

pub(super) mod fixtures;

use std::time::Duration;

use serde_json::Value;

use super::charts::{Stock, charts};
use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::figures::{AnswerClass, Figures, OPENING_BINS};
use crate::proof::rules::Rule;
use crate::report::page::Page;
use crate::verdict::{Quantiles, Word};
use fixtures::{SECOND, run, running_down, rush, verdict};

fn full() -> (Verdict, Page) {
    let verdict = verdict(&rush(), "");
    let page = Page::of(&verdict, charts(&rush(), &running_down()), true);
    (verdict, page)
}

/// The charts' data, and as the script reads them.
fn json(html: &str) -> &str {
    html.split_once(" id=\"charts\">").unwrap().1.split_once("</script>").unwrap().0
}

fn data(html: &str) -> Value {
    serde_json::from_str(json(html)).unwrap()
}

fn chart(figures: &Figures, stock: &Stock, title: &str) -> Value {
    charts(figures, stock).into_iter().find(|chart| chart.title == title).unwrap().data
}

fn labels(chart: &Value) -> Vec<&str> {
    chart["series"].as_array().unwrap().iter().map(|series| series["label"].as_str().unwrap()).collect()
}

/// The page without the contents of its scripts, and the number of scripts.
fn without_scripts(html: &str) -> (String, usize) {
    let mut parts = html.split("<script");
    let mut rest = parts.next().unwrap().to_owned();
    let scripts = parts.map(|part| rest += part.split_once("</script>").unwrap().1).count();
    (rest, scripts)
}

/// Instead of an HTML parser: checks that every opened tag is closed in order.
fn assert_balanced(html: &str) {
    const VOID: [&str; 4] = ["meta", "link", "!DOCTYPE", "!--"];
    let mut open = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        let name = tag.split([' ', '\n', '/']).find(|name| !name.is_empty()).unwrap();
        match tag.starts_with('/') {
            true => assert_eq!(open.pop(), Some(name), "<{tag}> closes another"),
            false if tag.ends_with('/') || VOID.contains(&name) => {}
            false => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

#[test]
fn a_full_page_needs_no_other_file() {
    let html = full().1.html();
    assert!(html.contains(html::UPLOT) && !html.contains("{{"));
    let (page, scripts) = without_scripts(&html);
    assert_balanced(&page);
    assert_eq!(scripts, 3, "data, uPlot, our own");
    assert!(html.contains(
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'nonce-"
    ));
    // A gateway's address is a text.
    let html = html.replace(html::UPLOT, "").replace("http://one:1", "");
    for reference in
        ["http:", "https:", "//w", "src=", "url(", "@import", "import(", "fetch(", "onload", "innerHTML"]
    {
        assert!(!html.contains(reference), "the page has {reference}");
    }
    for reference in ["http:", "https:", "fetch(", "XMLHttpRequest", "WebSocket", "innerHTML"] {
        assert!(
            !html::UPLOT.replace("https://github.com/leeoniya/uPlot ", "").contains(reference),
            "{reference}"
        );
    }
    // The empty icon, and the files beside the page.
    let links: Vec<&str> =
        html.split("href=\"").skip(1).map(|link| link.split('"').next().unwrap()).collect();
    assert_eq!(links, ["data:,", "goose.html", "verdict.json", "seconds.csv"]);
}

#[test]
fn two_pages_have_two_nonces() {
    let nonce = || full().1.html().split("nonce=\"").nth(1).unwrap()[..16].to_owned();
    assert_ne!(nonce(), nonce());
}

#[test]
fn texts_stay_texts() {
    let evil = "</title></style></script><script>alert('1')</script>\" onload=\"x\u{0}\u{2028}![x](//w) <!-- {{script}} `";
    let stock = [(format!("model:a{evil}"), vec![(0, 9), (9, 0)])].into();
    let page = Page::of(&verdict(&rush(), evil), charts(&rush(), &stock), true);
    let html = page.html();
    let (rest, scripts) = without_scripts(&html);
    assert_balanced(&rest);
    assert_eq!(scripts, 3);
    assert!(rest.split('<').all(|tag| !tag.split('>').next().unwrap().contains("onload")));
    assert!(!html.contains('\u{0}') && !html.contains("<img"));
    let shown = "&lt;/title&gt;&lt;/style&gt;&lt;/script&gt;&lt;script&gt;alert(";
    let texts = [
        "crowd",
        "national-good-car",
        "1/2",
        "before",
        "&lt; 250ms",
        "470 ms",
        "loadtest crowd",
        "http://one:1",
        "model:air-400-white",
        "timeout",
        "pay",
        "ledger does not have it",
        "124 % more",
        "12×",
        "model:a",
    ];
    for text in texts {
        assert!(html.contains(&format!("{text}{shown}")), "{text}");
    }
    let data = data(&html);
    assert_eq!(labels(&data["Stock running down"]), [format!("model:a{evil}: 9 → 0")]);
    assert!(!json(&html).contains(['<', '\u{2028}']));
}

#[test]
fn the_verdict_is_a_word_and_a_colour() {
    for (word, class) in [("PASS", "pass"), ("FAIL", "fail"), ("INVALID", "invalid")] {
        let html = Page { word, ..Page::default() }.html();
        assert!(html.contains(&format!("<p class=\"verdict {class}\"><strong>{word}</strong>")));
    }
}

#[test]
fn each_colour_is_there_for_light_and_for_dark_surroundings() {
    let html = full().1.html();
    let (light, dark) = html.split_once("@media screen and (prefers-color-scheme: dark)").unwrap();
    for chart in data(&html).as_object().unwrap().values() {
        for series in chart["series"].as_array().unwrap() {
            let colour = format!("--{}: #", series["colour"].as_str().unwrap());
            assert!(light.contains(&colour) && dark.contains(&colour), "{colour}");
        }
    }
}

#[test]
fn both_files_agree_with_verdict_json() {
    let (verdict, page) = full();
    let (html, markdown) = (page.html(), page.markdown());
    assert!(
        markdown.starts_with("# Load test of national-good-car\n\n**FAIL** acknowledged-is-in-ledger 12×\n")
    );
    let mut rows: Vec<Vec<String>> = Vec::new();
    let quantiles = |of: &Quantiles| [of.p50, of.p90, of.p99, of.p999, of.max].map(ms);
    for (name, of) in &verdict.latency_ms {
        let share = 100.0 * of.count as f64 / verdict.outcomes.values().sum::<u64>() as f64;
        let cells = [(*name).to_owned(), page::grouped(of.count), format!("{share:.1} %")];
        rows.push(cells.into_iter().chain(quantiles(of)).collect());
    }
    for (name, of) in &verdict.requests {
        let counts =
            [of.sent, of.failed, of.limited, of.shed, of.lost, of.steps.undecided].map(page::grouped);
        let rate = format!("{:.1}/s", of.rate);
        let cells = [name.clone()].into_iter().chain(counts).chain([rate]);
        rows.push(cells.chain(quantiles(&of.latency_ms.sent)).collect());
    }
    for judged in &verdict.thresholds {
        rows.push(vec![judged.threshold.clone(), judged.measured.clone(), met(judged).to_owned()]);
    }
    for of in &verdict.gateways {
        let counts = [of.sent, of.failed, of.limited, of.shed, of.lost].map(page::grouped);
        let cells = [of.gateway.clone()].into_iter().chain(counts).chain([format!("{:.1}/s", of.rate)]);
        rows.push(cells.chain(quantiles(&of.latency_ms)).collect());
    }
    let (identity, target) = (&verdict.identity, &verdict.targets[0]);
    rows.push(vec!["run".to_owned(), identity.run_id.clone()]);
    rows.push(vec!["machine".to_owned(), "host: 2 cores, 512 MiB, Linux 6.1".to_owned()]);
    rows.push(["gateway", &target.url, "0.1.0", "not known"].map(str::to_owned).to_vec());
    for d in &verdict.baseline {
        rows.push([&d.what, &d.before, &d.now, d.direction.word(), &d.why].map(str::to_owned).to_vec());
    }
    rows.push(vec!["CPU, whole run".to_owned(), "41 %".to_owned()]);
    assert!(rows.len() > 10);
    let html = html.replace(" style=\"text-align: right\"", "");
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| markdown::escaped(cell)).collect();
        assert!(markdown.contains(&format!("| {} |\n", cells.join(" | "))), "{row:?}");
        let cells: Vec<String> =
            row[1..].iter().map(|cell| format!("<td>{}</td>", html::escaped(cell))).collect();
        let row = format!("<tr><th scope=\"row\">{}</th>{}", html::escaped(&row[0]), cells.concat());
        assert!(html.contains(&row), "{row}");
    }
    let mut texts =
        vec!["17 as reservations".to_owned(), "timeout 3".to_owned(), "12 rules were broken".to_owned()];
    texts.extend(verdict.items.iter().map(equation));
    texts.extend(verdict.stores.iter().flat_map(stores_equation));
    texts.extend(verdict.violations.iter().map(ViolationReport::head));
    texts.extend(verdict.notes.clone());
    texts.push(identity.command_line.clone());
    for text in texts {
        assert!(markdown.contains(&text) && html.contains(&text), "{text}");
    }
}

#[test]
fn charts_have_a_heading_and_a_summary_in_both_files() {
    let (_, page) = full();
    let (html, markdown) = (page.html(), page.markdown());
    assert_eq!(page.charts.len(), 5);
    for chart in &page.charts {
        assert!(html.contains(&format!(
            "<h2>{}</h2>\n<p>{}</p>",
            chart.title,
            html::escaped(&chart.summary)
        )));
        let summary = markdown::escaped(&chart.summary);
        assert!(markdown.contains(&format!("## {}\n\n{summary}\n", chart.title)));
    }
}

#[test]
fn without_measurements_there_is_no_chart() {
    let mut figures = Figures::default();
    figures.opening.sent = vec![0; OPENING_BINS];
    assert!(charts(&figures, &Stock::new()).is_empty());
    assert!(charts(&figures, &[("model:a".to_owned(), Vec::new())].into()).is_empty());
}

#[test]
fn a_single_event_is_drawn_too() {
    let mut figures = Figures::default();
    figures.started(0, 400, Duration::ZERO, Duration::from_millis(5));
    figures.tapped_at_opening(3 * SECOND);
    figures.answered("reserve", 400, Duration::ZERO, (201, AnswerClass::Decided));
    figures.ended(Scenario::SPIKE, Outcome::Won, 400, Duration::ZERO);
    let charts = charts(&figures, &[("model:a".to_owned(), vec![(0, 1)])].into());
    assert_eq!(charts.len(), 4);
    assert!(charts[0].summary.ends_with("The last tap left 3.0 s after the opening."));
    for chart in charts {
        let x = chart.data["x"].as_array().unwrap();
        for series in chart.data["series"].as_array().unwrap() {
            let values = series["values"].as_array().unwrap();
            assert_eq!(values.len(), x.len());
            assert!(values.iter().any(Value::is_number), "{}", chart.title);
        }
    }
}

#[test]
fn quiet_times_are_seen_beside_a_rush() {
    assert_eq!(chart(&rush(), &Stock::new(), "Arrivals")["scale"], "asinh");
    assert_eq!(chart(&run(500, 0, 1), &Stock::new(), "Arrivals")["scale"], "linear");
}

#[test]
fn each_outcome_that_occurred_has_its_lines() {
    let chart = chart(&rush(), &Stock::new(), "Latency by outcome");
    let labels = labels(&chart);
    for name in ["winners", "losers", "limited", "shed", "unknown"] {
        assert!(labels.iter().any(|label| label.starts_with(&format!("{name} p99 ("))), "{name}");
        assert!(labels.contains(&format!("{name} p50").as_str()), "{name}");
    }
    assert_eq!(labels.len(), 10);
    assert!(chart["x"].as_array().unwrap().len() <= 123);
}

#[test]
fn stock_of_unlike_sizes_is_drawn_in_shares_and_the_rest_together() {
    let unlike = chart(&rush(), &running_down(), "Stock running down");
    assert_eq!(unlike["y"], "free, % of the most that it had");
    assert!(labels(&unlike)[8].starts_with("4 others together"));
    let alone = [("model:a".to_owned(), vec![(0, 900), (500, 0)])].into();
    let alone = chart(&rush(), &alone, "Stock running down");
    assert_eq!((&alone["y"], labels(&alone)), (&"free".into(), vec!["model:a: 900 → 0"]));
}

/// Set `LOADTEST_PAGE_DIR` to keep the files and look at them in a browser.
#[test]
fn a_page_is_written_to_a_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("LOADTEST_PAGE_DIR").map_or_else(|| temporary.path().to_owned(), Into::into);
    let one = [("model:air-400-white".to_owned(), (0..=3_000).map(|n| (n / 3, 3_000 - n)).collect())].into();
    for (word, figures, stock) in [
        (Word::Pass, rush(), running_down()),
        (Word::Fail, run(20_000, 0, 1), one),
        (Word::Invalid, run(30_000, -600, 4 * 3_600), running_down()),
    ] {
        let verdict = Verdict { verdict: word, ..verdict(&figures, "") };
        let page = Page::of(&verdict, charts(&figures, &stock), true);
        let name = dir.join(word.name().to_lowercase());
        std::fs::write(name.with_extension("html"), page.html()).unwrap();
        std::fs::write(name.with_extension("md"), page.markdown()).unwrap();
        assert!(std::fs::metadata(name.with_extension("html")).unwrap().len() < 400_000);
    }
}

#[test]
fn a_buyer_history_is_printed_with_the_first_violation_of_its_buyer() {
    let report = |rule, buyer: &str, ledger: &[&str]| ViolationReport {
        violation: Violation { rule, buyer: Some(buyer.to_owned()), reservation: None, what: "x".to_owned() },
        history: Vec::new(),
        ledger: ledger.iter().map(|line| (*line).to_owned()).collect(),
    };
    let buyers = ["a", "b", "c", "d"];
    let mut violations: Vec<_> = buyers.iter().map(|buyer| report(Rule::Contract, buyer, &[buyer])).collect();
    violations.extend(["d", "a"].map(|buyer| report(Rule::SameAgain, buyer, &[])));
    let texts = to_be_printed(&violations);
    assert_eq!(texts.len(), 4, "two of each rule");
    assert_eq!(texts[0], "violation contract a: x\n    ledger a\n");
    assert_eq!(texts[2], "violation same-again d: x\n    ledger d\n");
    assert_eq!(texts[3], "violation same-again a: x\n");
}

#[test]
fn the_stores_equation_leaves_out_unlimited_stores() {
    let stores = StoreFigures {
        total: 105,
        free: 39,
        held: 22,
        confirmed: 44,
        drift: 0,
        unlimited_held: 8,
        unlimited_confirmed: 9,
        unlimited_drift: 0,
    };
    assert_eq!(
        stores_equation(&stores),
        [
            "all stores: free 39 + held 22 + confirmed 44 = 105, drift 0",
            "stores without a limit: held 8 + confirmed 9, drift 0",
        ]
    );
}
