//! Measures what a hundred open live pages cost a gateway: its CPU with and without them, in turn,
//! under the same few taps. Every page must get its line every second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use testkit::gateway::{Gateway, OPS_TOKEN};
use testkit::run_folder::RunFolder;
use testkit::{Failed, Method, Response, block_on, print_line};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Options;
use crate::cases::{Buyers, CONNECTIONS, Case, WARM_UP, audit, ledger, rounds, warmed};
use crate::cpus::make_room;
use crate::figures::Spread;
use crate::generator::{Generator, Requests};
use crate::report::write;
use crate::servers::gateway;

/// Open pages.
const PAGES: usize = 100;
/// Stores of the sale: as many as the real launch has.
const STORES: usize = 43_000;
/// Taps a second: enough for news in every line, and so few that their own cost does not hide the
/// pages'.
const TAPS: usize = 50;
/// Seconds of each measurement.
const LASTS: usize = 15;
const LASTS_QUICK: usize = 5;
/// What they may cost, in percent of a core.
const TARGET: f64 = 2.0;

/// Percent of a core, without pages and with all of them.
#[derive(Debug, Clone, Copy, Serialize)]
struct PagesRound {
    alone: f64,
    watched: f64,
    /// Bytes of RAM for each page.
    memory: f64,
}

/// Measures all rounds, and prints whether the target is met.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    make_room(1)?;
    let (count, lasts) = options.either((2, LASTS_QUICK), LASTS);
    let folder = RunFolder::new(&options.bin)?;
    let redis = ledger(&folder, STORES, 0)?;
    let gateway = gateway(&folder, redis.address(), 1, &[], &[])?;
    let buyers = Buyers::new(&folder, WARM_UP + 2 * count * TAPS * lasts)?;
    let taps = buyers.taps("won", STORES);
    let mut generator = warmed(gateway.address(), CONNECTIONS, &taps)?;
    let mut next = WARM_UP;
    let mut share = || share(&gateway, &mut generator, &taps, &mut next, lasts);
    let measured = rounds(count, || {
        let alone = share()?;
        let memory = gateway.program.resident();
        let pages = block_on(Pages::open(&gateway))?;
        let watched = share()?;
        let memory = (gateway.program.resident() as f64 - memory as f64) / PAGES as f64;
        block_on(pages.close(lasts as u64))?;
        Ok(PagesRound { alone, watched, memory })
    })?;
    audit(&folder, &redis, Case::Won)?;
    print(&measured);
    write(options, json!({ "pages": PAGES, "stores": STORES, "taps_per_second": TAPS, "rounds": measured }))
}

/// The gateway's share of a core, in percent, under taps at their instants.
fn share(
    gateway: &Gateway,
    generator: &mut Generator,
    taps: &Requests,
    next: &mut usize,
    lasts: usize,
) -> Result<f64, Failed> {
    let count = TAPS * lasts;
    let (cpu, started) = (gateway.program.cpu(), Instant::now());
    let outcome = generator.run(taps, *next, count, Some(TAPS as f64))?;
    let (cpu, took) = (gateway.program.cpu().saturating_sub(cpu), started.elapsed());
    *next += count;
    let statuses = outcome.statuses();
    if statuses.get(&201) != Some(&(count as u64)) {
        return Err(Failed::Wrong(format!("{count} taps should have won: {statuses:?}")));
    }
    Ok(100.0 * cpu.as_secs_f64() / took.as_secs_f64())
}

/// Open pages, each read by a task of its own.
struct Pages {
    readers: JoinSet<()>,
    /// Lines that each has got.
    lines: Vec<Arc<AtomicU64>>,
}

impl Pages {
    async fn open(gateway: &Gateway) -> Result<Self, Failed> {
        let mut pages = Self { readers: JoinSet::new(), lines: Vec::new() };
        for _ in 0..PAGES {
            let request = gateway.ops_request(Method::GET, "/admin/v1/live?sale=won", OPS_TOKEN);
            let page = request.send().await.map_err(Failed::to("open a page"))?;
            let lines = Arc::new(AtomicU64::new(0));
            pages.lines.push(lines.clone());
            pages.readers.spawn(read(page, lines));
        }
        // The history that each is given first is not what is measured.
        let started = Instant::now();
        while pages.least() < 2 {
            if started.elapsed() > Duration::from_secs(30) {
                return Err(Failed::Wrong("not every page gets its lines".into()));
            }
            sleep(Duration::from_millis(50)).await;
        }
        pages.lines.iter().for_each(|lines| lines.store(0, Relaxed));
        Ok(pages)
    }

    fn least(&self) -> u64 {
        self.lines.iter().map(|lines| lines.load(Relaxed)).min().unwrap_or_default()
    }

    /// Closes them; each must have got as many lines as there were seconds.
    async fn close(mut self, seconds: u64) -> Result<(), Failed> {
        let least = self.least();
        self.readers.shutdown().await;
        if least + 2 < seconds {
            return Err(Failed::Wrong(format!("a page got {least} lines in {seconds} s")));
        }
        Ok(())
    }
}

/// Counts lines of numbers to the end of a stream.
async fn read(mut page: Response, lines: Arc<AtomicU64>) {
    const MARK: &[u8] = br#""kind":"now""#;
    let mut seen = Vec::new();
    while let Ok(Some(chunk)) = page.chunk().await {
        seen.extend_from_slice(&chunk);
        let found = seen.windows(MARK.len()).filter(|window| *window == MARK).count();
        lines.fetch_add(found as u64, Relaxed);
        // A mark may come in two pieces.
        seen.drain(..seen.len().saturating_sub(MARK.len() - 1));
    }
}

fn print(rounds: &[PagesRound]) {
    let of = |figure: fn(&PagesRound) -> f64| Spread::of(rounds.iter().map(figure));
    let (Some(alone), Some(watched), Some(cost), Some(memory)) = (
        of(|round| round.alone),
        of(|round| round.watched),
        of(|round| round.watched - round.alone),
        of(|round| round.memory / 1024.0),
    ) else {
        return;
    };
    print_line("");
    print_line(&format!(
        "a gateway under {TAPS} taps a second of a sale with {STORES} stores; medians of {} rounds, in brackets the least and the most",
        rounds.len()
    ));
    print_line(&format!("  % of a core, no open page          {alone}"));
    print_line(&format!("  % of a core, {PAGES} open pages        {watched}"));
    print_line(&format!("  memory of a page, KiB              {memory}"));
    let met = if cost.median <= TARGET { "met" } else { "MISSED" };
    print_line(&format!("  {PAGES} pages cost, % of a core        {cost}  at most {TARGET:.0}: {met}"));
}
