//! Runs a gateway in this process, with scripts of the test's choice.

use gateway::config::{CommonOptions, ServeOptions, Settings};
use gateway::serve::Gateway;
use gateway::store::scripts::Scripts;
use reqwest::{Client, Method};
use serde_json::Value;

use crate::eventually;
use crate::gateway::{OPS_TOKEN, Reply, SECRET, send, token};
use crate::redis::Redis;

const SALE: &str = "/v1/sales/small";

/// Its threads end with the process.
pub struct Inside {
    url: String,
    ops_url: String,
    client: Client,
    _files: tempfile::TempDir,
}

impl Inside {
    /// `clock`: Lua that defines `now()`, and goes into every script.
    pub async fn start(redis: &Redis, clock: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        std::fs::write(path("secret"), SECRET).unwrap();
        std::fs::write(path("ops"), format!("ops {OPS_TOKEN}\n")).unwrap();
        let options = format!(
            "listen = \"127.0.0.1:0\"\nops-listen = \"127.0.0.1:0\"\nworkers = 1\nredis = {:?}\nauth-secret-file = {:?}\nops-token-file = {:?}\n",
            redis.url(),
            path("secret"),
            path("ops"),
        );
        std::fs::write(path("options"), options).unwrap();
        let common = CommonOptions { config: Some(path("options").into()), ..CommonOptions::default() };
        let config = Settings::new(&common, Some(&ServeOptions::default())).serve();
        let config = config.map_err(|problems| problems.join("\n")).unwrap();
        let (ready, addresses) = tokio::sync::oneshot::channel();
        let scripts = Scripts::new(clock);
        let gateway = Gateway::build(config, scripts).unwrap();
        std::thread::spawn(move || gateway.run(|addresses| _ = ready.send(addresses)));
        let addresses = addresses.await.unwrap();
        let inside = Self {
            url: format!("http://{}", addresses.public),
            ops_url: format!("http://{}", addresses.ops),
            client: Client::new(),
            _files: files,
        };
        eventually("the gateway is ready", || async {
            (inside.ops(Method::GET, "/readyz", &Value::Null).await.status == 200).then_some(())
        })
        .await;
        inside
    }

    pub async fn ops(&self, method: Method, path: &str, body: &Value) -> Reply {
        let request = self.client.request(method, format!("{}{path}", self.ops_url));
        send(request.bearer_auth(OPS_TOKEN).json(body)).await
    }

    pub async fn open(&self, definition: &Value) {
        let applied = self.ops(Method::PUT, "/admin/v1/sales/small", definition).await;
        assert_eq!(applied.status, 200, "{}", applied.text);
    }

    pub async fn phase(&self) -> String {
        let page = send(self.client.get(format!("{}{SALE}", self.url))).await;
        page.json["phase"].as_str().unwrap_or_default().to_owned()
    }

    pub async fn tap(&self, sub: &str, key: &str, body: &Value) -> Reply {
        let request = self.client.post(format!("{}{SALE}/reservations", self.url));
        send(request.bearer_auth(token(sub)).header("idempotency-key", key).json(body)).await
    }

    pub async fn call(&self, method: Method, token: String, id: &str, word: &str, body: &Value) -> Reply {
        let url = format!("{}{SALE}/reservations/{id}{word}", self.url);
        send(self.client.request(method, url).bearer_auth(token).json(body)).await
    }
}
