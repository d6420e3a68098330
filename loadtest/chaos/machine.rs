//! Finds what this machine permits: drop packets, mount a small disk, fake the time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::Failed;
use testkit::cli::output;

use crate::faults::{Fault, Need};

/// The table that everything dropped stands in.
const TABLE: &str = "launchgate-chaos";
const NO_NAMESPACES: &str =
    "it has no namespaces of its own (scripts/chaos makes them, as root or with user namespaces)";

/// What can be done here; else why not.
pub(crate) struct Machine {
    nft: Result<(), Failed>,
    mount: Result<(), Failed>,
    faketime: Result<(), Failed>,
}

impl Machine {
    /// Tests what this machine can do. Packets are dropped and disks mounted only in own
    /// namespaces, to disturb no other process.
    pub(crate) fn probe(has_own_namespaces: bool) -> Self {
        let own = || if has_own_namespaces { Ok(()) } else { Err(Failed::Outside(NO_NAMESPACES.into())) };
        let nft = own().and_then(|()| drop_packets(&[]));
        clear();
        Self { nft, mount: own().and_then(|()| try_mount()), faketime: try_faketime() }
    }

    /// Why a fault can't be had here.
    pub(crate) fn lacks(&self, fault: Fault) -> Option<&Failed> {
        let can = match fault.need() {
            Need::Nothing => return None,
            Need::Nft => &self.nft,
            Need::Mount => &self.mount,
            Need::Faketime => &self.faketime,
        };
        can.as_ref().err()
    }
}

/// Drops the packets that one of these matches (in nft's words).
pub(crate) fn drop_packets(matches: &[String]) -> Result<(), Failed> {
    let rules: String = matches.iter().map(|rule| format!("{rule} drop\n")).collect();
    let mut nft = Command::new("nft");
    nft.arg(format!(
        "table inet {TABLE} {{\nchain in {{\ntype filter hook input priority 0; policy accept;\n{rules}}}\n}}\n"
    ));
    output(nft).map(drop)
}

/// Drops none any more.
pub(crate) fn clear() {
    let _ = Command::new("nft").args(["delete", "table", "inet", TABLE]).stderr(Stdio::null()).status();
}

/// Mounts a disk of this size.
pub(crate) fn mount(at: &Path, size: &str) -> Result<(), Failed> {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "chaos"]).arg(at);
    output(mount).map(drop)
}

fn try_mount() -> Result<(), Failed> {
    let dir = tempfile::tempdir().map_err(Failed::to("make a directory"))?;
    mount(dir.path(), "1m")?;
    let _ = Command::new("umount").arg(dir.path()).status();
    Ok(())
}

/// Makes Redis read its time from this file; its waits use the monotonic clock. It allocates
/// through libc: jemalloc asks for the time before libfaketime can answer, and both deadlock.
pub(crate) fn faketime(file: &Path) -> Result<Vec<(String, String)>, Failed> {
    let [faketime, libc] =
        libraries().ok_or_else(|| Failed::Outside("libfaketime is not installed".into()))?;
    let set = [
        ("LD_PRELOAD", format!("{} {}", faketime.display(), libc.display())),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    Ok(set.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// Whether Redis starts with it.
fn try_faketime() -> Result<(), Failed> {
    let file = tempfile::NamedTempFile::new().map_err(Failed::to("make a file"))?;
    std::fs::write(file.path(), "+0s").map_err(Failed::to("write a file"))?;
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "10", "redis-server", "--version"]).envs(faketime(file.path())?);
    output(command)
        .map(drop)
        .map_err(|_| Failed::Outside("redis-server does not start with libfaketime".into()))
}

fn libraries() -> Option<[PathBuf; 2]> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    let folders = folders.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")]);
    let mut both =
        folders.map(|folder| [folder.join("faketime/libfaketimeMT.so.1"), folder.join("libc.so.6")]);
    both.find(|both| both.iter().all(|library| library.exists()))
}
