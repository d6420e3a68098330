//! Checks the price and the times that an answer showed with a reservation.

use crate::load::history::Hold;
use crate::proof::ledger::Entry;
use crate::proof::reconcile::ReconcileInput;

/// A tick of the sale clock is at most this long (see the contract): by so much it jumps when the tick comes late.
const TICK_MS: i64 = 2_000;
/// By so much a server's clock may be set within a run without any finding.
const CLOCK_STEP_MS: i64 = 2_000;

/// In words how far `server_time` is from the instant of its answer.
pub(crate) fn wrong_server_time(hold: &Hold, input: &ReconcileInput<'_>) -> Option<String> {
    let (shown, (sent, received)) = (hold.server_time?, hold.exchanged?);
    let [shown, sent, received] = [shown, sent, received].map(|at| at.as_millisecond());
    let doubt = input.doubt_ms() + CLOCK_STEP_MS;
    (!(sent - doubt..=received + doubt).contains(&shown)).then(|| {
        format!(
            "version {}: server_time was shown {} ms after the request; right only if the clock of Redis was set meanwhile",
            hold.version,
            shown - sent
        )
    })
}

/// In words how price or times of a reservation, whose other members are right, were shown otherwise than they are.
pub(crate) fn differs(hold: &Hold, entry: &Entry<'_>, input: &ReconcileInput<'_>) -> Option<String> {
    wrong_price(hold, input).or_else(|| wrong_times(hold, entry, input))
}

fn wrong_price(hold: &Hold, input: &ReconcileInput<'_>) -> Option<String> {
    let defined = input.prices.price(&hold.model, &hold.packages);
    match &hold.price {
        None => Some(format!("version {}: no price was shown", hold.version)),
        Some(shown) if *shown == defined => None,
        // Before the first reservation a definition may change prices.
        Some(_) if input.terms_may_have_changed() => None,
        Some(shown) => Some(format!(
            "version {}: the price {shown:?} was shown, the definition has {defined:?}",
            hold.version
        )),
    }
}

fn wrong_times(hold: &Hold, entry: &Entry<'_>, input: &ReconcileInput<'_>) -> Option<String> {
    let wrong = |what: String| Some(format!("version {}: {what}", hold.version));
    let (Some(held_at), Some(answered)) = (hold.held_at, hold.server_time) else {
        return wrong("no held_at or no server_time was shown".to_owned());
    };
    if held_at != entry.reserve().held_at() {
        return wrong(format!("held_at {held_at} was shown, the ledger has {}", entry.reserve().held_at()));
    }
    let expires_at = match (hold.expires_at, hold.state.as_str()) {
        (Some(at), "held") => at,
        (None, "held") => return wrong("no expires_at was shown with a hold".to_owned()),
        (None, _) => return None,
        (Some(at), state) => return wrong(format!("expires_at {at} was shown with the state {state}")),
    };
    if input.terms_may_have_changed() {
        return None;
    }
    // The 201 shows the instant in which the hold was taken. A later answer may show a later deadline, since an outage or
    // a freeze gives its time back, but never more than a whole hold from then on; and an earlier one by a tick that came
    // late, or where Redis's clock was set back.
    let lasts = i64::try_from(input.terms.hold_of(entry.is_granted()).as_millis()).unwrap_or(i64::MAX / 4);
    let [held_at, answered, expires_at] = [held_at, answered, expires_at].map(|at| at.as_millisecond());
    let earliest = held_at + lasts - if hold.is_new { 1 } else { TICK_MS + CLOCK_STEP_MS };
    let latest =
        if hold.is_new { held_at + lasts + 1 } else { answered.max(held_at) + lasts + input.doubt_ms() };
    (!(earliest..=latest).contains(&expires_at)).then(|| {
        format!(
            "version {}: expires_at was shown {} ms after held_at, expected {} to {} ms",
            hold.version,
            expires_at - held_at,
            earliest - held_at,
            latest - held_at
        )
    })
}

#[cfg(test)]
mod tests;
