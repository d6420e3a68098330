//! Checks an address of Redis from `--redis`; its errors never show a part that may be a password.

/// Checks what the URL parser would misread or ignore.
///
/// # Errors
///
/// What was found, what was expected, and what to do.
pub fn check(url: &str) -> Result<(), String> {
    let Some((scheme, rest)) = url.split_once("://") else { return check_unix(url) };
    if scheme.ends_with("unix") {
        return check_unix(url);
    }
    let is_known = |scheme: &str| matches!(scheme, "redis" | "rediss" | "valkey" | "valkeys");
    if !is_known(scheme.split('+').next().unwrap_or_default()) {
        // The parser describes a valid address.
        return Ok(());
    }
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    if let Some(user) = user {
        check_user(user)?;
    }
    let end = place.find(['/', '?', '#']).unwrap_or(place.len());
    let (hosts, more) = place.split_at(end);
    hosts.split(',').try_for_each(check_port)?;
    if more.contains('#') {
        return Err("has a '#' after the host: leave out what follows it; in a password write %23. Certificates are always \
                    checked: --redis-ca-file names the authorities that signed them"
            .to_owned());
    }
    if scheme.contains('+') {
        // Sentinels and clusters have their own rules for the rest.
        return Ok(());
    }
    let (path, query) = more.split_once('?').unwrap_or((more, ""));
    let database = path.trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err("has something after the host that is not the number of a database: expected redis://HOST:PORT/0. A '/' in a \
                    password is written %2F"
            .to_owned());
    }
    check_query(query, &[])
}

fn check_unix(url: &str) -> Result<(), String> {
    check_query(url.split_once('?').map_or("", |(_, query)| query), &["db", "user", "pass"])
}

/// The parser would end the host at these characters.
fn check_user(user: &str) -> Result<(), String> {
    let encoded = [('/', "%2F"), ('?', "%3F"), ('#', "%23")];
    if let Some((found, code)) = encoded.iter().find(|(found, _)| user.contains(*found)) {
        return Err(format!(
            "has a {found:?} in the user or password before the '@': it ends the host there. Percent-encode it: {code}"
        ));
    }
    if !user.is_empty() && !user.contains(':') {
        return Err("has one word before the '@', which is a user without a password: write USER:PASSWORD@HOST, or :PASSWORD@HOST \
                    for the user `default`"
            .to_owned());
    }
    Ok(())
}

fn check_port(host: &str) -> Result<(), String> {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    let Some((_, port)) = after.split_once(':') else { return Ok(()) };
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("has something after the ':' of a host that is not a port from 1 to 65535. A user and a password stand before the \
                  host, percent-encoded: USER:PASSWORD@HOST:PORT"
            .to_owned()),
    }
}

/// An ignored parameter would be a setting without effect.
fn check_query(query: &str, known: &[&str]) -> Result<(), String> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("protocol", "2" | "resp2") => {}
            ("protocol", _) => {
                return Err("asks for another protocol than RESP2, which is all that the gateway reads: leave out `protocol`".to_owned());
            }
            (name, _) if known.contains(&name) => {}
            _ => {
                return Err("has a parameter after '?' that is unknown: leave it out (a database is /N after the port). A '?' in a \
                            password is written %3F"
                    .to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
