//! Tests that the confirmed count is exact, also for a gateway that starts in mid launch.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::time::Duration;

use gateway::domain::definition::Package;
use gateway::domain::identity::{buyer_part, reservation_id};
use gateway::manage::audit::{AuditReport, AuditVerdict};
use gateway::projection::read_model::ReadModel;
use gateway::reserve::changes::{self, Amendment, Change, Payment, Requester};
use gateway::store::scripts::Script;
use testkit::eventually;

use crate::model::instance::Instance;
use crate::model::world::Ledger;
use crate::model::{START, Tap, World, paid, simple};

/// Buyers before the random changes: their records are read in several steps.
const BEFORE: usize = 3_000;
const ROUNDS: usize = 8;
/// Changes of a round, and how many of them are under way at the same time.
const CHANGES: usize = 400;
const AT_ONCE: usize = 8;

/// What random changes need.
struct RandomChanges<'a> {
    ledger: &'a Ledger,
    instance: Instance,
    /// Ids of all reservations so far, with their buyers.
    made: RefCell<Vec<(String, &'static str)>>,
    buyers: Cell<usize>,
    now: Cell<i64>,
}

impl RandomChanges<'_> {
    fn taps(&self, count: usize) -> Vec<Tap> {
        let first = self.buyers.replace(self.buyers.get() + count);
        let tap = |n: usize| Tap {
            buyer: format!("buyer-{n}").leak(),
            key: "k",
            model: if n.is_multiple_of(3) { "m2" } else { "m1" },
            packages: if n.is_multiple_of(2) { vec!["p2"] } else { Vec::new() },
            store: Some("s1"),
            partial: false,
        };
        (first..first + count).map(tap).collect()
    }

    async fn reserve(&self, count: usize) {
        let taps = self.taps(count);
        self.instance.reserve(&taps, false).await;
        let id = |tap: &Tap| (reservation_id(&self.instance.sale.id, tap.buyer, tap.key), tap.buyer);
        self.made.borrow_mut().extend(taps.iter().map(id));
    }

    fn any(&self) -> (String, &'static str) {
        let made = self.made.borrow();
        made[fastrand::usize(..made.len())].clone()
    }

    async fn confirm(&self, id: &str) -> Change {
        let pay = async |version: u64| {
            let payment = Payment { accepts_late: fastrand::bool(), ..paid(version) };
            changes::confirm(&self.instance.redis_connection, &self.instance.sale, id, payment).await
        };
        match pay(1).await {
            // It was changed meanwhile.
            Change::Changed(r) => pay(r.version).await,
            other => other,
        }
    }

    /// Something happens.
    async fn change(&self) {
        let (id, buyer) = self.any();
        let (redis_connection, sale) = (&self.instance.redis_connection, &self.instance.sale);
        match fastrand::u8(..100) {
            0..25 => self.reserve(fastrand::usize(1..4)).await,
            25..60 => drop(self.confirm(&id).await),
            60..80 => drop(changes::cancel(redis_connection, sale, &id, Requester::Service).await),
            80..84 => {
                let part = buyer_part(&sale.id, buyer);
                let wanted = Amendment { packages: Some(vec!["p2".into()]), ..Amendment::default() };
                drop(changes::amend(redis_connection, sale, &id, Requester::Buyer(&part), &wanted).await);
            }
            84..96 => {
                // Also of what is paid.
                let one_of =
                    |list: [&str; 2]| fastrand::bool().then(|| list[fastrand::usize(..2)].to_owned());
                let wanted = Amendment {
                    model: one_of(["m1", "m2"]),
                    packages: fastrand::bool().then(|| one_of(["p2", "p2"]).into_iter().collect()),
                    store: one_of(["s1", "s2"]),
                    version: None,
                };
                drop(changes::amend(redis_connection, sale, &id, Requester::Service, &wanted).await);
            }
            96..99 => {
                self.now.set(self.now.get() + 2_000);
                self.ledger.set_time(self.now.get()).await;
                self.instance.tick().await;
                drop(self.instance.call(Script::Expire, &["64"]).await);
            }
            _ => {
                let mut definition = sale.read_model().catalogue.definition.clone();
                let package =
                    Package { id: format!("new-{}", fastrand::u32(..)), ..definition.packages[1].clone() };
                definition.packages.insert(fastrand::usize(..=definition.packages.len()), package);
                self.ledger.admin.apply(&definition, &crate::model::world::ops()).await.unwrap();
            }
        }
    }

    /// Many things happen, several at a time.
    async fn make_changes(&self) {
        let left = Cell::new(CHANGES);
        let raging = (0..AT_ONCE).map(|_| async {
            while left.get() > 0 {
                left.set(left.get() - 1);
                self.change().await;
            }
        });
        futures_util::future::join_all(raging).await;
    }
}

