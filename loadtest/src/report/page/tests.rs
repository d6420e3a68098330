//! The tests of whole pages and of the pictures, with made-up figures.

use std::time::Duration;

use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::figures::{Figures, OPENING_BINS};

const SECOND: i64 = 1_000_000;

/// A minute and a half with a rush at the opening.
fn rush() -> Figures {
    run(6_000, -30, 60)
}

/// So many arrivals between these seconds, two of three at the opening; the same again each time, so that a page
/// can be compared by eye.
fn run(arrivals: u32, from: i64, to: i64) -> Figures {
    let mut random = fastrand::Rng::with_seed(7);
    let mut figures = Figures::default();
    let ms = Duration::from_millis;
    for n in 0..arrivals {
        // Most come at once, the others look around before and after.
        let at = match n % 3 {
            0 => random.i64(from * SECOND..to * SECOND),
            _ => random.i64(0..2 * SECOND) * random.i64(0..100) / 100,
        };
        let sent = at + random.i64(100..30_000);
        figures.started(at, sent, ms(50));
        if at < 0 {
            figures.answered("look at the sale", sent, ms(random.u64(1..9)), false);
            continue;
        }
        let took = ms(random.u64(2..40) * if at < SECOND { 12 } else { 1 });
        if at < SECOND {
            figures.tapped_at_opening(sent);
        }
        figures.answered("reserve", sent, took, true);
        let ended = sent + i64::try_from(took.as_micros()).unwrap();
        let outcome = match n {
            n if n % 97 == 0 => Outcome::Unknown,
            n if n % 31 == 0 => Outcome::Shed,
            n if n % 17 == 0 => Outcome::Limited,
            n if n % 5 == 0 => Outcome::Won,
            _ => Outcome::SoldOut,
        };
        figures.ended(Scenario::Crowd, outcome, ended, took);
    }
    figures
}

/// Twelve items that run down and in part come back.
fn running_down() -> charts::Stock {
    let mut random = fastrand::Rng::with_seed(8);
    let items = ["model:air-400-white", "model:air-400-black", "package:cover"];
    let stores = (1..=9).map(|n| format!("store:gz-{n:04}"));
    let mut stock = charts::Stock::new();
    for (n, item) in items.map(str::to_owned).into_iter().chain(stores).enumerate() {
        let mut free = [3_000, 1_200, 5_000].get(n).copied().unwrap_or(40 + n as i64);
        let pace = (free / 40).max(1);
        let mut points = vec![(-3_600_000, free)];
        for step in 0..60 {
            free = (free - random.i64(0..=pace)).max(0);
            points.push((step * step * 15 + random.i64(0..15), free));
        }
        points.push((58_000, free + pace));
        stock.insert(item, points);
    }
    stock
}

/// Everything that a page can have.
fn full(verdict_word: &str) -> Page {
    page_of(verdict_word, &rush(), &running_down())
}

fn page_of(verdict_word: &str, figures: &Figures, stock: &charts::Stock) -> Page {
    let mut requests = Table::of(["request", "count", "p50", "p99"], &[1, 2, 3]);
    for (name, latency) in &figures.requests {
        let at = |quantile| latency.at(quantile).map(crate::base::span::words).unwrap_or_default();
        requests.rows.push(vec![name.clone(), grouped(latency.count()), at(0.5), at(0.99)]);
    }
    let mut items = Table::of(["item", "total", "free", "drift"], &[1, 2, 3]);
    for (item, points) in stock {
        let free = |point: Option<&(i64, i64)>| point.map(|(_, free)| free.to_string()).unwrap_or_default();
        items.rows.push(vec![item.clone(), free(points.first()), free(points.last()), "0".to_owned()]);
    }
    let mut long = Table::of(["buyer <b>", "what | happened"], &[]);
    long.rows.extend(
        (0..60).map(|n| vec![format!("buyer-{n}"), "Hold #17 shown as <held> & \"confirmed\"".into()]),
    );
    let table = |title: &str, table| Section { table: Some(table), ..Section::titled(title) };
    let mut sections = vec![table("Requests", requests), table("The ledger", items)];
    let pictures = [
        charts::arrivals(figures),
        charts::latency(figures),
        charts::stock(figures, stock),
        charts::opening(figures),
    ];
    sections.extend(pictures.into_iter().filter_map(Section::picturing));
    sections.push(table("Broken rules", long));
    sections.push(Section {
        text: vec!["What buyer-17 asked, and what he was told. Times are the server's.".into()],
        verbatim: Some(
            "20:00:00.012 POST /v1/sales/national-good-car/reservations {\"model\": \"air-400-white\"}\n    \
             409 sold-out <final>\n"
                .into(),
        ),
        ..Section::titled("A history")
    });
    Page {
        title: "Launch day: crowd on national-good-car".into(),
        verdict_word: verdict_word.into(),
        sentence: "600 reservations are in the ledger and each was told to its buyer; p99 of winners 470 ms, allowed \
                   500 ms."
            .into(),
        links: vec![("verdict.json", "verdict.json")],
        lead: vec!["6,000 arrivals in 90 s from one machine, seed 7.".into()],
        sections,
    }
}

