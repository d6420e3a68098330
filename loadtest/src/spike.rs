//! Owns the story of `loadtest spike`: all buyers tap in the second in which the sale opens.

use crate::admin::{Admin, AdminSale};
use crate::attack;
use crate::buyer::Buyer;
use crate::cli::SpikeOptions;
use crate::client::{Client, Request, connections};
use crate::clock::{RoundTrip, ServerClock};
use crate::load::{Counts, Load, Schedule};
use crate::reconcile::{Evidence, reconcile};
use crate::tokens::{self, BuyerToken};
use crate::told::{Outcome, Told};
use crate::verdict::{self, Run, Verdict};
use crate::wish::Menu;
use crate::{Failure, page, say};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Runs the spike and comes to a verdict.
pub(crate) async fn run(options: SpikeOptions) -> Result<Verdict, Failure> {
    options.check()?;
    let started_at = verdict::now();
    let deadline = Instant::now() + options.deadline;
    let seed = options.seed.unwrap_or_else(|| started_at.as_millisecond().unsigned_abs());
    let tokens = tokens::gather(&options, seed)?;
    let admin = Admin::new(&options.ops, &options.sale, tokens::operator(&options)?)?;
    let report = prepare_report(options.report.as_deref())?;

    let sale = admin.sale().await?;
    refuse_unless_rehearsal(&options, &sale)?;
    let buyers = tokens.buyers.len();
    let taps = buyers * if options.twice { 2 } else { 1 };
    let client = Client::new(options.gateways(), connections(options.connections, taps))?;
    let clock = read_clock(&client).await?;
    let shown = wait_until_shown(&client, &options.sale, sale.definition.sale.opens_at).await?;
    let menu =
        Menu::new(&sale.definition, &options.model_weights(), read_stores(&client, &options.sale).await?)
            .map_err(Failure::Usage)?;
    say::line(&format!(
        "spike on {}: {buyers} buyers, {} gateway(s), at most {} requests in flight, seed {seed}",
        options.sale,
        options.gateway.len(),
        client.connections,
    ));

    let notes = notes_before(&options, &sale, &shown, &clock, &client, taps, tokens.service.is_some());
    let run = Run { sale: options.sale.clone(), seed, opened_at: shown.opens_at, started_at, notes };
    if sale.phase == "closed" || shown.phase == "closed" {
        return finish(
            Verdict::nothing_proved(run, buyers, "the sale was closed before the start".to_owned()),
            report,
        );
    }
    // The clock's error is waited out: a tap that is early by the server's clock is refused.
    let opening = clock.instant_of(shown.opens_at) + clock.error;
    let Some(schedule) = Schedule::new(Instant::now(), opening, buyers, deadline) else {
        let reason = format!("the sale opens at {}, the deadline is before that", shown.opens_at);
        return finish(Verdict::nothing_proved(run, buyers, reason), report);
    };

    let load = Arc::new(Load {
        buyers: enlist(&options, seed, &menu, tokens.buyers),
        client,
        clock,
        sale: options.sale.clone(),
        service: tokens.service,
        schedule,
        timeout: options.timeout,
        tries: options.tries,
        twice: options.twice,
        counts: Counts::default(),
    });
    count_down(&load).await;
    let progress = tokio::spawn(show_progress(Arc::clone(&load)));
    let attacked = attack::run(&load, report).await;
    progress.abort();
    attacked?;

    let told = collect(&load).await;
    let verdict = prove(run, &admin, &sale, &load, &told).await?;
    finish(verdict, report)
}

/// The sale as buyers see it.
#[derive(Debug, Deserialize)]
struct PublicSale {
    phase: String,
    opens_at: Timestamp,
}

#[derive(Deserialize)]
struct PublicTime {
    server_time: Timestamp,
}

#[derive(Deserialize)]
struct StorePage {
    #[serde(alias = "items")]
    stores: Vec<Store>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Store {
    id: String,
}

const CLOCK_READINGS: usize = 12;
/// Some thousand stores: enough that buyers of a large sale do not all want the same few.
const STORE_PAGES_MAX: usize = 100;
const PREPARING_TIMEOUT: Duration = Duration::from_secs(10);
/// A gateway learns of a new sale within a second or so.
const SHOWN_POLL: Duration = Duration::from_millis(50);
/// So many unknown outcomes are looked up at the support desk.
const DESK_LOOKUPS_MAX: usize = 200;

fn prepare_report(dir: Option<&Path>) -> Result<Option<&Path>, Failure> {
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir)
            .map_err(|error| Failure::Usage(format!("--report {}: {error}", dir.display())))?;
    }
    Ok(dir)
}

