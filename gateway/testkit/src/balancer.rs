//! Starts nginx and HAProxy in front of gateways with the published configurations; each ends when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::files::{free_addresses, local_address};
use crate::program::Program;
use crate::tls::Certificate;

/// A gateway behind a balancer.
#[derive(Clone, Copy)]
pub struct Backend {
    /// Where its requests go to.
    pub public: SocketAddr,
    /// Where it is asked for its readiness.
    pub ops: SocketAddr,
}

/// A balancer.
pub struct Balancer {
    _program: Program,
    _dir: TempDir,
    /// `https://…` for apps.
    pub url: String,
    /// `https://…` for operators, where it has the ops listeners behind it.
    pub ops_url: String,
    trusted: reqwest::Certificate,
}

/// A published configuration, adapted to a test line by line.
struct Published(String);

impl Published {
    fn read(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
        Self(std::fs::read_to_string(file).unwrap())
    }

    /// Replaces a text that must be there.
    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.0.contains(from), "the published configuration has no {from:?}");
        self.0 = self.0.replace(from, to);
    }

    /// The file as it is published, but with timeouts that a busy machine can't reach.
    fn write(self, dir: &Path, is_timeout: impl Fn(&[&str]) -> bool) -> PathBuf {
        let lines = self.0.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.split_last() {
                Some((last, rest)) if is_timeout(rest) => {
                    let end = if last.ends_with(';') { "60s;" } else { "60s" };
                    format!("{} {end}\n", rest.join(" "))
                }
                _ => format!("{line}\n"),
            }
        });
        let file = dir.join("launchgate");
        std::fs::write(&file, lines.collect::<String>()).unwrap();
        file
    }
}

impl Balancer {
    /// nginx, which keeps connections and asks for no readiness. It repeats no POST that it has sent.
    pub fn nginx(backends: [Backend; 2]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses @ [apps, live] = two_addresses();
        let (certificate, _) = Certificate::new();
        let mut site = Published::read("nginx/launchgate.conf");
        site.replace("listen 443 ", &format!("listen {apps} "));
        site.replace("listen 10.0.0.9:9443 ", &format!("listen {live} "));
        for name in ["shop", "ops"] {
            site.replace(&format!("/etc/nginx/{name}.pem"), &certificate.cert().display().to_string());
            site.replace(&format!("/etc/nginx/{name}.key"), &certificate.key().display().to_string());
        }
        for (n, Backend { public, ops }) in (1..).zip(backends) {
            site.replace(&format!("server 10.0.0.{n}:8080 "), &format!("server {public} "));
            site.replace(&format!("server 10.0.0.{n}:9090;"), &format!("server {ops};"));
        }
        let site = site.write(
            dir.path(),
            |words| matches!(words, [name] if name.starts_with("proxy_") && name.ends_with("_timeout")),
        );
        let (at, site) = (dir.path().display(), site.display());
        let conf = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr crit;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             # Larger than what a test reads: an answer that must not be buffered needs its own header.\n\
             proxy_buffer_size 1m; proxy_buffers 4 1m; proxy_busy_buffers_size 2m;\n\
             include {site};\n\
             }}\n"
        );
        std::fs::write(dir.path().join("conf"), conf).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(dir.path()).arg("-c").arg(dir.path().join("conf"));
        Self::start("nginx", command, dir, addresses, &certificate)
    }

    /// HAProxy, which asks for readiness, keeps connections, and sends first requests over them, too.
    pub fn haproxy(backends: [Backend; 2]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses @ [apps, live] = two_addresses();
        let (certificate, _) = Certificate::new();
        let mut conf = Published::read("haproxy/launchgate.cfg");
        let both = dir.path().join("both.pem");
        let pem = [certificate.cert(), certificate.key()].map(|file| std::fs::read(file).unwrap()).concat();
        std::fs::write(&both, pem).unwrap();
        for name in ["shop", "ops"] {
            conf.replace(&format!("/etc/haproxy/{name}.pem"), &both.display().to_string());
        }
        conf.replace("bind :443 ", &format!("bind {apps} "));
        conf.replace("bind 10.0.0.9:9443 ", &format!("bind {live} "));
        for (n, Backend { public, ops }) in (1..).zip(backends) {
            let port = ops.port();
            conf.replace(&format!("10.0.0.{n}:8080 check port 9090"), &format!("{public} check port {port}"));
            conf.replace(&format!("10.0.0.{n}:9090 check"), &format!("{ops} check"));
        }
        let command = haproxy(&conf.write(dir.path(), is_haproxy_timeout));
        Self::start("haproxy", command, dir, addresses, &certificate)
    }

    /// HAProxy, which passes TLS on and names clients by the PROXY protocol; the gateways have this certificate.
    pub fn haproxy_tcp(backends: [Backend; 2], certificate: &Certificate) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let apps = local_address();
        let mut conf = Published::read("haproxy/launchgate-tcp.cfg");
        conf.replace("bind :443", &format!("bind {apps}"));
        for (n, Backend { public, ops }) in (1..).zip(backends) {
            let port = ops.port();
            conf.replace(&format!("10.0.0.{n}:8443 check port 9090"), &format!("{public} check port {port}"));
        }
        let command = haproxy(&conf.write(dir.path(), is_haproxy_timeout));
        Self::start("haproxy", command, dir, [apps; 2], certificate)
    }

    fn start(
        name: &str,
        command: Command,
        dir: TempDir,
        [apps, ops]: [SocketAddr; 2],
        certificate: &Certificate,
    ) -> Self {
        let mut program = Program::new(name, command);
        program.start_at(apps).unwrap();
        let trusted = reqwest::Certificate::from_pem(&std::fs::read(certificate.cert()).unwrap()).unwrap();
        let url = |address: SocketAddr| format!("https://localhost:{}", address.port());
        Self { _program: program, _dir: dir, url: url(apps), ops_url: url(ops), trusted }
    }

    /// A new client that trusts the certificate that it meets here.
    pub fn client(&self) -> reqwest::Client {
        reqwest::Client::builder().no_proxy().tls_certs_only([self.trusted.clone()]).build().unwrap()
    }
}

fn haproxy(conf: &Path) -> Command {
    let mut command = Command::new("haproxy");
    command.args(["-db", "-q", "-f"]).arg(conf);
    command
}

/// Timeouts of waiting for a gateway.
fn is_haproxy_timeout(words: &[&str]) -> bool {
    matches!(words, ["timeout", "connect" | "server" | "queue" | "check"])
}

fn two_addresses() -> [SocketAddr; 2] {
    let found = free_addresses(Ipv4Addr::LOCALHOST.into(), 2);
    [found[0], found[1]]
}
