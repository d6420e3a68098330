//! Runs many buyers at once, each of which retries with its key until it is answered, and compares
//! the answers with the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Client;
use serde_json::Value;
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send, token};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Taps that are on their way at once.
const TAPS_AT_ONCE: usize = 24;

/// Buyers that are tapping. Each has one key and goes on to the next gateway when it is put off.
pub struct Spike {
    answered: Arc<SpikeAnswers>,
    buyers: Vec<JoinHandle<()>>,
}

/// The answers so far.
struct SpikeAnswers {
    answers: Mutex<Vec<(String, Answer)>>,
    won: watch::Sender<usize>,
    put_off: watch::Sender<usize>,
}

/// The class of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 201 or 200: this reservation, with its number.
    Has(String, u64),
    /// No, for a reason that is final for this buyer: the problem's name.
    No(String),
    /// Ask again: the problem's name, empty if there was no answer at all.
    Later(String),
}

impl Answer {
    /// Classifies an answer to a tap; one outside the contract fails the test.
    pub fn of(reply: &Reply) -> Self {
        match (reply.status, reply.problem()) {
            (200 | 201, _) => Self::Has(reply.id(), reply.json["number"].as_u64().unwrap()),
            (0, _) => Self::Later(String::new()),
            (503, problem @ ("temporary-reduced-capacity" | "outcome-unknown")) => {
                assert_ne!(reply.header("retry-after"), "", "{}", reply.text);
                Self::Later(problem.to_owned())
            }
            (409, problem @ "sold-out") => Self::No(problem.to_owned()),
            (status, _) => panic!("{status}: {}", reply.text),
        }
    }
}

impl Spike {
    /// Lets `PREFIX-0` to `PREFIX-N` tap, all for the same, spread over the gateways at these URLs.
    pub fn start(gateways: &[&Gateway], prefix: &str, buyers: usize, body: &Value) -> Self {
        let answered = Arc::new(SpikeAnswers {
            answers: Mutex::default(),
            won: watch::Sender::new(0),
            put_off: watch::Sender::new(0),
        });
        let urls: Arc<[String]> =
            gateways.iter().map(|g| format!("{}/v1/sales/small/reservations", g.url)).collect();
        let (client, turns) = (Client::new(), Arc::new(Semaphore::new(TAPS_AT_ONCE)));
        let buyers = (0..buyers).map(|n| {
            let (answered, urls, client, turns) =
                (answered.clone(), urls.clone(), client.clone(), turns.clone());
            let (sub, body) = (format!("{prefix}-{n}"), body.clone());
            tokio::spawn(async move { tap(&client, &urls, &turns, n, &sub, &body, &answered).await })
        });
        Self { buyers: buyers.collect(), answered }
    }

    /// Waits until so many answers showed a reservation.
    pub async fn won(&self, answers: usize) {
        reaches(&self.answered.won, answers).await;
    }

    /// Waits until so many answers, more than by now, put a buyer off.
    pub async fn put_off(&self, answers: usize) {
        let by_now = *self.answered.put_off.borrow();
        reaches(&self.answered.put_off, by_now + answers).await;
    }

    /// Whether every buyer is answered.
    pub fn is_over(&self) -> bool {
        self.buyers.iter().all(JoinHandle::is_finished)
    }

    /// Waits until every buyer is answered, and returns the results.
    pub async fn end(self) -> SpikeOutcome {
        for buyer in self.buyers {
            buyer.await.unwrap();
        }
        let mut outcome = SpikeOutcome::default();
        for (sub, answer) in self.answered.answers.lock().unwrap().drain(..) {
            outcome.add(sub, answer);
        }
        outcome
    }
}

async fn reaches(count: &watch::Sender<usize>, answers: usize) {
    eventually("enough answers", || async { (*count.borrow() >= answers).then_some(()) }).await;
}

async fn tap(
    client: &Client,
    urls: &[String],
    turns: &Semaphore,
    n: usize,
    sub: &str,
    body: &Value,
    answered: &SpikeAnswers,
) {
    let (token, mut attempt) = (token(sub), n);
    eventually("the buyer is answered", || {
        attempt += 1;
        let url = &urls[attempt % urls.len()];
        let request = client.post(url).bearer_auth(&token).header("idempotency-key", "the-one");
        async move {
            let reply = {
                let _turn = turns.acquire().await.unwrap();
                send(request.json(body)).await
            };
            let answer = Answer::of(&reply);
            answered.answers.lock().unwrap().push((sub.to_owned(), answer.clone()));
            match answer {
                Answer::Has(..) => answered.won.send_modify(|n| *n += 1),
                Answer::Later(_) => answered.put_off.send_modify(|n| *n += 1),
                Answer::No(_) => {}
            }
            (!matches!(answer, Answer::Later(_))).then_some(())
        }
    })
    .await;
}

/// The final result of every buyer, and the problems on the way.
#[derive(Debug, Default)]
pub struct SpikeOutcome {
    /// Id and number of each acknowledged reservation, by buyer.
    pub winners: BTreeMap<String, (String, u64)>,
    /// The problem of each refused buyer.
    pub refused: BTreeMap<String, String>,
    /// How often buyers had to retry, by problem.
    pub put_off: BTreeMap<String, usize>,
}