/// Checks a read model at one sequence: each reservation has one model.
fn is_of_one_sequence(read_model: &ReadModel) {
    let models = 0..read_model.catalogue.definition.models.len();
    let confirmed: i64 = models.clone().map(|index| read_model.confirmed[index]).sum();
    let taken: i64 = models.map(|index| read_model.taken(index)).sum();
    let [held, paid, ..] = read_model.counts.map(u64::cast_signed);
    assert_eq!((confirmed, taken), (paid, held + paid), "at {}", read_model.sequence);
    assert!(read_model.confirmed.iter().all(|n| *n >= 0), "{:?}", read_model.confirmed);
}

/// All counts of the read model.
pub fn whole(read_model: &ReadModel) -> impl Debug + PartialEq + use<> {
    let ReadModel {
        catalogue,
        sequence,
        controls,
        grace_ms,
        free,
        totals,
        counts,
        confirmed,
        aside,
        sign_ups,
        ..
    } = read_model.clone();
    let definition = catalogue.definition.clone();
    let numbers = (free, totals, confirmed, aside);
    (sequence, controls, grace_ms, counts, numbers, sign_ups.now, catalogue.revision, definition)
}

/// Checks that a gateway's counts equal the audit's, and those of a gateway that starts now.
pub async fn agrees(ledger: &Ledger, report: &AuditReport, instance: &Instance) {
    let read_model = eventually("the read model is up to date", || async {
        Some(instance.sale.read_model()).filter(|read_model| read_model.sequence >= report.sequence)
    })
    .await;
    let anew = ledger.load(&instance.sale.id).await.read_model();
    assert_eq!((whole(&read_model), read_model.sequence), (whole(&anew), report.sequence));
    let mut seen = 0;
    for item in report.items.iter().filter(|item| !item.item.starts_with("store:")) {
        let index = read_model.catalogue.index_of(&item.item).unwrap();
        let confirmed = read_model.confirmed[index];
        assert_eq!((read_model.taken(index) - confirmed, confirmed), (item.held, item.confirmed), "{item:?}");
        seen += 1;
    }
    assert_eq!(seen, read_model.catalogue.counted().len());
}

#[test]
fn a_gateway_that_starts_in_a_storm_counts_to_the_unit() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        let mut definition = simple(&sale);
        definition.models.iter_mut().for_each(|model| model.stock = Some(100_000));
        definition.packages.iter_mut().for_each(|package| package.stock = Some(100_000));
        definition.stores.iter_mut().for_each(|store| store.capacity = Some(100_000));
        ledger.set_time(START).await;
        ledger.apply(&definition).await;
        let instance = ledger.following_instance(0, &sale).await;
        let (made, buyers, now) = (RefCell::default(), Cell::new(0), Cell::new(START));
        let random = RandomChanges { ledger: &ledger, instance, made, buyers, now };
        for _ in 0..BEFORE / 60 {
            random.reserve(60).await;
        }
        for n in 0..300 {
            let (id, _) = random.made.borrow()[n * 7].clone();
            assert!(matches!(random.confirm(&id).await, Change::Done(..)));
        }
        for _ in 0..ROUNDS {
            let raging = random.make_changes();
            let starting = async {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..20))).await;
                let late = ledger.following_instance(1, &sale).await;
                let first = late.sale.read_model().sequence;
                for _ in 0..100 {
                    is_of_one_sequence(&late.sale.read_model());
                    is_of_one_sequence(&random.instance.sale.read_model());
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                (late, first)
            };
            let ((), (late, first)) = futures_util::future::join(raging, starting).await;
            let report = ledger.audit(&sale).await;
            assert_eq!((report.verdict, &report.problems), (AuditVerdict::Balanced, &Vec::new()));
            agrees(&ledger, &report, &late).await;
            agrees(&ledger, &report, &random.instance).await;
            assert!(first <= late.sale.read_model().sequence);
        }
    });
}
