//! What this machine lets a fault do: drop packets, mount a small disk, lie about the time.

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
    /// Tries it. Packets are dropped and disks mounted only in namespaces of our own: nobody else shall miss them.
    pub(crate) fn look(has_own_namespaces: bool) -> Self {
        let own = || {
            let why = "there are no namespaces of its own (scripts/chaos makes them; it has to be root, or allowed to)";
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
        let faketime = library().map(drop).ok_or_else(|| "libfaketime is not installed".to_owned());
        Self { nft, mount, faketime }
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

/// What makes a program take its time from this file. Its waits go by the monotonic clock, which stays as it is.
pub(crate) fn faketime(file: &Path) -> Result<Vec<(String, String)>, Failure> {
    let library = library().ok_or_else(|| Failure::Outside("libfaketime is not installed".into()))?;
    let set = [
        ("LD_PRELOAD", library.to_string_lossy()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ];
    Ok(set.map(|(name, value)| (name.to_owned(), value.into_owned())).to_vec())
}

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    let places = folders.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")]);
    places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}
