//! Prepares a run and reports every detectable mistake before the first request.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::base::clock::{self, ServerClock};
use crate::base::failure::Failure;
use crate::base::scenario::{Arrive, Scenario};
use crate::base::timer::Timer;
use crate::base::{console, span};
use crate::client::Client;
use crate::client::connections::Share;
use crate::client::options::Target;
use crate::client::tokens;
use crate::figures::Figures;
use crate::launch::ask::{PublicSale, check_tokens, read_clock, read_stores, wait_until_shown};
use crate::launch::identity;
use crate::launch::targets;
use crate::load::history::ExchangesKept;
use crate::load::request_log::RequestLog;
use crate::load::{Load, Queue, RunInstants};
use crate::plan::arrivals::Arrivals;
use crate::plan::profile::Profile;
use crate::plan::recording::Recording;
use crate::plan::selection::Catalogue;
use crate::plan::{self, Plan, Shard};
use crate::proof::admin::{Admin, AdminSale};
use crate::proof::run_record::Run;
use crate::self_monitoring::SelfMonitor;

/// What the command line asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) target: &'a Target,
    /// `None`: the profile's mix.
    pub(crate) scenario: Option<Scenario>,
    pub(crate) buyers: Option<usize>,
    pub(crate) arrivals: Option<&'a Arrivals>,
    pub(crate) shard: Option<Shard>,
    /// Recorded traffic to play, in place of a scenario.
    pub(crate) replay: Option<&'a Path>,
    /// Where to write the request log.
    pub(crate) request_log: Option<&'a Path>,
}

/// Everything that a load needs.
pub(crate) struct Prepared {
    pub(crate) load: Arc<Load>,
    pub(crate) run: Run,
    /// Goose users for each of the load's queues.
    pub(crate) users: Vec<usize>,
    pub(crate) profile: Profile,
    pub(crate) monitor: SelfMonitor,
}

const DEADLINE_DEFAULT: Duration = Duration::from_secs(3600);
/// What follows the last start: thinking, paying, retries.
const TAIL: Duration = Duration::from_secs(600);
/// Between two tries of a request, where the server does not ask for a longer pause.
const TRY_SPARE: Duration = Duration::from_secs(2);
const BUYERS_DEFAULT: usize = 1000;
/// A wait that is worth a message.
const LONG: Duration = Duration::from_secs(20);

/// Why a run is not worth starting, beside what it would have been.
pub(crate) type NotStarted = (Run, String);

/// What was read before the run.
struct Sight {
    sale: AdminSale,
    shown: PublicSale,
    /// What buyers wait for: the opening of the sale, or of sign-up.
    opens_at: Timestamp,
    clock: ServerClock,
    catalogue: Catalogue,
}

/// The plan of arrivals.
struct RunCourse {
    plan: Plan,
    recording: Option<Recording>,
    /// `None`: the opening is after the deadline.
    moments: Option<RunInstants>,
    deadline: Instant,
    /// The sale opens during the run.
    opens: bool,
}

