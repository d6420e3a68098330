//! Owns a buyer's journey: warm up, tap, and what a winner does with his hold.

use crate::answer::{Change, Decision, Reading, to_change, to_tap};
use crate::attack::{Note, record};
use crate::client::{Answer, Request};
use crate::load::{Counts, Load};
use crate::tokens::BuyerToken;
use crate::told::{Exchange, History, Hold, Outcome, SoldOut, Step, Told, clip};
use crate::verdict::to_the_ms;
use crate::wish::Menu;
use fastrand::Rng;
use goose::goose::GooseUser;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{sleep, sleep_until};

/// A buyer: who he is, what he will do and what he was told.
pub(crate) struct Buyer {
    n: usize,
    bearer: String,
    key: String,
    after: After,
    /// Where in the warm-up, 0 to 1, he looks at the sale.
    warm_at: f64,
    /// How long a winner thinks before he pays or cancels.
    think: Duration,
    rng: Rng,
    pub(crate) told: Told,
}

/// What a winner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Confirm,
    Cancel,
    Abandon,
}

const THINK_MS_MAX: u64 = 500;
/// What is waited before a retry when the gateway does not say.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const DOUBLINGS_MAX: u32 = 5;
/// A gateway that asks for more is not obeyed: the run has to end.
const PAUSE_MAX: Duration = Duration::from_secs(30);
const JITTER_MS_MIN: u64 = 20;

