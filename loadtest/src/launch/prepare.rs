//! Owns what happens before anything is sent: whatever can be known to be wrong by then is told by then.

use super::mix;
use crate::Failure;
use crate::admin::{Admin, AdminSale};
use crate::arrivals::Arrivals;
use crate::buyer::Buyer;
use crate::cli::Target;
use crate::client::{Client, Request, connections};
use crate::clock::{self, RoundTrip, ServerClock};
use crate::evidence::Run;
use crate::figures::Figures;
use crate::load::{Load, Moments, Queue};
use crate::metronome::Metronome;
use crate::plan::{self, Plan, Shard};
use crate::profile::Profile;
use crate::say;
use crate::scenario::Scenario;
use crate::tokens::{self, Tokens};
use crate::walk::escaped;
use crate::watch::Watch;
use crate::wish::{Menu, Store};
use jiff::{Timestamp, Unit};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the command line asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) target: &'a Target,
    /// `None`: the profile's mix.
    pub(crate) scenario: Option<Scenario>,
    pub(crate) buyers: Option<usize>,
    pub(crate) arrivals: Option<&'a Arrivals>,
    pub(crate) shard: Option<Shard>,
}

/// Everything that a load needs.
pub(crate) struct Prepared {
    pub(crate) load: Arc<Load>,
    pub(crate) run: Run,
    /// Goose users for each of the load's queues.
    pub(crate) users: Vec<usize>,
    pub(crate) profile: Profile,
    pub(crate) watch: Watch,
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
    stores: Vec<Store>,
    next: Option<String>,
}

const CLOCK_READINGS: usize = 12;
/// A clock that is off by more than this makes tokens that have expired, and reports that fit no log.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(60);
/// Some thousand stores: enough that buyers of a large sale do not all want the same few.
const STORE_PAGES_MAX: usize = 100;
const PREPARING_TIMEOUT: Duration = Duration::from_secs(10);
/// A gateway learns of a new sale within a second or so.
const SHOWN_POLL: Duration = Duration::from_millis(50);
const DEADLINE_DEFAULT: Duration = Duration::from_secs(3600);
/// What follows the last start: thinking, paying, retries.
const TAIL: Duration = Duration::from_secs(600);
const BUYERS_DEFAULT: usize = 1000;

/// Why a run is not worth starting, beside what it would have been.
pub(crate) type NotStarted = (Run, String);

