//! A link to Redis that a test can stall, cut, and let lead elsewhere: a TCP port in front of a unix socket.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::redis::Redis;

/// What the link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Lets everything through.
    Pass,
    /// Keeps answers back; what is sent still arrives.
    StallAnswers,
    /// Keeps back what is sent; answers still arrive.
    StallRequests,
    /// Keeps everything back.
    Stall,
    /// Keeps everything back on connections that are there, for good; new ones pass.
    StallOld,
    /// Ends every connection, also new ones.
    Cut,
}

/// The proxy. It ends when this is dropped, with all its connections.
pub struct Proxy {
    to: watch::Sender<PathBuf>,
    link: watch::Sender<Link>,
    listening: JoinHandle<()>,
    url: String,
}

impl Proxy {
    /// Listens on a free port; passes to begin with.
    pub async fn start(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let link = watch::Sender::new(Link::Pass);
        let to = watch::Sender::new(redis.socket());
        let listening = tokio::spawn(listen(listener, to.subscribe(), link.subscribe()));
        Self { to, link, listening, url }
    }

    /// New connections lead there from now on, as those of a name that has another address now; others stay as they are.
    pub fn lead_to(&self, redis: &Redis) {
        self.to.send_replace(redis.socket());
    }

    /// For `--redis`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, also for what is connected.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, to: watch::Receiver<PathBuf>, link: watch::Receiver<Link>) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let socket = to.borrow().clone();
        if let Ok(far) = UnixStream::connect(socket).await {
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            let new = *link.borrow() == Link::StallOld;
            let both = move |l| l == Link::Stall || l == Link::StallOld && !new;
            tokio::spawn(copy(near_read, far_write, link.clone(), move |l| {
                both(l) || l == Link::StallRequests
            }));
            tokio::spawn(copy(far_read, near_write, link.clone(), move |l| {
                both(l) || l == Link::StallAnswers
            }));
        }
    }
}

/// Copies one way, a piece at a time, until an end is closed or the link is cut.
async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut link: watch::Receiver<Link>,
    stalls: impl Fn(Link) -> bool,
) {
    let (mut piece, mut cut) = (vec![0; 64 * 1024], link.clone());
    let copying = async {
        while let Ok(n @ 1..) = from.read(&mut piece).await {
            // The proxy is gone, and its test with it.
            if link.wait_for(|l| !stalls(*l)).await.is_err() || to.write_all(&piece[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = copying => {}
        _ = cut.wait_for(|l| *l == Link::Cut) => {}
    }
}