impl Buyer {
    /// All of a buyer's choices come from the seed and his number, not from how the run goes.
    pub(crate) fn new(
        n: usize,
        token: BuyerToken,
        seed: u64,
        menu: &Menu,
        confirm: u32,
        cancel: u32,
    ) -> Buyer {
        let mut rng = Rng::with_seed(seed ^ (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let wish = menu.choose(&mut rng);
        let after = match rng.u32(0..100) {
            roll if roll < confirm => After::Confirm,
            roll if roll < confirm + cancel => After::Cancel,
            _ => After::Abandon,
        };
        Buyer {
            n,
            bearer: token.bearer,
            key: format!("lt-{seed:x}-{n}"),
            after,
            warm_at: rng.f64(),
            think: Duration::from_millis(rng.u64(0..=THINK_MS_MAX)),
            told: Told::new(token.sub, wish, format!("pay-{seed:x}-{n}")),
            rng,
        }
    }

    /// Looks at the sale, then asks for the time when everybody does.
    pub(crate) async fn warm(&mut self, load: &Load, user: &mut GooseUser) {
        let window = load.schedule.burst.saturating_duration_since(load.schedule.warm_from);
        let look = load.schedule.warm_from + window.mul_f64(self.warm_at);
        for (at, name, path) in [
            (look, "look at the sale", format!("/v1/sales/{}", load.sale)),
            (load.schedule.burst, "ask for the time", "/v1/time".to_owned()),
        ] {
            sleep_until(at.into()).await;
            let answer = load.client.send(self.n, &Request::get(path), load.timeout, load.schedule.tap).await;
            let good = answer.reply.as_ref().is_ok_and(|reply| reply.status == 200);
            Counts::up(if good { &load.counts.warmed } else { &load.counts.warm_failed });
            record(user, &Note::new("GET", name, &answer, good)).await;
        }
    }

    /// Taps when the sale opens, with one key until there is an answer that counts.
    pub(crate) async fn tap(&mut self, load: &Load, user: &mut GooseUser) {
        let body = serde_json::to_string(&self.told.wish).ok();
        let path = format!("/v1/sales/{}/reservations", load.sale);
        let request = Request::post(path, &self.bearer, body).with_key(&self.key);
        sleep_until(load.schedule.tap.into()).await;
        let tapped = Instant::now();
        Counts::up(&load.counts.tapped);

        let (notes, mut heard) = unbounded_channel();
        let (rng, twin) = (self.rng.fork(), self.rng.fork());
        let n = self.n;
        let fingers = async move {
            let first = finger(load, n, &request, rng, notes.clone());
            if load.twice {
                // The second tap may go to another gateway: the key alone must make them one.
                let (first, second) = tokio::join!(first, finger(load, n + 1, &request, twin, notes));
                vec![first, second]
            } else {
                drop(notes);
                vec![first.await]
            }
        };
        let listen = async {
            while let Some(note) = heard.recv().await {
                record(user, &note).await;
            }
        };
        let (fingers, ()) = tokio::join!(fingers, listen);
        self.hear(fingers, tapped, load);
    }

    fn hear(&mut self, fingers: Vec<Finger>, tapped: Instant, load: &Load) {
        let told = &mut self.told;
        let mut exchanges = Vec::new();
        for finger in fingers {
            told.outcome = Some(told.outcome.map_or(finger.outcome, |outcome| outcome.min(finger.outcome)));
            told.skew = [told.skew, finger.skew].into_iter().flatten().min();
            told.holds.extend(finger.holds);
            told.sold_out.extend(finger.sold_out);
            told.complaints.extend(finger.complaints);
            told.requests.extend(finger.requests);
            told.retries += finger.retries;
            exchanges.extend(finger.history.exchanges);
            told.history.left_out += finger.history.left_out;
        }
        exchanges.sort_by_key(|exchange: &Exchange| exchange.at);
        exchanges.into_iter().for_each(|exchange| told.history.push(exchange));
        told.waited = Some(tapped.elapsed());
        if let Some(outcome) = told.outcome {
            load.counts.outcome(outcome);
        }
    }

    /// A winner pays, cancels or walks away.
    pub(crate) async fn settle(&mut self, load: &Load, user: &mut GooseUser) {
        if !self.told.outcome.is_some_and(Outcome::holds) {
            return;
        }
        let Some(hold) = self.told.holds.last().filter(|hold| hold.state == "held") else {
            return;
        };
        let path = format!("/v1/sales/{}/reservations/{}", load.sale, hold.id);
        let step = match (self.after, &load.service) {
            (After::Confirm, Some(service)) => {
                let body =
                    serde_json::json!({"payment": self.told.payment, "version": hold.version}).to_string();
                let request = Request::post(format!("{path}/confirm"), service, Some(body));
                sleep(self.think).await;
                let step = self.insist(load, user, &request, "confirm", "confirmed").await;
                self.told.confirm = step.clone();
                (step, &load.counts.confirmed)
            }
            (After::Cancel, _) => {
                let request = Request::post(format!("{path}/cancel"), &self.bearer, None);
                sleep(self.think).await;
                let step = self.insist(load, user, &request, "cancel", "cancelled").await;
                self.told.cancel = step.clone();
                (step, &load.counts.cancelled)
            }
            _ => return,
        };
        if step.0 == Step::Done {
            Counts::up(step.1);
        }
    }

    /// Sends a confirm or cancel until there is an answer that counts.
    async fn insist(
        &mut self,
        load: &Load,
        user: &mut GooseUser,
        request: &Request,
        name: &'static str,
        state: &str,
    ) -> Step {
        let mut ending = Step::NotTried;
        for attempt in 0..load.tries {
            let gateway = self.n + attempt as usize;
            let answer = load.client.send(gateway, request, load.timeout, load.schedule.deadline).await;
            let Reading { decision, word, retry_after, complaints } = to_change(&answer.reply, state);
            let good = complaints.is_empty() && answer.reply.is_ok();
            record(user, &Note::new("POST", &format!("{name} ({word})"), &answer, good)).await;
            self.told.history.push(exchange(load, gateway, request, &answer));
            self.told.complaints.extend(complaints);
            ending = match decision {
                Change::Done => return Step::Done,
                Change::Refused(problem) => return Step::Refused(problem),
                Change::Unknown => Step::Unknown,
                // "Later" says nothing about an earlier try whose answer was lost.
                Change::Again(_) if ending == Step::Unknown => Step::Unknown,
                Change::Again(why) => Step::Refused(why.to_owned()),
            };
            if attempt + 1 == load.tries || !wait(load, pause(retry_after, attempt, &mut self.rng)).await {
                break;
            }
            self.told.retries += 1;
            Counts::up(&load.counts.retries);
        }
        ending
    }
}

/// What one finger's tap, with its retries, came to.
struct Finger {
    outcome: Outcome,
    holds: Vec<Hold>,
    sold_out: Vec<SoldOut>,
    complaints: Vec<String>,
    requests: Vec<Duration>,
    retries: u64,
    skew: Option<Duration>,
    history: History,
}

async fn finger(
    load: &Load,
    gateway: usize,
    request: &Request,
    mut rng: Rng,
    notes: UnboundedSender<Note>,
) -> Finger {
    let mut finger = Finger {
        outcome: Outcome::Unknown,
        holds: Vec::new(),
        sold_out: Vec::new(),
        complaints: Vec::new(),
        requests: Vec::new(),
        retries: 0,
        skew: None,
        history: History::default(),
    };
    let mut unknown = false;
    for attempt in 0..load.tries {
        let gateway = gateway + attempt as usize;
        let answer = load.client.send(gateway, request, load.timeout, load.schedule.deadline).await;
        finger.skew.get_or_insert(answer.sent.saturating_duration_since(load.schedule.tap));
        let Reading { decision, word, retry_after, complaints } = to_tap(&answer.reply);
        let good = complaints.is_empty() && answer.reply.is_ok();
        // The journey may be gone already when the run is cut short.
        let _ = notes.send(Note::new("POST", &format!("reserve ({word})"), &answer, good));
        finger.history.push(exchange(load, gateway, request, &answer));
        finger.complaints.extend(complaints);
        if answer.reply.is_ok() {
            finger.requests.push(answer.took);
        }
        finger.outcome = decision.gives_up_as(unknown);
        unknown |= matches!(decision, Decision::Unknown);
        if let Some(outcome) = decision.ends() {
            finger.outcome = outcome;
            match decision {
                Decision::Won(hold) | Decision::Replayed(hold) => finger.holds.push(hold),
                Decision::SoldOut(sold_out) => finger.sold_out.push(sold_out),
                _ => {}
            }
            break;
        }
        if attempt + 1 == load.tries || !wait(load, pause(retry_after, attempt, &mut rng)).await {
            break;
        }
        finger.retries += 1;
        Counts::up(&load.counts.retries);
    }
    finger
}

fn exchange(load: &Load, gateway: usize, request: &Request, answer: &Answer) -> Exchange {
    Exchange {
        at: to_the_ms(load.clock.at(answer.sent)),
        took_ms: answer.took.as_secs_f64() * 1000.0,
        request: request.describe(load.client.gateway(gateway)),
        answer: match &answer.reply {
            Ok(reply) => clip(&format!("{} {}", reply.status, reply.body)),
            Err(error) => format!("none: {error}"),
        },
    }
}

/// How long to wait before a retry: as long as the gateway asks, or twice as long each
/// time; and a random part of that, lest all that were refused together come back together.
fn pause(retry_after: Option<Duration>, attempt: u32, rng: &mut Rng) -> Duration {
    let asked = retry_after.unwrap_or(PAUSE_FIRST * 2_u32.pow(attempt.min(DOUBLINGS_MAX))).min(PAUSE_MAX);
    let jitter_ms_max = u64::try_from(asked.as_millis() / 2).unwrap_or(0).max(JITTER_MS_MIN);
    asked + Duration::from_millis(rng.u64(0..=jitter_ms_max))
}

/// Waits; false, at once, when the run would be over before.
async fn wait(load: &Load, pause: Duration) -> bool {
    if goose::is_killswitch_triggered() || Instant::now() + pause >= load.schedule.deadline {
        return false;
    }
    sleep(pause).await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wish::Definition;

    fn menu() -> Menu {
        let definition: Definition = serde_json::from_value(serde_json::json!({
            "sale": {"id": "s"}, "model": [{"id": "a", "stock": 9}, {"id": "b", "stock": 9}],
        }))
        .unwrap();
        Menu::new(&definition, &[], vec![]).unwrap()
    }

    fn buyer(n: usize, seed: u64) -> Buyer {
        let token = BuyerToken { sub: format!("b{n}"), bearer: String::new() };
        Buyer::new(n, token, seed, &menu(), 60, 10)
    }

    #[test]
    fn a_seed_decides_everything() {
        for n in 0..50 {
            let (one, same) = (buyer(n, 7), buyer(n, 7));
            assert_eq!((&one.told.wish, one.after, one.think), (&same.told.wish, same.after, same.think));
            assert!(one.key.len() <= 64);
        }
        assert!((0..50).any(|n| buyer(n, 7).after != buyer(n, 8).after));
        assert_ne!(buyer(0, 7).key, buyer(0, 8).key);
    }

    #[test]
    fn winners_do_as_the_percentages_say() {
        let count = |after| (0..1000).filter(|n| buyer(*n, 3).after == after).count();
        assert!((550..650).contains(&count(After::Confirm)));
        assert!((70..130).contains(&count(After::Cancel)));
    }

    #[test]
    fn the_gateways_wish_is_a_retrys_least_wait() {
        let mut rng = Rng::with_seed(1);
        let asked = Duration::from_millis(800);
        for attempt in 0..20 {
            let pause = pause(Some(asked), attempt, &mut rng);
            assert!(pause >= asked && pause <= asked * 3 / 2);
        }
        assert!(pause(None, 0, &mut rng) >= PAUSE_FIRST);
        assert!(pause(None, 1000, &mut rng) <= PAUSE_MAX * 3 / 2);
        assert!(pause(Some(Duration::from_secs(9999)), 0, &mut rng) <= PAUSE_MAX * 3 / 2);
    }
}
