//! Starts the peer: nginx with Lua, one script call a request over kept-alive connections to Redis.
//!
//! It does the same job with the same effects, without checking the token: Debian has no module that
//! does (it reads the buyer from the token's claims as if a module before it had checked them).

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Failure;
use crate::servers::{Place, Server, free_address};

const CONFIG: &str = include_str!("peer/nginx.conf");
const HANDLER: &str = include_str!("peer/handler.lua");
const SCRIPT: &str = include_str!("peer/reserve.lua");

/// Puts the stock into the peer's Redis.
pub(crate) fn fill(redis: &Server, stores: usize) -> Result<(), Failure> {
    let mut fields =
        vec!["model:air-400-white".to_owned(), "package:cover".into(), "package:maintenance".into()];
    fields.extend((0..stores).map(|n| format!("store:gz-{n:05}")));
    let mut text = String::new();
    for field in fields {
        text.push_str(&format!("HSET peer:stock {field} 1000000000\r\n"));
    }
    text.push_str("QUIT\r\n");
    let fill = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(redis.address)?;
        stream.write_all(text.as_bytes())?;
        stream.read_to_end(&mut Vec::new())?;
        Ok(())
    };
    fill().map_err(Failure::outside("the peer's Redis can't be filled"))
}

/// Starts nginx with so many workers.
pub(crate) fn start(place: &Place, redis: &Server, workers: usize) -> Result<Server, Failure> {
    let address = free_address();
    let (handler, script) = (place.write("handler.lua", HANDLER)?, place.write("reserve.lua", SCRIPT)?);
    let values = [
        ("@WORKERS@", workers.to_string()),
        ("@LISTEN@", address.to_string()),
        ("@HANDLER@", handler.to_string_lossy().into_owned()),
        ("@SCRIPT@", script.to_string_lossy().into_owned()),
        ("@REDIS_PORT@", redis.address.port().to_string()),
        ("@DIR@", place.path("").to_string_lossy().into_owned()),
    ];
    let config = values.iter().fold(CONFIG.to_owned(), |text, (name, value)| text.replace(name, value));
    let config = place.write("nginx.conf", &config)?;
    place.nginx(&config, address)
}
