//! Writes the id and the body of a webhook.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::change::Change;

/// The `webhook-id`: the same change has the same one from every relay. After a fork the same place in the feed can have
/// another change, which has another digest.
pub(crate) fn id(sale: &str, change: &Change) -> String {
    format!("{sale}/{}/{}/{}", change.sequence, change.place, change.digest())
}

/// The body of a change.
pub(crate) fn body(change: &Change) -> String {
    json!({"type": kind(change), "timestamp": change.at, "data": change.line}).to_string()
}

/// Id and body of the webhook that takes another one back. The id has the time in ms: a restored file can bring the change
/// back, and the next fork can take it back once more.
pub(crate) fn rescinded(id: &str, body: &str, now: Timestamp) -> (String, String) {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let of = body["type"].as_str().and_then(|kind| kind.split_once('.')).map_or("reservation", |(of, _)| of);
    let taken_back =
        json!({"type": format!("{of}.rescinded"), "timestamp": now, "rescinds": id, "data": body["data"]});
    (format!("{id}/rescinded/{}", now.as_millisecond()), taken_back.to_string())
}

/// `reservation.` and what happened; of changes of the sale `sale.` and the kind of the line.
fn kind(change: &Change) -> String {
    // The specification allows letters, digits and underscores.
    let word = |text: &str| text.replace(|other: char| !other.is_ascii_alphanumeric(), "_");
    match (&change.reservation, change.kind.as_str()) {
        (None, kind) => format!("sale.{}", word(kind)),
        (Some(_), "amend") => "reservation.amended".to_owned(),
        (Some(_), kind) => format!("reservation.{}", word(change.line["state"].as_str().unwrap_or(kind))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(line: &Value) -> Change {
        Change::parse(&line.to_string()).unwrap()
    }

    #[test]
    fn the_type_is_what_happened() {
        let cases = [
            ("reserve", json!("held"), "reservation.held"),
            ("amend", json!("held"), "reservation.amended"),
            ("amend", json!("confirmed"), "reservation.amended"),
            ("confirm", json!("confirmed"), "reservation.confirmed"),
            ("cancel", json!("cancelled"), "reservation.cancelled"),
            ("release", json!("cancelled"), "reservation.cancelled"),
            ("expire", json!("expired"), "reservation.expired"),
        ];
        for (kind, state, expected) in cases {
            let line = json!({"cursor": "7-0/2~x", "id": "7-0", "change": 2, "kind": kind,
                "at": "2026-11-30T00:00:00Z", "reservation": "r1", "state": state});
            let body: Value = serde_json::from_str(&body(&change(&line))).unwrap();
            assert_eq!(body, json!({"type": expected, "timestamp": "2026-11-30T00:00:00Z", "data": line}));
        }
        let line = json!({"cursor": "7-0/1~x", "id": "7-0", "change": 1, "kind": "set-limit", "at": "now"});
        assert_eq!(kind(&change(&line)), "sale.set_limit");
    }

    #[test]
    fn an_id_is_of_the_change_and_its_history() {
        let line = json!({"cursor": "7-0/2~x", "id": "7-0", "change": 2, "kind": "reserve", "at": "then",
            "reservation": "r1", "state": "held"});
        let change = change(&line);
        let id = id("car", &change);
        assert_eq!(id, "car/7/2/x");
        let now = Timestamp::from_millisecond(1_500).unwrap();
        let (its_id, taken_back) = rescinded(&id, &body(&change), now);
        assert_eq!(its_id, "car/7/2/x/rescinded/1500");
        let taken_back: Value = serde_json::from_str(&taken_back).unwrap();
        let expected = json!({"type": "reservation.rescinded", "timestamp": "1970-01-01T00:00:01.5Z", "rescinds": id,
            "data": line});
        assert_eq!(taken_back, expected);
    }
}