/// Checks everything, and makes the load; the inner `Err` is a run that would prove nothing.
pub(crate) async fn prepare(
    wanted: &Wanted<'_>,
    admin: &Admin,
) -> Result<Result<Prepared, NotStarted>, Failure> {
    let target = wanted.target;
    let profile = Profile::load(target.manners.profile.as_deref(), &target.manners.set)?;
    let alone = |scenario| BTreeMap::from([(scenario, 1)]);
    let mix = wanted.scenario.map_or_else(|| profile.mix.clone(), alone);
    let started_at = clock::now();
    // Drawn, so that two that are started at once have not the same; short enough for any program that reads JSON.
    let seed = target.seed.unwrap_or_else(|| fastrand::u64(..1 << 48));
    let probe = Client::probe(target)?;
    let sight = look(target, admin, &probe, &profile, begins_with_sign_up(&mix)?).await?;
    let (targets, differences) = targets::collect(&probe, admin).await;
    let RunCourse { plan, recording, moments, deadline, opens } =
        plan_it(wanted, &profile, &mix, &sight, seed)?;
    let taps = plan.lines.iter().any(|line| line.scenario.taps());
    if taps && !sight.catalogue.has_stores() {
        return Err(Failure::Usage(format!(
            "{} has no store, so that no tap can win: apply a definition with [stores]",
            target.ledger.sale
        )));
    }
    let users: Vec<usize> = plan.users().collect();
    let at_once: Vec<(Scenario, usize)> = plan.lines.iter().map(|line| (line.scenario, line.users)).collect();
    let (twice, gateways) = (profile.buyers.twice, target.gateway.len());
    let share = Share::plan(target.transport.connections, &at_once, twice, gateways)?;
    let client = Client::new(target, share)?;
    let until = |instant: Instant| instant.saturating_duration_since(Instant::now());
    let works = moments.map_or(Duration::ZERO, |moments| {
        until(clock::after(moments.opening, SignedDuration::from_micros(plan.last_us())))
    });
    let tokens = tokens::gather(target, seed, plan.accounts(), until(deadline), works)?;
    check_tokens(&probe, target, &tokens).await?;
    let Sight { sale, shown, opens_at, clock, catalogue } = sight;
    let opening = moments.map_or(opens_at, |moments| clock.at(moments.opening));
    let run = Run {
        identity: identity::of_this_run(&profile.identity),
        scenario: mix_in_words(&mix),
        sale: target.ledger.sale.clone(),
        seed,
        shards: wanted.shard.map(|Shard { part, parts }| format!("{part}/{parts}")).into_iter().collect(),
        buyers: plan.buyers(),
        buyers_of_all: plan.people_of_all,
        missing: None,
        taps,
        opening: clock::to_the_ms(opening),
        started_at,
        finished_at: started_at,
        clock_error_ms: clock.error.as_secs_f64() * 1000.0,
        started_after: sale.sequence,
        totals_before: sale.items.iter().map(|item| (item.item.clone(), item.total)).collect(),
        targets,
        profile: profile.table().clone(),
        arrivals: digest(wanted)?,
        ended_early: None,
        notes: notes(&profile, &sale, (&shown, opens_at), &client, &plan, opens, tokens.service.is_some())
            .into_iter()
            .chain(differences)
            .chain(recording.as_ref().and_then(Recording::left_out))
            .collect(),
    };
    if sale.phase == "closed" || shown.phase == "closed" {
        return Ok(Err((run, "the sale was closed before the start".to_owned())));
    }
    let Some(moments) = moments else {
        return Ok(Err((run, format!("the opening would be at {opens_at}, the deadline is before that"))));
    };
    announce(&run, &client, &plan);
    let monitor = SelfMonitor::start(profile.generator, client.traffic.clone(), profile.stalled_after())?;
    let load = Load {
        queues: plan.lines.iter().map(Queue::new).collect(),
        histories: Mutex::default(),
        recording,
        request_log: wanted.request_log.map(RequestLog::start).transpose()?,
        kept: ExchangesKept::of(plan.buyers()),
        second_wave_us: plan.second_wave_us.unwrap_or(i64::MAX),
        client,
        clock,
        sale: run.sale.clone(),
        opens_at: opens.then_some(opens_at),
        tokens,
        seed,
        moments,
        timer: Timer::start()?,
        timeout: target.timeout,
        tries: target.tries,
        catalogue,
        figures: Arc::new(Mutex::new(Figures::of(target.gateways()))),
        gauges: monitor.gauges(),
        profile: profile.clone(),
    };
    Ok(Ok(Prepared { load: Arc::new(load), run, users, profile, monitor }))
}

