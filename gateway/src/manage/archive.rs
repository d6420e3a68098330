//! A sale in a file: all its keys at one sequence, as lines of JSON, for another Redis or for storage.
//!
//! The first line is a header with the audit; the last has the SHA-256 of all bytes before it, so that a truncated or
//! changed file is refused. It contains buyers' ids: protect it accordingly.

mod export;
mod import;
mod purge;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

pub use export::export;
pub use import::import;
pub(crate) use purge::announce;
pub use purge::{PURGE_EFFECT, is_purged, purge};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manage::audit::AuditReport;
use crate::manage::file_error::{FileError, disk, unopened};

const FORMAT: &str = "launchgate-sale";
const VERSION: u32 = 1;
/// That of a sale with sign-ups or standby queues, which earlier programs can't read.
const VERSION_WITH_SIGN_UPS: u32 = 2;
/// A line has some hundred buyers or journal entries, or one definition.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// The first line of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveHead {
    /// The format's name.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// The sale's id.
    pub sale: String,
    /// The sale's incarnation at the export; empty in a file of an earlier version.
    #[serde(default)]
    pub incarnation: String,
    /// Time of the export, by the exporting host's clock.
    pub exported_at: String,
    /// Version of the exporting program.
    pub program: String,
    /// Audit of the ledger at the sequence of the file.
    pub audit: AuditReport,
}

/// A line. Each kind but the first and the last is a key (see `lua/ledger.lua`), which may take
/// several lines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ArchiveLine {
    Head(Box<ArchiveHead>),
    State(BTreeMap<String, String>),
    Definition(String),
    Stock(Vec<(String, String)>),
    Totals(Vec<(String, String)>),
    Taken(Vec<String>),
    /// Buyers' parts of ids with their records.
    Records(Vec<(String, String)>),
    /// Buyers' parts of ids with their rows.
    Signups(Vec<(String, String)>),
    /// Buyers' parts of ids with their places.
    Standby(Vec<(String, String)>),
    /// Members of the standby queues.
    Queue(Vec<String>),
    /// Entry ids, each with its fields and values in turn.
    Journal(Vec<(String, Vec<String>)>),
    End {
        sha256: String,
    },
}

/// Writes lines, and at the end their digest.
struct ArchiveWriter<'a> {
    out: BufWriter<&'a File>,
    digest: Sha256,
}

impl<'a> ArchiveWriter<'a> {
    fn to(file: &'a File) -> Self {
        Self { out: BufWriter::new(file), digest: Sha256::new() }
    }

    fn line(&mut self, line: &ArchiveLine) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.out.write_all(&text)
    }

    /// Writes the last line and syncs the file to disk.
    fn end(mut self) -> io::Result<()> {
        let sha256 = format!("{:x}", self.digest.finalize_reset());
        self.line(&ArchiveLine::End { sha256 })?;
        self.out.flush()?;
        self.out.get_ref().sync_all()
    }
}

/// Reads lines, and at the end verifies their digest.
struct ArchiveReader<'a> {
    path: &'a Path,
    lines: BufReader<File>,
    number: usize,
    digest: Sha256,
}

impl<'a> ArchiveReader<'a> {
    /// Opens a file and reads its first line.
    fn open(path: &'a Path) -> Result<(Self, ArchiveHead), FileError> {
        let file = File::open(path).map_err(unopened(path))?;
        let mut reader = Self { path, lines: BufReader::new(file), number: 0, digest: Sha256::new() };
        match reader.next()? {
            Some(ArchiveLine::Head(head)) if head.format == FORMAT && (VERSION..=VERSION_WITH_SIGN_UPS).contains(&head.version) => Ok((reader, *head)),
            Some(ArchiveLine::Head(head)) if head.format == FORMAT => Err(reader.bad(&format!(
                "is of version {} of the format, and this program reads versions {VERSION} to {VERSION_WITH_SIGN_UPS}: use the one that wrote it, {}",
                head.version, head.program
            ))),
            _ => Err(reader.bad("is not an export of a sale")),
        }
    }

    /// The next line but the last; `None` after the last one has verified the digest.
    fn next(&mut self) -> Result<Option<ArchiveLine>, FileError> {
        let mut text = Vec::new();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        read.map_err(disk(self.path))?;
        self.number += 1;
        if text.last() != Some(&b'\n') {
            return Err(self.bad("was cut off: its last line, the checksum, is missing"));
        }
        let line = serde_json::from_slice(&text)
            .map_err(|_| self.bad(&format!("has a line {} that can't be read", self.number)))?;
        let ArchiveLine::End { sha256 } = line else {
            self.digest.update(&text);
            return Ok(Some(line));
        };
        if format!("{:x}", self.digest.finalize_reset()) != sha256 {
            return Err(self.bad("was changed after it was written: its checksum differs"));
        }
        match self.lines.fill_buf().map_err(disk(self.path))? {
            [] => Ok(None),
            _ => Err(self.bad("has data after its checksum")),
        }
    }

    fn bad(&self, what: &str) -> FileError {
        FileError::File(format!("{} {what}", self.path.display()))
    }
}

/// Reads and verifies a whole file.
fn verify(path: &Path) -> Result<ArchiveHead, FileError> {
    let (mut reader, head) = ArchiveReader::open(path)?;
    while reader.next()?.is_some() {}
    Ok(head)
}
