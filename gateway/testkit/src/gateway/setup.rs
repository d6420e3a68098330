//! Starts a gateway: its options, its secrets, its command.

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Failed;
use crate::files::write_secret;
use crate::gateway::{Client, Gateway, OPS_TOKEN, SECRET, clean};
use crate::program::{Program, ours, under};

/// What a gateway is started with.
#[derive(Default)]
pub struct GatewaySetup<'a> {
    /// For `--redis`.
    pub redis: &'a str,
    /// Further options. What every gateway of the kit has (see [`DEFAULTS`]) stands back behind them.
    pub options: &'a [&'a str],
    /// The program that runs it, such as `taskset`.
    pub under: &'a [&'a str],
    /// Its binary; by default the one that was built beside the program that runs.
    pub binary: Option<&'a Path>,
    pub envs: &'a [(&'a str, &'a str)],
    /// The name under which failures call it.
    pub name: Option<&'a str>,
    /// Where its log goes; to standard error by default.
    pub log: Option<&'a Path>,
    /// It has no option of [`DEFAULTS`] but its ports.
    pub is_as_shipped: bool,
    /// Its secret and its ops token are random, not [`SECRET`] and [`OPS_TOKEN`].
    pub has_own_secrets: bool,
}

/// The default options of a gateway.
const DEFAULTS: [(&str, &str); 7] = [
    ("--listen", "127.0.0.1:0"),
    ("--ops-listen", "127.0.0.1:0"),
    ("--log-level", "warn"),
    ("--workers", "2"),
    ("--drain-delay-ms", "0"),
    ("--limit-buyer", "off"),
    ("--queue-delay-max-ms", "60000"),
];

/// The same as a file that `--config` reads.
pub fn usual_options() -> String {
    let line = |(flag, value): (&str, &str)| match value.parse::<u64>() {
        Ok(number) => format!("{} = {number}\n", &flag[2..]),
        Err(_) => format!("{} = {value:?}\n", &flag[2..]),
    };
    DEFAULTS.into_iter().map(line).collect()
}

/// So many of them are ports.
const PORTS: usize = 2;

impl GatewaySetup<'_> {
    /// Starts it and waits until its ports are open.
    pub fn start(&self) -> Result<Gateway, Failed> {
        let files = tempfile::tempdir().map_err(Failed::to("make a directory"))?;
        let [secret, ops_token] = if self.has_own_secrets {
            [(); 2].map(|()| random_text())
        } else {
            [SECRET, OPS_TOKEN].map(ToOwned::to_owned)
        };
        write_secrets(files.path(), &secret, &ops_token)?;
        let mut command = self.command(files.path());
        command.stdout(Stdio::piped());
        let mut program = Program::new(self.name.unwrap_or("gateway"), command);
        if let Some(log) = self.log {
            program = program.log_errors_to(log)?;
        }
        let client = Client { secret, ops_token, ..Client::new(String::new(), String::new()) };
        let mut gateway = Gateway { program, files, client };
        gateway.start_again()?;
        Ok(gateway)
    }

    pub(super) fn command(&self, files: &Path) -> Command {
        let (secret, ops) = (files.join("secret"), files.join("ops"));
        let binary = self.binary.map_or_else(|| ours("gateway"), Path::to_owned);
        let mut command = clean(under(self.under, binary));
        command.args(["serve", "--redis", self.redis]).args(self.options).envs(self.envs.iter().copied());
        if !self.options.contains(&"--ops-token-file") {
            command.arg("--ops-token-file").arg(&ops);
        }
        if !self.options.contains(&"--auth-jwks-file") && !self.options.contains(&"--auth-secret-file") {
            command.arg("--auth-secret-file").arg(&secret);
        }
        let usual = if self.is_as_shipped { &DEFAULTS[..PORTS] } else { &DEFAULTS[..] };
        for (flag, value) in usual.iter().filter(|(flag, _)| !self.options.contains(flag)) {
            command.args([flag, value]);
        }
        command
    }
}

/// Writes the files `secret` and `ops` for gateways, and for those that call them.
pub fn write_secrets(folder: &Path, secret: &str, ops_token: &str) -> Result<(), Failed> {
    write_secret(&folder.join("secret"), secret)?;
    write_secret(&folder.join("ops"), &format!("ops {ops_token}\n"))
}

/// 32 random bytes as text.
pub fn random_text() -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    STANDARD.encode(bytes)
}
