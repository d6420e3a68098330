//! Real programs on loopback: started, signalled, ended by their ids, asked over their sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// Who has not come up by then does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// For an answer of somebody who may stand still.
const ANSWER: Duration = Duration::from_secs(3);
/// Of a stream that is watched, at most.
const STREAM_MAX: usize = 4 << 20;
/// Between two looks at something that is waited for.
const NAP: Duration = Duration::from_millis(20);

/// A program that may be dead at the moment. It is killed when this is dropped.
pub(crate) struct Program {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    envs: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Program {
    /// One that is not started yet.
    pub(crate) fn new(
        name: &str,
        program: &Path,
        args: Vec<String>,
        address: SocketAddr,
        log: PathBuf,
    ) -> Self {
        let (name, program) = (name.to_owned(), program.to_owned());
        Self { name, program, args, envs: Vec::new(), log, child: None, address }
    }

    pub(crate) fn with_envs(mut self, envs: Vec<(String, String)>) -> Self {
        self.envs = envs;
        self
    }

    /// Starts it, also again, and waits until it listens.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(Failure::outside("can't make a log"))?;
        let errors = log.try_clone().map_err(Failure::outside("can't make a log"))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().cloned());
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(Failure::outside(&format!("can't start {}", self.name)))?;
        self.child = Some(child);
        let started = Instant::now();
        while TcpStream::connect_timeout(&self.address, ANSWER).is_err() {
            if !self.is_alive() || started.elapsed() > PATIENCE {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<&str> = said.lines().rev().take(5).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                return Err(Failure::Outside(format!(
                    "{} does not come up:\n{}",
                    self.name,
                    tail.join("\n")
                )));
            }
            std::thread::sleep(NAP);
        }
        Ok(())
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGKILL, which ends also who is stopped.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and the end of it.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        self.signal("TERM")?;
        let name = self.name.clone();
        wait_for(&format!("{name} ends"), || (!self.is_alive()).then_some(()))?;
        self.child = None;
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) -> Result<(), Failure> {
        let Some(child) = &self.child else { return Ok(()) };
        let done = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        let done = done.map_err(Failure::outside("can't start kill"))?;
        if done.success() {
            Ok(())
        } else {
            Err(Failure::Outside(format!("kill -{signal} {} failed", self.name)))
        }
    }

    /// A Redis command, its words separated by blanks, and all that is answered.
    pub(crate) fn ask(&self, words: &str) -> Option<String> {
        // It answers what it has got, and closes when it sees that no more comes. Sentinels know no `QUIT`.
        exchange(self.address, &format!("{words}\r\n"), Some(Shutdown::Write))
    }

    /// A Redis command that must be done.
    pub(crate) fn tell(&self, words: &str) -> Result<(), Failure> {
        match self.ask(words) {
            Some(answer) if answer.starts_with('-') || answer.is_empty() => {
                Err(Failure::Outside(format!("{}: {words}: {}", self.name, answer.trim())))
            }
            Some(_) => Ok(()),
            None => Err(Failure::Outside(format!("{}: {words}: no answer", self.name))),
        }
    }
}

/// Waits for something, not longer than 60 s.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if started.elapsed() > PATIENCE {
            return Err(Failure::Outside(format!("never came about: {what}")));
        }
        std::thread::sleep(NAP);
    }
}

/// An address of this host that nobody listens on.
pub(crate) fn free_address(host: IpAddr) -> Result<SocketAddr, Failure> {
    TcpListener::bind((host, 0))
        .and_then(|l| l.local_addr())
        .map_err(Failure::outside("there is no free port"))
}

/// All that is answered to a request after which the server closes the connection.
fn exchange(address: SocketAddr, request: &str, shut: Option<Shutdown>) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    if let Some(shut) = shut {
        stream.shutdown(shut).ok()?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Status and body of a request; headers besides the usual ones end with a line break each.
pub(crate) fn call(
    address: SocketAddr,
    method_path: &str,
    bearer: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String)> {
    let length = body.len();
    let request = format!(
        "{method_path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {bearer}\r\nconnection: close\r\n\
         {headers}content-length: {length}\r\n\r\n{body}"
    );
    let answer = exchange(address, &request, None)?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// A JSON object of a stream that has no end: the first that begins so.
pub(crate) fn watch(
    address: SocketAddr,
    path: &str,
    bearer: &str,
    begins: &str,
) -> Option<serde_json::Value> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {bearer}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let (mut seen, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    while seen.len() < STREAM_MAX {
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => seen.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
        let text = String::from_utf8_lossy(&seen);
        let Some(at) = text.find(begins) else { continue };
        if let Some(Ok(found)) = serde_json::Deserializer::from_str(&text[at..]).into_iter().next() {
            return Some(found);
        }
    }
    None
}
