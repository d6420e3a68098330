//! Runs commands of the binary to their end, or reads their output line by line.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::gateway::binary;
use crate::program::Program;
use crate::{Failed, PATIENCE, wait_for};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Standard output, a JSON object a line.
    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs a command to its end.
pub fn run(args: &[&str]) -> Ended {
    let mut command = binary();
    command.args(args);
    end(command)
}

/// Runs a prepared command to its end.
pub fn end(command: Command) -> Ended {
    try_end(command).unwrap()
}

/// The same for a program that may be missing.
pub fn try_end(mut command: Command) -> Result<Ended, Failed> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(Failed::to(&format!("start {name}")))?;
    let code = output.status.code().unwrap_or(-1);
    // A tool may print bytes that it was sent.
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Ended { code, out, err })
}

/// The same for a tool of this machine that must succeed; its output.
pub fn output(command: Command) -> Result<String, Failed> {
    let name = command.get_program().display().to_string();
    let Ended { code, out, err } = try_end(command)?;
    if code == 0 { Ok(out) } else { Err(Failed::Outside(format!("{name}: {}", err.trim()))) }
}

/// A command that goes on. It is killed when this is dropped.
pub struct Running {
    program: Program,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    /// Starts one.
    pub fn start(args: &[&str]) -> Self {
        let mut command = binary();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = Program::once("gateway", command).unwrap();
        let (lines, errors) = (read(program.stdout().unwrap()), read(program.stderr().unwrap()));
        Self { program, lines, errors }
    }

    /// Its exit code, the lines that it printed since the last one asked for, and its standard error; waits for its end.
    pub fn end(mut self) -> Ended {
        let all = |lines: &Receiver<String>| {
            let mut text = String::new();
            // They end with the program.
            while let Ok(line) = lines.recv_timeout(PATIENCE) {
                text += &line;
                text.push('\n');
            }
            text
        };
        let (out, err) = (all(&self.lines), all(&self.errors));
        let code = wait_for("the command ends", || self.program.ended()).unwrap().code().unwrap_or(-1);
        Ended { code, out, err }
    }

    /// Its next line, as JSON.
    pub fn line(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("one more line");
        serde_json::from_str(&line).unwrap()
    }
}

/// The lines of a pipe.
fn read(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let pipe = BufReader::new(pipe);
    std::thread::spawn(move || pipe.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}
