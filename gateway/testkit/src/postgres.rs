//! Starts Debian's PostgreSQL in its own directory, on a unix socket; as the user `postgres` where this is root.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, geteuid};

use crate::cli::output;
use crate::files::{Folder, free_port, write_secret};
use crate::program::Program;
use crate::tls::Certificate;
use crate::{Failed, PATIENCE, wait_for};

/// Where Debian puts the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The superuser of the server, and the owner of its files: the server refuses to run as root.
const USER: &str = "postgres";
/// On its socket only.
const OPTIONS: [&str; 2] = ["listen_addresses=", "log_min_messages=warning"];
/// For tests: nothing has to outlive this machine; what is committed outlives the server.
const FORGETFUL: [&str; 7] = [
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=16MB",
    "max_connections=20",
    "max_wal_senders=0",
    "wal_level=minimal",
];

/// A running server. It is killed when this is dropped.
pub struct Postgres {
    program: Program,
    dir: Folder,
    bin: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes a cluster, starts its server and waits until it answers.
    pub fn start() -> Self {
        Self::try_start(None, &FORGETFUL).unwrap()
    }

    /// One that also listens at a port of `localhost`, in TLS, and asks there for a password.
    pub fn start_in_tls(certificate: &Certificate) -> Self {
        Self::try_start(Some(certificate), &FORGETFUL).unwrap()
    }

    /// One with PostgreSQL's own defaults: a commit is on the disk. For measurements.
    pub fn start_durable() -> Result<Self, Failed> {
        Self::try_start(None, &[])
    }

    fn try_start(certificate: Option<&Certificate>, options: &[&str]) -> Result<Self, Failed> {
        let bin = newest()?;
        let dir = Folder::new(None)?;
        let give = |path: &Path| {
            if !geteuid().is_root() {
                return Ok(());
            }
            let id = |flag: &str| {
                let mut id = Command::new("id");
                id.args([flag, USER]);
                output(id)?.trim().parse::<u32>().map_err(Failed::to("read the id of the user postgres"))
            };
            chown(path, Some(id("-u")?), Some(id("-g")?)).map_err(Failed::to("give a file away"))
        };
        give(&dir.path)?;
        let mut make = own(&bin.join("initdb"));
        make.args(["--no-sync", "--auth-local", "trust", "--auth-host", "scram-sha-256"]);
        make.args(["--username", USER, "--encoding", "UTF8", "--locale", "C"]);
        make.arg("--pgdata").arg(dir.path.join("data")).current_dir(&dir.path);
        output(make)?;
        let mut command = own(&bin.join("postgres"));
        command.arg("-D").arg(dir.path.join("data")).arg("-k").arg(&dir.path).current_dir(&dir.path);
        OPTIONS.iter().chain(options).for_each(|option| _ = command.args(["-c", option]));
        let port = certificate.map_or(5432, |_| free_port());
        command.args(["-p", &port.to_string()]);
        if let Some(certificate) = certificate {
            let files = [("ssl_cert_file", certificate.cert()), ("ssl_key_file", certificate.key())];
            for (name, from) in files {
                // It reads a key only from a file of its own.
                let to = dir.path.join(name);
                let text = std::fs::read_to_string(from).map_err(Failed::to("read a certificate"))?;
                write_secret(&to, &text)?;
                give(&to)?;
                command.args(["-c", &format!("{name}={}", to.display())]);
            }
            command.args(["-c", "ssl=on", "-c", "listen_addresses=localhost"]);
        }
        command.stdout(Stdio::null());
        let program = Program::new("postgres", command).log_errors_to(&dir.path.join("log"))?;
        let mut server = Self { program, dir, bin, port };
        server.start_again()?;
        Ok(server)
    }

    /// For `--postgres`: a new database, or one that is there.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@/{database}?host={}&port={}", self.dir.path.display(), self.port)
    }

    /// The same over its port, of one in TLS.
    pub fn tls_url(&self, database: &str) -> String {
        format!("postgres://{USER}@localhost:{}/{database}?sslmode=require", self.port)
    }

    /// Makes a database; returns its URL.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// What SQL answers: a line a row, columns separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap()
    }

    /// The same for a server that may not answer.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, Failed> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.arg("--host").arg(&self.dir.path).args(["--port", &self.port.to_string()]);
        psql.args(["--username", USER, "--dbname", database, "--command", sql]);
        output(psql)
    }

    /// SIGKILL, as a crash: what its other processes did is undone at the next start.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// SIGSTOP for it and not for the processes that serve connections.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Starts it again on the same files, and waits until it answers.
    pub fn start_again(&mut self) -> Result<(), Failed> {
        let is_up = |server: &Self| server.try_sql("postgres", "SELECT 1").is_ok();
        // After a SIGKILL it refuses to start until the last process of the one before has noticed its end.
        wait_for("postgres is up", || {
            if !self.program.is_alive() && self.program.spawn().is_err() {
                return None;
            }
            is_up(self).then_some(())
        })
        .map_err(|_| self.program.failed(&format!("is not up after {PATIENCE:?}")))
    }

    /// CPU time so far, of the server and of its processes that run.
    pub fn cpu(&self) -> Duration {
        self.program.cpu()
    }

    /// Its directory, with the socket and the log.
    pub fn files(&self) -> &Path {
        &self.dir.path
    }
}

/// The programs of the newest version.
fn newest() -> Result<PathBuf, Failed> {
    let missing = || Failed::Outside(format!("{VERSIONS} has no PostgreSQL: scripts/test installs it"));
    let folders = std::fs::read_dir(VERSIONS).map_err(|_| missing())?.flatten();
    let versions = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().ok_or_else(missing)?;
    Ok(Path::new(VERSIONS).join(newest.to_string()).join("bin"))
}

/// A program that must not run as root.
fn own(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command
}
