//! The profile: how buyers behave, when they come and what the verdict asks for. Read from TOML; what a profile leaves
//! out is as in the built-in one, the launch of the national good car.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_path_to_error::{Path as Place, Segment};
use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use crate::base::failure::Failure;
use crate::base::identity::ProfileIdentity;
use crate::base::requests::{BAD_TOKEN, REQUESTS, is_known};
use crate::base::scenario::Scenario;
use crate::base::span;
use crate::plan::arrivals::Arrivals;
use crate::self_monitoring::Limits;
use crate::threshold::Threshold;

/// The built-in profile; `loadtest profile` prints it.
pub(crate) const BUILT_IN: &str = include_str!("../../profiles/national-good-car.toml");

/// Tables with names as keys: a given one replaces the built-in one entirely.
const TABLES_OF_NAMES: [&str; 4] = ["mix", "packages", "cities", "models"];
const DIGEST_BYTES: usize = 6;
/// Where no threshold has a time.
const STALLED_AFTER: Duration = Duration::from_millis(250);
/// Shorter ones may be this machine's.
const STALLED_AFTER_MIN: Duration = Duration::from_millis(100);
const STALLED_AFTER_MAX: Duration = Duration::from_secs(5);
/// A profile is written by hand.
const BYTES_MAX: u64 = 1 << 20;

/// How a launch goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Profile {
    pub(crate) launch: LaunchProfile,
    pub(crate) mix: BTreeMap<Scenario, u32>,
    pub(crate) buyers: Behaviour,
    pub(crate) crowd: Crowd,
    pub(crate) signup: SignUpProfile,
    pub(crate) standby: StandbyProfile,
    pub(crate) retry_storm: RetryStorm,
    pub(crate) abandon: Abandon,
    pub(crate) bots: Bots,
    arrivals: BTreeMap<Scenario, String>,
    /// What the generator may need of its machine before the run is invalid.
    pub(crate) generator: Limits,
    verdict: VerdictSettings,
    /// The texts of `arrivals` and of `verdict.thresholds` as they were read: once, since a schedule may be in a file.
    #[serde(skip)]
    schedules: BTreeMap<Scenario, Arrivals>,
    #[serde(skip)]
    thresholds: Vec<Threshold>,
    #[serde(skip)]
    pub(crate) identity: ProfileIdentity,
    /// All values, those of the built-in profile included.
    #[serde(skip)]
    table: toml::Table,
}

/// The size of the day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LaunchProfile {
    pub(crate) interested: usize,
    pub(crate) taps_per_car: u64,
}

/// Shares are percent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// The shortest and the longest time between two steps.
    pub(crate) think: [Span; 2],
    pub(crate) confirm: u32,
    pub(crate) cancel: u32,
    pub(crate) accept_partial: u32,
    pub(crate) twice: u32,
    pub(crate) packages: BTreeMap<String, u32>,
    pub(crate) cities: BTreeMap<String, u64>,
    pub(crate) models: BTreeMap<String, u64>,
}

