//! Lists requests that programs parse differently, with the right answer and the connection's
//! state.
//!
//! Placeholders: `{tap}` the head of a tap without its end, by a buyer with no other; `{body}` its body, `{n}` the
//! body's length, `{x}` likewise in hexadecimal; `{hidden}` a complete tap of a buyer that must never win, `{h}` its
//! length; `{get}` a GET without its end.

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server closes it: whatever follows is not read.
    Closed,
    /// The next request is understood as one.
    Open,
}

/// Name, bytes, statuses of the answers, what then becomes of the connection.
pub type Case = (&'static str, &'static str, &'static [u16], End);

use End::{Closed, Open};

/// Lengths (RFC 9112, section 6).
pub const LENGTHS: &[Case] = &[
    ("a good one", "{tap}content-length: {n}\r\n\r\n{body}", &[201], Open),
    ("leading zeros", "{tap}content-length: 000{n}\r\n\r\n{body}", &[201], Open),
    ("a plus", "{tap}content-length: +{n}\r\n\r\n{body}{hidden}", &[400], Closed),
    ("a minus", "{tap}content-length: -{n}\r\n\r\n{body}{hidden}", &[400], Closed),
    ("empty", "{tap}content-length:\r\n\r\n{body}{hidden}", &[400], Closed),
    ("hexadecimal", "{tap}content-length: 0x{x}\r\n\r\n{body}{hidden}", &[400], Closed),
    ("a fraction", "{tap}content-length: {n}.0\r\n\r\n{body}{hidden}", &[400], Closed),
    ("an underscore", "{tap}content-length: 1_0\r\n\r\n{body}{hidden}", &[400], Closed),
    ("a blank inside", "{tap}content-length: {n} {n}\r\n\r\n{body}{hidden}", &[400], Closed),
    ("a list of equals", "{tap}content-length: {n}, {n}\r\n\r\n{body}{hidden}", &[400], Closed),
    ("a list", "{tap}content-length: {n}, 0\r\n\r\n{body}{hidden}", &[400], Closed),
    ("64 bits and more", "{tap}content-length: 18446744073709551617\r\n\r\n{body}{hidden}", &[400], Closed),
    // hyper's word for a length that it can't count.
    ("all of 64 bits", "{tap}content-length: 18446744073709551615\r\n\r\n{body}{hidden}", &[431], Closed),
    // RFC 9110, section 8.6 allows to take equal ones for one.
    ("two, equal", "{tap}content-length: {n}\r\ncontent-length: {n}\r\n\r\n{body}", &[201], Open),
    (
        "two, the other shorter",
        "{tap}content-length: {n}\r\ncontent-length: 0\r\n\r\n{body}{hidden}",
        &[400],
        Closed,
    ),
    (
        "two, the other longer",
        "{tap}content-length: 0\r\ncontent-length: {h}\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    // The body of a call that takes none is still a body.
    ("a GET with one", "{get}content-length: {h}\r\n\r\n{hidden}", &[200], Open),
    ("none, but a body", "{get}\r\nXXXX\r\n\r\n{hidden}", &[200, 400], Closed),
    ("a vertical tab", "{tap}content-length: \x0b{n}\r\n\r\n{body}{hidden}", &[400], Closed),
];

/// Chunks (RFC 9112, section 7).
pub const CHUNKS: &[Case] = &[
    ("good ones", "{tap}transfer-encoding: chunked\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n", &[201], Open),
    ("capitals", "{tap}Transfer-Encoding: CHUNKED\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n", &[201], Open),
    ("an extension", "{tap}transfer-encoding: chunked\r\n\r\n{x};a=b\r\n{body}\r\n0;c\r\n\r\n", &[201], Open),
    (
        "a trailer",
        "{tap}transfer-encoding: chunked\r\n\r\n{x}\r\n{body}\r\n0\r\ncontent-length: {h}\r\n\r\n",
        &[201],
        Open,
    ),
    ("no size", "{tap}transfer-encoding: chunked\r\n\r\n\r\n{body}\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("no number", "{tap}transfer-encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("0x", "{tap}transfer-encoding: chunked\r\n\r\n0x{x}\r\n{body}\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("a plus", "{tap}transfer-encoding: chunked\r\n\r\n+{x}\r\n{body}\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("a minus", "{tap}transfer-encoding: chunked\r\n\r\n-{x}\r\n{body}\r\n0\r\n\r\n{hidden}", &[400], Closed),
    (
        "a blank before",
        "{tap}transfer-encoding: chunked\r\n\r\n {x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "an overflow",
        "{tap}transfer-encoding: chunked\r\n\r\n10000000000000000\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "an overflow to the same",
        "{tap}transfer-encoding: chunked\r\n\r\n1000000000000000{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    ("too short", "{tap}transfer-encoding: chunked\r\n\r\n1\r\n{body}\r\n0\r\n\r\n{hidden}", &[400], Closed),
    (
        "no end of line after it",
        "{tap}transfer-encoding: chunked\r\n\r\n{x}\r\n{body}0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "a bare LF after the size",
        "{tap}transfer-encoding: chunked\r\n\r\n{x}\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "a bare CR after the size",
        "{tap}transfer-encoding: chunked\r\n\r\n{x}\rX{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "a bare LF in an extension",
        "{tap}transfer-encoding: chunked\r\n\r\n{x};a\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "a bare LF after the chunk",
        "{tap}transfer-encoding: chunked\r\n\r\n{x}\r\n{body}\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "a bad trailer",
        "{tap}transfer-encoding: chunked\r\n\r\n{x}\r\n{body}\r\n0\r\nx\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
];

/// Codings (RFC 9112, section 6.1).
pub const CODINGS: &[Case] = &[
    // Chunks go before a length, and the connection ends: what follows is not believed.
    (
        "a length as well",
        "{tap}content-length: {n}\r\ntransfer-encoding: chunked\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[201],
        Closed,
    ),
    (
        "a length after it",
        "{tap}transfer-encoding: chunked\r\ncontent-length: {n}\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[201],
        Closed,
    ),
    (
        "a length that hides",
        "{tap}content-length: {h}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "a bad length as well",
        "{tap}content-length: +1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    ("gzip", "{tap}transfer-encoding: gzip\r\n\r\n{body}{hidden}", &[400], Closed),
    (
        "identity",
        "{tap}transfer-encoding: identity\r\ncontent-length: {n}\r\n\r\n{body}{hidden}",
        &[400],
        Closed,
    ),
    (
        "gzip, chunked",
        "{tap}transfer-encoding: gzip, chunked\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "chunked, gzip",
        "{tap}transfer-encoding: chunked, gzip\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "chunked, chunked",
        "{tap}transfer-encoding: chunked, chunked\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "nothing, chunked",
        "{tap}transfer-encoding: , chunked\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "chunked, nothing",
        "{tap}transfer-encoding: chunked,\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "chunked twice",
        "{tap}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "identity, then chunked",
        "{tap}transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    (
        "chunked, then identity",
        "{tap}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    ("a parameter", "{tap}transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("quoted", "{tap}transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("an x before", "{tap}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("a vertical tab", "{tap}transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("a form feed in a GET", "{get}transfer-encoding: chunked\x0c\r\n\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("a tab before", "{tap}transfer-encoding:\tchunked\r\n\r\n{x}\r\n{body}\r\n0\r\n\r\n", &[201], Open),
    ("empty", "{tap}transfer-encoding:\r\n\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("an underscore", "{tap}transfer_encoding: chunked\r\ncontent-length: {n}\r\n\r\n{body}", &[201], Open),
    (
        "with HTTP/1.0",
        "GET /v1/time HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        &[400],
        Closed,
    ),
    ("a GET with chunks", "{get}transfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[200], Open),
];

/// Lines and fields (RFC 9112, sections 2.2 and 5).
pub const FIELDS: &[Case] = &[
    // Section 2.2 allows to take a bare LF for the end of a line.
    ("bare LFs", "GET /v1/time HTTP/1.1\nhost: x\n\n", &[200], Open),
    ("a fold", "{get}x: a\r\n b: c\r\n\r\n{hidden}", &[400], Closed),
    ("a folded length", "{tap}content-length:\r\n {n}\r\n\r\n{body}{hidden}", &[400], Closed),
    ("a fold at the first line", "GET /v1/time HTTP/1.1\r\n host: x\r\n\r\n{hidden}", &[400], Closed),
    ("a blank before the colon", "{tap}content-length : {n}\r\n\r\n{body}{hidden}", &[400], Closed),
    ("a tab before the colon", "{tap}transfer-encoding\t: chunked\r\n\r\n0\r\n\r\n{hidden}", &[400], Closed),
    ("a blank in a name", "{get}content length: 1\r\n\r\n{hidden}", &[400], Closed),
    ("no colon", "{get}content-length\r\n\r\n{hidden}", &[400], Closed),
    ("no name", "{get}: x\r\n\r\n{hidden}", &[400], Closed),
    ("NUL in a value", "{get}x: a\0b\r\n\r\n{hidden}", &[400], Closed),
    ("NUL in a name", "{get}x\0y: b\r\n\r\n{hidden}", &[400], Closed),
    ("CR in a value", "{get}x: a\rcontent-length: {h}\r\n\r\n{hidden}", &[400], Closed),
    ("CR at the end of a line", "{get}x: a\rb: c\r\n\r\n{hidden}", &[400], Closed),
    ("two CRs", "{get}x: a\r\r\n\r\n{hidden}", &[400], Closed),
    ("DEL in a value", "{get}x: a\x7fb\r\n\r\n{hidden}", &[400], Closed),
    ("no host", "GET /v1/time HTTP/1.1\r\n\r\n{hidden}", &[400], Closed),
    ("two hosts", "{get}host: x\r\n\r\n{hidden}", &[400], Closed),
    ("two hosts in one", "GET /v1/time HTTP/1.1\r\nhost: a, b\r\n\r\n{hidden}", &[400], Closed),
    ("a path in the host", "GET /v1/time HTTP/1.1\r\nhost: a/b\r\n\r\n{hidden}", &[400], Closed),
    ("a user in the host", "GET /v1/time HTTP/1.1\r\nhost: a@b\r\n\r\n{hidden}", &[400], Closed),
    ("a blank in the host", "GET /v1/time HTTP/1.1\r\nhost: a b\r\n\r\n{hidden}", &[400], Closed),
    ("an empty host", "GET /v1/time HTTP/1.1\r\nhost:\r\n\r\n", &[200], Open),
    ("a host and a port", "GET /v1/time HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n", &[200], Open),
    ("empty lines before", "\r\n\r\n{get}\r\n", &[200], Open),
    (
        "an upgrade",
        "{get}connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
        &[200],
        Open,
    ),
    (
        "another upgrade",
        "{get}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n",
        &[200],
        Open,
    ),
    ("an expectation of nothing", "{get}expect: 100-continue\r\n\r\n", &[200], Open),
    ("two that close", "{get}connection: close\r\nconnection: keep-alive\r\n\r\n{hidden}", &[200], Closed),
];

/// Request lines: methods, targets, versions (RFC 9112, section 3).
pub const LINES: &[Case] = &[
    ("absolute-form", "GET http://x/v1/time HTTP/1.1\r\nhost: x\r\n\r\n", &[200], Open),
    ("absolute-form of another host", "GET http://other/v1/time HTTP/1.1\r\nhost: x\r\n\r\n", &[200], Open),
    ("authority-form", "GET x:80 HTTP/1.1\r\nhost: x\r\n\r\n", &[404], Open),
    ("CONNECT", "CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n", &[404], Open),
    ("CONNECT to a path", "CONNECT /v1/time HTTP/1.1\r\nhost: x\r\n\r\n", &[405], Open),
    ("asterisk-form", "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", &[404], Open),
    ("no slash", "GET v1/time HTTP/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("two slashes", "GET //v1/time HTTP/1.1\r\nhost: x\r\n\r\n", &[404], Open),
    ("dots", "GET /v1/sales/../time HTTP/1.1\r\nhost: x\r\n\r\n", &[404], Open),
    ("an escaped slash", "GET /v1%2ftime HTTP/1.1\r\nhost: x\r\n\r\n", &[404], Open),
    ("a backslash", "GET /v1\\time HTTP/1.1\r\nhost: x\r\n\r\n", &[404], Open),
    ("NUL in the target", "GET /v1/time\0 HTTP/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("a blank in the target", "GET /v1/time x HTTP/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("two blanks", "GET  /v1/time HTTP/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("a tab", "GET\t/v1/time HTTP/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("a blank at the end", "GET /v1/time HTTP/1.1 \r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("lower case", "get /v1/time HTTP/1.1\r\nhost: x\r\n\r\n", &[405], Open),
    ("an unknown method", "SPEND /v1/time HTTP/1.1\r\nhost: x\r\n\r\n", &[405], Open),
    ("TRACE", "TRACE /v1/time HTTP/1.1\r\nhost: x\r\n\r\n", &[405], Open),
    ("a method that is none", "G@T /v1/time HTTP/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("no method", " /v1/time HTTP/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("HTTP/0.9", "GET /v1/time\r\n\r\n{hidden}", &[400], Closed),
    ("HTTP/1.0", "GET /v1/time HTTP/1.0\r\n\r\n{hidden}", &[200], Closed),
    ("HTTP/1.0, kept alive", "GET /v1/time HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", &[200], Open),
    ("HTTP/1.2", "GET /v1/time HTTP/1.2\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("HTTP/3.0", "GET /v1/time HTTP/3.0\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("http in small letters", "GET /v1/time http/1.1\r\nhost: x\r\n\r\n{hidden}", &[400], Closed),
    ("two at once", "{get}\r\n{get}\r\n", &[200, 200], Open),
    (
        "two taps at once",
        "{tap}content-length: {n}\r\n\r\n{body}{tap}content-length: {n}\r\n\r\n{body}",
        &[201, 200],
        Open,
    ),
    ("one that closes, and another", "{get}connection: close\r\n\r\n{hidden}", &[200], Closed),
    ("an empty line too many", "{get}\r\n\r\n{get}\r\n", &[200, 200], Open),
];
