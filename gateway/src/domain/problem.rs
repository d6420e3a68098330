//! Every problem of the API as one list, so that all refusals can be reviewed here.

/// One kind of problem: RFC 9457's `type` is `/problems/<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemKind {
    /// The last part of `type`.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A title for people, the same for every occurrence.
    pub title: &'static str,
    /// The common prefix of every occurrence's body, up to the value of `detail`.
    pub head: &'static str,
    /// The text of the page at `type`.
    pub explanation: &'static str,
    /// The index in [`ALL`].
    pub index: usize,
    /// Members besides those of RFC 9457; every occurrence has them unless the name ends in `?`.
    pub members: &'static [(&'static str, Member)],
}

/// The JSON type of a problem's member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// A text.
    Text,
    /// The state of a reservation.
    State,
    /// A time, RFC 3339.
    Time,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Number,
    /// true or false.
    Flag,
    /// A list of rate-limit policies.
    Policies,
    /// A list of texts.
    Texts,
    /// A list of objects.
    Objects,
}

use Member::{Flag, Number, Objects, Policies, State, Text, Texts, Time, Word};

const RETRY: &[(&str, Member)] = &[("retry_after_ms", Number)];
const STATE: &[(&str, Member)] = &[("state", State), ("version", Number)];
const REASONS: &[&str] = &["per-buyer", "attempts"];

macro_rules! problems {
    ($($constant:ident $status:literal $name:literal $members:expr, $title:literal $explanation:literal)*) => {
        $(#[doc = $explanation] pub const $constant: ProblemKind = ProblemKind {
            name: $name,
            status: $status,
            title: $title,
            head: concat!(
                "{\"type\":\"/problems/", $name, "\",\"title\":\"", $title, "\",\"status\":", $status, ",\"detail\":"
            ),
            explanation: $explanation,
            index: ProblemIndex::$constant as usize,
            members: $members,
        };)*
        /// The indices of the problems.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "they are named as the constants")]
        enum ProblemIndex { $($constant),* }

        /// All problems.
        pub const ALL: &[ProblemKind] = &[$($constant),*];
    };
}

