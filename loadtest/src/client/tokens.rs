//! Mints and reads the tokens of buyers, payment service and operator; none is ever printed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::base::failure::Failure;
use crate::client::options::{Ledger, Target};

/// A buyer as the gateway identifies it.
#[derive(Clone, Default)]
pub(crate) struct BuyerToken {
    /// The token's expiry in Unix seconds; without one, the gateway decides.
    expires: Option<i64>,
    /// The token's `sub`.
    pub(crate) sub: String,
    /// The `Authorization` header's value.
    pub(crate) bearer: String,
}

#[cfg(test)]
impl BuyerToken {
    pub(crate) fn unsigned(sub: String) -> BuyerToken {
        BuyerToken { sub, bearer: String::new(), expires: None }
    }
}

/// All buyers of the run.
pub(crate) struct Tokens {
    buyers: BuyerTokens,
    /// The payment service's `Authorization`; without it nothing can be confirmed.
    pub(crate) service: Option<String>,
    pub(crate) forger: Forger,
}

/// Where the buyers' tokens come from.
enum BuyerTokens {
    /// Minted as buyers come: a soak of days has millions of them.
    Minted {
        key: EncodingKey,
        seed: u64,
        expires: i64,
    },
    Listed(Vec<BuyerToken>),
}

impl Tokens {
    /// The token of an account; one beyond those that were gathered has none that a gateway accepts.
    pub(crate) fn of(&self, account: usize) -> BuyerToken {
        match &self.buyers {
            BuyerTokens::Minted { key, seed, expires } => {
                let sub = format!("buyer-{seed}-{account}");
                let bearer = signed(key, &sub, *expires, None).unwrap_or_default();
                BuyerToken { sub, bearer, expires: Some(*expires) }
            }
            BuyerTokens::Listed(known) => known.get(account).cloned().unwrap_or_default(),
        }
    }
}

/// Makes tokens that must be turned down.
pub(crate) struct Forger {
    /// Without the secret a stale token can't be made: a forged one is sent instead.
    key: Option<EncodingKey>,
}

/// Tokens outlive the load by this much, so that retries at its end are not refused.
const TOKEN_SPARE: Duration = Duration::from_secs(3600);
/// What the contract asks of a secret.
const SECRET_BYTES_MIN: usize = 32;
/// For this long a stale token has expired: beyond any leeway.
const STALE_S: i64 = 3600;

/// How many buyers there are tokens for: `None`, as many as are wanted.
pub(crate) fn at_hand(options: &Target) -> Result<Option<usize>, Failure> {
    match &options.tokens {
        Some(path) => Ok(Some(from_lines(&read(path, "--tokens")?)?.len())),
        None => Ok(None),
    }
}

/// Prepares to mint the accounts' tokens, valid for the longest possible load, or reads them; those must be
/// valid for as long as it `works`.
pub(crate) fn gather(
    options: &Target,
    seed: u64,
    accounts: usize,
    lasts: Duration,
    works: Duration,
) -> Result<Tokens, Failure> {
    if let Some(path) = &options.auth_secret_file {
        let secret = read_bytes(path, "--auth-secret-file")?;
        let expires = jiff::Timestamp::now().as_second()
            + i64::try_from((lasts + TOKEN_SPARE).as_secs()).unwrap_or(i64::from(i32::MAX));
        return mint(without_line_end(&secret), seed, expires);
    }
    let Some(path) = &options.tokens else {
        return Err(Failure::Usage("give --auth-secret-file or --tokens".to_owned()));
    };
    let mut buyers = from_lines(&read(path, "--tokens")?)?;
    if buyers.len() < accounts {
        return Err(Failure::Usage(format!(
            "--tokens has {} tokens, {accounts} buyers were asked for: make more tokens, or lower --buyers or the rate",
            buyers.len()
        )));
    }
    buyers.truncate(accounts);
    let good_until = jiff::Timestamp::now().as_second() + i64::try_from(works.as_secs()).unwrap_or(0);
    let outlives = |expires: Option<i64>, flag: &str| match expires.filter(|expires| *expires < good_until) {
        Some(expires) => Err(Failure::Usage(format!("{flag}: {}", outlived(expires, good_until)))),
        None => Ok(()),
    };
    buyers.iter().try_for_each(|buyer: &BuyerToken| outlives(buyer.expires, "--tokens"))?;
    let read_service = |path: &PathBuf| {
        let text = read(path, "--service-token-file")?;
        let text = text.trim();
        let token = payload(text).filter(|_| !text.contains(char::is_whitespace));
        let wrong = "--service-token-file: one JWT with a sub is asked for, and nothing else";
        outlives(token.ok_or_else(|| Failure::Usage(wrong.to_owned()))?.exp, "--service-token-file")?;
        Ok::<_, Failure>(format!("Bearer {text}"))
    };
    let service = options.service_token_file.as_ref().map(read_service).transpose()?;
    Ok(Tokens { buyers: BuyerTokens::Listed(buyers), service, forger: Forger { key: None } })
}

