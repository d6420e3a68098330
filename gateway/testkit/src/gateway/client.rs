//! Calls a gateway as a buyer, as the payment service, and as an operator.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::eventually;
use crate::gateway::{OPS_TOKEN, SECRET};
use crate::keys::now;

/// For an answer of a program that may be stopped.
pub const ANSWER: Duration = Duration::from_secs(10);

/// What calls a gateway.
pub struct Client {
    /// `http://…` of the public listener.
    pub url: String,
    /// `http://…` of the ops listener.
    pub ops_url: String,
    pub(super) secret: String,
    pub(super) ops_token: String,
    pub(super) http: reqwest::Client,
}

/// An answer: status, headers, body.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body as JSON, null if it is none.
    pub json: Value,
}

impl Reply {
    pub(crate) fn new(status: u16, headers: HeaderMap, text: String) -> Self {
        let json = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, json }
    }

    /// What broke on the way: status 0.
    pub(crate) fn broken(error: impl ToString) -> Self {
        Self::new(0, HeaderMap::new(), error.to_string())
    }

    /// The last part of a problem's `type`.
    pub fn problem(&self) -> &str {
        self.json["type"].as_str().and_then(|t| t.strip_prefix("/problems/")).unwrap_or_default()
    }

    /// A header as text, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The reservation's id.
    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    /// Of a gateway with the usual secrets.
    pub(crate) fn new(url: String, ops_url: String) -> Self {
        let [secret, ops_token] = [SECRET, OPS_TOKEN].map(ToOwned::to_owned);
        Self { url, ops_url, secret, ops_token, http: client() }
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        eventually("the gateway is ready", || async { self.is_ready().await.then_some(()) }).await;
    }

    /// Whether it is ready.
    pub async fn is_ready(&self) -> bool {
        self.ops_get("/readyz").await.status == 200
    }

    /// A buyer's token for this gateway.
    pub fn token(&self, sub: &str) -> String {
        mint(&self.secret, sub, false)
    }

    /// The payment service's token for this gateway.
    pub fn service_token(&self) -> String {
        mint(&self.secret, "payments", true)
    }

    /// Its ops token.
    pub fn ops_token(&self) -> &str {
        &self.ops_token
    }

    /// Where it listens for buyers.
    pub fn address(&self) -> SocketAddr {
        address_of(&self.url)
    }

    /// Where it listens for ops.
    pub fn ops_address(&self) -> SocketAddr {
        address_of(&self.ops_url)
    }

    /// A request on the public listener.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A `GET` on the public listener without a token.
    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    /// The phase of `small` on its page.
    pub async fn phase(&self) -> String {
        self.get("/v1/sales/small").await.json["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// A `GET` on the public listener by a buyer.
    pub async fn get_as(&self, sub: &str, path: &str) -> Reply {
        send(self.request(Method::GET, path).bearer_auth(self.token(sub))).await
    }

    /// A tap.
    pub async fn reserve(&self, sub: &str, key: &str, body: &Value) -> Reply {
        send(self.tap(sub, key, body)).await
    }

    /// A tap on the sale `small`, not yet sent.
    pub fn tap(&self, sub: &str, key: &str, body: &Value) -> RequestBuilder {
        self.tap_at("small", sub, key, body)
    }

    /// A tap on any sale, not yet sent.
    pub fn tap_at(&self, sale: &str, sub: &str, key: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, &format!("/v1/sales/{sale}/reservations"))
            .bearer_auth(self.token(sub))
            .header("idempotency-key", key)
            .json(body)
    }

    /// A call on a reservation of `small`, with any token.
    pub async fn call(&self, method: Method, token: String, id: &str, word: &str, body: &Value) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}{word}");
        send(self.request(method, &path).bearer_auth(token).json(body)).await
    }

    /// A PATCH by a buyer.
    pub async fn amend(&self, sub: &str, id: &str, body: &Value) -> Reply {
        self.call(Method::PATCH, self.token(sub), id, "", body).await
    }

    /// A confirm by the payment service.
    pub async fn confirm(&self, id: &str, payment: &str, version: u64) -> Reply {
        let body = serde_json::json!({"payment": payment, "version": version});
        self.call(Method::POST, self.service_token(), id, "/confirm", &body).await
    }

    /// A cancel by a buyer.
    pub async fn cancel(&self, sub: &str, id: &str) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}/cancel");
        send(self.request(Method::POST, &path).bearer_auth(self.token(sub))).await
    }

    /// A `GET` on the ops listener, with the ops token. A connection that is kept may end just when it is asked over: then
    /// nothing was done, and another one is.
    pub async fn ops_get(&self, path: &str) -> Reply {
        let ask = || send(self.ops_request(Method::GET, path, &self.ops_token));
        match ask().await {
            reply if reply.status == 408 => ask().await,
            reply => reply,
        }
    }

    /// A request on the ops listener, with this token, not yet sent.
    pub fn ops_request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.ops_url)).bearer_auth(token)
    }

    /// A call on the ops listener, with the ops token.
    pub async fn ops(&self, method: Method, path: &str, body: &Value) -> Reply {
        send(self.ops_request(method, path, &self.ops_token).json(body)).await
    }

    /// The first JSON object that begins so, of a stream of the ops listener that has no end.
    pub async fn first_of_stream(&self, path: &str, begins: &str) -> Option<Value> {
        let request = self.ops_request(Method::GET, path, &self.ops_token).timeout(ANSWER);
        let (mut response, mut seen) = (request.send().await.ok()?, Vec::new());
        loop {
            seen.extend_from_slice(&response.chunk().await.ok()??);
            let text = String::from_utf8_lossy(&seen);
            let mut found =
                text.find(begins).map(|at| serde_json::Deserializer::from_str(&text[at..]).into_iter());
            if let Some(Ok(found)) = found.as_mut().and_then(Iterator::next) {
                return Some(found);
            }
        }
    }

    /// Runs an operator action on the sale `small`.
    pub async fn action(&self, word: &str, body: &Value) -> Reply {
        self.ops(Method::POST, &format!("/admin/v1/sales/small/{word}"), body).await
    }

    /// The audit of the sale `small`.
    pub async fn audit(&self) -> Value {
        let reply = self.ops_get("/admin/v1/sales/small/audit").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json
    }
}

fn address_of(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

/// A client that keeps connections and goes by no proxy of the environment.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1000).build().unwrap()
}

/// Sends a request; what breaks on the way is status 0.
pub async fn send(request: RequestBuilder) -> Reply {
    match request.send().await {
        Ok(response) => {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Reply::new(status, headers, response.text().await.unwrap_or_default())
        }
        Err(error) => Reply::broken(error),
    }
}

/// A buyer's token.
pub fn token(sub: &str) -> String {
    mint(SECRET, sub, false)
}

/// The payment service's token.
pub fn service_token() -> String {
    mint(SECRET, "payments", true)
}

fn mint(secret: &str, sub: &str, service: bool) -> String {
    gateway::identify::mint(secret.as_bytes(), sub, service, 3600, now(), None, None).unwrap()
}