/// Looks at the sale, as ops and as buyers see it, and at the clock.
async fn look(
    target: &Target,
    admin: &Admin,
    probe: &Arc<Client>,
    profile: &Profile,
    begins_with_sign_up: bool,
) -> Result<Sight, Failure> {
    targets::check_ops(admin).await?;
    let sale = admin.sale().await?;
    if !sale.definition.sale.rehearsal && !target.i_mean_it {
        return Err(Failure::Usage(format!(
            "{} is not a rehearsal: its buyers are real. Add --i-mean-it if you intend this",
            target.ledger.sale
        )));
    }
    let clock = read_clock(probe).await?;
    let shown = wait_until_shown(probe, &target.ledger.sale, sale.definition.sale.opens_at).await?;
    let stores = read_stores(probe, &target.ledger.sale).await?;
    let catalogue = Catalogue::new(&sale.definition, &profile.buyers, stores).map_err(Failure::Usage)?;
    let opens_at = match &sale.definition.signup {
        Some(signup) if begins_with_sign_up && signup.closes_at <= clock.at(Instant::now()) => {
            return Err(Failure::Usage(format!(
                "sign-up of {} ended at {}: apply it with another id and times to come",
                target.ledger.sale, signup.closes_at
            )));
        }
        Some(signup) if begins_with_sign_up => signup.opens_at,
        None if begins_with_sign_up => {
            return Err(Failure::Usage(format!(
                "{} takes no sign-ups: apply a definition with [signup]",
                target.ledger.sale
            )));
        }
        _ => shown.opens_at,
    };
    Ok(Sight { sale, shown, opens_at, clock, catalogue })
}

/// Whether the mix waits for the start of sign-up rather than for the opening of the sale.
fn begins_with_sign_up(mix: &BTreeMap<Scenario, u32>) -> Result<bool, Failure> {
    let played = || mix.iter().filter(|(_, weight)| **weight > 0).map(|(scenario, _)| *scenario);
    match played().filter(|scenario| scenario.arrive() == Arrive::DuringSignUp).count() {
        0 => Ok(false),
        begin if begin == played().count() => Ok(true),
        _ => Err(Failure::Usage(
            "some scenarios of the mix begin with sign-up, like signup and draw-day, and others with the opening: play them in \
             two runs"
                .to_owned(),
        )),
    }
}

/// Makes the plan twice: the earliest arrival depends on how many buyers need preparation.
fn plan_it(
    wanted: &Wanted<'_>,
    profile: &Profile,
    mix: &BTreeMap<Scenario, u32>,
    sight: &Sight,
    seed: u64,
) -> Result<RunCourse, Failure> {
    let target = wanted.target;
    let terms = &sight.sale.definition.sale;
    let mut request = plan::PlanRequest {
        profile,
        mix,
        buyers: wanted.buyers,
        arrivals: wanted.arrivals,
        shard: wanted.shard.unwrap_or(Shard::WHOLE),
        seed,
        lead_max: Duration::ZERO,
        // And the second within which an expired hold's stock is free again.
        hold_lasts: terms.hold + terms.grace + Duration::from_secs(1),
        buyers_default: tokens::at_hand(target)?.unwrap_or(BUYERS_DEFAULT),
        sign_up_lasts: sign_up_lasts(sight),
        turn_lasts: turn_lasts(sight, profile),
        try_takes: target.timeout + TRY_SPARE,
        tries: target.tries,
    };
    // First without a bound before the opening, which depends on how many come.
    let mut recording = wanted.replay.map(Recording::read).transpose()?;
    let planned = |recording: &Option<Recording>, request: &plan::PlanRequest<'_>| match recording {
        Some(recording) => Plan::of_recording(recording, request.shard),
        None => request.plan(),
    };
    if let Some(recording) = &recording {
        recording.check(&sight.sale.definition, &sight.catalogue)?;
    }
    let first = planned(&recording, &request)?;
    let users: usize = first.users().sum();
    let now = Instant::now();
    // The clock's error is waited out: a tap that is early by the server's clock is refused.
    let opening = sight.clock.instant_of(sight.opens_at) + sight.clock.error;
    let lasts = opening.saturating_duration_since(now)
        + request.turn_lasts
        + first.lasts()
        + profile.bots.lasts.0
        + TAIL;
    let deadline = now + target.deadline.unwrap_or(DEADLINE_DEFAULT.max(lasts));
    let moments = RunInstants::new(now, opening, users, first.waiting(), deadline);
    let opens = moments.is_some_and(|moments| moments.opening == opening);
    if wanted.shard.is_some() && !opens {
        return Err(Failure::Usage(format!(
            "the parts of a run meet at the opening, and {} opened at {}: apply it with an opening that is at least a minute away",
            target.ledger.sale, sight.opens_at
        )));
    }
    request.lead_max = moments.map_or(Duration::ZERO, |moments| moments.lead_max(users));
    if let Some(recording) = &mut recording {
        recording.leave_out_before(request.lead_max);
    }
    Ok(RunCourse { plan: planned(&recording, &request)?, recording, moments, deadline, opens })
}