/// Stands for what an HTML parser says: every tag that is opened is closed, in order.
fn assert_balanced(html: &str) {
    const VOID: [&str; 3] = ["meta", "link", "!DOCTYPE"];
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
fn a_full_page_is_whole_and_asks_for_nothing() {
    let html = full("PASS").html();
    assert_balanced(&html);
    assert!(html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""));
    // The name of the SVG language looks like an address and is none.
    let html = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for reference in ["http:", "https:", "//", "src=", "url(", "@import", "<script", "style=\"", "onload"] {
        assert!(!html.contains(reference), "the page has {reference}");
    }
    // The empty icon, and the file beside the page.
    let links = html.matches("href=\"data:,\"").count() + html.matches("href=\"verdict.json\"").count();
    assert_eq!(html.matches("href=").count(), links);
}

#[test]
fn texts_stay_texts() {
    let evil = "</title></style><script>alert('1')</script>\" onload=\"x\u{0}";
    let text = || evil.to_owned();
    let page = Page {
        title: text(),
        verdict_word: text(),
        sentence: text(),
        links: vec![("verdict.json", "verdict.json")],
        lead: vec![text()],
        sections: vec![Section {
            title: text(),
            text: vec![text()],
            table: Some(Table { head: vec![text()], rows: vec![vec![text()]], numbers: vec![0] }),
            picture: Some(Picture {
                title: text(),
                svg: "<svg x=\"1\"></svg>".into(),
                narrow: "<svg x=\"2\"></svg>".into(),
                describes: text(),
            }),
            verbatim: Some(text()),
        }],
    };
    let html = page.html();
    assert_balanced(&html);
    assert!(!html.contains("<script") && !html.contains("\" onload") && !html.contains('\u{0}'));
}

#[test]
fn the_verdict_is_a_word_and_a_colour() {
    for (word, class) in [("PASS", "pass"), ("FAIL", "fail"), ("INVALID", "invalid")] {
        let html = Page { verdict_word: word.into(), ..Page::default() }.html();
        assert!(html.contains(&format!("<p class=\"verdict {class}\"><strong>{word}</strong>")));
    }
}

#[test]
fn tables_name_their_rows_and_columns_and_long_ones_are_folded() {
    let html = full("PASS").html();
    assert!(html.contains("<th scope=\"col\" class=\"number\">p99</th>"));
    assert!(html.contains("<th scope=\"row\">reserve</th><td class=\"number\">"));
    assert_eq!(html.matches("<details>").count(), 1);
    assert!(html.contains("<summary>All 60 rows</summary>"));
}

#[test]
fn every_picture_has_a_text_alternative() {
    let page = full("PASS");
    let (html, markdown) = (page.html(), page.markdown());
    assert_eq!(html.matches(" role=\"img\" aria-label=\"").count(), 8);
    for picture in page.sections.iter().filter_map(|section| section.picture.as_ref()) {
        assert!(html.contains(&format!("<title>{}</title>", picture.title)));
        assert!(markdown.contains(&format!("*{}:* ", picture.title)));
    }
    assert!(!markdown.contains("<svg"));
}

