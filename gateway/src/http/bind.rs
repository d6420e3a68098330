//! Ports: bound so that workers share one, and no two gateways do.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
pub const BACKLOG: i32 = 4096;
/// What the kernel keeps of a connection in each direction, in bytes (it takes twice as much for its own
/// accounts). By itself it would let a client who does not read, or sends what is not read, pin some MiB.
const SOCKET_BUFFER_BYTES: usize = 128 * 1024;

/// Binds one listener for each worker to the same port. The kernel spreads connections over them.
///
/// It is first bound without `SO_REUSEPORT`, which fails if another gateway has the port: with it,
/// two gateways would share the port silently.
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
    // Accepted connections inherit them.
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    Ok(socket)
}
