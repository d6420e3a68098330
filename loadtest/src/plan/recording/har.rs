//! Reads HAR 1.2, which browsers and proxies export.

use jiff::Timestamp;
use serde::Deserialize;

use crate::plan::recording::Recorded;

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: Timestamp,
    request: Request,
    #[serde(default)]
    response: Response,
    /// Of the connection that it went over.
    connection: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    post_data: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    content: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Shown {
    id: String,
}

pub(super) fn read(text: &str) -> Result<Vec<Recorded>, String> {
    // Some tools write a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let har: Har = serde_json::from_str(text).map_err(|error| {
        format!("not a HAR file, nor requests.ndjson of a run with --request-log: {error}")
    })?;
    Ok(har.log.entries.into_iter().enumerate().map(|(place, entry)| entry.recorded(place)).collect())
}

impl Entry {
    fn recorded(self, place: usize) -> Recorded {
        let Request { method, url, headers, post_data } = self.request;
        let header = |name: &str| {
            headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .map(|header| header.value.clone())
        };
        // Browsers leave `Authorization` out unless they are asked for sensitive data, and reads never have it: one
        // connection is one buyer's then. Without either, a read is a buyer's of its own, so that none waits for another.
        let client = header("authorization")
            .or(self.connection)
            .unwrap_or_else(|| if method == "GET" { format!("read {place}") } else { String::new() });
        let shown: Option<Shown> = serde_json::from_str(&self.response.content.text).ok();
        Recorded {
            at_us: self.started_date_time.as_microsecond(),
            path: path_of(&url).to_owned(),
            client,
            key: header("idempotency-key"),
            body: post_data.unwrap_or_default().text,
            reservation: shown.map(|shown| shown.id),
            method,
        }
    }
}

/// What is behind the host.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}