impl SpikeOutcome {
    /// Adds an answer; it must not contradict one that the buyer had before.
    pub fn add(&mut self, sub: String, answer: Answer) {
        match answer {
            Answer::Has(id, number) => {
                assert!(!self.refused.contains_key(&sub), "{sub} lost, then won");
                let now = (id, number);
                let before = self.winners.entry(sub.clone()).or_insert(now.clone());
                assert_eq!(*before, now, "{sub} was shown two reservations");
            }
            Answer::No(problem) => {
                assert!(!self.winners.contains_key(&sub), "{sub} won, then lost");
                self.refused.insert(sub, problem);
            }
            Answer::Later(problem) => *self.put_off.entry(problem).or_default() += 1,
        }
    }

    /// Compares the buyers' results with journal, records and audit of the sale `small`.
    pub async fn reconcile(&self, gateway: &Gateway) {
        let mut made = BTreeMap::new();
        let mut numbers = Vec::new();
        for line in journal(gateway).await {
            if line["kind"] != "reserve" {
                continue;
            }
            let id = line["reservation"].as_str().unwrap().to_owned();
            let (buyer, number) = (line["buyer"].as_str().unwrap(), line["number"].as_u64());
            numbers.push(number.unwrap());
            let twice = made.insert(buyer.to_owned(), (id, number.unwrap()));
            assert_eq!(twice, None, "{buyer} has two reservations");
        }
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
        for (sub, answered) in &self.winners {
            assert_eq!(made.get(sub), Some(answered), "{sub} was acknowledged {answered:?}");
            let path = format!("/admin/v1/sales/small/buyers/{sub}");
            // The answers of a busy Redis may be late.
            let desk = eventually("the buyer's reservations are read", || async {
                let desk = gateway.ops_get(&path).await;
                assert!(matches!(desk.status, 200 | 503), "{}", desk.text);
                (desk.status == 200).then_some(desk.json)
            })
            .await;
            let list = desk["reservations"].as_array().unwrap();
            assert_eq!(list.len(), 1, "{desk}");
            assert_eq!(
                (list[0]["id"].as_str(), list[0]["number"].as_u64()),
                (Some(&*answered.0), Some(answered.1))
            );
        }
        for (sub, problem) in &self.refused {
            assert_eq!(made.get(sub), None, "{sub} was refused: {problem}");
        }
        balanced(gateway).await;
    }
}

/// The whole journal of the sale `small`, a line a change.
pub async fn journal(gateway: &Gateway) -> Vec<Value> {
    let mut lines: Vec<Value> = Vec::new();
    loop {
        let from = match lines.last() {
            Some(line) => format!("?from={}", line["cursor"].as_str().unwrap()),
            None => String::new(),
        };
        let path = format!("/admin/v1/sales/small/journal{from}");
        // A fenced sale is not read.
        let page = eventually("the journal is read", || async {
            let page = gateway.ops_get(&path).await;
            assert!(matches!(page.status, 200 | 503), "{}", page.text);
            (page.status == 200).then_some(page)
        })
        .await;
        if page.text.is_empty() {
            return lines;
        }
        let page = page.text.lines().map(serde_json::from_str::<Value>);
        lines.extend(page.map(Result::unwrap));
    }
}

/// How many changes of a kind the journal has.
pub async fn changes(gateway: &Gateway, kind: &str) -> usize {
    let lines = journal(gateway).await;
    lines.iter().filter(|line| line["kind"] == kind).count()
}

/// A clean audit of the sale `small`; its report.
pub async fn balanced(gateway: &Gateway) -> Value {
    let audit = gateway.audit().await;
    assert_eq!(audit["verdict"], "balanced", "{audit}");
    audit
}

/// Waits until a gateway is ready, or until it is not; its reason.
pub async fn ready(gateway: &Gateway, yes: bool) -> String {
    eventually("readiness changes", || async {
        let reply = gateway.ops_get("/readyz").await;
        ((reply.status == 200) == yes).then_some(reply.text)
    })
    .await
}

/// Retries with the same key until the answer is final.
pub async fn reserve_until_answered(gateway: &Gateway, sub: &str, key: &str, body: &Value) -> Reply {
    eventually("the buyer is answered", || async {
        let reply = gateway.reserve(sub, key, body).await;
        (!matches!(Answer::of(&reply), Answer::Later(_))).then_some(reply)
    })
    .await
}

/// Retries with the same key until the buyer has a reservation. It is new, or made by an earlier try whose answer did not arrive.
pub async fn wins(gateway: &Gateway, sub: &str, key: &str, body: &Value) -> Reply {
    let may_be_made = AtomicBool::new(false);
    eventually("the buyer wins", || async {
        let reply = gateway.reserve(sub, key, body).await;
        match Answer::of(&reply) {
            Answer::Has(..) => {
                let new = reply.status == 201;
                assert!(new || may_be_made.load(Ordering::Relaxed), "not new: {}", reply.text);
                Some(reply)
            }
            Answer::No(problem) => panic!("{sub} is refused: {problem}"),
            Answer::Later(problem) => {
                if problem != "temporary-reduced-capacity" {
                    may_be_made.store(true, Ordering::Relaxed);
                }
                None
            }
        }
    })
    .await
}

/// Whether the metrics report a ledger fault of the sale.
pub async fn fault(gateway: &Gateway) -> bool {
    let metrics = gateway.ops_get("/metrics").await.text;
    metrics.contains("launchgate_ledger_fault{sale=\"small\"} 1")
}
