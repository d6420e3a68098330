//! The real gateway binary on free ports, and how tests call it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use super::eventually;
use super::redis::{Redis, free_port};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// What HS256 tokens of the tests are signed with.
pub const SECRET: &str = "a secret of the tests, at least 32 bytes";
/// The ops token of `ops`.
pub const OPS_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running gateway. It is killed when this is dropped.
pub struct Gateway {
    child: Child,
    _files: tempfile::TempDir,
    /// `http://…` of the public listener.
    pub url: String,
    /// `http://…` of the ops listener.
    pub ops_url: String,
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

    /// Waits until it is ready.
    pub async fn ready(&self) {
        let is_ready = || async { (self.ops_get("/readyz").await.status == 200).then_some(()) };
        eventually("the gateway is ready", is_ready).await;
    }

    /// Starts one and waits only until its ports are open.
    pub fn spawn(redis: &Redis, options: &[&str]) -> Self {
        Self::spawn_at(&redis.url(), options)
    }

    /// Starts one that logs all it can into this file, and waits until its ports are open.
    pub fn spawn_logging(redis_url: &str, options: &[&str], log: &std::path::Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        Self::spawn_to(redis_url, &[&["--log-level", "trace"], options].concat(), file.into())
    }

    /// Starts one on the Redis at this URL and waits only until its ports are open.
    pub fn spawn_at(redis_url: &str, options: &[&str]) -> Self {
        Self::spawn_to(redis_url, options, Stdio::inherit())
    }

    /// Starts one on this Redis whose host's clock is this far from the right time, such as `-10s`, and waits until it is ready.
    pub async fn start_off(redis: &Redis, offset: &str) -> Self {
        let (mut command, files) = Self::command(&redis.url(), &[]);
        command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1").env("FAKETIME", offset);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let gateway = Self::spawn_as((command, files), Stdio::inherit());
        gateway.ready().await;
        gateway
    }

    /// Starts one that writes to these, and waits for nothing.
    pub fn spawn_mute(redis: &Redis, options: &[&str], out: Stdio, log: Stdio) -> Self {
        let [listen, ops_listen] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let addresses = ["--listen", &listen, "--ops-listen", &ops_listen];
        let (mut command, files) = Self::command(&redis.url(), &[&addresses, options].concat());
        let child = command.stdout(out).stderr(log).spawn().unwrap();
        Self::of(child, files, format!("http://{listen}"), format!("http://{ops_listen}"))
    }

    fn spawn_to(redis_url: &str, options: &[&str], log: Stdio) -> Self {
        Self::spawn_as(Self::command(redis_url, options), log)
    }

    fn spawn_as((mut command, files): (Command, tempfile::TempDir), log: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: Value = serde_json::from_str(&line).expect("the gateway tells its addresses");
        let url = |name: &str| format!("http://{}", addresses[name].as_str().unwrap());
        Self::of(child, files, url("listen"), url("ops_listen"))
    }

    fn of(child: Child, files: tempfile::TempDir, url: String, ops_url: String) -> Self {
        let client = reqwest::Client::builder().pool_max_idle_per_host(1000).build().unwrap();
        Self { child, _files: files, url, ops_url, client }
    }

    fn command(redis_url: &str, options: &[&str]) -> (Command, tempfile::TempDir) {
        let files = tempfile::tempdir().unwrap();
        let (secret, ops) = (files.path().join("secret"), files.path().join("ops"));
        std::fs::write(&secret, SECRET).unwrap();
        std::fs::write(&ops, format!("ops {OPS_TOKEN}\n")).unwrap();
        let mut command = binary();
        command.args(["serve", "--redis", redis_url]).args(options);
        if !options.contains(&"--ops-token-file") {
            command.arg("--ops-token-file").arg(&ops);
        }
        // What every gateway of the tests has, unless the options say otherwise.
        if !options.contains(&"--auth-jwks-file") && !options.contains(&"--auth-secret-file") {
            command.arg("--auth-secret-file").arg(&secret);
        }
        let usual = [
            ("--listen", "127.0.0.1:0"),
            ("--ops-listen", "127.0.0.1:0"),
            ("--log-level", "warn"),
            ("--workers", "2"),
            ("--drain-delay-ms", "0"),
            ("--limit-buyer", "off"),
            ("--queue-delay-max-ms", "60000"),
        ];
        for (flag, value) in usual {
            if !options.contains(&flag) {
                command.args([flag, value]);
            }
        }
        (command, files)
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
        send(self.request(Method::GET, path).bearer_auth(token(sub))).await
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
            .bearer_auth(token(sub))
            .header("idempotency-key", key)
            .json(body)
    }

    /// A PATCH by a buyer.
    pub async fn amend(&self, sub: &str, id: &str, body: &Value) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}");
        send(self.request(Method::PATCH, &path).bearer_auth(token(sub)).json(body)).await
    }

    /// A confirm by the payment service.
    pub async fn confirm(&self, id: &str, payment: &str, version: u64) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}/confirm");
        let body = serde_json::json!({"payment": payment, "version": version});
        send(self.request(Method::POST, &path).bearer_auth(service_token()).json(&body)).await
    }

    /// A cancel by a buyer.
    pub async fn cancel(&self, sub: &str, id: &str) -> Reply {
        let path = format!("/v1/sales/small/reservations/{id}/cancel");
        send(self.request(Method::POST, &path).bearer_auth(token(sub))).await
    }

    /// A `GET` on the ops listener, with the ops token.
    pub async fn ops_get(&self, path: &str) -> Reply {
        send(self.ops_request(Method::GET, path, OPS_TOKEN)).await
    }

    /// A request on the ops listener, with this token, not yet sent.
    pub fn ops_request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.ops_url)).bearer_auth(token)
    }

    /// A call on the ops listener, with the ops token.
    pub async fn ops(&self, method: Method, path: &str, body: &Value) -> Reply {
        send(self.client.request(method, format!("{}{path}", self.ops_url)).bearer_auth(OPS_TOKEN).json(body))
            .await
    }

    /// Pulls a lever of the sale `small`, or restocks it.
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
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    // What the developer has set must not change a test.
    std::env::vars().filter(|(name, _)| name.starts_with("LAUNCHGATE_")).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(done.success());
}

/// A buyer's token.
pub fn token(sub: &str) -> String {
    mint(sub, false)
}

/// The payment service's token.
pub fn service_token() -> String {
    mint("payments", true)
}

fn mint(sub: &str, service: bool) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    gateway::identify::mint(SECRET.as_bytes(), sub, service, 3600, now, None, None).unwrap()
}
