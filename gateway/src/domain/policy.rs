//! Rate-limit policies, rates, and the cost of each kind of call.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use governor::Quota;

use crate::domain::label::label;
use crate::domain::text::grouped;

/// The highest rate or burst.
const UNITS_MAX: u32 = 100_000_000;

label! {
    /// A rate-limit policy, by its name in the configuration and in responses.
    #[derive(Hash)]
    Policy:
    /// The calls of one buyer.
    Buyer "buyer",
    /// The calls without a token from one client address.
    Address "address",
    /// Wrong signatures of public keys from one client address.
    Unverified "unverified",
    /// The new reservations of one sale, over all gateways: each counts 1, whatever it costs.
    Sale "sale",
    /// All calls except those of services, over all gateways.
    Gateway "gateway",
}

impl Policy {
    /// Whether the rate covers all gateways together; otherwise it applies to each gateway.
    pub fn is_ceiling(self) -> bool {
        matches!(self, Self::Sale | Self::Gateway)
    }

    /// What its rate counts.
    pub fn unit(self) -> &'static str {
        if self == Self::Sale { "reservations" } else { "units" }
    }

    /// Whose calls one bucket counts, and where.
    pub fn scope(self) -> &'static str {
        match self {
            Self::Buyer => "of each buyer at each gateway",
            Self::Address => "of calls without a token from each address at each gateway",
            Self::Unverified => "of invalid signatures from each address at each gateway",
            Self::Sale => "of each sale at all gateways together",
            Self::Gateway => "of all calls but those of services at all gateways together",
        }
    }

    /// A rate of it in words.
    ///
    /// ```
    /// use gateway::domain::policy::{Policy, parse_rate};
    /// let rate = parse_rate("2000:500")?;
    /// let text = "at most 2,000 reservations a second, 500 at once, of each sale at all gateways together";
    /// assert_eq!(Policy::Sale.meaning(rate), text);
    /// assert_eq!(Policy::Sale.meaning(None), "no limit");
    /// # Ok::<(), String>(())
    /// ```
    pub fn meaning(self, rate: Option<Rate>) -> String {
        let (unit, scope) = (self.unit(), self.scope());
        let Some(Rate { per_second, burst }) = rate else { return "no limit".to_owned() };
        let [per_second, burst] = [per_second, burst].map(|n| grouped(u64::from(n.get())));
        format!("at most {per_second} {unit} a second, {burst} at once, {scope}")
    }
}

/// A rate with a burst, written `20:100`: 20 units a second, 100 at once; of the policy `sale` reservations.
///
/// ```
/// use gateway::domain::policy::Rate;
/// let rate: Rate = "20:100".parse()?;
/// assert_eq!(rate.to_string(), "20:100");
/// assert!("20".parse::<Rate>().is_err() && "0:1".parse::<Rate>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units that are refilled each second, 1 to 100,000,000.
    pub per_second: NonZeroU32,
    /// Units that can be spent at once, 1 to 100,000,000.
    pub burst: NonZeroU32,
}

impl Rate {
    /// One gateway's share among this many live ones, rounded up so that no share is 0.
    pub fn shared_by(self, gateways: NonZeroU32) -> Self {
        let share = |units: NonZeroU32| {
            NonZeroU32::new(units.get().div_ceil(gateways.get())).unwrap_or(NonZeroU32::MIN)
        };
        Self { per_second: share(self.per_second), burst: share(self.burst) }
    }

    /// The rate as a quota of the governor crate.
    pub(crate) fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
            number.filter(|n: &NonZeroU32| n.get() <= UNITS_MAX)
        };
        text.split_once(':')
            .and_then(|(rate, burst)| Some(Self { per_second: number(rate)?, burst: number(burst)? }))
            .ok_or_else(|| {
                format!(
                    "is not a valid rate: write RATE:BURST, two numbers from 1 to \
                {UNITS_MAX}, as in 20:100 (20 a second, 100 at once), or off"
                )
            })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.per_second, self.burst)
    }
}

/// Parses a rate, or `off`.
pub fn parse_rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" { Ok(None) } else { text.parse().map(Some) }
}

/// Formats a rate, or `off`.
pub fn rate_text(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "off".to_owned(), |rate| rate.to_string())
}

/// The rate of each policy; `None`: off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates([Option<Rate>; Policy::ALL.len()]);

impl Rates {
    /// The rate of a policy.
    pub fn of(&self, policy: Policy) -> Option<Rate> {
        self.0[policy as usize]
    }

    /// Sets the rate of a policy.
    pub fn set(&mut self, policy: Policy, rate: Option<Rate>) {
        self.0[policy as usize] = rate;
    }
}

/// The cost of each kind of call, in units. A call that costs more than the burst costs the whole
/// burst, so that it can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// A new reservation.
    pub reserve: NonZeroU32,
    /// A call that amends, confirms or cancels.
    pub change: NonZeroU32,
    /// A read of the caller's own reservations.
    pub read: NonZeroU32,
    /// A call without a token: the sale, its stores, the time.
    pub status: NonZeroU32,
    /// A wrong signature of a public key.
    pub unverified: NonZeroU32,
}

#[cfg(test)]
mod tests;
