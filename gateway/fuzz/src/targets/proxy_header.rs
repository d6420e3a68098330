//! Checks that a PROXY header of version 2 consumes exactly its own bytes and yields the address in
//! it.

use std::net::IpAddr;

use gateway::fuzzing::proxy_header;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

pub(super) fn run(bytes: &[u8]) {
    let Some((address, taken)) = proxy_header(bytes) else {
        return;
    };
    assert!(bytes.starts_with(SIGNATURE) && (16..=16 + 2_048).contains(&taken), "{taken} bytes");
    assert_eq!(taken, 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]])));
    let header = &bytes[..taken];
    assert_eq!(proxy_header(header), Some((address, taken)));
    assert_eq!(proxy_header(&[header, b"GET / HTTP/1.1"].concat()), Some((address, taken)));
    assert_eq!(proxy_header(&header[..taken - 1]), None);
    let stands_there = match address {
        None => return,
        Some(IpAddr::V4(v4)) => v4.octets().to_vec(),
        Some(IpAddr::V6(v6)) => v6.octets().to_vec(),
    };
    assert_eq!(header[12], 0x21, "accepted an address of the proxy itself");
    assert!(header[16..].starts_with(&stands_there), "{address:?} is not in the header");
}
