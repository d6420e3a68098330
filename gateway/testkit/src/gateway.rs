//! Starts the gateway binary on free ports, and calls it.

mod setup;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::{Method, RequestBuilder};
use rustix::process::Signal;
use serde_json::Value;
pub use setup::{Setup, random_text, write_secrets};
use tempfile::TempDir;

use crate::files::free_port;
use crate::program::{Program, ours};
use crate::redis::Redis;
use crate::{Failed, eventually};

/// What HS256 tokens of the tests are signed with.
pub const SECRET: &str = "a secret of the tests, at least 32 bytes";
/// The ops token of `ops`.
pub const OPS_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running gateway. It is killed when this is dropped.
pub struct Gateway {
    pub program: Program,
    files: TempDir,
    /// `http://…` of the public listener.
    pub url: String,
    /// `http://…` of the ops listener.
    pub ops_url: String,
    secret: String,
    ops_token: String,
    client: reqwest::Client,
}

/// An answer: status, headers, body.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    /// The body as JSON, null if it is none.
    pub json: Value,
}

impl Reply {
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

impl Gateway {
    /// Starts one on this Redis and waits until it is ready.
    pub async fn start(redis: &Redis) -> Self {
        Self::start_with(redis, &[]).await
    }

    /// With further options.
    pub async fn start_with(redis: &Redis, options: &[&str]) -> Self {
        Self::start_at(&redis.url(), options).await
    }

    /// Starts one on the Redis at this URL and waits until it is ready.
    pub async fn start_at(url: &str, options: &[&str]) -> Self {
        let gateway = Self::spawn_at(url, options);
        gateway.ready().await;
        gateway
    }

    /// Starts a ready gateway whose clock is off by this much, such as `-10s`.
    pub async fn start_off(redis: &Redis, offset: &str) -> Self {
        let envs = [
            ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1"),
            ("FAKETIME", offset),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let gateway = Setup { redis: &redis.url(), envs: &envs, ..Setup::default() }.start().unwrap();
        gateway.ready().await;
        gateway
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        eventually("the gateway is ready", || async { self.is_ready().await.then_some(()) }).await;
    }

    /// Whether it is ready.
    pub async fn is_ready(&self) -> bool {
        self.ops_get("/readyz").await.status == 200
    }

    /// Starts one and waits only until its ports are open.
    pub fn spawn(redis: &Redis, options: &[&str]) -> Self {
        Self::spawn_at(&redis.url(), options)
    }

    /// Starts one on the Redis at this URL and waits only until its ports are open.
    pub fn spawn_at(redis: &str, options: &[&str]) -> Self {
        Setup { redis, options, ..Setup::default() }.start().unwrap()
    }

    /// Starts one that logs all it can into this file, and waits until its ports are open.
    pub fn spawn_logging(redis: &str, options: &[&str], log: &Path) -> Self {
        let options = [&["--log-level", "trace"], options].concat();
        Setup { redis, options: &options, log: Some(log), ..Setup::default() }.start().unwrap()
    }

    /// Starts one that writes to these, and waits for nothing.
    pub fn spawn_mute(redis: &Redis, options: &[&str], out: Stdio, log: Stdio) -> Self {
        let [listen, ops_listen] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let options = [&["--listen", &listen, "--ops-listen", &ops_listen], options].concat();
        let files = tempfile::tempdir().unwrap();
        write_secrets(files.path(), SECRET, OPS_TOKEN).unwrap();
        let setup = Setup { redis: &redis.url(), options: &options, ..Setup::default() };
        let mut command = setup.command(files.path());
        command.stdout(out).stderr(log);
        let program = Program::once("gateway", command).unwrap();
        Self::of(program, files, format!("http://{listen}"), format!("http://{ops_listen}"))
    }

    fn of(program: Program, files: TempDir, url: String, ops_url: String) -> Self {
        let [secret, ops_token] = [SECRET, OPS_TOKEN].map(ToOwned::to_owned);
        Self { program, files, url, ops_url, secret, ops_token, client: client() }
    }

    /// Starts it, also again, with the options that it had, and waits until its ports are open.
    pub fn start_again(&mut self) -> Result<(), Failed> {
        self.program.spawn()?;
        let out = self.program.stdout().expect("the setup pipes it");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).map_err(Failed::to("read the gateway's addresses"))?;
        let addresses: Value =
            serde_json::from_str(&line).map_err(|_| self.program.failed("has not printed its addresses"))?;
        let url = |name: &str| format!("http://{}", addresses[name].as_str().unwrap());
        (self.url, self.ops_url) = (url("listen"), url("ops_listen"));
        Ok(())
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

    /// The file with [`SECRET`].
    pub fn secret_file(&self) -> PathBuf {
        self.files.path().join("secret")
    }

    /// The file with [`OPS_TOKEN`].
    pub fn ops_token_file(&self) -> PathBuf {
        self.files.path().join("ops")
    }

    /// A request on the public listener.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A `GET` on the public listener without a token.
    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
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

    /// A PATCH by a buyer.
    pub async fn amend(&self, sub: &str, id: &str, body: &Value) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}");
        send(self.request(Method::PATCH, &path).bearer_auth(self.token(sub)).json(body)).await
    }

    /// A confirm by the payment service.
    pub async fn confirm(&self, id: &str, payment: &str, version: u64) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}/confirm");
        let body = serde_json::json!({"payment": payment, "version": version});
        send(self.request(Method::POST, &path).bearer_auth(self.service_token()).json(&body)).await
    }

    /// A cancel by a buyer.
    pub async fn cancel(&self, sub: &str, id: &str) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}/cancel");
        send(self.request(Method::POST, &path).bearer_auth(self.token(sub))).await
    }

    /// A `GET` on the ops listener, with the ops token.
    pub async fn ops_get(&self, path: &str) -> Reply {
        send(self.ops_request(Method::GET, path, &self.ops_token)).await
    }

    /// A request on the ops listener, with this token, not yet sent.
    pub fn ops_request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.ops_url)).bearer_auth(token)
    }

    /// A call on the ops listener, with the ops token.
    pub async fn ops(&self, method: Method, path: &str, body: &Value) -> Reply {
        send(
            self.client
                .request(method, format!("{}{path}", self.ops_url))
                .bearer_auth(&self.ops_token)
                .json(body),
        )
        .await
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

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.program.ended()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
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
            let text = response.text().await.unwrap_or_default();
            let json = serde_json::from_str(&text).unwrap_or_default();
            Reply { status, headers, text, json }
        }
        Err(error) => {
            let headers = reqwest::header::HeaderMap::new();
            Reply { status: 0, headers, text: error.to_string(), json: Value::Null }
        }
    }
}

/// The gateway as a command.
pub fn binary() -> Command {
    clean(Command::new(ours("gateway")))
}

/// Without what the developer has set for a gateway: it must not change a test.
pub fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LAUNCHGATE_")) {
        command.env_remove(name);
    }
    command
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    gateway::identify::mint(secret.as_bytes(), sub, service, 3600, now, None, None).unwrap()
}
