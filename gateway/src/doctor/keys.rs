//! Checks that keys, certificates and tokens are valid through the launch, and that their files are private.

mod facts;

pub(super) use facts::{AuthFacts, CertificateFacts, KeyFacts};

use crate::doctor::format::{age, some};
use crate::doctor::report::{Finding, Findings, Severity};

const DAY_S: i64 = 86_400;
/// An expiry within this time is during the launch or soon after it.
const SOON_S: i64 = 2 * DAY_S;
/// Certificates and keys should be renewed this long before their expiry.
const RENEWED_S: i64 = 14 * DAY_S;
/// A secret with fewer bits can be guessed.
const BITS_MIN: f64 = 96.0;

/// Runs every check.
pub(super) fn check(facts: &KeyFacts) -> Vec<Finding> {
    let mut lines = Findings::of("keys");
    auth(facts, &mut lines);
    ops(facts, &mut lines);
    for (what, path, mode) in &facts.shared {
        let found =
            format!("{what} {} is readable by other users of this host (mode {mode:03o})", path.display());
        lines.warn("files", found, format!("chmod 600 {}", path.display()));
    }
    if let Some(host) = &facts.host
        && !facts.certificates.iter().any(|(listener, _)| listener.is_empty())
    {
        let found = format!(
            "no --tls-cert-file: TLS for {host} ends elsewhere, and the certificate there was not checked"
        );
        lines.warn("certificate", found, "check it where TLS ends; or leave --host out");
    }
    for (listener, certificate) in &facts.certificates {
        match certificate {
            Ok(certificate) => check_certificate(facts, listener, certificate, &mut lines),
            Err(problems) => problems.iter().for_each(|problem| {
                let todo = format!(
                    "give a matching pair with --{listener}tls-cert-file and --{listener}tls-key-file"
                );
                lines.fail("certificate", problem, todo);
            }),
        }
    }
    lines.end()
}

fn auth(facts: &KeyFacts, lines: &mut Findings) {
    match &facts.auth {
        Err(problems) => problems.iter().for_each(|problem| {
            lines.fail("tokens", problem, "without valid keys the gateway does not start");
        }),
        Ok(AuthFacts::Secret(bits)) if *bits < BITS_MIN => lines.warn(
            "tokens",
            "the secret of tokens has so few different characters that it can be guessed",
            "make one with `openssl rand -hex 32`, and give it to the issuer of tokens",
        ),
        Ok(AuthFacts::Secret(_)) => {
            lines.ok("tokens", "HS256 with a secret: each holder of it can make tokens for any buyer")
        }
        Ok(AuthFacts::Jwks { keys, services, findings, is_bound }) => {
            expiries(facts, keys, lines);
            for found in findings {
                let todo = "tokens signed with it are refused: ask the publisher of the set";
                lines.warn("tokens", found, todo);
            }
            if *services == 0 {
                let found =
                    "no key may sign for services: no reservation can be confirmed, and every hold expires";
                let todo = "list the payment service's keys with --auth-service-key-ids";
                lines.fail("services", found, todo);
            } else {
                lines.ok("services", format!("{services} of the keys may sign for services"));
            }
            if !is_bound {
                let found = "tokens that these keys sign for other audiences are accepted, too";
                let todo = "set --auth-issuer and --auth-audience";
                lines.warn("audience", found, todo);
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
            let todo = "publish a later key, and sign with it before this one expires";
            lines.add(verdict, "tokens", found, todo);
        }
    }
    if !is_bad {
        let first = keys.iter().filter_map(|(_, ends)| *ends).min();
        let until = first.map_or("none of them expires".to_owned(), |ends| {
            format!("the first expires in {}", age(ends.saturating_sub(facts.now_s).unsigned_abs()))
        });
        lines.ok("tokens", format!("{} public keys, {until}", keys.len()));
    }
}

fn ops(facts: &KeyFacts, lines: &mut Findings) {
    let tokens = match &facts.ops {
        Err(problems) => {
            return problems.iter().for_each(|problem| {
                lines.fail("ops", problem, "without it the gateway does not start");
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
        lines.warn("ops", found, "replace them by `openssl rand -hex 32`: they can close sales");
    }
    if !facts.has_operator {
        let found = "no ops token has the role operate: no sale can be paused or closed over the API";
        lines.warn("ops", found, "give one line of the ops token file the role operate, or no role");
    }
}

/// The finding on the expiry of a key or certificate.
fn lifetime(facts: &KeyFacts, what: &str, ends: i64) -> Option<(Severity, String)> {
    let left = ends.saturating_sub(facts.now_s);
    let listed = age(left.unsigned_abs());
    if left <= 0 {
        return Some((Severity::Fail, format!("{what} expired {listed} ago")));
    }
    if let Some((sale, opens)) = &facts.launch
        && ends < opens.saturating_add(DAY_S)
    {
        return Some((
            Severity::Fail,
            format!("{what} expires in {listed}, before or on the day that {sale} opens"),
        ));
    }
    match left {
        _ if left < SOON_S => Some((Severity::Fail, format!("{what} expires in {listed}"))),
        _ if left < RENEWED_S => Some((Severity::Warn, format!("{what} expires in {listed}"))),
        _ => None,
    }
}

fn check_certificate(facts: &KeyFacts, listener: &str, certificate: &CertificateFacts, lines: &mut Findings) {
    let what = format!("--{listener}tls-cert-file");
    let CertificateFacts { begins, ends, names, chain, is_own_issuer, host } = certificate;
    let renew = "renew it: the gateway reloads the files by itself";
    if *begins > facts.now_s {
        let found =
            format!("{what} becomes valid in {}", age(begins.saturating_sub(facts.now_s).unsigned_abs()));
        let todo = "check the clock of this host; clients refuse the certificate until then";
        lines.fail("certificate", found, todo);
    } else if let Some((verdict, found)) = lifetime(facts, &what, *ends) {
        lines.add(verdict, "certificate", found, renew);
    } else if names.is_empty() {
        let found = format!("{what} has no host name");
        let todo = "issue it with subjectAltName: clients check nothing else";
        lines.fail("certificate", found, todo);
    } else if let Some((host, false)) = host {
        let found = format!("{what} is valid for {} and not for {host}", some(names));
        lines.fail("certificate", found, "issue it for the host name of the API");
    } else if *is_own_issuer {
        let found = format!("{what}, for {}, is self-signed", some(names));
        let todo = "apps trust it only if configured to: use one of a certificate authority";
        lines.warn("certificate", found, todo);
    } else if *chain == 1 {
        let found = format!("{what}, for {}, lacks its issuer's certificate", some(names));
        let todo = "put the chain into the file, after the server's own certificate: phones don't fetch it";
        lines.warn("certificate", found, todo);
    } else {
        let left = age(ends.saturating_sub(facts.now_s).unsigned_abs());
        lines.ok("certificate", format!("{what}, for {}, expires in {left}", some(names)));
    }
}

#[cfg(test)]
mod tests;