fn refuse_unless_rehearsal(options: &SpikeOptions, sale: &AdminSale) -> Result<(), Failure> {
    if sale.definition.sale.rehearsal || options.i_mean_it {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} is no rehearsal: its buyers are real. Say --i-mean-it if that is meant",
        options.sale
    )))
}

fn notes_before(
    options: &SpikeOptions,
    sale: &AdminSale,
    shown: &PublicSale,
    clock: &ServerClock,
    client: &Client,
    taps: usize,
    confirms: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if clock.until(shown.opens_at).is_negative() {
        notes.push(format!("the sale had been open since {}: no opening was tested", shown.opens_at));
    }
    if shown.phase == "sold_out" || sale.phase == "sold_out" {
        notes.push("the sale was sold out before the start".to_owned());
    }
    if client.connections < taps {
        notes.push(format!(
            "{taps} taps shared {} connections: the rest queued in the load generator",
            client.connections
        ));
    }
    if !confirms && options.confirm_percent > 0 {
        notes.push("nothing is confirmed: there is no --service-token-file".to_owned());
    }
    notes
}

/// Asks for the time on one connection several times; the first call also opens it.
async fn read_clock(client: &Client) -> Result<ServerClock, Failure> {
    let mut trips = Vec::new();
    for _ in 0..CLOCK_READINGS {
        let sent = Instant::now();
        let time: PublicTime = get(client, 0, "/v1/time").await?;
        trips.push(RoundTrip { sent, received: Instant::now(), server_time: time.server_time });
    }
    ServerClock::estimate(&trips)
        .ok_or_else(|| Failure::Outside("the server's clock can't be read".to_owned()))
}

