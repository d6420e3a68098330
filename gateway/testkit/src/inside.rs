//! Runs a gateway in this process, with scripts of the test's choice.

use std::ops::Deref;

use gateway::config::{CommonOptions, ServeOptions, Settings};
use gateway::serve::Gateway;
use gateway::store::scripts::Scripts;
use tempfile::TempDir;

use crate::gateway::{Client, OPS_TOKEN, SECRET, usual_options, write_secrets};
use crate::redis::Redis;

/// Its threads end with the process.
pub struct Inside {
    client: Client,
    _files: TempDir,
}

impl Deref for Inside {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Inside {
    /// `clock`: Lua that defines `now()`, and goes into every script.
    pub async fn start(redis: &Redis, clock: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        write_secrets(files.path(), SECRET, OPS_TOKEN).unwrap();
        let options = format!(
            "{}redis = {:?}\nauth-secret-file = {:?}\nops-token-file = {:?}\n",
            usual_options(),
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
        let [url, ops_url] = [addresses.public, addresses.ops].map(|address| format!("http://{address}"));
        let client = Client::new(url, ops_url);
        client.ready().await;
        Self { client, _files: files }
    }
}
