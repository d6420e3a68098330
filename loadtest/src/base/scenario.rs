//! Lists the scenarios: the built-in ones, and those that a program of its own adds.

use std::fmt;
use std::sync::OnceLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A scenario by its name, as on the command line, in the profile and in reports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scenario(&'static str);

/// When the buyers of a scenario come, where neither `--arrivals` nor the profile's `[arrivals]` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrive {
    /// All at the opening, each with a warm connection from before it.
    AtOpening,
    /// Before the opening, denser towards it, and some after it: by the profile's `[crowd]`.
    BeforeOpening,
    /// From the opening on, without preparation.
    AfterOpening,
    /// While buyers can sign up, by the profile's `[signup]`; what is called the opening is the start of sign-up.
    DuringSignUp,
}

/// The scenarios that this program adds: set once, before the command line is read.
static OWN: OnceLock<Vec<(Scenario, Arrive)>> = OnceLock::new();

impl Scenario {
    /// All buyers wait for the opening and tap at once.
    pub const SPIKE: Scenario = Scenario("spike");
    /// The whole day: buyers arrive, look, wait, tap, retry, give up.
    pub const CROWD: Scenario = Scenario("crowd");
    /// Winners change store and packages, then pay.
    pub const CUSTOMISE: Scenario = Scenario("customise");
    /// Holds expire and their stock returns; a second wave gets it.
    pub const ABANDON: Scenario = Scenario("abandon");
    /// Impatient clients that give up after 300 ms and retry.
    pub const RETRY_STORM: Scenario = Scenario("retry-storm");
    /// Few accounts on many connections, with stale and forged tokens, too.
    pub const BOTS: Scenario = Scenario("bots");
    /// A steady mix for hours; stock comes back.
    pub const SOAK: Scenario = Scenario("soak");
    /// Buyers sign up; some change their choices, some withdraw.
    pub const SIGN_UP: Scenario = Scenario("signup");
    /// A sale by a draw: sign-up, the draw, holds and queues.
    pub const DRAW_DAY: Scenario = Scenario("draw-day");
    /// Only looks: one read of the sale's status an arrival.
    pub const LOOK: Scenario = Scenario("look");

    /// Recorded requests at their recorded times: not one that a profile could weigh.
    pub const REPLAY: Scenario = Scenario("replay");

    /// In the order of `--help`.
    pub(crate) const BUILT_IN: [Scenario; 10] = [
        Scenario::SPIKE,
        Scenario::CROWD,
        Scenario::CUSTOMISE,
        Scenario::ABANDON,
        Scenario::RETRY_STORM,
        Scenario::BOTS,
        Scenario::SOAK,
        Scenario::SIGN_UP,
        Scenario::DRAW_DAY,
        Scenario::LOOK,
    ];

    /// As on the command line, in the profile and in reports.
    pub(crate) fn name(self) -> &'static str {
        self.0
    }

    /// For `--help`.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Scenario::SPIKE => "All buyers wait for the opening and tap at once",
            Scenario::CROWD => "The whole day: buyers arrive, look, wait, tap, retry, queue or give up",
            Scenario::CUSTOMISE => "Winners change store and packages, then pay",
            Scenario::ABANDON => "Holds expire and their stock returns; a second wave gets it",
            Scenario::RETRY_STORM => "Impatient clients that give up after 300 ms and retry",
            Scenario::BOTS => "Few accounts on many connections, with stale and forged tokens, too",
            Scenario::SOAK => "A steady mix for hours; stock comes back",
            Scenario::SIGN_UP => "Buyers sign up; some change their choices, some withdraw",
            Scenario::DRAW_DAY => {
                "A sale by a draw: sign-up, the draw, winners who pay or not, queues that move"
            }
            Scenario::LOOK => "Only looks: one read of the sale's status an arrival",
            Scenario::REPLAY => "Recorded requests, of a HAR file or a request log, at their recorded times",
            _ => "A scenario of this program",
        }
    }

    /// The scenario of this name, if this program has it.
    pub(crate) fn named(name: &str) -> Result<Scenario, String> {
        Scenario::all().into_iter().chain([Scenario::REPLAY]).find(|scenario| scenario.0 == name).ok_or_else(
            || {
                let names: Vec<&str> = Scenario::all().into_iter().map(Scenario::name).collect();
                format!("unknown scenario {name:?}, expected one of {}", names.join(", "))
            },
        )
    }

    /// All that a profile can weigh: the built-in ones, then the program's own.
    pub(crate) fn all() -> Vec<Scenario> {
        let own = OWN.get().into_iter().flatten().map(|(scenario, _)| *scenario);
        Scenario::BUILT_IN.into_iter().chain(own).collect()
    }

    pub(crate) fn arrive(self) -> Arrive {
        match self {
            Scenario::SPIKE | Scenario::RETRY_STORM => Arrive::AtOpening,
            Scenario::CROWD => Arrive::BeforeOpening,
            Scenario::SIGN_UP | Scenario::DRAW_DAY => Arrive::DuringSignUp,
            own => OWN
                .get()
                .and_then(|all| all.iter().find(|(added, _)| *added == own))
                .map_or(Arrive::AfterOpening, |(_, arrive)| *arrive),
        }
    }

    /// Whether its buyers tap.
    pub(crate) fn taps(self) -> bool {
        !matches!(self, Scenario::LOOK | Scenario::SIGN_UP | Scenario::DRAW_DAY)
    }

    /// Bots are not buyers: a threshold counts their waits and refusals only if it names them.
    pub(crate) fn is_honest(self) -> bool {
        self != Scenario::BOTS
    }

    /// Adds scenarios by their names; only the first call of a process adds any.
    pub(crate) fn add(own: impl IntoIterator<Item = (String, Arrive)>) {
        // As many as the program defines, once: what is leaked is what it needs to its end.
        let named = own.into_iter().map(|(name, arrive)| (Scenario(String::leak(name)), arrive));
        OWN.get_or_init(|| named.collect());
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scenario, D::Error> {
        Scenario::named(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
