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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// `None`: each scenario's own way.
    pub(crate) asked: Option<Connections>,
    /// Of buyers that have their own, or that open one for each request.
    pub(crate) own: usize,
    /// Of all others together.
    pub(crate) shared: usize,
    /// Why buyers share that would have their own.
    pub(crate) note: Option<String>,
}

/// What the buyers of a run would have.
struct Wanted {
    /// Buyers that share no connection.
    alone: usize,
    /// Connections of these.
    own: usize,
    /// Buyers that share.
    sharing: usize,
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
            Scenario::LOOK | Scenario::SOAK | Scenario::SIGN_UP => Connections::Shared(None),
            _ => Connections::Own,
        })
    }
}

impl Share {
    /// The connections for so many buyers at once, of which `twice` percent tap twice at the same time. Raises the limit
    /// of descriptors as far as it may. Where that is not enough, buyers share, unless something else was asked for.
    pub(crate) fn plan(
        asked: Option<Connections>,
        buyers: &AtOnce,
        twice: u32,
        gateways: usize,
    ) -> Result<Share, Failure> {
        let wanted = Wanted::of(asked, buyers, twice);
        // Two requests a buyer at most.
        let all = wanted.own + 2 * wanted.sharing + DESCRIPTORS_SPARE;
        let descriptors = raise_descriptors(all).unwrap_or(DESCRIPTORS_DEFAULT);
        let ports = local_ports().unwrap_or(usize::MAX);
        let why = match (wanted.within(asked, descriptors, (ports, gateways)), asked) {
            (Ok(share), _) => return Ok(share),
            (Err(why), Some(_)) => return Err(Failure::Usage(why)),
            (Err(why), None) => why,
        };
        // Not asked for: the run is worth more than none, and says so.
        let asked = Some(Connections::Shared(None));
        let shared = Wanted::of(asked, buyers, twice).within(asked, descriptors, (ports, gateways));
        let share = shared.map_err(Failure::Usage)?;
        let note = format!("all buyers shared {} connections: {why}", share.shared);
        Ok(Share { note: Some(note), ..share })
    }

    /// For the line that announces a run.
    pub(crate) fn words(&self) -> String {
        match (self.asked, self.own, self.shared) {
            (Some(Connections::Cold), ..) => "a connection for each request".to_owned(),
            (_, 0, shared) => format!("at most {shared} requests in flight"),
            (_, _, 1) => "a connection for each buyer".to_owned(),
            (_, _, shared) => format!("a connection for each buyer that taps, {shared} for the others"),
        }
    }
}

impl Wanted {
    fn of(asked: Option<Connections>, buyers: &AtOnce, twice: u32) -> Wanted {
        let is_sharing = |scenario| matches!(Connections::of(asked, scenario), Connections::Shared(_));
        let (sharing, alone): (AtOnce, AtOnce) =
            buyers.iter().partition(|(scenario, _)| is_sharing(*scenario));
        let [alone, sharing] = [alone, sharing].map(|buyers| buyers.iter().map(|(_, count)| count).sum());
        Wanted { alone, own: alone + (alone * twice as usize).div_ceil(100), sharing }
    }

    /// What of it there can be. Descriptors and local ports must suffice for all that have their own.
    fn within(
        &self,
        asked: Option<Connections>,
        descriptors: usize,
        (ports, gateways): (usize, usize),
    ) -> Result<Share, String> {
        let Wanted { alone, own, sharing } = *self;
        let left = descriptors.saturating_sub(DESCRIPTORS_SPARE).checked_sub(own).ok_or_else(|| {
            format!(
                "{alone} buyers with a connection each need {} descriptors, and this process may have {descriptors}: raise the \
                 limit (ulimit -Hn), share connections (--connections shared:N), or use several processes (--shard)",
                own + DESCRIPTORS_SPARE
            )
        })?;
        if own > ports.saturating_mul(gateways.max(1)) {
            return Err(format!(
                "{alone} buyers with a connection each need {own} local ports, and this machine has {ports} towards each of \
                 {gateways} gateway(s): widen net.ipv4.ip_local_port_range, share connections (--connections shared:N), or \
                 use several machines (--shard)"
            ));
        }
        let shared = match asked {
            Some(Connections::Shared(Some(number))) => number.min(left),
            // A connection that has just been given back may not be the one used next.
            _ => left / 2,
        };
        Ok(Share { asked, own, shared: shared.min(2 * sharing).max(1), note: None })
    }
}

#[cfg(test)]
mod tests;