/// How long buyers can still sign up; nothing without sign-up.
fn sign_up_lasts(sight: &Sight) -> Duration {
    let Some(signup) = &sight.sale.definition.signup else { return Duration::ZERO };
    let from = signup.opens_at.max(sight.clock.at(Instant::now()));
    Duration::try_from(signup.closes_at.duration_since(from)).unwrap_or_default()
}

/// How long a buyer may be at work who waits for a draw, or in a queue; nothing where the sale has neither.
fn turn_lasts(sight: &Sight, profile: &Profile) -> Duration {
    let definition = &sight.sale.definition;
    let patience = if definition.sale.standby { profile.standby.patience.0 } else { Duration::ZERO };
    let until_opening = sight.shown.opens_at.duration_since(sight.opens_at);
    let waits = Duration::try_from(until_opening).ok().filter(|_| definition.draw.is_some());
    waits.unwrap_or_default() + patience
}

/// The same for the same schedule, or the same recording, by the same program; `None`: the profile's schedules.
fn digest(wanted: &Wanted<'_>) -> Result<Option<String>, Failure> {
    let mut hasher = DefaultHasher::new();
    match (wanted.replay, wanted.arrivals) {
        (Some(path), _) => std::fs::read(path)
            .map_err(|error| Failure::Usage(format!("--replay {}: {error}", path.display())))?
            .hash(&mut hasher),
        (None, Some(arrivals)) => format!("{arrivals:?}").hash(&mut hasher),
        (None, None) => return Ok(None),
    }
    Ok(Some(format!("{:016x}", hasher.finish())))
}

fn announce(run: &Run, client: &Client, plan: &Plan) {
    console::line(&format!(
        "{} on {}: {} buyers, {} gateway(s), {}, seed {}",
        run.scenario,
        run.sale,
        run.buyers,
        client.gateways(),
        client.connections_in_words(),
        run.seed,
    ));
    if plan.lasts() > LONG {
        console::line(&format!("work starts until {} after the opening", span::words(plan.lasts())));
    }
    if let Some(after) = plan.second_wave_us.and_then(|us| u64::try_from(us).ok()) {
        console::line(&format!(
            "the second wave comes {} after the opening, when the first one's holds have run out; a shorter `hold` in the sale makes \
             it sooner",
            span::words(Duration::from_micros(after))
        ));
    }
}

fn mix_in_words(mix: &BTreeMap<Scenario, u32>) -> String {
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
    (shown, opens_at): (&PublicSale, Timestamp),
    client: &Client,
    plan: &Plan,
    opens: bool,
    confirms: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if !opens {
        notes.push(format!(
            "no opening was tested: it is {opens_at}, which is over, or was before the buyers were ready; what is called opening is when they were"
        ));
    }
    if shown.phase == "sold_out" || sale.phase == "sold_out" {
        notes.push("the sale was sold out before the start".to_owned());
    }
    notes.extend(client.notes(plan.waiting(), plan.buyers()));
    if !confirms && profile.buyers.confirm > 0 {
        notes.push("no reservation is confirmed: --service-token-file is missing".to_owned());
    }
    notes
}
