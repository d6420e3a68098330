//! Gives goose users what a buyer does: the verbs of which scenarios are written. Each sends what an app would send,
//! judges the answer by the contract, keeps what the buyer was shown for the proof, and records into goose's metrics.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use fastrand::Rng;
use goose::goose::{GooseUser, TransactionError};
use tokio::sync::{OwnedMappedMutexGuard, OwnedMutexGuard};

use crate::base::outcome::Outcome;
use crate::load::buyer::After;
use crate::load::journey::{Journey, report};
use crate::load::session::{SalePage, Session, TapPolicy, TurnEnd};
use crate::plan::profile::Profile;
use crate::plan::recording::Deed;
use crate::plan::selection::Selection;

/// Ends a transaction when the run is over, so that `?` behind a verb is all that a scenario needs.
pub type Stop = Box<TransactionError>;

/// What a buyer does. Every verb is an error once the run is over.
pub trait Verbs {
    /// Looks at the sale, as an app polls it; `None` without an answer that can be read.
    fn look(&mut self) -> impl Future<Output = Result<Option<SalePage>, Stop>> + Send;

    /// Reads the server's clock, as an app does for its countdown.
    fn read_time(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Polls the sale as often as the server asks until the opening. A buyer that comes later does not wait: false.
    fn wait_for_opening(&mut self) -> impl Future<Output = Result<bool, Stop>> + Send;

    /// Lists the stores of a city of the profile that have room, and picks one.
    fn browse(&mut self) -> impl Future<Output = Result<Option<String>, Stop>> + Send;

    /// Lists stores by a query of the API, such as `city=Wuhan&limit=20`; the ids on the page.
    fn list_stores(&mut self, query: &str) -> impl Future<Output = Result<Vec<String>, Stop>> + Send;

    /// Taps with a new key and retries as the contract asks until there is an outcome; so many buyers as the profile says tap
    /// twice at once. The wait is counted from when the buyer's last pause was to end.
    fn tap(&mut self) -> impl Future<Output = Result<Outcome, Stop>> + Send;

    /// Taps like an app that gives up each answer after a time and asks again at once, so many of a hundred times with a
    /// new key: the outcome is then unknown.
    fn tap_impatiently(
        &mut self,
        patience: Duration,
        new_key: u32,
    ) -> impl Future<Output = Result<Outcome, Stop>> + Send;

    /// Taps once, whatever the answer is.
    fn tap_once(&mut self) -> impl Future<Output = Result<Outcome, Stop>> + Send;

    /// Taps with an expired or a forged token, which the gateway must refuse.
    fn try_bad_token(&mut self, is_stale: bool) -> impl Future<Output = Result<(), Stop>> + Send;

    /// After "sold out": waits as long as the server asks, looks again, and says whether the model is there again.
    fn sees_something_come_back(&mut self) -> impl Future<Output = Result<bool, Stop>> + Send;

    /// Changes the reservation, with the body of a PATCH; nothing happens without a hold.
    fn amend(&mut self, change: serde_json::Value) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Changes to other packages of the model; nothing happens without a hold.
    fn change_packages(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Pays: the payment service confirms the version that was shown last; nothing happens without a hold.
    fn confirm(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Cancels the reservation, if there is one.
    fn cancel(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// The order service cancels what was paid.
    fn refund(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Thinks, and then pays, cancels or lets the hold expire, in the shares of the profile; nothing happens without a
    /// hold.
    fn settle(&mut self) -> impl Future<Output = Result<Settled, Stop>> + Send;

    /// Signs up for a draw, or before a launch, with choices of the profile; for a buyer who has signed up, changes the
    /// choices. Whether the buyer is signed up then.
    fn sign_up(&mut self) -> impl Future<Output = Result<bool, Stop>> + Send;

    /// Withdraws the sign-up.
    fn withdraw(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Looks at the sign-up.
    fn look_at_sign_up(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Waits until the allocation of the draw is over: there is a hold, or a place in a queue.
    fn wait_for_draw(&mut self) -> impl Future<Output = Result<TurnEnd, Stop>> + Send;

    /// Joins the queue of the model that the latest tap asked for, and tells whether the buyer waits there.
    fn join_queue(&mut self) -> impl Future<Output = Result<bool, Stop>> + Send;

    /// Waits in the queue for as long as the profile says, and then leaves it, unless there is a hold before.
    fn wait_in_queue(&mut self) -> impl Future<Output = Result<TurnEnd, Stop>> + Send;

    /// Pauses for a think time of the profile. Pauses are not counted as waiting.
    fn think(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Pauses for so long.
    fn rest(&mut self, pause: Duration) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Pauses until so many µs after the opening; not at all, if that is over.
    fn rest_until(&mut self, after_opening_us: i64) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Leaves: the transactions that follow are left out for this buyer.
    fn leave(&mut self) -> impl Future<Output = Result<(), Stop>> + Send;

    /// What the buyer wants and has, to read and to change.
    fn buyer(&mut self) -> impl Future<Output = Result<BuyerView<'_>, Stop>> + Send;
}

/// What a winner has done with the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// There was none.
    NoHold,
    /// It was paid, as far as the gateway let it.
    Confirmed,
    /// It was cancelled.
    Cancelled,
    /// It is left to expire.
    Abandoned,
}

/// A buyer. While this is held, the user can do nothing else: a verb would wait for it forever.
pub struct BuyerView<'a> {
    session: OwnedMappedMutexGuard<Option<Session>, Session>,
    user: PhantomData<&'a mut GooseUser>,
}

impl BuyerView<'_> {
    /// What the next tap asks for.
    pub fn selection(&mut self) -> &mut Selection {
        &mut self.session.buyer.selection
    }

    /// Chances that follow from the seed: the same run makes the same choices.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.session.buyer.rng
    }

    /// Whether there is a hold that can be changed, paid or cancelled.
    pub fn holds(&self) -> bool {
        self.session.holds()
    }

    /// Whether the buyer belongs to the second wave of `abandon`.
    pub(crate) fn is_of_second_wave(&self) -> bool {
        self.session.is_of_second_wave()
    }

    /// Whether the buyer was refused as sold out, and queues rather than give up: where the sale has queues, in the share of
    /// the profile.
    pub(crate) fn may_join(&mut self) -> bool {
        self.session.is_refused_as_sold_out()
            && self.session.may_queue()
            && self.rng().u32(0..100) < self.profile().standby.join
    }

    /// For how long the journey has gone on.
    pub(crate) fn since_start(&self) -> Duration {
        self.session.since_start()
    }

    /// What the recording has of this buyer, who taps just as it shows.
    pub(crate) fn recorded(&mut self) -> Vec<Deed> {
        self.session.buyer.twice = false;
        let (load, number) = (&self.session.load, self.session.buyer.number);
        load.recording.as_ref().and_then(|all| all.buyers.get(number).cloned()).unwrap_or_default()
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.session.load.profile
    }
}

fn over() -> Stop {
    Box::new(TransactionError::Custom(
        "the run is over, or this user plays no scenario of this program".to_owned(),
    ))
}

/// The session of the user's buyer while the run goes on.
async fn session(user: &GooseUser) -> Result<OwnedMappedMutexGuard<Option<Session>, Session>, Stop> {
    let journey = Journey::of(user).await;
    let session = OwnedMutexGuard::try_map(journey, Option::as_mut).map_err(|_| over())?;
    if session.is_cut_short() { Err(over()) } else { Ok(session) }
}

/// A verb: what the session does, and then goose's records of it.
macro_rules! verb {
    ($user:ident, $session:ident => $does:expr) => {{
        let mut $session = session($user).await?;
        let result = $does;
        report($user, &mut $session).await;
        if $session.is_cut_short() { Err(over()) } else { Ok(result) }
    }};
}

impl Verbs for GooseUser {
    async fn look(&mut self) -> Result<Option<SalePage>, Stop> {
        verb!(self, session => session.look().await.cloned())
    }

    async fn read_time(&mut self) -> Result<(), Stop> {
        verb!(self, session => session.read_time().await)
    }

    async fn wait_for_opening(&mut self) -> Result<bool, Stop> {
        verb!(self, session => session.wait_for_opening().await)
    }

    async fn browse(&mut self) -> Result<Option<String>, Stop> {
        verb!(self, session => session.browse().await)
    }

    async fn list_stores(&mut self, query: &str) -> Result<Vec<String>, Stop> {
        verb!(self, session => {
            let page = session.list_stores(query).await;
            page.map_or(Vec::new(), |page| page.stores.into_iter().map(|store| store.id).collect())
        })
    }

    async fn tap(&mut self) -> Result<Outcome, Stop> {
        verb!(self, session => {
            let policy = session.policy();
            session.tap(policy).await
        })
    }

    async fn tap_impatiently(&mut self, patience: Duration, new_key: u32) -> Result<Outcome, Stop> {
        verb!(self, session => session.tap(TapPolicy::Impatient { patience, new_key }).await)
    }

    async fn tap_once(&mut self) -> Result<Outcome, Stop> {
        verb!(self, session => session.tap(TapPolicy::Once).await)
    }

    async fn try_bad_token(&mut self, is_stale: bool) -> Result<(), Stop> {
        verb!(self, session => session.try_bad_token(is_stale).await)
    }

    async fn sees_something_come_back(&mut self) -> Result<bool, Stop> {
        verb!(self, session => session.sees_something_come_back().await)
    }

    async fn amend(&mut self, change: serde_json::Value) -> Result<(), Stop> {
        verb!(self, session => session.amend(&change).await)
    }

    async fn change_packages(&mut self) -> Result<(), Stop> {
        verb!(self, session => session.change_packages().await)
    }

    async fn confirm(&mut self) -> Result<(), Stop> {
        verb!(self, session => session.confirm().await)
    }

    async fn cancel(&mut self) -> Result<(), Stop> {
        verb!(self, session => session.cancel(false).await)
    }

    async fn refund(&mut self) -> Result<(), Stop> {
        verb!(self, session => session.cancel(true).await)
    }

    async fn settle(&mut self) -> Result<Settled, Stop> {
        let (holds, intent) = {
            let session = session(self).await?;
            (session.holds(), session.intent())
        };
        if !holds {
            return Ok(Settled::NoHold);
        }
        match intent {
            After::Abandon => return Ok(Settled::Abandoned),
            After::Confirm | After::Cancel => self.think().await?,
        }
        match intent {
            After::Confirm => self.confirm().await.map(|()| Settled::Confirmed),
            After::Cancel | After::Abandon => self.cancel().await.map(|()| Settled::Cancelled),
        }
    }

    async fn sign_up(&mut self) -> Result<bool, Stop> {
        verb!(self, session => {
            let choices = session.choose();
            // As a thumb does that touches the button twice.
            for _ in 0..=u8::from(session.buyer.twice) {
                session.sign_up(choices.clone()).await;
            }
            session.is_signed_up()
        })
    }

    async fn withdraw(&mut self) -> Result<(), Stop> {
        verb!(self, session => session.withdraw().await)
    }

    async fn look_at_sign_up(&mut self) -> Result<(), Stop> {
        verb!(self, session => _ = session.look_at_sign_up().await)
    }

    async fn wait_for_draw(&mut self) -> Result<TurnEnd, Stop> {
        verb!(self, session => session.wait_for_draw().await)
    }

    async fn join_queue(&mut self) -> Result<bool, Stop> {
        verb!(self, session => session.join().await)
    }

    async fn wait_in_queue(&mut self) -> Result<TurnEnd, Stop> {
        verb!(self, session => {
            let patience = session.load.profile.standby.patience.0;
            session.wait_in_queue(patience).await
        })
    }

    async fn think(&mut self) -> Result<(), Stop> {
        verb!(self, session => _ = session.think().await)
    }

    async fn rest(&mut self, pause: Duration) -> Result<(), Stop> {
        verb!(self, session => _ = session.rest(pause).await)
    }

    async fn rest_until(&mut self, after_opening_us: i64) -> Result<(), Stop> {
        verb!(self, session => _ = session.rest_until_after_opening(after_opening_us).await)
    }

    async fn leave(&mut self) -> Result<(), Stop> {
        verb!(self, session => session.leave())
    }

    async fn buyer(&mut self) -> Result<BuyerView<'_>, Stop> {
        let session = session(self).await?;
        Ok(BuyerView { session, user: PhantomData })
    }
}
