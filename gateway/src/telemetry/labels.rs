//! The values of labels, as lists: what a request can come to, what ends a connection, and so on.

use crate::domain::label::label;
use crate::domain::problem;

label! {
    /// The calls of the public listener.
    Route:
    /// `/v1/time`
    Time "time",
    /// `/problems/{name}`
    Problem "problem",
    /// A sale.
    Sale "sale",
    /// Its stores.
    Stores "stores",
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
    /// No path of the API, or nothing that could be read.
    None "none",
}

label! {
    /// The parts of a tap's way.
    Stage:
    /// From the request's head to who sent it.
    Identify "identify",
    /// From the whole body to the ticket, or to memory's refusal.
    ReadModel "read-model",
    /// Of a tap that the read model would refuse: until the model is complete as of the arrival, or is not in time.
    Round "round",
    /// In line, until it was sent to Redis or turned away.
    Queue "queue",
    /// From sending its batch to Redis's reply.
    Redis "redis",
    /// From its decision to the answer, ready made.
    Respond "respond",
}

label! {
    /// Where connections come in.
    Listener:
    /// For apps.
    Public "public",
    /// For ops.
    Ops "ops",
}

label! {
    /// How a connection ended.
    Ended:
    /// In order, by either side.
    Closed "closed",
    /// Over the cap.
    OverCap "over-cap",
    /// Over the cap of its client address.
    OverAddressCap "over-address-cap",
    /// Its first byte did not come in time.
    NothingSent "nothing-sent",
    /// The client hung up before its first byte.
    Dropped "dropped",
    /// A PROXY header was due, and it came from no trusted proxy.
    NotTrusted "not-trusted",
    /// Its PROXY header was wrong or late.
    ProxyHeader "proxy-header",
    /// Its handshake failed or was late.
    Handshake "handshake",
    /// A request's head was begun, and not finished in time.
    SlowHead "slow-head",
    /// The client took in nothing of its answers.
    SlowReader "slow-reader",
    /// What came was no HTTP, or a head without end.
    Malformed "malformed",
    /// It broke off in the middle.
    Broken "broken",
    /// HTTP/2 that broke its rules, or a limit of ours.
    Http2Error "http2-error",
    /// No request came in time.
    Idle "idle",
    /// Its age or its requests were at their limit.
    Retired "retired",
    /// The gateway drains.
    Stopped "stopped",
}

label! {
    /// Who in this process talks to Redis.
    User:
    /// The workers' connections: taps and changes.
    Batches "batches",
    /// The sweeper's connection.
    Ledger "ledger",
    /// The rounds, which find as of when the read model is complete.
    Rounds "rounds",
    /// The consumer.
    Consumer "consumer",
    /// The fleet's beat.
    Fleet "fleet",
    /// The pool: admin calls, audits, readiness.
    Admin "admin",
}

label! {
    /// Files that are read again while the gateway runs, by the option that names them.
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
    /// What is promised.
    Slo:
    /// Who asks rightly gets an answer that says what became of it.
    Availability "availability",
    /// And a tap gets it soon.
    Latency "latency",
}

/// What an answer told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(u8);

/// Outcomes that are no problems.
const GOOD: [&str; 5] = ["ok", "won", "replayed", "not-modified", "preflight"];
/// Problems that only ops are told of.
const ADMIN_ONLY: [problem::ProblemKind; 3] =
    [problem::DEFINITION_LOCKED, problem::STOCK_TAKEN, problem::STOCK_CHANGED];

impl Outcome {
    /// Done, or read.
    pub const OK: Self = Self(0);
    /// A new hold.
    pub const WON: Self = Self(1);
    /// The same reservation again.
    pub const REPLAYED: Self = Self(2);
    /// What the client has is still right.
    pub const NOT_MODIFIED: Self = Self(3);
    /// A browser asked whether it may ask.
    pub const PREFLIGHT: Self = Self(4);
    /// How many there are, those included that only ops are told of.
    pub const COUNT: usize = GOOD.len() + problem::ALL.len();
    /// How those of the public listener are written.
    pub const NAMES: &[&str] = &Self::names();

    /// That of a problem.
    #[must_use]
    pub const fn of(kind: &problem::ProblemKind) -> Self {
        Self(GOOD.len() as u8 + kind.place as u8)
    }

    /// Its place among all.
    #[must_use]
    pub const fn place(self) -> usize {
        self.0 as usize
    }

    /// All of the public listener.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self).filter(|outcome| !outcome.is_admin_only())
    }

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let place = self.place();
        if place < GOOD.len() { GOOD[place] } else { problem::ALL[place - GOOD.len()].name }
    }

    /// Whether the buyer has the reservation that he asks for.
    #[must_use]
    pub fn has_won(self) -> bool {
        self == Self::WON || self == Self::REPLAYED
    }

    /// Whether the service is to be judged by it: `Some(true)` well done, `Some(false)` not; `None` where the client is
    /// at fault, has asked too often, or has only asked whether it may ask.
    #[must_use]
    pub fn judgement(self) -> Option<bool> {
        /// What a request that was right is told by a service that works.
        const TOLD: [problem::ProblemKind; 8] = [
            problem::SALE_NOT_OPEN,
            problem::SALE_PAUSED,
            problem::SOLD_OUT,
            problem::PURCHASE_LIMIT,
            problem::RESERVATION_NOT_HELD,
            problem::RESERVATION_CHANGED,
            problem::PAYMENT_CONFLICT,
            problem::SALE_CLOSED,
        ];
        const FAILED: [problem::ProblemKind; 3] =
            [problem::INTERNAL, problem::TEMPORARY_REDUCED_CAPACITY, problem::OUTCOME_UNKNOWN];
        let is_in = |list: &[problem::ProblemKind]| list.iter().any(|kind| Self::of(kind) == self);
        match self {
            Self::OK | Self::WON | Self::REPLAYED | Self::NOT_MODIFIED => Some(true),
            _ if is_in(&TOLD) => Some(true),
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
        let (mut place, mut n) = (0, 0);
        while place < Self::COUNT {
            if !Self(place as u8).is_admin_only() {
                names[n] = Self(place as u8).name();
                n += 1;
            }
            place += 1;
        }
        names
    }
}

#[cfg(test)]
mod tests;
