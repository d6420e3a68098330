//! Starts the peer: nginx with Lua, one script call a request over kept-alive connections to Redis.
//!
//! It does the same job with the same effects, without checking the token: Debian has no module that
//! does (it reads the buyer from the token's claims as if a module before it had checked them).

use testkit::Failed;
use testkit::files::local_address;
use testkit::program::Server;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;

use crate::servers::nginx;

const CONFIG: &str = include_str!("peer/nginx.conf");
const HANDLER: &str = include_str!("peer/handler.lua");
const SCRIPT: &str = include_str!("peer/reserve.lua");

/// Puts the stock into the peer's Redis.
pub(crate) fn fill(redis: &Redis, stores: usize) -> Result<(), Failed> {
    let stores = (0..stores).map(|n| format!("store:gz-{n:05}"));
    let others = ["model:air-400-white", "package:cover", "package:maintenance"].map(ToOwned::to_owned);
    let fields = others.into_iter().chain(stores).map(|field| format!(" {field} 1000000000"));
    redis.send_command(&format!("HSET peer:stock{}", fields.collect::<String>()))
}

/// Starts nginx with so many workers.
pub(crate) fn start(folder: &RunFolder, redis: &Redis, workers: usize) -> Result<Server, Failed> {
    let address = local_address();
    let (handler, script) = (folder.write("handler.lua", HANDLER)?, folder.write("reserve.lua", SCRIPT)?);
    let values = [
        ("@WORKERS@", workers.to_string()),
        ("@LISTEN@", address.to_string()),
        ("@HANDLER@", handler.to_string_lossy().into_owned()),
        ("@SCRIPT@", script.to_string_lossy().into_owned()),
        ("@REDIS_PORT@", redis.address().port().to_string()),
        ("@DIR@", folder.path("").to_string_lossy().into_owned()),
    ];
    let config = values.iter().fold(CONFIG.to_owned(), |text, (name, value)| text.replace(name, value));
    let config = folder.write("nginx.conf", &config)?;
    nginx(folder, &config, address)
}
