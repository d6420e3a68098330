//! Whatever stands in `X-Request-Id` and `traceparent`, the answer has one id that is harmless anywhere, a stranger's is
//! never taken over, and a trace is passed on as it was or not at all. The bytes are the two values, on a line each.

use std::net::{IpAddr, Ipv4Addr};

use gateway::fuzzing::marks;

const PROXIES: &[&str] = &["10.0.0.0/8"];
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

pub(super) fn run(bytes: &[u8]) {
    let split = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (id, trace) = (&bytes[..split], bytes.get(split + 1..).unwrap_or_default());
    for (peer, is_trusted) in [(PROXY, true), (STRANGER, false)] {
        // What can't stand in a header at all does not get here.
        let Some((known, told, response)) = marks(peer, PROXIES, id, trace) else {
            return;
        };
        assert_eq!(known, told, "log and answer must name the same request");
        let harmless = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        assert!((1..=64).contains(&told.len()) && told.bytes().all(harmless), "{told:?}");
        let is_own = told.len() == 16 && told.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(is_own || (is_trusted && told.as_bytes() == id), "{told:?}");
        if let Some(response) = response {
            let parts: Vec<&str> = response.split('-').collect();
            let [version, trace_id, span, flags] = parts[..] else { panic!("{response:?}") };
            assert_eq!((version, trace_id.as_bytes()), ("00", &trace[3..35]), "{response:?}");
            assert!(span.len() == 16 && matches!(flags, "00" | "01" | "02" | "03"), "{response:?}");
        }
    }
}
