//! Checks that a response has one safe request id, and ids of untrusted peers are replaced.
//! A trace is passed on unchanged or not at all. The bytes are the values of `X-Request-Id`
//! and `traceparent`, one on each line.

use std::net::{IpAddr, Ipv4Addr};

use gateway::fuzzing::marks;

const PROXIES: &[&str] = &["10.0.0.0/8"];
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

pub(super) fn run(bytes: &[u8]) {
    let split = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (id, trace) = (&bytes[..split], bytes.get(split + 1..).unwrap_or_default());
    for (peer, is_trusted) in [(PROXY, true), (STRANGER, false)] {
        // The HTTP library refuses these bytes before this parser sees them.
        let Some((logged, answered, response)) = marks(peer, PROXIES, id, trace) else {
            return;
        };
        assert_eq!(logged, answered, "log and answer must name the same request");
        let harmless = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        assert!((1..=64).contains(&answered.len()) && answered.bytes().all(harmless), "{answered:?}");
        let is_own = answered.len() == 16 && answered.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(is_own || (is_trusted && answered.as_bytes() == id), "{answered:?}");
        if let Some(response) = response {
            let parts: Vec<&str> = response.split('-').collect();
            let [version, trace_id, span, flags] = parts[..] else { panic!("{response:?}") };
            assert_eq!((version, trace_id.as_bytes()), ("00", &trace[3..35]), "{response:?}");
            assert!(span.len() == 16 && matches!(flags, "00" | "01" | "02" | "03"), "{response:?}");
        }
    }
}