/// In words what is wrong with a token that ends before the load does.
fn outlived(expires: i64, good_until: i64) -> String {
    let time = |second| jiff::Timestamp::from_second(second).unwrap_or_default();
    format!(
        "a token expires at {}, the load works until {} at least: make tokens with a longer --ttl",
        time(expires),
        time(good_until)
    )
}

/// Finds the operator's token in lines of `NAME TOKEN [ROLE]`: the named one, or the first with
/// every permission.
pub(crate) fn operator(options: &Ledger) -> Result<String, Failure> {
    let text = read(&options.ops_token_file, "--ops-token-file")?;
    ops_token(&text, options.ops_token_name.as_deref()).map(|token| format!("Bearer {token}")).ok_or_else(
        || match &options.ops_token_name {
            Some(name) => Failure::Usage(format!("--ops-token-file has no token named {name:?}")),
            None => {
                Failure::Usage("--ops-token-file has no line of NAME TOKEN that may do everything".to_owned())
            }
        },
    )
}

fn ops_token<'a>(text: &'a str, name: Option<&str>) -> Option<&'a str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?, fields.next()?, fields.next().unwrap_or("operate")))
        })
        .find(|(owner, _, role)| name.map_or(*role == "operate", |name| name == *owner))
        .map(|(_, token, _)| token)
}

impl Forger {
    /// An `Authorization` with a token that expired an hour ago.
    pub(crate) fn stale(&self, sub: &str) -> String {
        let exp = jiff::Timestamp::now().as_second() - STALE_S;
        let signed = self.key.as_ref().and_then(|key| signed(key, sub, exp, None).ok());
        signed.unwrap_or_else(|| "Bearer stale.stale.stale".to_owned())
    }

    /// A good one with another signature.
    pub(crate) fn forged(bearer: &str, rng: &mut Rng) -> String {
        let (signed, _) = bearer.rsplit_once('.').unwrap_or((bearer, ""));
        let signature: [u8; 32] = std::array::from_fn(|_| rng.u8(..));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn mint(secret: &[u8], seed: u64, expires: i64) -> Result<Tokens, Failure> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(Failure::Usage(format!("--auth-secret-file has fewer than {SECRET_BYTES_MIN} bytes")));
    }
    let key = EncodingKey::from_secret(secret);
    let service = signed(&key, "loadtest-payments", expires, Some("service"))
        .map_err(|error| Failure::Outside(format!("a token can't be signed: {error}")))?;
    let buyers = BuyerTokens::Minted { key: key.clone(), seed, expires };
    Ok(Tokens { buyers, service: Some(service), forger: Forger { key: Some(key) } })
}

/// The `Authorization` of a token with these claims.
fn signed(
    key: &EncodingKey,
    sub: &str,
    exp: i64,
    scope: Option<&str>,
) -> Result<String, jsonwebtoken::errors::Error> {
    #[derive(Serialize)]
    struct Claims<'a> {
        sub: &'a str,
        exp: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<&'a str>,
    }
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &Claims { sub, exp, scope }, key)?;
    Ok(format!("Bearer {token}"))
}

fn from_lines(text: &str) -> Result<Vec<BuyerToken>, Failure> {
    let mut buyers = Vec::new();
    let mut seen = HashSet::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let token = line.trim();
        let number = index + 1;
        let Payload { sub, exp } = payload(token)
            .ok_or_else(|| Failure::Usage(format!("--tokens, line {number}: not a JWT with a sub")))?;
        // Two sessions of one buyer would get different answers, and both would be right.
        if !seen.insert(sub.clone()) {
            return Err(Failure::Usage(format!("--tokens, line {number}: {sub:?} is there already")));
        }
        buyers.push(BuyerToken { sub, bearer: format!("Bearer {token}"), expires: exp });
    }
    if buyers.is_empty() {
        return Err(Failure::Usage("--tokens is empty".to_owned()));
    }
    Ok(buyers)
}

/// The claims of a JWT that matter here.
#[derive(Deserialize)]
struct Payload {
    sub: String,
    exp: Option<i64>,
}

/// Not verified: only the gateway can check the signature.
fn payload(token: &str) -> Option<Payload> {
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
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
mod tests;
