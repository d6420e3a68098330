//! Lists the faults, and the levels of durability that lose nothing under each.

use clap::ValueEnum;
use serde::Serialize;
use testkit::options::Level;

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// A gateway gets SIGKILL, and is started again
    KillGateway,
    /// A gateway gets SIGTERM, drains, and is started again
    RestartGateway,
    /// A gateway gets SIGSTOP, and later SIGCONT
    StopGateway,
    /// Redis gets SIGKILL, and is started again on its files
    KillPrimary,
    /// Redis gets SIGTERM, and is started again on its files
    RestartPrimary,
    /// Redis gets SIGSTOP, and later SIGCONT
    StopPrimary,
    /// One of two replicas gets SIGKILL, and is started again
    KillReplica,
    /// Both replicas get SIGSTOP, and later SIGCONT
    StopReplicas,
    /// Nothing passes between the gateways and Redis
    CutGateways,
    /// What Redis answers is lost; what it is asked arrives
    CutAnswers,
    /// Nothing passes between the primary and replicas and sentinels; the gateways reach all of them
    CutPrimary,
    /// A quarter of all packets between the gateways and Redis is lost
    Loss,
    /// What goes to Redis and comes back takes longer, for one of the gateways for longer than it waits
    Delay,
    /// The clock of Redis's host jumps an hour ahead
    ClockForward,
    /// The clock of Redis's host jumps an hour back
    ClockBack,
    /// The disk under the append-only file is full
    DiskFull,
    /// Redis gets SIGKILL, and the end of its append-only file is gone when it is started again
    TailTruncated,
    /// The append-only file is written anew in the instant of the opening
    Rewrite,
    /// Redis reaches `maxmemory`, which is raised later
    Maxmemory,
    /// `SCRIPT FLUSH`, again and again
    ScriptFlush,
    /// The operator asks sentinels to fail over
    FailoverByHand,
    /// The primary gets SIGKILL, and comes back only after the sentinels have replaced it
    FailoverByVote,
}

/// What of this machine a fault needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// To drop packets.
    Nft,
    /// To mount a small disk.
    Mount,
    /// To lie about the time.
    Faketime,
}

impl Fault {
    pub(crate) fn need(self) -> Need {
        match self {
            Self::CutGateways | Self::CutAnswers | Self::CutPrimary | Self::Loss => Need::Nft,
            Self::DiskFull => Need::Mount,
            Self::ClockForward | Self::ClockBack => Need::Faketime,
            _ => Need::Nothing,
        }
    }

    /// Why it makes no sense at a level.
    pub(crate) fn is_not_applicable_at(self, level: Level) -> Option<&'static str> {
        match self {
            Self::DiskFull | Self::TailTruncated | Self::Rewrite if level == Level::None => {
                Some("this level has no append-only file")
            }
            // Sentinels name the primary itself, and not a link to it.
            Self::Delay if level.replicas() > 0 => Some("sentinels lead around the slow link"),
            _ => None,
        }
    }

    /// Whether it needs replicas and sentinels, whatever the level is.
    pub(crate) fn is_about_replicas(self) -> bool {
        matches!(
            self,
            Self::KillReplica
                | Self::StopReplicas
                | Self::CutPrimary
                | Self::FailoverByHand
                | Self::FailoverByVote
        )
    }

    /// Whether this fault loses nothing acknowledged at the level (gateway/docs/durability.md).
    pub(crate) fn loses_nothing_at(self, level: Level) -> bool {
        match self {
            // A live former primary continues with the other replica until that one follows the new
            // primary, which may lack what they acknowledged meanwhile.
            Self::KillPrimary | Self::RestartPrimary | Self::StopPrimary if level == Level::Replica => false,
            Self::KillPrimary | Self::RestartPrimary => level != Level::None,
            // The disk does not keep what it has synced; it takes another Redis.
            Self::TailTruncated | Self::FailoverByHand => level == Level::Replicas,
            Self::FailoverByVote | Self::CutPrimary => level.replicas() > 0,
            _ => true,
        }
    }

    /// Whether two ledgers may sell at the same time without replica acknowledgements
    /// (gateway/docs/durability.md).
    pub(crate) fn may_sell_twice_at(self, level: Level) -> bool {
        self == Self::CutPrimary && level.replicas() == 0
    }

    /// Whether the journal's clock departs from the buyers' clock.
    pub(crate) fn moves_clock(self) -> bool {
        matches!(self, Self::ClockForward | Self::ClockBack)
    }
}

#[cfg(test)]
mod tests;