/// A time in a profile.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Span(#[serde(with = "span::text")] pub(crate) Duration);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crowd {
    pub(crate) lead: Span,
    pub(crate) at_opening: u32,
    pub(crate) tail: Span,
    pub(crate) looks_again: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUpProfile {
    pub(crate) within: Span,
    pub(crate) change: u32,
    pub(crate) withdraw: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StandbyProfile {
    pub(crate) join: u32,
    pub(crate) patience: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryStorm {
    pub(crate) patience: Span,
    pub(crate) new_key: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Abandon {
    pub(crate) second_wave: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bots {
    pub(crate) connections: usize,
    pub(crate) stale: u32,
    pub(crate) forged: u32,
    #[serde(rename = "for")]
    pub(crate) lasts: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerdictSettings {
    thresholds: Vec<String>,
}

impl Profile {
    /// The profile in this file, or the built-in one; `changes` are lines like `buyers.twice = 100`.
    pub(crate) fn load(path: Option<&Path>, changes: &[String]) -> Result<Profile, Failure> {
        let changes = read_changes(changes).map_err(Failure::Usage)?;
        let Some(path) = path else {
            return Profile::parse("", changes).map_err(Failure::Usage);
        };
        let wrong = |error: String| Failure::Usage(format!("--profile {}: {error}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
        if size > BYTES_MAX {
            return Err(wrong(format!("found {size} bytes, expected at most {BYTES_MAX}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let mut profile = Profile::parse(&text, changes).map_err(wrong)?;
        profile.identity.name = path.display().to_string();
        Ok(profile)
    }

    /// The profile that a run was made with, to judge the run by: what is `set` lies over it, or the profile in this
    /// file replaces it.
    pub(crate) fn of_run(
        recorded: &toml::Table,
        path: Option<&Path>,
        set: &[String],
    ) -> Result<Profile, Failure> {
        if path.is_some() {
            return Profile::load(path, set);
        }
        let mut whole = recorded.clone();
        lay_over(&mut whole, read_changes(set).map_err(Failure::Usage)?);
        // A schedule may be in a file of the machine that ran it.
        let arrivals = whole.insert("arrivals".to_owned(), toml::Table::new().into());
        let mut profile = Profile::read("", &whole).map_err(Failure::Usage)?;
        profile.table.extend(arrivals.map(|arrivals| ("arrivals".to_owned(), arrivals)));
        profile.identity.digest = digest(&profile.table);
        Ok(profile)
    }

    /// Reads a profile; the error lists all mistakes.
    fn parse(text: &str, changes: toml::Table) -> Result<Profile, String> {
        // Parse the file alone first, so that errors carry its line numbers.
        let own: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut whole: toml::Table = toml::from_str(BUILT_IN).map_err(|error| error.to_string())?;
        lay_over(&mut whole, own);
        lay_over(&mut whole, changes);
        Profile::read(text, &whole)
    }

    /// Reads the values of a profile; `text` is the file that some of them are from.
    fn read(text: &str, whole: &toml::Table) -> Result<Profile, String> {
        let values = toml::Value::Table(whole.clone());
        let mut profile: Profile = serde_path_to_error::deserialize(values).map_err(|error| {
            // The message names the key of a table of names.
            let (line, what) = (line_of(text, error.path()), error.inner().message());
            let place = error.path().to_string();
            let place = place.trim_end_matches(".?");
            match line {
                Some(line) => format!("line {line}, {place}: {what}"),
                // It is not in the file, so it comes from `--set`.
                None => format!("--set {place}: {what}"),
            }
        })?;
        profile.table = whole.clone();
        profile.identity = ProfileIdentity { name: "built-in".to_owned(), digest: digest(whole) };
        let mistakes = profile.mistakes();
        if mistakes.is_empty() { Ok(profile) } else { Err(mistakes.join("\n")) }
    }

    /// Reads what is written in words of its own, and finds whatever is out of bounds.
    fn mistakes(&mut self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let shares = [
            ("buyers.confirm and buyers.cancel together", self.buyers.confirm + self.buyers.cancel),
            ("buyers.accept_partial", self.buyers.accept_partial),
            ("buyers.twice", self.buyers.twice),
            ("crowd.at_opening", self.crowd.at_opening),
            ("signup.change and signup.withdraw together", self.signup.change + self.signup.withdraw),
            ("standby.join", self.standby.join),
            ("retry-storm.new_key", self.retry_storm.new_key),
            ("abandon.second_wave", self.abandon.second_wave),
            ("bots.stale and bots.forged together", self.bots.stale + self.bots.forged),
        ];
        for (name, share) in shares.into_iter().filter(|(_, share)| *share > 100) {
            mistakes.push(format!("{name} must be at most 100 percent, not {share}"));
        }
        for (package, share) in self.buyers.packages.iter().filter(|(_, share)| **share > 100) {
            mistakes.push(format!("buyers.packages.{package} must be at most 100 percent, not {share}"));
        }
        if self.buyers.think[0].0 > self.buyers.think[1].0 {
            mistakes.push("buyers.think must be the shortest time and then the longest".to_owned());
        }
        if self.launch.interested == 0 || self.launch.taps_per_car == 0 {
            mistakes.push("launch.interested and launch.taps_per_car must be at least 1".to_owned());
        }
        if self.mix.values().all(|weight| *weight == 0) {
            mistakes.push("mix must have a scenario with a weight above 0".to_owned());
        }
        if self.bots.connections == 0 {
            mistakes.push("bots.connections must be at least 1".to_owned());
        }
        if !(0.0..=100.0).contains(&self.generator.late_share) || !(1.0..=100.0).contains(&self.generator.cpu)
        {
            mistakes.push("generator.late_share must be 0 to 100 percent, generator.cpu 1 to 100".to_owned());
        }
        for (scenario, text) in &self.arrivals {
            match Arrivals::parse(text) {
                Ok(schedule) => {
                    self.schedules.insert(*scenario, schedule);
                }
                Err(error) => mistakes.push(format!("arrivals.{}: {error}", scenario.name())),
            }
        }
        for text in &self.verdict.thresholds {
            match Threshold::parse(text) {
                Ok(threshold) => {
                    // A name that never comes would never be missed.
                    mistakes.extend(threshold.request_name().and_then(unknown_request));
                    self.thresholds.push(threshold);
                }
                Err(error) => mistakes.push(format!("verdict.thresholds: {error}")),
            }
        }
        mistakes
    }

    /// All values.
    pub(crate) fn table(&self) -> &toml::Table {
        &self.table
    }

    /// A server that answers nothing for so long is stalled: longer than some tap or journey may take.
    pub(crate) fn stalled_after(&self) -> Duration {
        let limits = self.thresholds.iter().filter_map(Threshold::time_limit);
        limits.min().unwrap_or(STALLED_AFTER).clamp(STALLED_AFTER_MIN, STALLED_AFTER_MAX)
    }

    /// What the verdict asks for.
    pub(crate) fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// When this scenario's work starts, if the profile sets it.
    pub(crate) fn arrivals(&self, scenario: Scenario) -> Option<&Arrivals> {
        self.schedules.get(&scenario)
    }
}

/// Short enough for people to compare.
fn digest(table: &toml::Table) -> String {
    let digest = Sha256::digest(table.to_string());
    let hex: String = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The message for an unknown request.
fn unknown_request(name: &str) -> Option<String> {
    let known = [REQUESTS, &[BAD_TOKEN]].concat().join(", ");
    (!is_known(name)).then(|| {
        format!("verdict.thresholds: unknown request {name:?}, expected one of {known}, or one of them with -by-bots")
    })
}

/// Reads `--set KEY=VALUE`: a line of TOML, whose value may also be a bare word.
fn read_changes(changes: &[String]) -> Result<toml::Table, String> {
    let mut all = toml::Table::new();
    for change in changes {
        let (key, value) =
            change.split_once('=').ok_or_else(|| format!("--set must be KEY=VALUE, not {change:?}"))?;
        let quoted = format!("{key} = {}", toml::Value::String(value.trim().to_owned()));
        let read = toml::from_str(change).or_else(|_| toml::from_str(&quoted));
        lay_over(&mut all, read.map_err(|error| format!("--set {change:?}: {error}"))?);
    }
    Ok(all)
}

/// Puts one table over another, section by section.
fn lay_over(under: &mut toml::Table, over: toml::Table) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over))
                if !TABLES_OF_NAMES.contains(&name.as_str()) =>
            {
                lay_over(under, over);
            }
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

/// The line of a profile that a place in it stands in.
fn line_of(text: &str, place: &Place) -> Option<usize> {
    let parsed = DeTable::parse(text).ok()?;
    let (mut table, mut at) = (parsed.get_ref(), None);
    for segment in place.iter() {
        let Segment::Map { key } = segment else { break };
        let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
        at = Some(name.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    let before = text.get(..at?)?;
    Some(before.matches('\n').count() + 1)
}

pub(crate) mod difference;
#[cfg(test)]
mod tests;
