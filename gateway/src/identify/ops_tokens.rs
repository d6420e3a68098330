//! The tokens of the ops listener, with names and roles; reloaded when their file changes.

use std::collections::HashMap;
use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::sync::watch;

use crate::domain::label::label;
use crate::identify::{TOKEN_BYTES_MAX, bearer, read_limited, warn_if_shared};

const WHAT: &str = "ops token file";
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const NAME_BYTES_MAX: usize = 64;
const TOKEN_BYTES_MIN: usize = 16;

label! {
    /// The role of an ops token, by its name in the file.
    Role:
    /// May do everything.
    Operate "operate",
    /// May read: the live page, sales, audits, the fleet, limits.
    Watch "watch",
    /// May read the journal only.
    Feed "feed",
}

/// The names, tokens and roles of an ops token file. Only digests of tokens are kept.
pub struct OpsTokens {
    path: PathBuf,
    current: ArcSwap<TokenTable>,
    changes: watch::Sender<()>,
}

#[derive(PartialEq, Eq)]
struct TokenTable(Vec<Operator>);

/// An authenticated operator: a line of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Operator {
    /// The name in the journal and the logs.
    pub name: Arc<str>,
    role: Role,
    digest: [u8; 32],
}

impl Operator {
    /// The role of its token.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether this role includes the needed one.
    pub fn may(&self, needed: Role) -> bool {
        self.role == Role::Operate || self.role == needed
    }
}

impl OpsTokens {
    /// Reads lines `NAME TOKEN [ROLE]`; blank lines and lines that begin with `#` are skipped. An
    /// error lists every problem by line, without the line's contents.
    pub fn load(path: &Path) -> Result<Self, Vec<String>> {
        let (entries, metadata) = TokenTable::read(path)?;
        warn_if_shared(path, WHAT, &metadata);
        let (current, changes) = (ArcSwap::from_pointee(entries), watch::Sender::new(()));
        Ok(Self { path: path.to_owned(), current, changes })
    }

    /// Reloads the file if its content changed: `true`. An unusable file changes nothing. Blocks on
    /// the disk.
    pub fn reload_if_changed(&self) -> Result<bool, Vec<String>> {
        let (entries, _) = TokenTable::read(&self.path)?;
        let is_new = **self.current.load() != entries;
        if is_new {
            self.current.store(Arc::new(entries));
            self.changes.send_replace(());
        }
        Ok(is_new)
    }

    /// Whether any token has the role `operate`.
    pub fn has_operator(&self) -> bool {
        self.current.load().0.iter().any(|entry| entry.role == Role::Operate)
    }

    /// The operator whose token this `Authorization` value has.
    pub fn authenticate(&self, authorization: Option<&[u8]>) -> Option<Operator> {
        let shown: [u8; 32] = Sha256::digest(bearer(authorization).ok()?).into();
        self.current.load().find(&shown).cloned()
    }

    /// Waits until this token no longer has the needed role: it was withdrawn, or its role changed.
    pub async fn ended(self: Arc<Self>, operator: Operator, needed: Role) {
        self.wait_while(&operator, |entry| entry.may(needed)).await;
    }

    /// Waits until this token has another role, or none: a page that shows its role is outdated then.
    pub async fn changed(self: Arc<Self>, operator: Operator) {
        self.wait_while(&operator, |entry| entry.role == operator.role).await;
    }

    async fn wait_while(&self, operator: &Operator, holds: impl Fn(&Operator) -> bool) {
        let mut changes = self.changes.subscribe();
        while self.current.load().find(&operator.digest).is_some_and(&holds) {
            // `self` owns the sender, so this can't fail.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl TokenTable {
    fn read(path: &Path) -> Result<(Self, Metadata), Vec<String>> {
        let (bytes, metadata) = read(path).map_err(|problem| vec![problem])?;
        Ok((Self::parse(path, &bytes)?, metadata))
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Vec<String>> {
        let file = path.display();
        let mut problems = Vec::new();
        let mut entries = Vec::new();
        // The first line of each name and token.
        let mut names = HashMap::new();
        let mut tokens = HashMap::new();
        for (number, fields) in lines(bytes) {
            let mut report = |problem: String| problems.push(format!("{WHAT} {file}:{number}: {problem}"));
            let Some(TokenLine { name, token, role }) = fields else {
                report("not `NAME TOKEN [ROLE]`; write a name, a token and, if need be, a role".into());
                continue;
            };
            let name = std::str::from_utf8(name).ok().filter(|name| is_name(name));
            if name.is_none() {
                report("NAME must be 1 to 64 of the characters A-Z a-z 0-9 . _ -".into());
            }
            if !is_token(token) {
                report(format!(
                    "TOKEN must be {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible ASCII \
                     characters; make one with `openssl rand -hex 32`"
                ));
            }
            let role = role.map_or(Some(Role::Operate), |role| Role::parse(str::from_utf8(role).ok()?));
            if role.is_none() {
                let known = Role::NAMES.join(", ");
                report(format!("ROLE must be one of {known}; left out, it is operate"));
            }
            if let Some(name) = name
                && let Some(first) = names.insert(name, number)
            {
                report(format!("duplicate NAME of line {first}; each person needs a separate one"));
            }
            if let Some(first) = tokens.insert(token, number) {
                report(format!("duplicate TOKEN of line {first}; each name needs a separate one"));
            }
            if let (Some(name), Some(role)) = (name, role) {
                entries.push(Operator { name: name.into(), digest: Sha256::digest(token).into(), role });
            }
        }
        if entries.is_empty() && problems.is_empty() {
            problems.push(format!("{WHAT} {file}: no token in it; add a line `NAME TOKEN`"));
        }
        if problems.is_empty() { Ok(Self(entries)) } else { Err(problems) }
    }

    /// The entry of a token's digest. It compares all digests, so that the time reveals neither
    /// position nor similarity.
    fn find(&self, shown: &[u8; 32]) -> Option<&Operator> {
        const NONE: u64 = u64::MAX;
        let mut found = NONE;
        for (index, entry) in (0u64..).zip(&self.0) {
            found.conditional_assign(&index, entry.digest.ct_eq(shown));
        }
        self.0.get(usize::try_from(found).ok()?)
    }
}

/// Shows names only.
impl fmt::Debug for OpsTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.current.load().0.iter().map(|entry| &entry.name)).finish()
    }
}

/// Reads the file's bytes.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Metadata), String> {
    read_limited(path, WHAT, FILE_BYTES_MAX)
}

/// The fields of a line.
pub(crate) struct TokenLine<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) token: &'a [u8],
    pub(crate) role: Option<&'a [u8]>,
}

/// The numbers and fields of the significant lines; `None` for a line without two or three fields.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Option<TokenLine<'_>>)> {
    let is_significant = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(move |(_, line)| is_significant(line)).map(|(number, line)| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (name, token, role, more) = (fields.next(), fields.next(), fields.next(), fields.next());
        let line = name.zip(token).map(|(name, token)| TokenLine { name, token, role });
        (number, line.filter(|_| more.is_none()))
    })
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_token(token: &[u8]) -> bool {
    (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
