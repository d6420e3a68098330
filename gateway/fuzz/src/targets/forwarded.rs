//! Checks that a client cannot override the address that a trusted proxy appends to `Forwarded` or
//! `X-Forwarded-For`, and that these headers are ignored from other peers. The bytes are header
//! values, one on each line.

use std::net::{IpAddr, Ipv4Addr};

use gateway::fuzzing::client;

const PROXIES: &[&str] = &["10.0.0.0/8", "fd00::/8"];
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

pub(super) fn run(bytes: &[u8]) {
    for (name, added) in [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "203.0.113.9")] {
        let sent: Vec<(&str, &[u8])> = bytes.split(|b| *b == b'\n').map(|value| (name, value)).collect();
        // The HTTP library refuses these bytes before this parser sees them.
        let Some(first) = client(PROXY, PROXIES, &sent) else {
            return;
        };
        assert_eq!(client(STRANGER, PROXIES, &sent), Some(STRANGER));
        assert_eq!(client(PROXY, &[], &sent), Some(PROXY));
        // The proxy adds a header line,
        let with_line = [&sent[..], &[(name, added.as_bytes())]].concat();
        assert_eq!(client(PROXY, PROXIES, &with_line), Some(CLIENT));
        // or it appends to the last line.
        let (_, last) = sent[sent.len() - 1];
        let longer = [last, b", ", added.as_bytes()].concat();
        let mut with_element = sent.clone();
        with_element[sent.len() - 1] = (name, &longer);
        assert_eq!(client(PROXY, PROXIES, &with_element), Some(CLIENT), "after {first}");
    }
}
