//! Files with secrets, and ports that are free.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Failed;

/// A folder that is given, or a new one that goes with this.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    _own: Option<TempDir>,
}

impl Folder {
    pub(crate) fn new(given: Option<&Path>) -> Result<Self, Failed> {
        if let Some(path) = given {
            return Ok(Self { path: path.to_owned(), _own: None });
        }
        let own = tempfile::tempdir().map_err(Failed::to("make a directory"))?;
        Ok(Self { path: own.path().to_owned(), _own: Some(own) })
    }
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, text: &str) -> Result<(), Failed> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(Failed::to(&format!("write {}", path.display())))
}

/// A free port of 127.0.0.1, for programs that can't report a port of their choice.
pub fn free_port() -> u16 {
    local_address().port()
}

/// A free address of 127.0.0.1.
pub fn local_address() -> SocketAddr {
    free_address(Ipv4Addr::LOCALHOST.into())
}

/// A free address of this host. Its port is below the kernel's range for clients, so it stays free
/// while a program restarts.
pub fn free_address(host: IpAddr) -> SocketAddr {
    free_addresses(host, 1)[0]
}

/// Different ones.
pub fn free_addresses(host: IpAddr, count: usize) -> VecDeque<SocketAddr> {
    let mut found = VecDeque::new();
    while found.len() < count {
        let address = SocketAddr::from((host, fastrand::u16(10_000..32_000)));
        if !found.contains(&address) && TcpListener::bind(address).is_ok() {
            found.push_back(address);
        }
    }
    found
}
