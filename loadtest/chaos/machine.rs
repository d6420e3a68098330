//! Finds what this machine permits: drop packets, mount a small disk, fake the time.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::faults::{Fault, Need};

/// The table that everything dropped stands in.
const TABLE: &str = "launchgate-chaos";

/// What can be done here; else why not.
pub(crate) struct Machine {
    nft: Result<(), String>,
    mount: Result<(), String>,
    faketime: Result<(), String>,
}

impl Machine {
    /// Tests what this machine can do. Packets are dropped and disks mounted only in own
    /// namespaces, to disturb no other process.
    pub(crate) fn look(has_own_namespaces: bool) -> Self {
        let own = || {
            let why =
                "it has no namespaces of its own (scripts/chaos makes them, as root or with user namespaces)";
            if has_own_namespaces { Ok(()) } else { Err(why.to_owned()) }
        };
        let nft = own().and_then(|()| drop_packets(&[]).map_err(|failure| failure.to_string()));
        clear();
        let mount = own().and_then(|()| {
            let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
            mount(dir.path(), "1m").map_err(|failure| failure.to_string())?;
            let _ = Command::new("umount").arg(dir.path()).status();
            Ok(())
        });
        Self { nft, mount, faketime: try_faketime() }
    }

    /// Why a fault can't be had here.
    pub(crate) fn lacks(&self, fault: Fault) -> Option<&str> {
        let can = match fault.need() {
            Need::Nothing => return None,
            Need::Nft => &self.nft,
            Need::Mount => &self.mount,
            Need::Faketime => &self.faketime,
        };
        can.as_ref().err().map(String::as_str)
    }
}

/// Drops the packets that one of these matches (in nft's words).
pub(crate) fn drop_packets(matches: &[String]) -> Result<(), Failure> {
    let rules: String = matches.iter().map(|rule| format!("{rule} drop\n")).collect();
    let text = format!(
        "table inet {TABLE} {{\nchain in {{\ntype filter hook input priority 0; policy accept;\n{rules}}}\n}}\n"
    );
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Failure::outside("can't start nft"))?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(Failure::outside("nft takes no rules"))?;
    }
    let done = nft.wait_with_output().map_err(Failure::outside("nft does not end"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(Failure::Outside(format!("nft: {}", String::from_utf8_lossy(&done.stderr).trim())))
}

/// Drops none any more.
pub(crate) fn clear() {
    let _ = Command::new("nft").args(["delete", "table", "inet", TABLE]).stderr(Stdio::null()).status();
}

/// Mounts a disk of this size.
pub(crate) fn mount(at: &Path, size: &str) -> Result<(), Failure> {
    let done = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={size}"), "chaos"])
        .arg(at)
        .output()
        .map_err(Failure::outside("can't start mount"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(Failure::Outside(format!("mount: {}", String::from_utf8_lossy(&done.stderr).trim())))
}

/// Makes Redis read its time from this file; its waits use the monotonic clock. It allocates
/// through libc: jemalloc asks for the time before libfaketime can answer, and both deadlock.
pub(crate) fn faketime(file: &Path) -> Result<Vec<(String, String)>, Failure> {
    let [faketime, libc] =
        libraries().ok_or_else(|| Failure::Outside("libfaketime is not installed".into()))?;
    let set = [
        ("LD_PRELOAD", format!("{} {}", faketime.display(), libc.display())),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    Ok(set.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// Whether Redis starts with it.
fn try_faketime() -> Result<(), String> {
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), "+0s").map_err(|error| error.to_string())?;
    let envs = faketime(file.path()).map_err(|failure| failure.to_string())?;
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "10", "redis-server", "--version"]).envs(envs).stdout(Stdio::null());
    let done = command.status().map_err(|error| error.to_string())?;
    if done.success() { Ok(()) } else { Err("redis-server does not start with libfaketime".into()) }
}

fn libraries() -> Option<[PathBuf; 2]> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    let places = folders.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")]);
    let mut both = places.map(|place| [place.join("faketime/libfaketimeMT.so.1"), place.join("libc.so.6")]);
    both.find(|both| both.iter().all(|library| library.exists()))
}
