//! Starts, signals, measures, restarts and ends a program by its id.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use procfs::process::{ProcState, Process};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Failed, wait_for};

/// A program. It is killed when this is dropped, unless it is to outlive it.
pub struct Program {
    name: String,
    /// Not of one that can't be started again.
    command: Option<Command>,
    log: Option<PathBuf>,
    /// Dropped by SIGTERM: for programs that have children to end.
    ends_gently: bool,
    /// Where the process id of one that outlives this is noted.
    pid_file: Option<PathBuf>,
    child: Option<Child>,
}

impl Program {
    /// A program that is not started yet, with the command's output.
    pub fn new(name: &str, command: Command) -> Self {
        let (name, command) = (name.to_owned(), Some(command));
        Self { name, command, log: None, ends_gently: false, pid_file: None, child: None }
    }

    /// Its output goes to the end of this file; a failure quotes it.
    pub fn log_to(mut self, file: &Path) -> Result<Self, Failed> {
        self = self.log_errors_to(file)?;
        if let Some(command) = &mut self.command {
            command.stdout(open_log(file)?);
        }
        Ok(self)
    }

    /// The same for its standard error alone.
    pub(crate) fn log_errors_to(mut self, file: &Path) -> Result<Self, Failed> {
        if let Some(command) = &mut self.command {
            command.stderr(open_log(file)?);
        }
        self.log = Some(file.to_owned());
        Ok(self)
    }

    /// One that runs, and can't be started again: its end of a pipe is its own, and closes with it.
    pub fn once(name: &str, mut command: Command) -> Result<Self, Failed> {
        let child = command.spawn().map_err(Failed::to(&format!("start {name}")))?;
        let mut program = Self::new(name, command);
        (program.command, program.child) = (None, Some(child));
        Ok(program)
    }

    /// It gets SIGTERM and time when this is dropped, and not SIGKILL.
    pub fn ending_gently(mut self) -> Self {
        self.ends_gently = true;
        self
    }

    /// It goes on when this is dropped; its process id is in this file.
    pub fn outliving(mut self, pid_file: &Path) -> Self {
        self.pid_file = Some(pid_file.to_owned());
        self
    }

    /// Starts it, also again; returns at once.
    pub fn spawn(&mut self) -> Result<(), Failed> {
        let command = self.command.as_mut().expect("it can be started again");
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.map_err(Failed::to(&format!("start {} (scripts/test installs it)", self.name)))?;
        let pid = child.id();
        self.child = Some(child);
        match &self.pid_file {
            Some(file) => std::fs::write(file, pid.to_string()).map_err(Failed::to("note a process id")),
            None => Ok(()),
        }
    }

    /// Starts it, also again, and waits until this returns a value.
    pub fn start_until<T>(&mut self, mut is_up: impl FnMut() -> Option<T>) -> Result<T, Failed> {
        self.spawn()?;
        let what = format!("{} is up", self.name);
        let up = wait_for(&what, || if self.is_alive() { is_up().map(Some) } else { Some(None) });
        up?.ok_or_else(|| self.failed("has ended"))
    }

    /// What is wrong with it, and the end of its log.
    pub(crate) fn failed(&self, what: &str) -> Failed {
        Failed::Outside(format!("{} {what}:\n{}", self.name, self.log_tail()))
    }

    /// Starts it, also again, and waits until it listens.
    pub fn start_at(&mut self, address: SocketAddr) -> Result<(), Failed> {
        self.start_until(|| TcpStream::connect(address).ok().map(drop))
    }

    fn log_tail(&self) -> String {
        let log = self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Its standard output, once, where the command pipes it.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.as_mut()?.stdout.take()
    }

    /// Its standard error, once, where the command pipes it.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.as_mut()?.stderr.take()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.as_mut().expect("it was started").wait().unwrap()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// SIGKILL, which ends a stopped program, too.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, if it runs, and waits for its end.
    pub fn end(&mut self) -> Result<(), Failed> {
        if self.is_alive() {
            self.signal(Signal::TERM);
        }
        wait_for(&format!("{} ends", self.name), || (!self.is_alive()).then_some(()))?;
        self.child = None;
        Ok(())
    }

    /// Sends a signal; nothing if it does not run.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            signal_to(child.id(), signal);
        }
    }

    /// SIGSTOP; returns once it is stopped.
    pub fn stop(&self) -> Result<(), Failed> {
        self.signal(Signal::STOP);
        wait_for(&format!("{} is stopped", self.name), || {
            let state = self.process().ok()?.stat().ok()?.state();
            matches!(state, Ok(ProcState::Stopped)).then_some(())
        })
    }

    /// CPU time so far, of all its threads and of the processes that it started.
    pub fn cpu(&self) -> Duration {
        let Ok(own) = self.process() else { return Duration::ZERO };
        let children = own.task_main_thread().and_then(|main| main.children()).unwrap_or_default();
        let children = children.into_iter().filter_map(|id| Process::new(i32::try_from(id).ok()?).ok());
        children.map(|child| cpu_of(&child)).sum::<Duration>() + cpu_of(&own)
    }

    /// Resident RAM, in bytes.
    pub fn resident(&self) -> u64 {
        let status = self.process().and_then(|process| process.status());
        status.ok().and_then(|status| status.vmrss).unwrap_or_default() * 1024
    }

    fn process(&self) -> procfs::ProcResult<Process> {
        Process::new(self.pid().cast_signed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.pid_file.is_some() {
            return;
        }
        if self.ends_gently {
            let _ = self.end();
        }
        self.kill();
    }
}

fn open_log(file: &Path) -> Result<File, Failed> {
    OpenOptions::new().create(true).append(true).open(file).map_err(Failed::to("make a log"))
}

/// A program that listens; it ends with this value.
pub struct Server {
    pub program: Program,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a program that will listen at this address, with its output in this file.
    pub fn start(program: Program, address: SocketAddr, log: &Path) -> Result<Self, Failed> {
        let mut program = program.log_to(log)?;
        program.start_at(address)?;
        Ok(Self { program, address })
    }
}

/// Sends a signal to a process.
pub fn signal_to(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    kill_process(pid, signal).expect("the process takes signals");
}

/// CPU time of a process: schedstat has nanoseconds, where /proc's usual ticks are 10 ms.
pub fn cpu_of(process: &Process) -> Duration {
    let tasks = process.tasks().into_iter().flatten().flatten();
    Duration::from_nanos(
        tasks.filter_map(|task| task.schedstat().ok()).map(|times| times.sum_exec_runtime).sum(),
    )
}

/// The command that runs a program under another one (`taskset`, `valgrind`); itself if there is none.
pub fn under(wrapper: &[&str], program: impl AsRef<OsStr>) -> Command {
    let Some((first, rest)) = wrapper.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// One of our programs, from the folder of `TEST_PROGRAMS`. Without it, from where cargo puts them: beside the program that runs,
/// and beside the folder of tests.
pub fn ours(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = std::env::var_os("TEST_PROGRAMS").map_or_else(
        || own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap().to_owned(),
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --workspace` first (scripts/test does)",
        path.display()
    );
    path
}
