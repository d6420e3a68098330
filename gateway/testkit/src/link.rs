//! Links two programs through a TCP port that can be slow, stalled, cut, closed or redirected.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use gateway::http::drain::{Drain, DrainPhase, DrainingListener};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{Shutdown, shutdown};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Failed;
use crate::files::local_address;
use crate::redis::Redis;
use crate::wait::runtime;

/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// Pieces under way in one direction.
const PIECES_MAX: usize = 1_024;

/// What goes wrong on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything passes.
    None,
    /// Answers are held; requests still arrive.
    StallAnswers,
    /// Requests are held; answers still arrive.
    StallRequests,
    /// Both directions are held.
    Stall,
    /// Existing connections are held for good; new ones pass.
    StallOld,
    /// Every connection ends, also new ones.
    Cut,
}

/// Where a link leads.
#[derive(Debug, Clone)]
pub enum Target {
    Port(SocketAddr),
    Socket(PathBuf),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Port(address)
    }
}

impl From<&Redis> for Target {
    fn from(redis: &Redis) -> Self {
        Self::Socket(redis.socket())
    }
}

/// The link. It ends when this is dropped, with all its connections.
pub struct Link {
    /// Where it listens.
    pub address: SocketAddr,
    url: String,
    shared: Arc<Shared>,
    listening: Option<(watch::Sender<DrainPhase>, JoinHandle<()>)>,
}

/// What the link's connections go by.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    delay: Duration,
    to: Target,
    /// Both ends of every connection.
    open: Vec<Weak<File>>,
    is_over: bool,
}

/// Which way a piece goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

impl Link {
    /// To a program, without delay and faults, from a free port of this host.
    pub fn to(target: impl Into<Target>) -> Self {
        Self::slow(target, Duration::ZERO)
    }

    /// To a program, with a delay each way.
    pub fn slow(target: impl Into<Target>, delay: Duration) -> Self {
        Self::at(local_address(), target, delay)
    }

    /// From this address to a program, with a delay each way.
    pub fn at(address: SocketAddr, target: impl Into<Target>, delay: Duration) -> Self {
        let state = State { fault: Fault::None, delay, to: target.into(), open: Vec::new(), is_over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let url = format!("redis://{address}");
        let mut link = Self { address, url, shared, listening: None };
        link.open().unwrap();
        link
    }

    /// For `--redis`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, also for what is connected.
    pub fn set(&self, fault: Fault) {
        self.shared.change(|state| {
            state.fault = fault;
            if fault == Fault::Cut {
                state.end_all();
            }
        });
    }

    /// From now on, also for what is connected.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|state| state.delay = delay);
    }

    /// Redirects new connections, as a name with a new address does; existing ones stay.
    pub fn lead_to(&self, target: impl Into<Target>) {
        self.shared.change(|state| state.to = target.into());
    }

    /// Accepts connections, also again.
    pub fn open(&mut self) -> Result<(), Failed> {
        let listener = TcpListener::bind(self.address).map_err(Failed::to("open a link"))?;
        listener.set_nonblocking(true).map_err(Failed::to("open a link"))?;
        let (phase, drain) = Drain::new();
        let shared = self.shared.clone();
        let listening = runtime().spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            // One that was opened before the end must not be reset.
            let mut listener = DrainingListener::new(listener, &drain);
            while let Some(Ok((near, _))) = listener.accept().await {
                if let Ok(near) = near.into_std() {
                    let shared = shared.clone();
                    std::thread::spawn(move || shared.join(near));
                }
            }
        });
        self.listening = Some((phase, listening));
        Ok(())
    }

    /// Accepts no more, as a balancer does that has seen the drain; what is open goes on.
    pub async fn close(&mut self) {
        if let Some((phase, listening)) = self.listening.take() {
            phase.send_replace(DrainPhase::Close);
            listening.await.unwrap();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((_, listening)) = &self.listening {
            listening.abort();
        }
        self.shared.change(|state| {
            state.is_over = true;
            state.end_all();
        });
    }
}

impl State {
    fn end_all(&mut self) {
        for end in self.open.drain(..).filter_map(|end| end.upgrade()) {
            let _ = shutdown(&*end, Shutdown::Both);
        }
    }

    fn keeps_back(&self, way: Way, is_old: bool) -> bool {
        match self.fault {
            Fault::None | Fault::Cut => false,
            Fault::StallAnswers => way == Way::Answer,
            Fault::StallRequests => way == Way::Request,
            Fault::Stall => true,
            Fault::StallOld => is_old,
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Connects what was accepted with its target.
    fn join(self: Arc<Self>, near: TcpStream) {
        let to = self.state.lock().unwrap().to.clone();
        let _ = near.set_nonblocking(false).and_then(|()| near.set_nodelay(true));
        let far: std::io::Result<OwnedFd> = match to {
            Target::Port(address) => TcpStream::connect(address).map(|far| {
                let _ = far.set_nodelay(true);
                far.into()
            }),
            Target::Socket(path) => UnixStream::connect(path).map(Into::into),
        };
        let Ok(far) = far else {
            // As a port without a listener: a reset.
            let _ = set_socket_linger(&near, Some(Duration::ZERO));
            return;
        };
        let [near, far] = [OwnedFd::from(near), far].map(|end| Arc::new(File::from(end)));
        let is_new = {
            let mut state = self.state.lock().unwrap();
            if state.fault == Fault::Cut || state.is_over {
                return;
            }
            state.open.retain(|end| end.strong_count() > 0);
            state.open.extend([&near, &far].map(Arc::downgrade));
            state.fault == Fault::StallOld
        };
        self.clone().copy(near.clone(), far.clone(), Way::Request, !is_new);
        self.copy(far, near, Way::Answer, !is_new);
    }

    /// Copies one way: a thread reads, another writes each piece when it is due and nothing keeps it back.
    fn copy(self: Arc<Self>, from: Arc<File>, to: Arc<File>, way: Way, is_old: bool) {
        let (sender, pieces) = sync_channel::<(Instant, Vec<u8>)>(PIECES_MAX);
        let shared = self.clone();
        std::thread::spawn(move || {
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = (&*from).read(&mut chunk).unwrap_or(0);
                let due = Instant::now() + shared.state.lock().unwrap().delay;
                // Nothing is the end, which takes as long.
                if sender.send((due, chunk[..read].to_vec())).is_err() || read == 0 {
                    return;
                }
            }
        });
        std::thread::spawn(move || {
            for (due, piece) in pieces {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let keeps_back = |state: &mut State| state.keeps_back(way, is_old) && !state.is_over;
                drop(self.changed.wait_while(self.state.lock().unwrap(), keeps_back).unwrap());
                if piece.is_empty() || (&*to).write_all(&piece).is_err() {
                    break;
                }
            }
            let _ = shutdown(&*to, Shutdown::Write);
        });
    }
}