#[test]
fn markdown_rows_have_the_cells_of_their_head() {
    let mut table = Table::of(["item", "free"], &[1]);
    table.rows = vec![vec!["a|b".into(), "1".into(), "beyond".into()], vec!["c".into()]];
    let section = Section { table: Some(table), ..Section::titled("The ledger") };
    let page = Page {
        title: "Run".into(),
        verdict_word: "FAIL".into(),
        sentence: "It drifts.".into(),
        sections: vec![section],
        ..Page::default()
    };
    let text = page.markdown();
    assert_eq!(
        text,
        "# Run\n\n**FAIL** It drifts.\n\n## The ledger\n\n| item | free |\n| --- | ---: |\n| a\\|b | 1 |\n| c |  |\n"
    );
}

#[test]
fn nothing_measured_is_no_picture() {
    let figures = Figures::default();
    assert!(charts::arrivals(&figures).is_none());
    assert!(charts::latency(&figures).is_none());
    assert!(charts::opening(&figures).is_none());
    assert!(charts::stock(&figures, &charts::Stock::new()).is_none());
    assert!(charts::stock(&figures, &[("model:a".to_owned(), Vec::new())].into()).is_none());
    let mut silent = Figures::default();
    silent.opening.sent = vec![0; OPENING_BINS];
    assert!(charts::opening(&silent).is_none());
}

#[test]
fn a_single_event_is_drawn_too() {
    let mut figures = Figures::default();
    figures.started(0, 400, Duration::from_millis(5));
    figures.tapped_at_opening(3 * SECOND);
    figures.answered("reserve", 400, Duration::ZERO, true);
    figures.ended(Scenario::Spike, Outcome::Won, 400, Duration::ZERO);
    let stock = [("model:a".to_owned(), vec![(0, 1)])].into();
    let pictures = [
        charts::arrivals(&figures),
        charts::latency(&figures),
        charts::opening(&figures),
        charts::stock(&figures, &stock),
    ];
    for picture in pictures {
        let picture = picture.unwrap();
        assert!(!picture.svg.contains("NaN") && !picture.svg.contains("inf"), "{}", picture.title);
    }
    assert!(
        charts::opening(&figures)
            .unwrap()
            .svg
            .contains("last tap: 3,000 ms after the opening, not in the picture")
    );
}

#[test]
fn quiet_times_are_seen_beside_a_rush() {
    assert!(charts::arrivals(&rush()).unwrap().svg.contains("a second, logarithmic"));
    let all_at_once = charts::arrivals(&run(500, 0, 1)).unwrap();
    assert!(!all_at_once.svg.contains("logarithmic"));
}

#[test]
fn each_outcome_that_occurred_has_a_line() {
    let picture = charts::latency(&rush()).unwrap();
    for name in ["winners", "losers", "limited", "shed", "unknown"] {
        assert!(picture.svg.contains(&format!("{name} (")), "{name}");
    }
    assert!(!picture.svg.contains("wrong ("));
}

#[test]
fn stock_of_unlike_sizes_is_drawn_in_shares_and_the_rest_together() {
    let picture = charts::stock(&rush(), &running_down()).unwrap();
    assert!(picture.svg.contains("free, % of the most"));
    assert!(picture.svg.contains("4 others together"));
    let alone = [("model:a".to_owned(), vec![(0, 900), (500, 0)])].into();
    let picture = charts::stock(&rush(), &alone).unwrap();
    assert!(!picture.svg.contains('%') && picture.describes.contains("model:a: 900 → 0"));
}

/// Set `LOADTEST_PAGE_DIR` to keep the files and look at them in a browser.
#[test]
fn a_page_is_written_to_a_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("LOADTEST_PAGE_DIR").map_or_else(|| temporary.path().to_owned(), Into::into);
    let one = [("model:air-400-white".to_owned(), (0..=3_000).map(|n| (n / 3, 3_000 - n)).collect())].into();
    for (word, figures, stock) in [
        ("PASS", rush(), running_down()),
        ("FAIL", run(20_000, 0, 1), one),
        ("INVALID", run(30_000, -600, 4 * 3_600), running_down()),
    ] {
        let page = page_of(word, &figures, &stock);
        let name = dir.join(word.to_lowercase());
        std::fs::write(name.with_extension("html"), page.html()).unwrap();
        std::fs::write(name.with_extension("md"), page.markdown()).unwrap();
        assert!(std::fs::metadata(name.with_extension("html")).unwrap().len() < 400_000);
    }
}
