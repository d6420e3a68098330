//! Binds ports so that workers share one, and two gateways never do.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// Length of the accept queue.
pub const BACKLOG: i32 = 4096;
/// Kernel buffer of a connection in each direction, in bytes (the kernel doubles it). The default would
/// let a client that does not read, or sends what is not read, pin some MiB.
const SOCKET_BUFFER_BYTES: usize = 128 * 1024;

/// Binds one listener for each worker to the same port. The kernel spreads connections over them. The first bind
/// is without `SO_REUSEPORT`: it fails if another gateway has the port, instead of sharing it silently.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let probe = socket(address, false)?;
    probe.bind(&address.into())?;
    probe.listen(1)?;
    let bound = probe.local_addr()?.as_socket().ok_or_else(|| io::Error::other("no socket address"))?;
    drop(probe);
    (0..workers)
        .map(|_| {
            let socket = socket(bound, true)?;
            socket.bind(&bound.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit the sizes.
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    Ok(socket)
}
