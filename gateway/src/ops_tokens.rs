//! Owns the tokens of the ops listener: who may pull a lever, and under which name it is written down.

use std::collections::HashMap;
use std::fmt;
use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::identify::{TOKEN_BYTES_MAX, bearer, read_limited, warn_if_shared};

const WHAT: &str = "ops token file";
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const NAME_BYTES_MAX: usize = 64;
const TOKEN_BYTES_MIN: usize = 16;

/// The names and tokens of an ops token file. Only digests are kept.
pub struct OpsTokens {
    entries: Vec<(Arc<str>, [u8; 32])>,
}

impl OpsTokens {
    /// Reads a file of lines `NAME TOKEN` (blank lines and lines that start with `#` are skipped),
    /// or tells every problem at once, by line and without repeating what stands there.
    pub fn load(path: &Path) -> Result<Self, Vec<String>> {
        let (bytes, metadata) = read(path).map_err(|problem| vec![problem])?;
        warn_if_shared(path, WHAT, &metadata);
        Self::parse(&bytes).map_err(|problems| {
            let tell = |(line, problem)| match line {
                Some(line) => format!("{WHAT} {}:{line}: {problem}", path.display()),
                None => format!("{WHAT} {}: {problem}", path.display()),
            };
            problems.into_iter().map(tell).collect()
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, Vec<(Option<usize>, String)>> {
        let mut problems = Vec::new();
        let mut entries = Vec::new();
        // Where a name or a token was first seen.
        let mut names = HashMap::new();
        let mut tokens = HashMap::new();
        for (number, fields) in lines(bytes) {
            let mut tell = |problem: String| problems.push((Some(number), problem));
            let Some((name, token)) = fields else {
                tell("not `NAME TOKEN`; write a name, a space and a token".into());
                continue;
            };
            let name = std::str::from_utf8(name).ok().filter(|name| is_name(name));
            if name.is_none() {
                tell("NAME must be 1 to 64 of the characters A-Z a-z 0-9 . _ -".into());
            }
            if !is_token(token) {
                tell(format!(
                    "TOKEN must be {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible ASCII \
                     characters; make one with `openssl rand -hex 32`"
                ));
            }
            if let Some(name) = name
                && let Some(first) = names.insert(name, number)
            {
                tell(format!("the NAME of line {first} again; each person needs an own one"));
            }
            if let Some(first) = tokens.insert(token, number) {
                tell(format!("the TOKEN of line {first} again; each name needs an own one"));
            }
            if let Some(name) = name {
                entries.push((name.into(), Sha256::digest(token).into()));
            }
        }
        if entries.is_empty() && problems.is_empty() {
            problems.push((None, "no token in it; add a line `NAME TOKEN`".into()));
        }
        if problems.is_empty() { Ok(Self { entries }) } else { Err(problems) }
    }

    /// Whose token this `Authorization` value carries. Takes as long for every token of a length:
    /// digests are compared, all of them, so that neither place nor likeness shows.
    pub fn who(&self, authorization: Option<&[u8]>) -> Option<Arc<str>> {
        const NOBODY: u64 = u64::MAX;
        let shown: [u8; 32] = Sha256::digest(bearer(authorization).ok()?).into();
        let mut found = NOBODY;
        for (index, (_, digest)) in (0u64..).zip(&self.entries) {
            found.conditional_assign(&index, digest.ct_eq(&shown));
        }
        let (name, _) = self.entries.get(usize::try_from(found).ok()?)?;
        Some(Arc::clone(name))
    }
}

/// Names only.
impl fmt::Debug for OpsTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.iter().map(|(name, _)| name)).finish()
    }
}

/// Reads the file's bytes.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Metadata), String> {
    read_limited(path, WHAT, FILE_BYTES_MAX)
}

/// A line's name and token.
type Entry<'a> = (&'a [u8], &'a [u8]);

/// The numbers of the lines that say something, each with its name and token, if it has these two.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Option<Entry<'_>>)> {
    let says = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(move |(_, line)| says(line)).map(|(number, line)| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (name, token, more) = (fields.next(), fields.next(), fields.next());
        (number, name.zip(token).filter(|_| more.is_none()))
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "# who may\n\nmaja 0123456789abcdef\r\n  li.wei\tfedcba9876543210  \n";

    fn load(contents: &[u8]) -> Result<OpsTokens, Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        OpsTokens::load(file.path())
    }

    fn who(tokens: &OpsTokens, authorization: &str) -> Option<String> {
        tokens.who(Some(authorization.as_bytes())).map(|name| name.to_string())
    }

    #[test]
    fn a_token_gives_its_name() {
        let tokens = load(FILE.as_bytes()).unwrap();
        assert_eq!(who(&tokens, "Bearer 0123456789abcdef").as_deref(), Some("maja"));
        assert_eq!(who(&tokens, "bearer fedcba9876543210").as_deref(), Some("li.wei"));
    }

    #[test]
    fn anything_else_gives_nobody() {
        let tokens = load(FILE.as_bytes()).unwrap();
        assert_eq!(tokens.who(None), None);
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789ABCDEF",
            "Bearer 0123456789abcdef fedcba9876543210",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
            "Bearer maja",
        ] {
            assert_eq!(who(&tokens, wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_no_content() {
        let long = "n".repeat(65);
        let file = format!(
            "ok 0123456789abcdef\nlonely-hunter2-hunter2\nbad/name hunter2-hunter2-1\n\
             short hunter2\nok hunter2-hunter2-2\nother 0123456789abcdef\na b c\n\
             {long} hunter2-hunter2-3\ncafé hunter2-hunter2-4\nname hunter2-hunter2-\u{e9}\n"
        );
        let problems = load(file.as_bytes()).unwrap_err();
        let lines: Vec<_> = problems.iter().map(|problem| problem.rsplit(':').nth(1).unwrap()).collect();
        assert_eq!(lines, ["2", "3", "4", "5", "6", "7", "8", "9", "10"], "{problems:#?}");
        for problem in &problems {
            assert!(!problem.contains("hunter2") && !problem.contains("0123"), "{problem}");
        }
        assert!(problems[3].contains("NAME of line 1"), "{problems:#?}");
        assert!(problems[4].contains("TOKEN of line 1"), "{problems:#?}");
    }

    #[test]
    fn a_file_without_tokens_or_none_at_all_is_refused() {
        assert!(load(b"# nobody\n").unwrap_err()[0].contains("no token in it"));
        let dir = tempfile::tempdir().unwrap();
        let missing = OpsTokens::load(&dir.path().join("missing")).unwrap_err();
        assert!(missing[0].contains("check the path"), "{missing:?}");
    }

    #[test]
    fn printing_shows_names_only() {
        let printed = format!("{:?}", load(FILE.as_bytes()).unwrap());
        assert!(printed.contains("maja") && !printed.contains("0123"), "{printed}");
    }

    proptest! {
        #[test]
        fn random_files_and_headers_never_panic(
            file in prop::collection::vec(any::<u8>(), 0..200),
            authorization in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            if let Ok(tokens) = OpsTokens::parse(&file) {
                prop_assert_eq!(tokens.who(Some(&authorization)), None);
            }
            prop_assert_eq!(OpsTokens::parse(FILE.as_bytes()).unwrap().who(Some(&authorization)), None);
        }
    }
}