/// Waits until every gateway shows the sale as it was defined last: one that was applied a moment
/// ago is in the ledger before each gateway has read of it.
async fn wait_until_shown(
    client: &Client,
    sale: &str,
    opens_at: Option<Timestamp>,
) -> Result<PublicSale, Failure> {
    let path = format!("/v1/sales/{sale}");
    let limit = Instant::now() + PREPARING_TIMEOUT;
    let mut gateway = 0;
    loop {
        let shown: Result<PublicSale, Failure> = get(client, gateway, &path).await;
        match shown {
            Ok(shown) if opens_at.is_none_or(|opens_at| opens_at == shown.opens_at) => {
                gateway += 1;
                if gateway == client.gateways() {
                    return Ok(shown);
                }
                continue;
            }
            Ok(_) | Err(Failure::Usage(_)) if Instant::now() < limit => {}
            Ok(shown) => {
                return Err(Failure::Outside(format!(
                    "{} shows an opening at {}, the definition says otherwise",
                    client.gateway(gateway),
                    shown.opens_at
                )));
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(SHOWN_POLL).await;
    }
}

async fn read_stores(client: &Client, sale: &str) -> Result<Vec<String>, Failure> {
    let mut stores = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..STORE_PAGES_MAX {
        let mut path = format!("/v1/sales/{sale}/stores");
        if let Some(cursor) = &cursor {
            // A cursor is opaque; whatever it is made of must survive the query.
            let escaped: String = cursor.bytes().map(|byte| format!("%{byte:02X}")).collect();
            path = format!("{path}?cursor={escaped}");
        }
        let page: StorePage = get(client, 0, &path).await?;
        stores.extend(page.stores.into_iter().map(|store| store.id));
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    Ok(stores)
}

async fn get<T: DeserializeOwned>(client: &Client, gateway: usize, path: &str) -> Result<T, Failure> {
    let limit = Instant::now() + PREPARING_TIMEOUT;
    let answer = client.send(gateway, &Request::get(path.to_owned()), PREPARING_TIMEOUT, limit).await;
    let url = format!("{}{path}", client.gateway(gateway));
    let reply = answer.reply.map_err(|error| Failure::Outside(format!("{url}: {error}")))?;
    match reply.status {
        200 => serde_json::from_str(&reply.body)
            .map_err(|error| Failure::Outside(format!("{url} answered what can't be read: {error}"))),
        404 => Err(Failure::Usage(format!("{url} is not found"))),
        status => Err(Failure::Outside(format!("{url} answered {status}"))),
    }
}

fn enlist(
    options: &SpikeOptions,
    seed: u64,
    menu: &Menu,
    tokens: Vec<BuyerToken>,
) -> Vec<tokio::sync::Mutex<Buyer>> {
    let (confirm, cancel) = (options.confirm_percent, options.cancel_percent);
    let enlisted = tokens.into_iter().enumerate();
    enlisted.map(|(n, token)| Buyer::new(n, token, seed, menu, confirm, cancel).into()).collect()
}

/// Waits until the journeys have to be started, and says how long it still is.
async fn count_down(load: &Load) {
    loop {
        let left = load.schedule.launch.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let to_tap = load.schedule.tap.saturating_duration_since(Instant::now());
        say::line(&format!("taps in {:.0} s", to_tap.as_secs_f64()));
        let step =
            if to_tap > Duration::from_secs(30) { Duration::from_secs(5) } else { Duration::from_secs(1) };
        tokio::time::sleep(step.min(left)).await;
    }
}

/// A line a second while the journeys last.
async fn show_progress(load: Arc<Load>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut shown = String::new();
    loop {
        second.tick().await;
        let to_tap = load.schedule.tap.saturating_duration_since(Instant::now());
        let line = if to_tap.is_zero() {
            load.counts.line()
        } else {
            let (warmed, failed) = (load.counts.warmed.load(Relaxed), load.counts.warm_failed.load(Relaxed));
            format!("taps in {:.0} s; warmed with {warmed} requests, {failed} failed", to_tap.as_secs_f64())
        };
        if line != shown {
            say::line(&line);
            shown = line;
        }
    }
}

async fn collect(load: &Load) -> Vec<Told> {
    let mut told = Vec::with_capacity(load.buyers.len());
    for buyer in &load.buyers {
        told.push(buyer.lock().await.told.clone());
    }
    told
}

/// Holds what the buyers were told against the ledger. The audit comes first: the journal
/// that is read after it has everything that the audit counted.
async fn prove(
    mut run: Run,
    admin: &Admin,
    before: &AdminSale,
    load: &Load,
    told: &[Told],
) -> Result<Verdict, Failure> {
    let audit = admin.audit().await?;
    let changes = admin.journal().await?;
    let unknown: Vec<&Told> = told.iter().filter(|told| told.outcome == Some(Outcome::Unknown)).collect();
    let mut desk = HashMap::new();
    for told in unknown.iter().take(DESK_LOOKUPS_MAX) {
        let seen = admin.desk(&told.buyer).await?;
        desk.insert(
            told.buyer.clone(),
            seen.reservations.into_iter().map(|reservation| reservation.id).collect(),
        );
    }
    let totals_before: BTreeMap<_, _> =
        before.items.iter().map(|item| (item.item.clone(), item.total)).collect();
    let violations = reconcile(&Evidence {
        per_buyer: before.definition.sale.per_buyer,
        started_after: before.sequence,
        totals_before: &totals_before,
        audit: &audit,
        changes: &changes,
        told,
        desk: &desk,
    });
    let holders: std::collections::HashSet<&str> = changes
        .iter()
        .filter(|change| change.sequence() > before.sequence)
        .map(|change| change.buyer.as_str())
        .collect();
    let unknown_held = unknown.iter().filter(|told| holders.contains(told.buyer.as_str())).count();
    if !unknown.is_empty() {
        run.notes
            .push(format!("of {} unknown outcomes the ledger shows {unknown_held} as won", unknown.len()));
    }
    let shown_again = told
        .iter()
        .filter(|told| told.outcome == Some(Outcome::Replayed) && !holders.contains(told.buyer.as_str()));
    let shown_again = shown_again.count();
    if shown_again > 0 {
        run.notes.push(format!("{shown_again} buyers were shown reservations that are older than this run: the seed was used before"));
    }
    let stayed_away = told.iter().filter(|told| told.outcome.is_none()).count();
    if stayed_away > 0 {
        run.notes.push(format!("{stayed_away} buyers never came to tap"));
    }
    let failed = load.counts.warm_failed.load(Relaxed);
    if failed > 0 {
        run.notes.push(format!("{failed} warming requests failed"));
    }
    Ok(Verdict::on(run, told, &audit, &changes, violations, unknown_held as u64))
}

fn finish(verdict: Verdict, report: Option<&Path>) -> Result<Verdict, Failure> {
    verdict.print();
    if let Some(dir) = report {
        verdict.write(dir)?;
        page::dress(dir, &verdict.sentence())?;
        say::line(&format!("report in {}", dir.display()));
    }
    Ok(verdict)
}
