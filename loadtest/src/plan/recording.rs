//! Reads recorded traffic, a HAR file or a request log of an earlier run, and finds what each buyer did in it and when.

mod har;
mod request_log;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::base::failure::Failure;
use crate::plan::selection::{Catalogue, Definition, Selection};

/// What buyers did.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recording {
    /// Each buyer's deeds in order; buyers by their first deed.
    pub(crate) buyers: Vec<Vec<Deed>>,
    /// Requests that are not replayed: how many of each kind.
    left_out: BTreeMap<String, usize>,
}

/// A request of a buyer, retries aside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deed {
    /// µs after the opening: after the recording's first tap, or after its first request if there is no tap.
    pub(crate) at_us: i64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    Look,
    Time,
    /// With the query, as it was.
    Stores(String),
    Tap(Selection),
    Amend(Value),
    Confirm,
    Cancel,
    /// A cancel of what was paid, which only a service may do.
    Refund,
}

/// A request of a recording.
#[derive(Clone, Debug, Default)]
struct Recorded {
    /// µs since any instant.
    at_us: i64,
    method: String,
    /// From the root, with the query.
    path: String,
    /// Whatever tells one client from another.
    client: String,
    key: Option<String>,
    body: String,
    /// The reservation that the answer showed.
    reservation: Option<String>,
}

/// Hours of a busy proxy; all of it is held in RAM.
const BYTES_MAX: u64 = 512 << 20;

