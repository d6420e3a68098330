//! Sends one webhook and tells what the answer means.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use rustls::ClientConfig;

use crate::failure::{Failure, causes};
use crate::webhook::outbox::Due;
use crate::webhook::schedule;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The specification recommends 15 to 30 s.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// So much of an answer is read, so that its connection can be used again; the rest is not waited for.
const BODY_BYTES_MAX: usize = 16 << 10;
/// So much of a refusal's text is shown to operators.
const SHOWN_CHARS_MAX: usize = 200;
/// What a receiver refuses whatever the webhook is: a wrong secret or address, a pause.
const ABOUT_THE_SENDER: [StatusCode; 6] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::TOO_EARLY,
    StatusCode::TOO_MANY_REQUESTS,
];
const USER_AGENT: &str = concat!("launchgate-relay/", env!("CARGO_PKG_VERSION"));

/// The receiver's address and the client that talks to it.
#[derive(Clone, Debug)]
pub struct Sender {
    http: reqwest::Client,
    url: Url,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A 2xx.
    Delivered,
    /// Anything else.
    Failed {
        /// What an operator reads.
        error: String,
        /// What the receiver asks for.
        retry_after: Option<Duration>,
        /// 429: it asks for fewer requests, whatever they are about.
        is_throttled: bool,
        /// It refuses this webhook, so it is not down.
        is_refusal: bool,
    },
    /// 410: it wants no webhooks any more.
    Gone,
}

impl Sender {
    /// Checks the URL; connects to nothing yet.
    pub fn new(url: &str, allow_plain: bool, timeout: Duration, tls: ClientConfig) -> Result<Self, Failure> {
        let url =
            check(url, allow_plain).map_err(|problem| Failure::Usage(format!("--webhook: {problem}")))?;
        let mut client = reqwest::Client::builder()
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .user_agent(USER_AGENT)
            .tls_backend_preconfigured(tls);
        if url.scheme() == "http" {
            // A proxy of the environment would see what it carries.
            client = client.no_proxy();
        }
        let http = client.build().map_err(|error| {
            Failure::Outside(format!("the HTTP client can't be built: {}", causes(&error)))
        })?;
        Ok(Self { http, url })
    }

    /// Where it sends, without path and query: many receivers have a secret there.
    pub(crate) fn shown_url(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The same, and behind a space a digest of the whole URL: two receivers of one host differ.
    pub(crate) fn identity(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.url.as_str().as_bytes());
        format!("{} {}", self.shown_url(), URL_SAFE_NO_PAD.encode(digest))
    }

    /// Sends it once.
    pub(crate) async fn send(&self, webhook: &Due, signature: &str, now: i64) -> Answer {
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", &webhook.id)
            .header("webhook-timestamp", now.div_euclid(1000))
            .header("webhook-signature", signature)
            .body(webhook.body.clone());
        match request.send().await {
            Ok(response) => read(response, now).await,
            // Its own text repeats the URL.
            Err(error) => Answer::Failed {
                error: causes(&error.without_url()),
                retry_after: None,
                is_throttled: false,
                is_refusal: false,
            },
        }
    }
}

/// Only the status counts. The text of a refusal is for operators.
async fn read(mut response: Response, now: i64) -> Answer {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| schedule::retry_after(value, now));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES_MAX {
            break;
        }
    }
    match status {
        _ if status.is_success() => Answer::Delivered,
        StatusCode::GONE => Answer::Gone,
        _ => {
            let text = String::from_utf8_lossy(&body);
            let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let text: String = text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
            let hint =
                if status.is_redirection() { ": redirects are not followed, change --webhook" } else { "" };
            let shown = if text.is_empty() { String::new() } else { format!(": {text}") };
            Answer::Failed {
                error: format!("{status}{hint}{shown}"),
                retry_after,
                is_throttled: status == StatusCode::TOO_MANY_REQUESTS,
                is_refusal: status.is_client_error() && !ABOUT_THE_SENDER.contains(&status),
            }
        }
    }
}

/// A URL to which webhooks may go.
fn check(text: &str, allow_plain: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; expected https://HOST/PATH"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "user and password would be in logs; the signature shows who sends, see --webhook-secret-file"
                .into(),
        );
    }
    if url.fragment().is_some() {
        return Err("expected a URL without `#`".into());
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if allow_plain || is_loopback(host) => Ok(url),
        ("http", Some(host)) => Err(format!(
            "http:// shows buyers' data to the network between here and {host}; use https://, or allow it with \
             --webhook-plain-http"
        )),
        (scheme, _) => Err(format!("expected https://HOST/PATH, found {scheme}:")),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_differ_by_path_and_query_and_neither_is_shown() {
        let urls = [
            "https://h.example:8443/hook?token=a",
            "https://h.example:8443/hook?token=b",
            "https://h.example:8443/x",
        ];
        let senders = urls
            .map(|url| Sender::new(url, false, ANSWER_TIMEOUT, crate::trust::tls(None).unwrap()).unwrap());
        let identities: std::collections::HashSet<_> = senders.iter().map(Sender::identity).collect();
        assert_eq!(identities.len(), urls.len(), "{identities:?}");
        for sender in senders {
            assert_eq!(sender.shown_url(), "https://h.example:8443");
            assert!(
                sender.identity().starts_with("https://h.example:8443 ")
                    && !sender.identity().contains("hook")
            );
        }
    }

    #[test]
    fn only_safe_addresses_are_taken() {
        let taken = [
            "https://orders.example/hook?tenant=7",
            "http://127.0.0.1:8080/hook",
            "http://[::1]/",
            "http://localhost/x",
        ];
        for url in taken {
            check(url, false).unwrap();
        }
        let refused = [
            ("http://orders.example/hook", "--webhook-plain-http"),
            ("http://127.0.0.1.example/", "--webhook-plain-http"),
            ("http://10.0.0.1/", "--webhook-plain-http"),
            ("https://me:secret@orders.example/", "user and password"),
            ("https://orders.example/#x", "without `#`"),
            ("ftp://orders.example/", "expected https://HOST/PATH, found ftp:"),
            ("orders.example", "expected https://HOST/PATH"),
            ("", "expected https://HOST/PATH"),
        ];
        for (url, expected) in refused {
            let problem = check(url, false).unwrap_err();
            assert!(problem.contains(expected), "{url}: {problem}");
            assert!(!problem.contains("secret@"), "{problem}");
        }
        check("http://orders.example/hook", true).unwrap();
    }
}
