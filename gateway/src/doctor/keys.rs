//! Do keys, certificates and tokens hold through the launch, and are they kept as secrets? Facts in, lines out.

use std::path::PathBuf;

use crate::doctor::report::{Finding, Findings, Severity};
use crate::doctor::words::{age, some};

const DAY_S: i64 = 86_400;
/// What ends sooner ends during the launch or right after it.
const SOON_S: i64 = 2 * DAY_S;
/// What ends sooner should have been renewed by now.
const RENEWED_S: i64 = 14 * DAY_S;
/// A secret with less can be guessed by somebody who has time.
const BITS_MIN: f64 = 96.0;

/// What is known of files with secrets, and of certificates.
#[derive(Debug)]
pub(super) struct KeyFacts {
    /// Seconds since 1970.
    pub now_s: i64,
    /// The sale that opens next, and when.
    pub launch: Option<(String, i64)>,
    /// What tokens of apps are verified with, or why it can't be used.
    pub auth: Result<AuthFacts, Vec<String>>,
    /// Names of ops, each with the bits of his token, or why the file can't be used.
    pub ops: Result<Vec<(String, f64)>, Vec<String>>,
    /// Whether any of these tokens may do everything.
    pub has_operator: bool,
    /// Files that others on this machine may read: what, where, mode.
    pub shared: Vec<(&'static str, PathBuf, u32)>,
    /// The name that apps call, if it was told.
    pub host: Option<String>,
    /// Of each listener that has one: the option's prefix, and what it is or why it can't be used.
    pub certificates: Vec<(&'static str, Result<CertificateFacts, Vec<String>>)>,
}

/// What tokens are verified with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AuthFacts {
    /// A shared secret of so many bits.
    Secret(f64),
    /// Public keys.
    Jwks {
        /// Each key's id, and when it ends.
        keys: Vec<(String, Option<i64>)>,
        /// How many of them may sign for a service.
        services: usize,
        /// Keys of the set that can't be used, and listed service keys that are missing.
        findings: Vec<String>,
        /// Whether tokens must come from one issuer, and be meant for one audience.
        is_bound: bool,
    },
}

/// A certificate and its chain.
#[derive(Debug, Clone)]
pub(super) struct CertificateFacts {
    /// From, in seconds since 1970.
    pub begins: i64,
    /// Until.
    pub ends: i64,
    /// Whom it is for.
    pub names: Vec<String>,
    /// Certificates in the file.
    pub chain: usize,
    /// Signed by itself.
    pub is_own_issuer: bool,
    /// The name that apps call, and whether it is for that.
    pub host: Option<(String, bool)>,
}

/// About how many bits somebody would have to guess, if every character was drawn from those that occur.
pub(super) fn bits(secret: &[u8]) -> f64 {
    let mut seen = [false; 256];
    secret.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let kinds = u32::try_from(seen.iter().filter(|is| **is).count()).unwrap_or(1);
    let length = u32::try_from(secret.len()).unwrap_or(u32::MAX);
    f64::from(kinds.max(1)).log2() * f64::from(length)
}

/// Every check.
pub(super) fn check(facts: &KeyFacts) -> Vec<Finding> {
    let mut lines = Findings::of("keys");
    auth(facts, &mut lines);
    ops(facts, &mut lines);
    for (what, path, mode) in &facts.shared {
        let found = format!("{what} {} is open to others on this machine (mode {mode:03o})", path.display());
        lines.warn("files", found, format!("chmod 600 {}", path.display()));
    }
    if let Some(host) = &facts.host
        && !facts.certificates.iter().any(|(listener, _)| listener.is_empty())
    {
        let found = format!(
            "no --tls-cert-file: TLS for {host} ends elsewhere, and the certificate there was not looked at"
        );
        lines.warn("certificate", found, "look at it where it is; or leave --host out");
    }
    for (listener, certificate) in &facts.certificates {
        match certificate {
            Ok(certificate) => judge_certificate(facts, listener, certificate, &mut lines),
            Err(problems) => problems.iter().for_each(|problem| {
                lines.fail(
                    "certificate",
                    problem,
                    format!(
                        "name a pair that fits with --{listener}tls-cert-file and --{listener}tls-key-file"
                    ),
                );
            }),
        }
    }
    lines.end()
}

fn auth(facts: &KeyFacts, lines: &mut Findings) {
    match &facts.auth {
        Err(problems) => problems.iter().for_each(|problem| {
            lines.fail(
                "tokens",
                problem,
                "without keys no token of a buyer is good, and the gateway does not start",
            );
        }),
        Ok(AuthFacts::Secret(bits)) if *bits < BITS_MIN => lines.warn(
            "tokens",
            "the secret of tokens has so few different characters that it can be guessed",
            "make one with `openssl rand -hex 32`, and give it to whoever signs tokens",
        ),
        Ok(AuthFacts::Secret(_)) => {
            lines.ok("tokens", "HS256 with a secret: whoever has it can make tokens for anybody")
        }
        Ok(AuthFacts::Jwks { keys, services, findings, is_bound }) => {
            expiries(facts, keys, lines);
            for found in findings {
                lines.warn("tokens", found, "no token may be signed with it: ask whoever publishes the set");
            }
            if *services == 0 {
                lines.fail(
                    "services",
                    "no key may sign for services: nothing can be confirmed, and every hold runs out",
                    "name the payment service's keys with --auth-service-key-ids",
                );
            } else {
                lines.ok("services", format!("{services} of the keys may sign for services"));
            }
            if !is_bound {
                lines.warn(
                    "audience",
                    "tokens for anybody else that these keys sign are taken, too",
                    "--auth-issuer and --auth-audience say which tokens are meant for us",
                );
            }
        }
    }
}

fn expiries(facts: &KeyFacts, keys: &[(String, Option<i64>)], lines: &mut Findings) {
    let mut is_bad = false;
    for (kid, ends) in keys {
        let Some(ends) = ends else { continue };
        let what = format!("the key {kid:?}");
        if let Some((verdict, found)) = lifetime(facts, &what, *ends) {
            is_bad = true;
            lines.add_with_severity(
                verdict,
                "tokens",
                found,
                "publish a later key, and sign with it before this one ends",
            );
        }
    }
    if !is_bad {
        let first = keys.iter().filter_map(|(_, ends)| *ends).min();
        let until = first.map_or("none of them ends".to_owned(), |ends| {
            format!("the first ends in {}", age(ends.saturating_sub(facts.now_s).unsigned_abs()))
        });
        lines.ok("tokens", format!("{} public keys, {until}", keys.len()));
    }
}

fn ops(facts: &KeyFacts, lines: &mut Findings) {
    let tokens = match &facts.ops {
        Err(problems) => {
            return problems.iter().for_each(|problem| {
                lines.fail(
                    "ops",
                    problem,
                    "without it nobody may pull an operator action, and the gateway does not start",
                );
            });
        }
        Ok(tokens) => tokens,
    };
    let names = |pick: &dyn Fn(f64) -> bool| -> Vec<&str> {
        tokens.iter().filter(|(_, bits)| pick(*bits)).map(|(name, _)| name.as_str()).collect()
    };
    let weak = names(&|bits| bits < BITS_MIN);
    if weak.is_empty() {
        lines.ok("ops", format!("tokens of {}", some(&names(&|_| true))));
    } else {
        let found = format!("tokens that can be guessed: those of {}", some(&weak));
        lines.warn("ops", found, "make better ones with `openssl rand -hex 32`: they close sales");
    }
    if !facts.has_operator {
        let found =
            "no ops token has the role operate: on the day nothing can be paused or closed over the API";
        lines.warn("ops", found, "give one line of the ops token file the role operate, or none");
    }
}

/// What is wrong with something that ends then.
fn lifetime(facts: &KeyFacts, what: &str, ends: i64) -> Option<(Severity, String)> {
    let left = ends.saturating_sub(facts.now_s);
    let listed = age(left.unsigned_abs());
    if left <= 0 {
        return Some((Severity::Fail, format!("{what} ended {listed} ago")));
    }
    if let Some((sale, opens)) = &facts.launch
        && ends < opens.saturating_add(DAY_S)
    {
        return Some((
            Severity::Fail,
            format!("{what} ends in {listed}, before or on the day that {sale} opens"),
        ));
    }
    match left {
        _ if left < SOON_S => Some((Severity::Fail, format!("{what} ends in {listed}"))),
        _ if left < RENEWED_S => Some((Severity::Warn, format!("{what} ends in {listed}"))),
        _ => None,
    }
}

fn judge_certificate(facts: &KeyFacts, listener: &str, certificate: &CertificateFacts, lines: &mut Findings) {
    let what = format!("--{listener}tls-cert-file");
    let CertificateFacts { begins, ends, names, chain, is_own_issuer, host } = certificate;
    let renew = "renew it: the gateway reads the files again by itself";
    if *begins > facts.now_s {
        let found = format!("{what} begins in {}", age(begins.saturating_sub(facts.now_s).unsigned_abs()));
        lines.fail("certificate", found, "is this machine's clock right? Clients refuse it until then");
    } else if let Some((verdict, found)) = lifetime(facts, &what, *ends) {
        lines.add_with_severity(verdict, "certificate", found, renew);
    } else if names.is_empty() {
        lines.fail(
            "certificate",
            format!("{what} is for no name"),
            "issue it with subjectAltName: clients look at nothing else",
        );
    } else if let Some((host, false)) = host {
        let found = format!("{what} is for {} and not for {host}", some(names));
        lines.fail("certificate", found, "issue it for the name that apps call");
    } else if *is_own_issuer {
        let found = format!("{what}, for {}, is signed by itself", some(names));
        lines.warn("certificate", found, "apps trust it only if they are told to: use one of an authority");
    } else if *chain == 1 {
        let found = format!("{what}, for {}, comes without its issuer's certificate", some(names));
        lines.warn(
            "certificate",
            found,
            "put the chain into the file, behind the server's own: phones don't look for it",
        );
    } else {
        let left = age(ends.saturating_sub(facts.now_s).unsigned_abs());
        lines.ok("certificate", format!("{what}, for {}, ends in {left}", some(names)));
    }
}

#[cfg(test)]
mod tests;
