//! What is limited and how it is written: policies, rates, and what each kind of call costs.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use governor::Quota;

/// The most that a rate or a burst can be.
const UNITS_MAX: u32 = 100_000_000;

/// What is limited, by the name that clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The calls of one buyer.
    Buyer,
    /// The calls without a token from one client address.
    Address,
    /// Wrong signatures of public keys from one client address.
    Unverified,
    /// The new reservations of one sale, all gateways together.
    Sale,
    /// The calls of everybody but services, all gateways together.
    Gateway,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Buyer, Self::Address, Self::Unverified, Self::Sale, Self::Gateway];

    /// As it is written, in the configuration and to clients.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Buyer => "buyer",
            Self::Address => "address",
            Self::Unverified => "unverified",
            Self::Sale => "sale",
            Self::Gateway => "gateway",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }

    /// A ceiling holds for all gateways together; every other policy for each of them.
    #[must_use]
    pub fn is_ceiling(self) -> bool {
        matches!(self, Self::Sale | Self::Gateway)
    }
}

/// So many units a second, and so many at once. Written `20:100`.
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
    /// Units that come back each second, 1 to 100,000,000.
    pub per_second: NonZeroU32,
    /// Units that can be spent at once, 1 to 100,000,000.
    pub burst: NonZeroU32,
}

impl Rate {
    /// This gateway's share when so many live gateways share the rate: rounded up, so that no share is nothing.
    #[must_use]
    pub fn shared_by(self, gateways: NonZeroU32) -> Self {
        let share = |units: NonZeroU32| {
            NonZeroU32::new(units.get().div_ceil(gateways.get())).unwrap_or(NonZeroU32::MIN)
        };
        Self { per_second: share(self.per_second), burst: share(self.burst) }
    }

    /// The same for governor.
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
            .ok_or_else(|| format!("is no rate: write RATE:BURST, two numbers from 1 to {UNITS_MAX}, as in 20:100 (20 units a second, 100 at once), or off"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.per_second, self.burst)
    }
}

/// A rate, or `off`.
pub fn parse_rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" { Ok(None) } else { text.parse().map(Some) }
}

/// The same as text.
#[must_use]
pub fn rate_text(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "off".to_owned(), |rate| rate.to_string())
}

/// The rate of each policy; `None` where it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates([Option<Rate>; Policy::ALL.len()]);

impl Rates {
    /// Of a policy.
    #[must_use]
    pub fn of(&self, policy: Policy) -> Option<Rate> {
        self.0[policy as usize]
    }

    /// Sets one.
    pub fn set(&mut self, policy: Policy, rate: Option<Rate>) {
        self.0[policy as usize] = rate;
    }
}

/// What the kinds of calls cost, in units. A call whose cost is above a burst costs the whole burst, so that none is
/// refused for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// A new reservation.
    pub reserve: NonZeroU32,
    /// An amendment, a confirmation, a cancellation.
    pub change: NonZeroU32,
    /// Reading one's own reservations.
    pub read: NonZeroU32,
    /// A call without a token: the sale, its stores, the time.
    pub status: NonZeroU32,
    /// A wrong signature of a public key.
    pub unverified: NonZeroU32,
}

#[cfg(test)]
mod tests;