impl Recording {
    /// Reads a file of either format.
    pub(crate) fn read(path: &Path) -> Result<Recording, Failure> {
        let wrong = |error: String| Failure::Usage(format!("--replay {}: {error}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
        if size > BYTES_MAX {
            return Err(wrong(format!(
                "found {size} bytes, expected at most {BYTES_MAX}: cut the recording"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let recorded = if request_log::is_one(&text) { request_log::read(&text) } else { har::read(&text) };
        let recording = Recording::of(recorded.map_err(wrong)?);
        if recording.buyers.is_empty() {
            return Err(wrong(
                "found no request of the public API (/v1/sales/…), expected a HAR file, or requests.ndjson of a run with \
                 --request-log"
                    .to_owned(),
            ));
        }
        Ok(recording)
    }

    fn of(mut all: Vec<Recorded>) -> Recording {
        all.sort_by_key(|recorded| recorded.at_us);
        let opening =
            all.iter().find(|recorded| recorded.is_tap()).or(all.first()).map_or(0, |first| first.at_us);
        let mut recording = Recording::default();
        let mut owners: HashMap<String, String> = HashMap::new();
        // Of each owner: the keys of taps, what was asked of each path last, and whether it was paid.
        let mut keys = HashSet::new();
        let mut latest: HashMap<(String, String), String> = HashMap::new();
        let mut paid = HashSet::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for recorded in all {
            let at_us = recorded.at_us - opening;
            let Some(what) = recorded.what() else {
                *recording.left_out.entry(recorded.kind()).or_default() += 1;
                continue;
            };
            // Services act on the reservations of buyers: these are their owners' deeds.
            let owner =
                recorded.of_reservation().and_then(|id| owners.get(id)).unwrap_or(&recorded.client).clone();
            if let (true, Some(id)) = (recorded.is_tap(), &recorded.reservation) {
                owners.insert(id.clone(), owner.clone());
            }
            // The replay's client retries by itself: the same key, or the same change as the last one.
            let is_retry = match (&recorded.key, recorded.method.as_str()) {
                (_, "GET") => false,
                (Some(key), _) => !keys.insert((owner.clone(), recorded.path.clone(), key.clone())),
                (None, _) => {
                    let last = latest.insert((owner.clone(), recorded.path.clone()), recorded.body.clone());
                    last.as_ref() == Some(&recorded.body)
                }
            };
            if is_retry {
                continue;
            }
            let what = match what {
                What::Cancel if paid.contains(&owner) => What::Refund,
                what => what,
            };
            if what == What::Confirm {
                paid.insert(owner.clone());
            }
            let buyers = &mut recording.buyers;
            let place = *places.entry(owner).or_insert_with(|| {
                buyers.push(Vec::new());
                buyers.len() - 1
            });
            buyers[place].push(Deed { at_us, what });
        }
        recording
    }

    /// Leaves out what came earlier than `lead` before the opening.
    pub(crate) fn leave_out_before(&mut self, lead: Duration) {
        let earliest = -i64::try_from(lead.as_micros()).unwrap_or(i64::MAX);
        let mut too_early = 0;
        for deeds in &mut self.buyers {
            let all = deeds.len();
            deeds.retain(|deed| deed.at_us >= earliest);
            too_early += all - deeds.len();
        }
        if too_early > 0 {
            self.left_out.insert("requests too long before the opening".to_owned(), too_early);
        }
        self.buyers.retain(|deeds| !deeds.is_empty());
        self.buyers.sort_by_key(|deeds| deeds[0].at_us);
    }

    /// The intended start of each buyer, in order.
    pub(crate) fn starts(&self) -> Vec<i64> {
        self.buyers.iter().filter_map(|deeds| deeds.first()).map(|first| first.at_us).collect()
    }

    /// The last deed, in µs after the opening.
    pub(crate) fn last_us(&self) -> i64 {
        self.buyers.iter().filter_map(|deeds| deeds.last()).map(|last| last.at_us).max().unwrap_or(0)
    }

    /// In words, what of it is not replayed.
    pub(crate) fn left_out(&self) -> Option<String> {
        let kinds: Vec<String> =
            self.left_out.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        (!kinds.is_empty()).then(|| format!("requests of the recording were left out: {}", kinds.join(", ")))
    }

    /// Names what the recording asks for and the sale does not have.
    pub(crate) fn check(&self, definition: &Definition, catalogue: &Catalogue) -> Result<(), Failure> {
        let mut unknown = HashSet::new();
        for deed in self.buyers.iter().flatten() {
            let wanted = match &deed.what {
                What::Tap(selection) => selection.clone(),
                // A change names what it changes.
                What::Amend(change) => {
                    let text = |name: &str| change[name].as_str().map(str::to_owned);
                    let packages = change["packages"].as_array().into_iter().flatten();
                    let packages = packages.filter_map(|id| id.as_str().map(str::to_owned)).collect();
                    Selection {
                        model: text("model").unwrap_or_default(),
                        packages,
                        store: text("store"),
                        ..Selection::default()
                    }
                }
                _ => continue,
            };
            unknown.extend(definition.unknown(&wanted));
            unknown.extend(wanted.store.filter(|store| !catalogue.has_store(store)));
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let mut unknown: Vec<String> = unknown.into_iter().collect();
        unknown.sort_unstable();
        Err(Failure::Usage(format!(
            "--replay: the recording asks for {}, which the sale does not have: apply a rehearsal of the recorded sale's \
             definition",
            unknown.join(", ")
        )))
    }
}

impl Recorded {
    fn segments(&self) -> Vec<&str> {
        let path = self.path.split('?').next().unwrap_or_default();
        path.split('/').filter(|segment| !segment.is_empty()).collect()
    }

    fn is_tap(&self) -> bool {
        self.method == "POST" && matches!(self.segments()[..], ["v1", "sales", _, "reservations"])
    }

    /// The reservation that it is about.
    fn of_reservation(&self) -> Option<&str> {
        match self.segments()[..] {
            ["v1", "sales", _, "reservations", id, ..] => Some(id),
            _ => None,
        }
    }

    /// What it does; `None`: not what a buyer of a scenario does.
    fn what(&self) -> Option<What> {
        let query = || self.path.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        Some(match (self.method.as_str(), &self.segments()[..]) {
            ("GET", ["v1", "time"]) => What::Time,
            ("GET", ["v1", "sales", _]) => What::Look,
            ("GET", ["v1", "sales", _, "stores"]) => What::Stores(query()),
            ("POST", ["v1", "sales", _, "reservations"]) => What::Tap(serde_json::from_str(&self.body).ok()?),
            ("PATCH", ["v1", "sales", _, "reservations", _]) => {
                What::Amend(serde_json::from_str(&self.body).ok()?)
            }
            ("POST", ["v1", "sales", _, "reservations", _, "confirm"]) => What::Confirm,
            ("POST", ["v1", "sales", _, "reservations", _, "cancel"]) => What::Cancel,
            _ => return None,
        })
    }

    /// For what is left out: the method and the path without what differs from request to request.
    fn kind(&self) -> String {
        let general = |segment: &str| segment.bytes().any(|byte| byte.is_ascii_digit()) && segment != "v1";
        let segments = self.segments();
        let path: Vec<&str> =
            segments.iter().map(|segment| if general(segment) { "…" } else { segment }).take(6).collect();
        format!("{} /{}", self.method, path.join("/"))
    }
}