problems! {
    INVALID_REQUEST 400 "invalid-request" &[("pointer?", Text), ("mistakes?", Objects)], "The request is malformed"
        "The body, a query parameter or a header can't be read: `detail` has the reason, `pointer` the position. Nothing was done; correct the request before sending it again."
    IDEMPOTENCY_KEY_MISSING 400 "idempotency-key-missing" &[], "An Idempotency-Key is needed"
        "A reservation needs an `Idempotency-Key` header of 1 to 64 visible ASCII characters. Make one per intended reservation and send the same one with every retry."
    UNAUTHENTICATED 401 "unauthenticated" &[], "A valid token is needed"
        "There is no bearer token, or it is malformed, expired, not valid yet, or signed by a key that is not trusted."
    FORBIDDEN 403 "forbidden" &[], "The token does not allow this"
        "The token is valid, but this call needs another scope or, on the ops listener, another role."
    NOT_SIGNED_UP 403 "not-signed-up" &[], "A sign-up is needed"
        "Only buyers who signed up can reserve in this sale. The sale's page says when sign-up closes."
    NOT_FOUND 404 "not-found" &[], "This path does not exist"
        "No call has this path."
    SALE_NOT_FOUND 404 "sale-not-found" &[], "There is no such sale"
        "No sale with this id has been defined."
    RESERVATION_NOT_FOUND 404 "reservation-not-found" &[], "There is no such reservation"
        "No reservation with this id exists, or it belongs to another buyer."
    STORE_NOT_FOUND 404 "store-not-found" &[], "There is no such store"
        "This sale has no store with this id."
    SIGNUP_NOT_FOUND 404 "signup-not-found" &[], "There is no sign-up"
        "The buyer has not signed up for this sale, or has withdrawn."
    STANDBY_NOT_FOUND 404 "standby-not-found" &[], "The buyer has no place in a queue"
        "The buyer has not joined a standby queue of this sale, or has left it."
    METHOD_NOT_ALLOWED 405 "method-not-allowed" &[], "This path has other methods"
        "The `Allow` header lists them."
    REQUEST_TIMEOUT 408 "request-timeout" &[], "The request did not arrive in time"
        "Headers or body came too slowly. Nothing was done; send the request again."
    SALE_NOT_OPEN 409 "sale-not-open" &[("opens_at", Time), ("server_time", Time), ("retry_after_ms", Number)], "The sale has not opened yet"
        "Reservations start at `opens_at`, by the server's clock (`server_time`)."
    SALE_PAUSED 409 "sale-paused" RETRY, "The sale is paused"
        "New reservations are paused. Existing holds stay."
    SOLD_OUT 409 "sold-out" &[("items", Texts), ("final", Flag), ("standby", Flag)], "Sold out"
        "The listed `items` are sold out. Unless `final` is true, a hold that ends may return some. Where `standby` is true, the buyer can wait for the model."
    PURCHASE_LIMIT 409 "purchase-limit" &[("reservations", Texts), ("reason", Word(REASONS))], "The purchase limit is reached"
        "`reservations` lists those that count. `reason` is `per-buyer`: the buyer has as many as the sale allows; or `attempts`: the buyer has started as many as the sale allows."
    RESERVATION_NOT_HELD 409 "reservation-not-held" STATE, "The reservation is not held"
        "It was confirmed, cancelled or has expired, the time for changes is over (`state`), or its buyer has changed it 100 times. A payment that can't be confirmed for this reason has to be refunded."
    RESERVATION_CHANGED 409 "reservation-changed" STATE, "The reservation has changed"
        "It has another `version` than the request names. Read it again."
    PAYMENT_CONFLICT 409 "payment-conflict" STATE, "It was confirmed by another payment"
        "The reservation is confirmed, with another payment reference than this one."
    SIGNUP_NOT_OPEN 409 "signup-not-open" &[("opens_at", Time), ("closes_at", Time)], "Sign-up is not open yet"
        "Buyers can sign up from `opens_at` to `closes_at`, by the server's clock."
    NOT_SOLD_OUT 409 "not-sold-out" &[("items", Texts)], "The model is not sold out"
        "Buyers can wait for a model only while nothing of it is free. Reserve it."
    STANDBY_FULL 409 "standby-full" &[("items", Texts)], "The queue is full"
        "As many buyers wait for the model as the sale allows. Another may leave the queue at any time."
    DEFINITION_LOCKED 409 "definition-locked" &[("fields?", Texts), ("items?", Texts)], "This can't change any more"
        "A reservation exists, so `fields` can't change (buyers rely on them), and `items` that were ever \
            taken can't be removed. Nor can `closes_at` of a sale that an operator has closed, and once a buyer has signed up, \
            `signup` can't be removed; once one has waited, neither can `standby`, nor the limit of a model that buyers wait for (`stock`)."
    STOCK_TAKEN 409 "stock-taken" &[("items", Texts), ("taken?", Number)], "More is taken"
        "The new total of an item is below what buyers hold and have confirmed."
    STOCK_CHANGED 409 "stock-changed" &[("total?", Number)], "The total has changed"
        "The item's total is neither the expected nor the new one. Read it, and decide again."
    JOURNAL_FORKED 409 "journal-forked" &[("cursor", Text)], "The journal has another history"
        "The change of `from` is not in the ledger: a failover lost it, or the sale was purged and applied again. `cursor` is the last one that `from` and the ledger have in common, or somewhat earlier; `0-0` is the start. Take back what you have of this sale after it, and continue from it."
    LEASE_HELD 409 "lease-held" &[("holder", Text), ("expires_at", Time), ("retry_after_ms", Number)], "Another reader has the lease"
        "`holder` reads the journal under this name. Its lease ends at `expires_at` unless it is renewed."
    SALE_CLOSED 410 "sale-closed" &[], "The sale has closed"
        "New reservations have ended."
    SIGNUP_CLOSED 410 "signup-closed" &[], "Sign-up has closed"
        "Sign-ups can't be made, changed or withdrawn any more. Those that were made stay."
    BODY_TOO_LARGE 413 "body-too-large" &[], "The body is too large"
        "The limit is 16 KiB, and 32 MiB for definitions."
    URI_TOO_LONG 414 "uri-too-long" &[], "The request target is too long"
        "The limit is 2,048 bytes."
    UNSUPPORTED_MEDIA_TYPE 415 "unsupported-media-type" &[], "The body must be JSON"
        "Send `Content-Type: application/json`, without a content encoding."
    MISDIRECTED_REQUEST 421 "misdirected-request" &[], "The request is meant for another host"
        "The ops listener answers to addresses, to `localhost`, and to the names that `--ops-host` lists. \
            This blocks DNS rebinding."
    IDEMPOTENCY_KEY_REUSED 422 "idempotency-key-reused" &[], "The key was used for another request"
        "This `Idempotency-Key` has made a reservation with another body. A new intention needs a new key."
    UNKNOWN_ITEM 422 "unknown-item" &[("items", Texts)], "There is no such item"
        "The listed `items` do not exist in this sale, or do not fit the model."
    QUOTA_EXCEEDED 429 "quota-exceeded" &[("violated-policies", Policies), ("retry_after_ms", Number)], "Too many requests"
        "A limit is reached: `violated-policies` names it. Wait for `Retry-After`."
    HEADERS_TOO_LARGE 431 "headers-too-large" &[], "The headers are too large"
        "The limit is 16 KiB and 64 headers."
    INTERNAL 500 "internal" &[("request_id", Text)], "Internal error"
        "An internal error. The outcome of the request is unknown; send it again with the same key."
    TEMPORARY_REDUCED_CAPACITY 503 "temporary-reduced-capacity" RETRY, "Not taken, please try again"
        "The request was certainly not carried out. Send it again after `Retry-After`, with the same key."
    OUTCOME_UNKNOWN 503 "outcome-unknown" RETRY, "The outcome is not known yet"
        "The request was sent to the ledger and no answer came in time. It may have been carried out: send it again after `Retry-After`, with the same key."
}