/// Checks everything, and makes the load; the inner `Err` is a run that would prove nothing.
pub(crate) async fn prepare(
    wanted: &Wanted<'_>,
    admin: &Admin,
) -> Result<Result<Prepared, NotStarted>, Failure> {
    let target = wanted.target;
    let profile = Profile::load(target.manners.profile.as_deref(), &target.manners.set)?;
    let mix = mix(wanted.scenario, &profile);
    let started_at = clock::now();
    let seed = target.seed.unwrap_or_else(|| started_at.as_millisecond().unsigned_abs());
    let sale = admin.sale().await?;
    refuse_unless_rehearsal(target, &sale)?;
    let probe = Client::new(target, 1)?;
    let clock = read_clock(&probe).await?;
    let shown = wait_until_shown(&probe, &target.ledger.sale, sale.definition.sale.opens_at).await?;
    let stores = read_stores(&probe, &target.ledger.sale).await?;
    let menu = Menu::new(&sale.definition, &profile.buyers, stores).map_err(Failure::Usage)?;

    let terms = &sale.definition.sale;
    let at_hand = tokens::at_hand(target)?;
    let interested =
        if target.manners.profile.is_some() { profile.launch.interested } else { BUYERS_DEFAULT };
    let mut request = plan::Request {
        profile: &profile,
        mix: &mix,
        buyers: wanted.buyers,
        arrivals: wanted.arrivals,
        shard: wanted.shard.unwrap_or(Shard::WHOLE),
        seed,
        lead_max: Duration::ZERO,
        // And the second within which an expired hold's stock is free again.
        hold_lasts: terms.hold + terms.grace + Duration::from_secs(1),
        buyers_default: at_hand.unwrap_or(interested),
    };
    // Twice: how early somebody may come depends on how many there are to be got ready.
    let first = request.plan()?;
    let users: usize = first.users().map(|(_, users)| users).sum();
    let waiting = first.waiting();
    let now = Instant::now();
    let lasts =
        Duration::from_micros(u64::try_from(first.last_us()).unwrap_or(0)) + profile.bots.lasts.0 + TAIL;
    let deadline = now + target.deadline.unwrap_or(DEADLINE_DEFAULT.max(lasts));
    // The clock's error is waited out: a tap that is early by the server's clock is refused.
    let opening = clock.instant_of(shown.opens_at) + clock.error;
    let moments = Moments::new(now, opening, users, waiting, deadline);
    request.lead_max = moments.map_or(Duration::ZERO, |moments| moments.lead_max(users));
    let plan = request.plan()?;
    let is_tested = moments.is_some_and(|moments| moments.opening == opening);
    if wanted.shard.is_some() && !is_tested {
        return Err(Failure::Usage(format!(
            "the parts of a run meet at the opening, and {} opened at {}: apply it with an opening that is at least a minute away",
            target.ledger.sale, shown.opens_at
        )));
    }

    let taps = plan.people.len() * 2;
    let client = Client::new(target, connections(target.connections, taps))?;
    let mut run = Run {
        scenario: mix_in_words(&mix),
        sale: target.ledger.sale.clone(),
        seed,
        shards: wanted.shard.map(|Shard { part, parts }| format!("{part}/{parts}")).into_iter().collect(),
        buyers: plan.people.len(),
        taps: plan.lines.iter().any(|line| line.scenario != Scenario::Look),
        opening: clock::to_the_ms(clock.at(moments.map_or(opening, |moments| moments.opening))),
        started_at,
        finished_at: started_at,
        clock_error_ms: clock.error.as_secs_f64() * 1000.0,
        started_after: sale.sequence,
        totals_before: sale.items.iter().map(|item| (item.item.clone(), item.total)).collect(),
        notes: Vec::new(),
    };
    let tokens =
        tokens::gather(target, seed, plan.people.iter().map(|person| person.account), deadline - now)?;
    check_tokens(&probe, target, &tokens).await?;
    run.notes = notes(&profile, &sale, &shown, &client, &plan, is_tested, tokens.service.is_some());
    if sale.phase == "closed" || shown.phase == "closed" {
        return Ok(Err((run, "the sale was closed before the start".to_owned())));
    }
    let Some(moments) = moments else {
        return Ok(Err((run, format!("the sale opens at {}, the deadline is before that", shown.opens_at))));
    };
    say::line(&format!(
        "{} on {}: {} buyers, {} gateway(s), at most {} requests in flight, seed {seed}",
        run.scenario,
        run.sale,
        run.buyers,
        client.gateways(),
        client.connections,
    ));
    let watch = Watch::start(profile.generator.limits())?;
    let Tokens { buyers, service, forger } = tokens;
    let people = plan.people.iter().zip(buyers);
    let load = Load {
        buyers: people
            .map(|(person, token)| Buyer::new(person, token, seed, &menu, &profile.buyers).into())
            .collect(),
        queues: plan.lines.iter().cloned().map(Queue::new).collect(),
        second_wave_us: i64::try_from(request.hold_lasts.as_micros()).unwrap_or(i64::MAX),
        client,
        clock,
        sale: run.sale.clone(),
        opens_at: is_tested.then_some(shown.opens_at),
        service,
        forger,
        moments,
        metronome: Metronome::start()?,
        timeout: target.timeout,
        tries: target.tries,
        menu,
        figures: Arc::new(Mutex::new(Figures::default())),
        gauges: watch.gauges(),
        profile: profile.clone(),
    };
    let users = plan.users().map(|(_, users)| users).collect();
    Ok(Ok(Prepared { load: Arc::new(load), run, users, profile, watch }))
}

