//! Unit tests of `proxy_header.rs`.

use super::*;

const V4: &[u8] = &[203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

fn header(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [PROTOCOL_PREFIX, &[version_and_command, family], &length, rest].concat()
}

/// The parsed address, and the number of bytes left in the stream.
async fn result(bytes: &[u8]) -> (Option<String>, usize) {
    let mut stream = bytes;
    let result = read(&mut stream).await.map(|a| a.map_or("itself".to_owned(), |a| a.to_string()));
    (result.ok(), stream.len())
}

#[tokio::test]
async fn a_header_names_the_client_and_what_follows_is_left() {
    let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 20]].concat();
    let with_tlv = [V4, &[4, 0, 3, 1, 2, 3]].concat();
    for (bytes, client) in [
        (header(0x21, 0x11, V4), "203.0.113.9"),
        (header(0x21, 0x21, &v6), "2001:db8::1"),
        (header(0x21, 0x11, &with_tlv), "203.0.113.9"),
        (header(0x20, 0x00, &[]), "itself"),
        (header(0x20, 0x11, V4), "itself"),
        (header(0x21, 0x00, &[]), "itself"),
        (header(0x21, 0x31, &[0; 216]), "itself"),
    ] {
        let bytes = [&bytes[..], b"GET"].concat();
        assert_eq!(result(&bytes).await, (Some(client.to_owned()), 3), "{bytes:?}");
    }
}

#[tokio::test]
async fn invalid_headers_are_refused() {
    for bytes in [
        b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 80\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        header(0x11, 0x11, V4),
        header(0x22, 0x11, V4),
        header(0x21, 0x12, V4),
        header(0x21, 0x41, V4),
        header(0x21, 0x11, &V4[..11]),
        header(0x21, 0x11, &[0; REST_BYTES_MAX + 1]),
        header(0x21, 0x11, V4)[..20].to_vec(),
    ] {
        assert_eq!(result(&bytes).await.0, None, "{bytes:?}");
    }
    let longest = [V4, &[4, 7, 0xf1], &[0; REST_BYTES_MAX - 15]].concat();
    assert!(result(&header(0x21, 0x11, &longest)).await.0.is_some());
}
