//! Parses a gateway's `/metrics` into numbers.

use std::collections::BTreeMap;

use crate::gateway::Client;

/// Samples by series, as they are written: `name{label="value"}`.
#[derive(Debug)]
pub struct Samples {
    pub text: String,
    by_series: BTreeMap<String, f64>,
}

/// One sample.
pub struct Sample<'a> {
    pub name: &'a str,
    pub labels: BTreeMap<&'a str, &'a str>,
    pub value: f64,
}

impl Samples {
    pub fn read(text: String) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        };
        let by_series: BTreeMap<_, _> = lines.clone().map(sample).collect();
        assert_eq!(by_series.len(), lines.count(), "no series is there twice");
        Self { text, by_series }
    }

    /// The value of a series, which must be there.
    pub fn of(&self, series: &str) -> f64 {
        self.find(series).unwrap_or_else(|| panic!("no launchgate_{series} in\n{}", self.text))
    }

    /// The value of a series, if it is there. The prefix of all names is left out.
    pub fn find(&self, series: &str) -> Option<f64> {
        self.by_series.get(&format!("launchgate_{series}")).copied()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Sample<'_>> {
        self.by_series.iter().map(|(series, value)| {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
            let labels = labels.map(|(label, text)| (label, text.trim_matches('"')));
            Sample { name, labels: labels.collect(), value: *value }
        })
    }

    /// The sum over all series of a name with these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let name = format!("launchgate_{name}");
        let fits = |sample: &Sample<'_>| {
            sample.name == name && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
        };
        self.all().filter(fits).map(|sample| sample.value).sum()
    }
}

impl Client {
    /// What it shows now.
    pub async fn metrics(&self) -> Samples {
        let reply = self.ops_get("/metrics").await;
        assert_eq!(reply.status, 200);
        Samples::read(reply.text)
    }
}
