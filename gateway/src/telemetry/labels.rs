//! The values of metric labels: routes, stages, outcomes, ends of connections.

use crate::domain::label::label;
use crate::domain::problem;

label! {
    /// The calls of the public listener.
    Route:
    /// `/v1/time`
    Time "time",
    /// `/problems/{name}`
    Problem "problem",
    /// `/openapi.json`
    Document "document",
    /// The list of sales.
    Sales "sales",
    /// A sale.
    Sale "sale",
    /// The cities of its stores.
    Cities "cities",
    /// Its stores.
    Stores "stores",
    /// One of them.
    Store "store",
    /// A new reservation: the tap.
    Reserve "reserve",
    /// The caller's own reservations.
    Reservations "reservations",
    /// One of them.
    Reservation "reservation",
    /// Its change.
    Amend "amend",
    /// Its confirmation.
    Confirm "confirm",
    /// Its cancellation.
    Cancel "cancel",
    /// The draw.
    Draw "draw",
    /// The caller's sign-up.
    Signup "signup",
    /// A sign-up, or other choices.
    SignUp "sign-up",
    /// The end of a sign-up.
    Withdraw "withdraw",
    /// The caller's place in a standby queue.
    Standby "standby",
    /// A request to join one.
    JoinStandby "join-standby",
    /// The end of waiting.
    LeaveStandby "leave-standby",
    /// Another path, or an unreadable request.
    None "none",
}

label! {
    /// The stages of a tap.
    Stage:
    /// From the request's head to the verified token.
    Identify "identify",
    /// From the complete body to the admission, or to the refusal by the read model.
    ReadModel "read-model",
    /// Wait of a tap that the read model would refuse, until the model is complete as of the arrival, or
    /// too late.
    Round "round",
    /// In the queue, until it is sent to Redis or shed.
    Queue "queue",
    /// From sending its batch to Redis's reply.
    Redis "redis",
    /// From its decision to the finished response.
    Respond "respond",
}

label! {
    /// The listeners.
    Listener:
    /// The public listener.
    Public "public",
    /// The ops listener.
    Ops "ops",
}

label! {
    /// How a connection ended.
    Ended:
    /// Orderly, by either side.
    Closed "closed",
    /// Over the cap of the listener.
    OverCap "over-cap",
    /// Over the cap of its client address.
    OverAddressCap "over-address-cap",
    /// Its first byte did not arrive in time.
    NothingSent "nothing-sent",
    /// The client hung up before its first byte.
    Dropped "dropped",
    /// A PROXY header was required, and the peer is not a trusted proxy.
    NotTrusted "not-trusted",
    /// Its PROXY header was invalid or late.
    ProxyHeader "proxy-header",
    /// Its handshake failed or was late.
    Handshake "handshake",
    /// A request's head was not complete in time.
    SlowHead "slow-head",
    /// The client read nothing of its responses.
    SlowReader "slow-reader",
    /// Invalid HTTP, or a head without end.
    Malformed "malformed",
    /// It broke off.
    Broken "broken",
    /// An HTTP/2 protocol error, or a limit of the gateway.
    Http2Error "http2-error",
    /// No request arrived in time.
    Idle "idle",
    /// Its age or its number of requests was at the limit.
    Retired "retired",
    /// Closed by the drain.
    Stopped "stopped",
}

label! {
    /// The users of Redis in this process.
    User:
    /// The workers' connections: taps and changes.
    Batches "batches",
    /// The sweeper's connection.
    Ledger "ledger",
    /// The reads that establish up to when the read model is complete.
    Rounds "rounds",
    /// The journal consumer.
    Consumer "consumer",
    /// The heartbeat of the fleet.
    Fleet "fleet",
    /// The pool: admin calls, audits, readiness.
    Admin "admin",
}

label! {
    /// Files that are reloaded while the gateway runs, by the option that names them.
    WatchedFile:
    /// The secret of HS256 tokens.
    AuthSecret "auth-secret-file",
    /// Public keys of tokens.
    AuthJwks "auth-jwks-file",
    /// Tokens of the ops listener.
    OpsTokens "ops-token-file",
    /// The certificate of the public listener, with its key.
    Tls "tls-cert-file",
    /// The certificate of the ops listener, with its key.
    OpsTls "ops-tls-cert-file",
}

label! {
    /// Why a call of the ops listener was refused for its token.
    OpsRefusal:
    /// It has no token, or one that is not in the file.
    Unknown "unknown",
    /// The role of its token does not allow it.
    Role "role",
}

