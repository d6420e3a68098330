//! Checks that keys, certificates and tokens are valid through the launch, and that their files are private.

mod facts;

pub(super) use facts::{AuthFacts, CertificateFacts, KeyFacts};

use crate::doctor::report::{Finding, Findings, Severity, age, any, some};

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
        let fix =
            format!("chmod 600 {}, or 640 if it is root's and its group is the gateway's", path.display());
        lines.warn("files", found, fix);
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
            Err(problems) => {
                let todo = format!(
                    "give a matching pair with --{listener}tls-cert-file and --{listener}tls-key-file"
                );
                lines.fail_each("certificate", problems, &todo);
            }
        }
    }
    lines.end()
}

fn auth(facts: &KeyFacts, lines: &mut Findings) {
    match &facts.auth {
        Err(problems) => {
            lines.fail_each("tokens", problems, "correct --auth-secret-file or --auth-jwks-file: without valid keys the gateway does not start");
        }
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
            format!("the first expires in {}", until(facts, ends))
        });
        lines.ok("tokens", format!("{} public keys, {until}", keys.len()));
    }
}

fn ops(facts: &KeyFacts, lines: &mut Findings) {
    let tokens =
        match &facts.ops {
            Ok(tokens) => tokens,
            Err(problems) => return lines.fail_each(
                "ops",
                problems,
                "correct --ops-token-file, lines of NAME TOKEN [ROLE]: without it the gateway does not start",
            ),
        };
    let weak = tokens.iter().filter(|(_, bits)| *bits < BITS_MIN);
    if let Some(weak) = any(weak.map(|(name, _)| name)) {
        let found = format!("tokens that can be guessed: those of {weak}");
        lines.warn("ops", found, "replace them by `openssl rand -hex 32`: they can close sales");
    } else {
        let names: Vec<_> = tokens.iter().map(|(name, _)| name).collect();
        lines.ok("ops", format!("tokens of {}", some(&names)));
    }
    if !facts.has_operator {
        let found = "no ops token has the role operate: no sale can be paused or closed over the API";
        lines.warn("ops", found, "give one line of the ops token file the role operate, or no role");
    }
}

/// The time between now and then.
fn until(facts: &KeyFacts, then: i64) -> String {
    age(then.saturating_sub(facts.now_s).unsigned_abs())
}

/// The finding on the expiry of a key or certificate.
fn lifetime(facts: &KeyFacts, what: &str, ends: i64) -> Option<(Severity, String)> {
    let left = ends.saturating_sub(facts.now_s);
    let listed = until(facts, ends);
    if left <= 0 {
        return Some((Severity::Fail, format!("{what} expired {listed} ago")));
    }
    let found = format!("{what} expires in {listed}");
    if let Some((sale, opens)) = &facts.launch
        && ends < opens.saturating_add(DAY_S)
    {
        return Some((Severity::Fail, format!("{found}, before or on the day that {sale} opens")));
    }
    let verdict = Severity::worst(left < SOON_S, left < RENEWED_S);
    (verdict != Severity::Ok).then_some((verdict, found))
}

fn check_certificate(facts: &KeyFacts, listener: &str, certificate: &CertificateFacts, lines: &mut Findings) {
    let what = format!("--{listener}tls-cert-file");
    let CertificateFacts { begins, ends, names, chain, is_own_issuer, host } = certificate;
    if *begins > facts.now_s {
        let found = format!("{what} becomes valid in {}", until(facts, *begins));
        let todo = "check the clock of this host; clients refuse the certificate until then";
        lines.fail("certificate", found, todo);
    } else if let Some((verdict, found)) = lifetime(facts, &what, *ends) {
        lines.add(verdict, "certificate", found, "renew it: the gateway reloads the files by itself");
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
        let found = format!("{what}, for {}, expires in {}", some(names), until(facts, *ends));
        lines.ok("certificate", found);
    }
}

#[cfg(test)]
mod tests;
