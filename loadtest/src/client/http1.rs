//! Reads answers of HTTP/1.1 (RFC 9112). A connection that rests between two requests has no buffer, so that
//! tens of thousands cost next to nothing.

use httparse::{EMPTY_HEADER, Header, Status};

use crate::client::BODY_BYTES_MAX;
use crate::client::answer::Reply;

/// An answer that is complete.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) reply: Reply,
    /// Bytes up to its end.
    pub(super) end: usize,
    /// The connection may be used again.
    pub(super) keeps: bool,
}

/// Where an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    /// With the connection.
    Close,
}

/// What of the body is there, how many bytes it took, and whether that is all of it.
struct Body {
    bytes: Vec<u8>,
    end: usize,
    is_whole: bool,
}

const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The answer at the beginning of these bytes, or `None` until more have come; `is_over`: no more will come.
pub(super) fn parse(bytes: &[u8], is_over: bool) -> Result<Option<Parsed>, String> {
    let mut start = 0;
    loop {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head = match response.parse(&bytes[start..]) {
            Ok(Status::Complete(head)) => start + head,
            Ok(Status::Partial) if bytes.len() - start > HEAD_BYTES_MAX => {
                return Err(format!("the answer's head has more than {HEAD_BYTES_MAX} bytes"));
            }
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("the answer is not HTTP/1.1: {error}")),
        };
        let status = response.code.unwrap_or_default();
        match status {
            101 => return Err("the answer changes the protocol, which no request asked for".to_owned()),
            // An interim answer: the final one follows.
            100..=199 => {
                start = head;
                continue;
            }
            _ => {}
        }
        let framing = frame(status, response.headers)?;
        let Some(body) = take_body(bytes, head, framing, is_over)? else { return Ok(None) };
        let mut reply = Reply { status, ..Reply::default() };
        response.headers.iter().for_each(|header| reply.note_field(header.name, header.value));
        let keeps = body.is_whole
            && framing != Framing::Close
            && lives_on(response.headers, response.version == Some(1));
        reply.set_body(body.bytes);
        return Ok(Some(Parsed { reply, end: body.end, keeps }));
    }
}

/// RFC 9112, section 6.3, for requests that are neither HEAD nor CONNECT.
fn frame(status: u16, headers: &[Header<'_>]) -> Result<Framing, String> {
    if matches!(status, 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = values(headers, "transfer-encoding").last() {
        let is_chunked =
            coding.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"));
        return Ok(if is_chunked { Framing::Chunked } else { Framing::Close });
    }
    let mut lengths = values(headers, "content-length").flat_map(|value| value.split(','));
    let Some(first) = lengths.next() else { return Ok(Framing::Close) };
    let first = first.trim();
    let is_number = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    match first.parse() {
        Ok(length) if is_number && lengths.all(|other| other.trim() == first) => Ok(Framing::Length(length)),
        _ => Err(format!("the answer's Content-Length is not one number: {first:?}")),
    }
}

/// The body, or the beginning of one that is longer than any of the API.
fn take_body(bytes: &[u8], head: usize, framing: Framing, is_over: bool) -> Result<Option<Body>, String> {
    let there = &bytes[head..];
    let cut = |length: usize| Body {
        bytes: there[..length].to_vec(),
        end: head + length,
        is_whole: length <= BODY_BYTES_MAX,
    };
    match framing {
        Framing::Length(length) if length <= there.len() => Ok(Some(cut(length))),
        Framing::Length(_) | Framing::Close if there.len() > BODY_BYTES_MAX => Ok(Some(cut(there.len()))),
        Framing::Close if is_over => Ok(Some(cut(there.len()))),
        Framing::Length(_) | Framing::Close => Ok(None),
        Framing::Chunked => join_chunks(bytes, head),
    }
}

/// The body of a chunked answer (RFC 9112, section 7.1).
fn join_chunks(bytes: &[u8], head: usize) -> Result<Option<Body>, String> {
    let broken = || "a chunk of the answer is malformed".to_owned();
    let (mut body, mut at) = (Vec::new(), head);
    loop {
        let Status::Complete((line, size)) =
            httparse::parse_chunk_size(&bytes[at..]).map_err(|_| broken())?
        else {
            return Ok(None);
        };
        at += line;
        if size == 0 {
            let mut trailers = [EMPTY_HEADER; HEADERS_MAX];
            return match httparse::parse_headers(&bytes[at..], &mut trailers).map_err(|_| broken())? {
                Status::Complete((length, _)) => {
                    Ok(Some(Body { bytes: body, end: at + length, is_whole: true }))
                }
                Status::Partial => Ok(None),
            };
        }
        let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size)).ok_or_else(broken)?;
        let there = &bytes[at..end.min(bytes.len())];
        if body.len() + there.len() > BODY_BYTES_MAX {
            body.extend_from_slice(there);
            return Ok(Some(Body { bytes: body, end: bytes.len(), is_whole: false }));
        }
        let Some(line_end) = bytes.get(end..end + 2) else { return Ok(None) };
        if line_end != b"\r\n" {
            return Err(broken());
        }
        body.extend_from_slice(there);
        at = end + 2;
    }
}

/// Whether the server keeps the connection (RFC 9112, section 9.3).
fn lives_on(headers: &[Header<'_>], is_1_1: bool) -> bool {
    let has = |option: &str| {
        values(headers, "connection")
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(option))
    };
    if is_1_1 { !has("close") } else { has("keep-alive") }
}

fn values<'h>(headers: &'h [Header<'_>], name: &'h str) -> impl Iterator<Item = &'h str> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .filter_map(|header| std::str::from_utf8(header.value).ok())
}

#[cfg(test)]
mod tests;
