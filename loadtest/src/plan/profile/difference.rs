//! Finds the values in which two profiles differ.

use std::collections::BTreeSet;
use std::fmt;

/// A value that two profiles do not have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProfileDifference {
    /// Like `buyers.think`.
    pub(crate) name: String,
    pub(crate) one: Option<toml::Value>,
    pub(crate) other: Option<toml::Value>,
}

impl ProfileDifference {
    /// Whether it changes only how a run is judged, not what is sent.
    pub(crate) fn is_of_the_verdict(&self) -> bool {
        self.name.starts_with("verdict.")
            || self.name.starts_with("generator.")
            || self.name == "launch.taps_per_car"
    }
}

/// As `name: value and value`.
impl fmt::Display for ProfileDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words =
            |value: &Option<toml::Value>| value.as_ref().map_or("none".to_owned(), toml::Value::to_string);
        write!(f, "{}: {} and {}", self.name, words(&self.one), words(&self.other))
    }
}

/// The values that differ, by their names.
pub(crate) fn differences(one: &toml::Table, other: &toml::Table) -> Vec<ProfileDifference> {
    let mut found = Vec::new();
    compare("", one, other, &mut found);
    found
}

fn compare(section: &str, one: &toml::Table, other: &toml::Table, found: &mut Vec<ProfileDifference>) {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for name in names {
        let (one, other) = (one.get(name), other.get(name));
        let name = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match (one, other) {
            (Some(toml::Value::Table(one)), Some(toml::Value::Table(other))) => {
                compare(&name, one, other, found);
            }
            (one, other) if one == other => {}
            (one, other) => {
                found.push(ProfileDifference { name, one: one.cloned(), other: other.cloned() });
            }
        }
    }
}

#[cfg(test)]
mod tests;
