//! Random histories of a sale: what may happen.

mod strategies;

use gateway::domain::choice::Choice;
use gateway::manage::admin::OperatorAction;
use gateway::reserve::changes::Amendment;

use super::link::Fault;
pub use strategies::histories;

/// `TIME` when a history begins, ms.
pub const START: i64 = 1_700_000_000_000;
/// Gateways that take turns.
pub const GATEWAYS: usize = 2;
/// The buyers.
pub const BUYERS: [&str; 4] = ["ada", "bob", "cyd", "dan"];
const KEYS: [&str; 3] = ["k0", "k1", "k2"];
/// What may be asked for. `m3`, `p3` and `s3` do not exist at first; `p1` fits `m1` only.
pub const MODELS: [&str; 3] = ["m1", "m2", "m3"];
pub const PACKAGES: [&str; 3] = ["p1", "p2", "p3"];
pub const STORES: [&str; 3] = ["s1", "s2", "s3"];

/// One random life of a sale.
#[derive(Debug, Clone)]
pub struct History {
    pub per_buyer: u32,
    pub attempts: u32,
    /// From the beginning to the opening, ms.
    pub opens_in: i64,
    /// And to the end of changes to what is confirmed.
    pub configure_in: Option<i64>,
    /// From the beginning to the opening of sign-up, and to its end, ms; and whether only those may reserve.
    pub signup: Option<(i64, i64, bool)>,
    /// How long a granted hold lasts, ms, and the places in a queue, if the sale has standby queues.
    pub queues: Option<(u64, Option<u64>)>,
    /// Whether it sells by a draw, to those who sign up; with both of the above.
    pub draws: bool,
    /// Of `m1`, `m2`, `p1`, `p2`, `s1`, `s2`.
    pub stocks: Vec<Option<u64>>,
    pub ops: Vec<Op>,
}

/// What a buyer asks for with a key.
#[derive(Debug, Clone)]
pub struct Tap {
    pub buyer: &'static str,
    pub key: &'static str,
    pub model: &'static str,
    pub packages: Vec<&'static str>,
    pub store: Option<&'static str>,
    pub partial: bool,
}

/// A buyer's request to sign up.
#[derive(Debug, Clone)]
pub struct SignUpRequest {
    pub buyer: &'static str,
    pub choices: Vec<Choice>,
}

/// A buyer's request to join a standby queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    pub buyer: &'static str,
    pub model: &'static str,
    /// Sorted.
    pub packages: Vec<&'static str>,
    pub store: Option<&'static str>,
}

/// The caller of a call on a reservation.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    Owner,
    Service,
    Stranger,
}

/// A change of the file that is then applied.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Sets the stock of an item, which is new if it is not there.
    Stock(&'static str, Option<u64>),
    Remove(&'static str),
    Rename(u8),
    Attempts(u32),
    /// Something that can't change once there is a reservation.
    Locked(u8),
    /// The closing instant, ms after the beginning.
    ClosesIn(i64),
    /// The end of changes to what is confirmed, likewise.
    ConfigureIn(Option<i64>),
}

/// What happens next. Reservations are named by their index in the order in which they were made.
#[derive(Debug, Clone)]
pub enum Op {
    Pass(i64),
    Tick,
    /// So many steps of 2 s, each with a tick.
    Run(u8),
    Reserve(usize, Vec<Tap>),
    /// The very request of a reservation again, twice in one batch.
    Again(usize, usize),
    Confirm {
        at: usize,
        which: usize,
        payment: &'static str,
        version_off: i64,
        /// Also if the hold has ended.
        late: bool,
    },
    Cancel(usize, usize, Role),
    Amend {
        at: usize,
        which: usize,
        role: Role,
        model: Option<&'static str>,
        packages: Option<Vec<&'static str>>,
        store: Option<&'static str>,
        /// The version that it is for, as a distance from the present one.
        version_off: Option<i64>,
    },
    Read(usize, &'static str),
    /// Sign-ups in one batch.
    SignUp(usize, Vec<SignUpRequest>),
    Withdraw(usize, &'static str),
    ReadSignUp(usize, &'static str),
    /// Requests to join standby queues in one batch.
    Join(usize, Vec<JoinRequest>),
    Leave(usize, &'static str),
    /// Grants what is set aside.
    Grant(usize),
    /// A gateway takes the next step of the draw.
    FollowDraw(usize),
    /// An operator draws, with this beacon.
    Draw(u8),
    /// Sweeps until nothing is due, so many journal entries at a time.
    Sweep(usize, usize),
    OperatorAction(OperatorAction),
    Restock {
        item: &'static str,
        total: u64,
        was_off: u64,
    },
    Apply(Vec<Edit>),
    /// A gateway reads the sale anew.
    Refresh(usize),
    Audit,
    /// Redis comes back as it was so many steps ago.
    Crash(usize),
    /// The call of a script that a step makes goes wrong; or the second one, if it makes two.
    Faulty(Fault, bool, Box<Op>),
    /// The calls of two steps, each at its own gateway, at once.
    Together(Box<Op>, Box<Op>),
}

/// What there is in histories besides what buyers and ops do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Redis crashes, and comes back older.
    pub crashes: bool,
    /// Calls and answers are lost, late or doubled on their way.
    pub faults: bool,
    /// Gateways call at once; without the others.
    pub pairs: bool,
    /// Buyers sign up, too; without pairs.
    pub sign_ups: bool,
    /// Buyers wait, too; without pairs.
    pub standby: bool,
    /// The sale sells by a draw; with sign-ups and queues.
    pub draws: bool,
    /// With standby queues: nothing stops grants and nobody is skipped, so that what a recovery can't bring back, since it
    /// was shown to nobody, is done again at once.
    pub grants_go_on: bool,
}

impl Op {
    /// What an `Amend` of a reservation in this version asks for.
    pub fn amendment(&self, present: u64) -> Amendment {
        let Self::Amend { model, packages, store, version_off, .. } = self else {
            return Amendment::default();
        };
        Amendment {
            model: model.map(str::to_owned),
            packages: packages.as_ref().map(|p| p.iter().map(ToString::to_string).collect()),
            store: store.map(str::to_owned),
            version: version_off.map(|off| present.saturating_add_signed(off)),
        }
    }
}

impl History {
    /// Whether Redis crashes in it.
    pub fn crashes(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Crash(_)))
    }
}
