//! Owns the tokens: the buyers', the payment service's and the operator's. None is ever printed.

use crate::Failure;
use crate::cli::SpikeOptions;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// A buyer as the gateway knows him.
pub(crate) struct BuyerToken {
    /// The token's `sub`.
    pub(crate) sub: String,
    /// The `Authorization` header's value.
    pub(crate) bearer: String,
}

/// Everybody who takes part.
pub(crate) struct Tokens {
    pub(crate) buyers: Vec<BuyerToken>,
    /// The payment service's `Authorization`; without it nothing can be confirmed.
    pub(crate) service: Option<String>,
}

/// Tokens outlive the load by this much, so that retries at its end are not refused.
const TOKEN_SPARE: Duration = Duration::from_secs(3600);
/// What the contract asks of a secret.
const SECRET_BYTES_MIN: usize = 32;
const BUYERS_DEFAULT: usize = 1000;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// Mints the buyers' tokens, or reads them, as the options say.
pub(crate) fn gather(options: &SpikeOptions, seed: u64) -> Result<Tokens, Failure> {
    if let Some(path) = &options.auth_secret_file {
        let secret = read_bytes(path, "--auth-secret-file")?;
        let expires = jiff::Timestamp::now().as_second()
            + i64::try_from((options.deadline + TOKEN_SPARE).as_secs()).unwrap_or(i64::from(i32::MAX));
        return mint(without_line_end(&secret), options.buyers.unwrap_or(BUYERS_DEFAULT), seed, expires);
    }
    let Some(path) = &options.tokens else {
        return Err(Failure::Usage("give --auth-secret-file or --tokens".to_owned()));
    };
    let mut buyers = from_lines(&read(path, "--tokens")?)?;
    if let Some(wanted) = options.buyers {
        if wanted > buyers.len() {
            return Err(Failure::Usage(format!(
                "--buyers {wanted}, but --tokens has {} tokens",
                buyers.len()
            )));
        }
        buyers.truncate(wanted);
    }
    let service = match &options.service_token_file {
        None => None,
        Some(path) => Some(format!("Bearer {}", read(path, "--service-token-file")?.trim())),
    };
    Ok(Tokens { buyers, service })
}

/// Finds the operator's token in lines of `NAME TOKEN`: the one of that name, or the first.
pub(crate) fn operator(options: &SpikeOptions) -> Result<String, Failure> {
    let text = read(&options.ops_token_file, "--ops-token-file")?;
    ops_token(&text, options.ops_token_name.as_deref()).map(|token| format!("Bearer {token}")).ok_or_else(
        || match &options.ops_token_name {
            Some(name) => Failure::Usage(format!("--ops-token-file has no token named {name:?}")),
            None => Failure::Usage("--ops-token-file has no line of NAME TOKEN".to_owned()),
        },
    )
}

fn ops_token<'a>(text: &'a str, name: Option<&str>) -> Option<&'a str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(owner, _)| name.is_none_or(|name| name == *owner))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
}

fn mint(secret: &[u8], buyers: usize, seed: u64, expires: i64) -> Result<Tokens, Failure> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(Failure::Usage(format!("--auth-secret-file has fewer than {SECRET_BYTES_MIN} bytes")));
    }
    let key = EncodingKey::from_secret(secret);
    let sign = |sub: &str, scope: Option<&str>| {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &Claims { sub, exp: expires, scope }, &key)
            .map(|token| format!("Bearer {token}"))
            .map_err(|error| Failure::Outside(format!("a token can't be signed: {error}")))
    };
    let buyers = (0..buyers)
        .map(|n| {
            let sub = format!("buyer-{seed}-{n}");
            let bearer = sign(&sub, None)?;
            Ok(BuyerToken { sub, bearer })
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Tokens { buyers, service: Some(sign("loadtest-payments", Some("service"))?) })
}

fn from_lines(text: &str) -> Result<Vec<BuyerToken>, Failure> {
    let mut buyers = Vec::new();
    let mut seen = HashSet::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let token = line.trim();
        let number = index + 1;
        let sub = subject(token)
            .ok_or_else(|| Failure::Usage(format!("--tokens, line {number}: not a JWT with a sub")))?;
        // Two journeys of one buyer would be told different things, and both rightly.
        if !seen.insert(sub.clone()) {
            return Err(Failure::Usage(format!("--tokens, line {number}: {sub:?} is there already")));
        }
        buyers.push(BuyerToken { sub, bearer: format!("Bearer {token}") });
    }
    if buyers.is_empty() {
        return Err(Failure::Usage("--tokens is empty".to_owned()));
    }
    Ok(buyers)
}

/// The `sub` of a JWT, unverified: only the gateway can tell whether the token is good.
fn subject(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Payload {
        sub: String,
    }
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Payload>(&payload).ok().map(|payload| payload.sub)
}

/// The one line end that editors add is not part of a secret; the gateway reads it the same way.
fn without_line_end(secret: &[u8]) -> &[u8] {
    let Some(line) = secret.strip_suffix(b"\n") else {
        return secret;
    };
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn read(path: &Path, flag: &str) -> Result<String, Failure> {
    String::from_utf8(read_bytes(path, flag)?)
        .map_err(|_| Failure::Usage(format!("{flag} {}: no text", path.display())))
}

fn read_bytes(path: &Path, flag: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Usage(format!("{flag} {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn minted_tokens_carry_their_buyer_and_can_be_read_back() {
        let tokens = mint(SECRET, 3, 42, 4_000_000_000).unwrap();
        let subs: Vec<_> = tokens.buyers.iter().map(|buyer| buyer.sub.as_str()).collect();
        assert_eq!(subs, ["buyer-42-0", "buyer-42-1", "buyer-42-2"]);
        for buyer in &tokens.buyers {
            let token = buyer.bearer.strip_prefix("Bearer ").unwrap();
            assert_eq!(subject(token).as_deref(), Some(buyer.sub.as_str()));
        }
        let service = tokens.service.unwrap();
        let payload = URL_SAFE_NO_PAD.decode(service.split('.').nth(1).unwrap()).unwrap();
        assert!(String::from_utf8(payload).unwrap().contains(r#""scope":"service""#));
    }

    #[test]
    fn a_short_secret_is_refused_and_not_shown() {
        let error = mint(b"hunter2", 1, 1, 1).err().unwrap().to_string();
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn one_line_end_is_not_part_of_the_secret() {
        for (file, secret) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), ("s ", "s ")] {
            assert_eq!(without_line_end(file.as_bytes()), secret.as_bytes());
        }
    }

    #[test]
    fn a_token_file_is_read_and_its_faults_have_lines() {
        let minted = mint(SECRET, 2, 7, 4_000_000_000).unwrap();
        let lines: Vec<_> = minted.buyers.iter().map(|b| b.bearer.strip_prefix("Bearer ").unwrap()).collect();
        assert_eq!(from_lines(&lines.join("\n\n")).unwrap().len(), 2);
        let twice = format!("{}\n{}\n", lines[0], lines[0]);
        assert!(from_lines(&twice).err().unwrap().to_string().contains("line 2"));
        assert!(from_lines("rubbish").err().unwrap().to_string().contains("line 1"));
        assert!(from_lines("\n").is_err());
    }

    #[test]
    fn the_operators_token_is_found_by_name_or_first() {
        let text = "# who may\nann t-ann\nbob   t-bob \n";
        assert_eq!(ops_token(text, None), Some("t-ann"));
        assert_eq!(ops_token(text, Some("bob")), Some("t-bob"));
        assert_eq!(ops_token(text, Some("eve")), None);
    }
}