label! {
    /// The service level objectives.
    Slo:
    /// A valid request gets a definite outcome.
    Availability "availability",
    /// A tap gets its response within 250 ms.
    Latency "latency",
}

/// The outcome of a request, as metrics count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(u8);

/// Outcomes that are not problems.
const GOOD: [&str; 5] = ["ok", "won", "replayed", "not-modified", "preflight"];
/// Problems of the ops listener only.
const ADMIN_ONLY: [problem::ProblemKind; 5] = [
    problem::DEFINITION_LOCKED,
    problem::STOCK_TAKEN,
    problem::STOCK_CHANGED,
    problem::JOURNAL_FORKED,
    problem::LEASE_HELD,
];

impl Outcome {
    /// Done, or read.
    pub const OK: Self = Self(0);
    /// A new hold.
    pub const WON: Self = Self(1);
    /// The same reservation again.
    pub const REPLAYED: Self = Self(2);
    /// Not modified since the client's copy.
    pub const NOT_MODIFIED: Self = Self(3);
    /// A CORS preflight.
    pub const PREFLIGHT: Self = Self(4);
    /// The number of outcomes, those of the ops listener included.
    pub const COUNT: usize = GOOD.len() + problem::ALL.len();
    /// The names of those of the public listener.
    pub const NAMES: &[&str] = &Self::names();

    /// The outcome of a problem.
    pub const fn of(kind: &problem::ProblemKind) -> Self {
        Self(GOOD.len() as u8 + kind.index as u8)
    }

    /// Its index among all.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The outcomes of the public listener.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self).filter(|outcome| !outcome.is_admin_only())
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        let index = self.index();
        if index < GOOD.len() { GOOD[index] } else { problem::ALL[index - GOOD.len()].name }
    }

    /// Whether the buyer has the requested reservation.
    pub fn has_won(self) -> bool {
        self == Self::WON || self == Self::REPLAYED
    }

    /// Whether the client has to ask again to learn what became of its request.
    pub fn is_undecided(self) -> bool {
        const UNDECIDED: [problem::ProblemKind; 4] = [
            problem::QUOTA_EXCEEDED,
            problem::INTERNAL,
            problem::TEMPORARY_REDUCED_CAPACITY,
            problem::OUTCOME_UNKNOWN,
        ];
        UNDECIDED.iter().any(|kind| Self::of(kind) == self)
    }

    /// Whether the outcome is good for the service level objectives; `None` where it does not count:
    /// client errors, rate limits and preflights.
    pub fn slo_verdict(self) -> Option<bool> {
        /// The problems that a correct service responds to a valid request.
        const GOOD_PROBLEMS: [problem::ProblemKind; 13] = [
            problem::SALE_NOT_OPEN,
            problem::SALE_PAUSED,
            problem::SOLD_OUT,
            problem::PURCHASE_LIMIT,
            problem::RESERVATION_NOT_HELD,
            problem::RESERVATION_CHANGED,
            problem::PAYMENT_CONFLICT,
            problem::SALE_CLOSED,
            problem::NOT_SIGNED_UP,
            problem::SIGNUP_NOT_OPEN,
            problem::SIGNUP_CLOSED,
            problem::NOT_SOLD_OUT,
            problem::STANDBY_FULL,
        ];
        const FAILED: [problem::ProblemKind; 3] =
            [problem::INTERNAL, problem::TEMPORARY_REDUCED_CAPACITY, problem::OUTCOME_UNKNOWN];
        let is_in = |list: &[problem::ProblemKind]| list.iter().any(|kind| Self::of(kind) == self);
        match self {
            Self::OK | Self::WON | Self::REPLAYED | Self::NOT_MODIFIED => Some(true),
            _ if is_in(&GOOD_PROBLEMS) => Some(true),
            _ if is_in(&FAILED) => Some(false),
            _ => None,
        }
    }

    const fn is_admin_only(self) -> bool {
        let mut n = 0;
        while n < ADMIN_ONLY.len() {
            if Self::of(&ADMIN_ONLY[n]).0 == self.0 {
                return true;
            }
            n += 1;
        }
        false
    }

    const fn names() -> [&'static str; Self::COUNT - ADMIN_ONLY.len()] {
        let mut names = [""; Self::COUNT - ADMIN_ONLY.len()];
        let (mut index, mut n) = (0, 0);
        while index < Self::COUNT {
            if !Self(index as u8).is_admin_only() {
                names[n] = Self(index as u8).name();
                n += 1;
            }
            index += 1;
        }
        names
    }
}

#[cfg(test)]
mod tests;
