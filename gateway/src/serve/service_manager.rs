//! Reports the state of this gateway to systemd: started, reloading, draining, and alive. Does nothing without systemd.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::ops::health::Readiness;
use crate::runtime::Pulse;

/// Interval of reports where systemd has no watchdog for this gateway.
const INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Reports within the watchdog's time, and beats of each pulse between two reports.
const PER_WATCHDOG: u32 = 4;
/// The most that `systemctl status` shows well.
const STATUS_CHARS_MAX: usize = 200;

/// What systemd asks for in the environment, and the runtimes that must turn.
#[derive(Debug)]
pub(super) struct ServiceManager {
    /// Within this time systemd expects a sign of life.
    watchdog: Option<Duration>,
    is_there: bool,
    pulses: Vec<Pulse>,
}

impl ServiceManager {
    pub(super) fn from_environment() -> Self {
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { watchdog: sd_notify::watchdog_enabled().filter(|_| is_there), is_there, pulses: Vec::new() }
    }

    /// The pulse of another runtime. From then on this gateway counts as alive only while that runtime turns.
    pub(super) fn add_pulse(&mut self) -> Pulse {
        let Some(watchdog) = self.watchdog else { return Pulse::default() };
        let pulse = Pulse::every(watchdog / PER_WATCHDOG / PER_WATCHDOG);
        self.pulses.push(pulse.clone());
        pulse
    }

    /// Reports the start, then readiness and signs of life. Call it on the runtime that answers ops.
    pub(super) async fn report(self, readiness: Arc<Readiness>) {
        if !self.is_there {
            return;
        }
        // Without this one systemd would end the start.
        while send(&[NotifyState::Ready]) == Sent::NoRoom {
            tokio::time::sleep(INTERVAL_MAX).await;
        }
        let interval = self.watchdog.map_or(INTERVAL_MAX, |time| (time / PER_WATCHDOG).min(INTERVAL_MAX));
        let mut shown = None;
        let mut beats = Beats::default();
        loop {
            let reasons = readiness.reasons();
            if shown.as_ref() != Some(&reasons)
                && send(&[NotifyState::Status(&status(&reasons))]) == Sent::Done
            {
                shown = Some(reasons);
            }
            if self.watchdog.is_some() && beats.all_went_on(&self.pulses) {
                send(&[NotifyState::Watchdog]);
            }
            tokio::time::sleep(interval).await;
        }
    }
}

/// The counts of all pulses at the latest sign of life.
#[derive(Debug, Default)]
struct Beats(Vec<u64>);

impl Beats {
    /// Whether every runtime has turned since this was last true.
    fn all_went_on(&mut self, pulses: &[Pulse]) -> bool {
        let counts: Vec<u64> = pulses.iter().map(Pulse::count).collect();
        let went_on = |(n, count): (usize, &u64)| self.0.get(n).is_none_or(|before| before < count);
        let all = counts.iter().enumerate().all(went_on);
        if all {
            self.0 = counts;
        }
        all
    }
}

/// Reports that the files are being read again. [`report_reloaded`] must follow.
pub(super) fn report_reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        send(&[NotifyState::Reloading, now]);
    }
}

/// Reports that the files were read again.
pub(super) fn report_reloaded() {
    send(&[NotifyState::Ready]);
}

/// Reports the drain.
pub(super) fn report_stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Readiness as one line.
fn status(reasons: &[String]) -> String {
    if reasons.is_empty() {
        return "ready".to_owned();
    }
    let text = format!("not ready: {}", reasons.join("; "));
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(STATUS_CHARS_MAX).collect()
}

/// What became of a report.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// It is sent, or no other try would help.
    Done,
    /// Too many reports wait for systemd.
    NoRoom,
}

/// A gateway that can't report goes on: systemd ends it if it must.
fn send(state: &[NotifyState<'_>]) -> Sent {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Sent::Done };
    let report: String = state.iter().map(|state| format!("{state}\n")).collect();
    let Err(error) = send_to(&socket, &report) else { return Sent::Done };
    tracing::warn!(%error, "can't report to systemd");
    if error.kind() == io::ErrorKind::WouldBlock { Sent::NoRoom } else { Sent::Done }
}

/// Sends a report without waiting: the crate's own function waits for a systemd that reads nothing, and with it this thread
/// would answer no ops and take no SIGTERM.
fn send_to(socket: &OsStr, report: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let own = UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    own.send_to_addr(report.as_bytes(), &address).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
