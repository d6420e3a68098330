//! Runs the binary at a pseudo-terminal of util-linux's `script`, to read its output and type.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::PATIENCE;
use crate::gateway::binary;

/// A command whose standard input, output and error are one terminal.
pub struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    screen: Receiver<Vec<u8>>,
    /// What has been seen so far, with the line ends of files.
    pub seen: String,
    /// Up to here it has been expected.
    read: usize,
}

impl Terminal {
    /// Starts the gateway's binary with these arguments.
    pub fn start(args: &[&str]) -> Self {
        let bare = binary();
        let words: Vec<String> = std::iter::once(bare.get_program().to_str().unwrap())
            .chain(args.iter().copied())
            .map(|word| format!("'{word}'"))
            .collect();
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
        // As `binary` has it, and the shell that `script` calls.
        bare.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.env("SHELL", "/bin/sh").env("USER", "maja").env_remove("SUDO_USER");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = child.stdin.take();
        Self { child, keys, screen, seen: String::new(), read: 0 }
    }

    /// Waits until this shows up behind what was waited for before.
    pub fn expect(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen[self.read..].find(text) {
                self.read += at + text.len();
                return;
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            let Ok(bytes) = self.screen.recv_timeout(left) else {
                panic!("no {text:?} on the screen: {:?}", self.seen);
            };
            self.seen += &String::from_utf8_lossy(&bytes).replace('\r', "");
        }
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) {
        self.keys.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for its end; the exit code.
    pub fn end(&mut self) -> i32 {
        while let Ok(bytes) = self.screen.recv_timeout(PATIENCE) {
            self.seen += &String::from_utf8_lossy(&bytes).replace('\r', "");
        }
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