fn refuse_unless_rehearsal(target: &Target, sale: &AdminSale) -> Result<(), Failure> {
    if sale.definition.sale.rehearsal || target.i_mean_it {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} is no rehearsal: its buyers are real. Say --i-mean-it if that is meant",
        target.ledger.sale
    )))
}

fn mix_in_words(mix: &std::collections::BTreeMap<Scenario, u32>) -> String {
    let weights: Vec<_> = mix.iter().filter(|(_, weight)| **weight > 0).collect();
    match weights.as_slice() {
        [(scenario, _)] => scenario.name().to_owned(),
        weights => {
            let weights: Vec<_> =
                weights.iter().map(|(s, weight)| format!("{} {weight}", s.name())).collect();
            format!("mix of {}", weights.join(", "))
        }
    }
}

fn notes(
    profile: &Profile,
    sale: &AdminSale,
    shown: &PublicSale,
    client: &Client,
    plan: &Plan,
    is_tested: bool,
    confirms: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if !is_tested {
        notes.push(format!("the sale opens, or had opened, at {}: no opening was tested", shown.opens_at));
    }
    if shown.phase == "sold_out" || sale.phase == "sold_out" {
        notes.push("the sale was sold out before the start".to_owned());
    }
    let waiting = plan.waiting();
    if client.connections < waiting {
        notes.push(format!(
            "{waiting} buyers who tap at once shared {} connections: the rest queued in the load generator",
            client.connections
        ));
    }
    if !confirms && profile.buyers.confirm > 0 {
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
    let clock = ServerClock::estimate(&trips)
        .ok_or_else(|| Failure::Outside("the server's clock can't be read".to_owned()))?;
    let ours = Timestamp::now();
    let off = ours.duration_since(clock.at(Instant::now()));
    if off.unsigned_abs() > CLOCK_OFF_MAX {
        let direction = if off.is_negative() { "behind" } else { "ahead of" };
        let off = off.abs().round(Unit::Second).unwrap_or(off);
        return Err(Failure::Outside(format!(
            "this machine's clock says {}, which is {off:#} {direction} the server's: set it right (NTP) first, since tokens and reports go by it",
            clock::to_the_ms(ours),
        )));
    }
    Ok(clock)
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

async fn read_stores(client: &Client, sale: &str) -> Result<Vec<Store>, Failure> {
    let mut stores = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..STORE_PAGES_MAX {
        let mut path = format!("/v1/sales/{sale}/stores");
        if let Some(cursor) = &cursor {
            path = format!("{path}?cursor={}", escaped(cursor));
        }
        let page: StorePage = get(client, 0, &path).await?;
        stores.extend(page.stores);
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    Ok(stores)
}

/// A buyer's and the service's token are tried before any load: a run of nothing but 401 would say little.
async fn check_tokens(client: &Client, target: &Target, tokens: &Tokens) -> Result<(), Failure> {
    let source = if target.tokens.is_some() { "--tokens" } else { "--auth-secret-file" };
    let service = if target.tokens.is_some() { "--service-token-file" } else { source };
    let buyer = tokens.buyers.first().map(|token| (&token.bearer, source, "a buyer's"));
    let service = tokens.service.as_ref().map(|bearer| (bearer, service, "the payment service's"));
    for (bearer, source, whose) in buyer.into_iter().chain(service) {
        let path = format!("/v1/sales/{}/reservations/none", target.ledger.sale);
        let request = Request::get(path).with_bearer(bearer);
        let limit = Instant::now() + PREPARING_TIMEOUT;
        let answer = client.send(0, &request, PREPARING_TIMEOUT, limit).await;
        let gateway = client.gateway(0);
        let reply = answer.reply.map_err(|lost| Failure::Outside(format!("{gateway}: {lost}")))?;
        if matches!(reply.status, 401 | 403) {
            return Err(Failure::Usage(format!(
                "{gateway} does not accept {whose} token: is {source} the gateway's?"
            )));
        }
    }
    Ok(())
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
