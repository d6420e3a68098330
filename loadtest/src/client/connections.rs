//! Decides whose connection a request uses, and how many a run may open.

use crate::base::failure::Failure;
use crate::base::scenario::Scenario;
use crate::self_monitoring::{local_ports, raise_descriptors};

/// Whose connection a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// Each buyer has one, from the first request to the end of the session, as an app or a browser has.
    Own,
    /// All buyers share so many, which have one request each at a time; `None`: as many as may be.
    Shared(Option<usize>),
    /// Each request opens one.
    Cold,
}

/// How many connections a run may have open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Of buyers that have their own, or that open one for each request.
    pub(crate) own: usize,
    /// Of all others together.
    pub(crate) shared: usize,
}

/// A run's scenarios with the buyers of each that are at work at once.
pub(crate) type AtOnce = Vec<(Scenario, usize)>;

/// For files, the admin API and goose.
const DESCRIPTORS_SPARE: usize = 200;
/// What is left of descriptors when the limit can't be read.
const DESCRIPTORS_DEFAULT: usize = 1024;

impl Connections {
    /// Reads `own`, `cold`, `shared`, `shared:N`, or `N` for the same.
    pub(crate) fn parse(text: &str) -> Result<Connections, String> {
        match text {
            "own" => return Ok(Connections::Own),
            "cold" => return Ok(Connections::Cold),
            "shared" => return Ok(Connections::Shared(None)),
            _ => {}
        }
        let number = text.strip_prefix("shared:").unwrap_or(text);
        match number.parse() {
            Ok(number) if number > 0 => Ok(Connections::Shared(Some(number))),
            _ => Err(format!("expected own, cold, or shared:N with an N of at least 1, found {text:?}")),
        }
    }

    /// What was asked for, or what the scenario has by itself. Those who tap do it over a connection of their own, as
    /// people do. A reader that comes once and a steady load of hours share: a connection for each of their buyers would
    /// measure connects, and use up the local ports.
    pub(crate) fn of(asked: Option<Connections>, scenario: Scenario) -> Connections {
        asked.unwrap_or(match scenario {
            Scenario::LOOK | Scenario::SOAK => Connections::Shared(None),
            _ => Connections::Own,
        })
    }
}

impl Share {
    /// The connections for so many buyers at once, of which `twice` percent tap twice at the same time; descriptors and
    /// local ports must suffice for all that have their own. Raises the limit of descriptors as far as it may.
    pub(crate) fn plan(
        asked: Option<Connections>,
        buyers: &AtOnce,
        twice: u32,
        gateways: usize,
    ) -> Result<Share, Failure> {
        let count = |is_shared: bool| -> usize {
            let of = buyers.iter().filter(|(scenario, _)| {
                matches!(Connections::of(asked, *scenario), Connections::Shared(_)) == is_shared
            });
            of.map(|(_, buyers)| buyers).sum()
        };
        let (alone, sharing) = (count(false), count(true));
        let own = alone + (alone * twice as usize).div_ceil(100);
        // Two requests a buyer at most.
        let wanted = own + 2 * sharing + DESCRIPTORS_SPARE;
        let descriptors = raise_descriptors(wanted).unwrap_or(DESCRIPTORS_DEFAULT);
        let left = descriptors.saturating_sub(DESCRIPTORS_SPARE).checked_sub(own).ok_or_else(|| {
            Failure::Usage(format!(
                "{alone} buyers with a connection each need {} descriptors, and this process may have {descriptors}: raise the \
                 limit (ulimit -Hn), share connections (--connections shared:N), or use several processes (--shard)",
                own + DESCRIPTORS_SPARE
            ))
        })?;
        let ports = local_ports().unwrap_or(usize::MAX).saturating_mul(gateways.max(1));
        if own > ports {
            return Err(Failure::Usage(format!(
                "{alone} buyers with a connection each need {own} local ports, and this machine has {ports} towards \
                 {gateways} gateway(s): widen net.ipv4.ip_local_port_range, share connections (--connections shared:N), or \
                 use several machines (--shard)"
            )));
        }
        let shared = match asked {
            Some(Connections::Shared(Some(number))) => number.min(left),
            // A connection that has just been given back may not be the one used next.
            _ => left / 2,
        };
        Ok(Share { own, shared: shared.min(2 * sharing).max(1) })
    }

    /// For the line that announces a run.
    pub(crate) fn words(&self, asked: Option<Connections>) -> String {
        match (asked, self.own, self.shared) {
            (Some(Connections::Cold), ..) => "a connection for each request".to_owned(),
            (_, 0, shared) => format!("at most {shared} requests in flight"),
            (_, _, 1) => "a connection for each buyer".to_owned(),
            (_, _, shared) => format!("a connection for each buyer that taps, {shared} for the others"),
        }
    }
}

#[cfg(test)]
mod tests;
