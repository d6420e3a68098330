//! Starts nginx and HAProxy in front of gateways; each ends when it is dropped.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use crate::program::Program;

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
    _dir: tempfile::TempDir,
    pub url: String,
}

impl Balancer {
    /// nginx, which keeps connections and asks for no readiness. It repeats no POST that it has sent.
    pub fn nginx(listen: SocketAddr, backends: &[Backend]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let mut servers = String::new();
        for Backend { public, ops } in backends {
            let _ = (writeln!(servers, "server {public} max_fails=0;"), ops);
        }
        let ops = backends[0].ops;
        let conf = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr crit;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             upstream gateways {{ {servers} keepalive 32; }}\n\
             server {{ listen {listen}; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             # Larger than what a test reads: an answer that must not be buffered needs its own header.\n\
             proxy_buffer_size 1m; proxy_buffers 4 1m; proxy_busy_buffers_size 2m;\n\
             location / {{ proxy_pass http://gateways; }}\n\
             location /admin/ {{ proxy_pass http://{ops}; }} }}\n\
             }}\n"
        );
        std::fs::write(dir.path().join("conf"), conf).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(dir.path()).arg("-c").arg(dir.path().join("conf"));
        Self::start("nginx", command, dir, listen)
    }

    /// HAProxy, which asks for readiness, keeps connections, and sends first requests over them, too.
    pub fn haproxy(listen: SocketAddr, backends: &[Backend]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut servers = String::new();
        for (n, Backend { public, ops }) in backends.iter().enumerate() {
            let _ =
                writeln!(servers, "  server s{n} {public} check port {} inter 100 fall 1 rise 1", ops.port());
        }
        let conf = format!(
            "global\n  nbthread 2\n  maxconn 1000\n\
             defaults\n  mode http\n  option redispatch 1\n  http-reuse always\n\
             \x20 timeout connect 60s\n  timeout client 60s\n  timeout server 60s\n  timeout check 60s\n\
             frontend all\n  bind {listen}\n  default_backend gateways\n\
             backend gateways\n  balance roundrobin\n  option httpchk GET /readyz\n{servers}"
        );
        std::fs::write(dir.path().join("conf"), conf).unwrap();
        let mut command = Command::new("haproxy");
        command.args(["-db", "-q", "-f"]).arg(dir.path().join("conf"));
        Self::start("haproxy", command, dir, listen)
    }

    fn start(name: &str, command: Command, dir: tempfile::TempDir, listen: SocketAddr) -> Self {
        let mut program = Program::new(name, command);
        program.start_at(listen).unwrap();
        Self { _program: program, _dir: dir, url: format!("http://{listen}") }
    }
}
