//! Unit tests of `ops_tokens.rs`.

use proptest::prelude::*;

use super::*;

const FILE: &str = "# who may\n\nmaja 0123456789abcdef\r\n  li.wei\tfedcba9876543210  operate\n\
    wall 00000000wall0000 watch\nrelay 0000000relay0000 feed\n";

fn load(contents: &[u8]) -> Result<OpsTokens, Vec<String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), contents).unwrap();
    OpsTokens::load(file.path())
}

fn operator_of(tokens: &OpsTokens, authorization: &str) -> Option<String> {
    tokens.authenticate(Some(authorization.as_bytes())).map(|operator| operator.name.to_string())
}

#[test]
fn a_token_gives_its_name() {
    let tokens = load(FILE.as_bytes()).unwrap();
    assert_eq!(operator_of(&tokens, "Bearer 0123456789abcdef").as_deref(), Some("maja"));
    assert_eq!(operator_of(&tokens, "bearer fedcba9876543210").as_deref(), Some("li.wei"));
}

#[test]
fn a_role_allows_what_it_is_for_and_operate_everything() {
    let tokens = load(FILE.as_bytes()).unwrap();
    for (token, may) in [
        ("0123456789abcdef", [true, true, true]),
        ("fedcba9876543210", [true, true, true]),
        ("00000000wall0000", [false, true, false]),
        ("0000000relay0000", [false, false, true]),
    ] {
        let operator = tokens.authenticate(Some(format!("Bearer {token}").as_bytes())).unwrap();
        assert_eq!(Role::ALL.map(|role| operator.may(role)), may, "{token}");
    }
}

#[tokio::test]
async fn a_changed_file_is_loaded_and_an_invalid_one_is_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    write(FILE);
    let tokens = Arc::new(OpsTokens::load(file.path()).unwrap());
    let wall = tokens.authenticate(Some(b"Bearer 00000000wall0000")).unwrap();
    let watching = tokio::spawn(tokens.clone().ended(wall.clone(), Role::Watch));
    let showing = tokio::spawn(tokens.clone().changed(wall.clone()));
    assert_eq!(tokens.reload_if_changed(), Ok(false));
    write("wall hunter2");
    let problems = tokens.reload_if_changed().unwrap_err();
    assert!(problems[0].contains(":1: TOKEN must be"), "{problems:?}");
    assert!(operator_of(&tokens, "Bearer 0123456789abcdef").is_some(), "the last good content counts");
    // Promoted, then another line; both roles still include `watch`.
    let load = |text: &str| {
        write(text);
        assert_eq!(tokens.reload_if_changed(), Ok(true));
        let now = tokens.authenticate(Some(b"Bearer 00000000wall0000")).unwrap();
        assert!(now.may(Role::Watch) && !watching.is_finished(), "{text}");
    };
    load("wall 00000000wall0000 operate\n");
    // The page shows another role now.
    showing.await.unwrap();
    load("new 1111111111111111\nwall 00000000wall0000 watch\n");
    assert_eq!(operator_of(&tokens, "Bearer 0123456789abcdef"), None, "withdrawn");
    assert_eq!(operator_of(&tokens, "Bearer 1111111111111111").as_deref(), Some("new"));
    write("new 1111111111111111\nwall 00000000wall0000 feed\n");
    assert_eq!(tokens.reload_if_changed(), Ok(true));
    watching.await.unwrap();
    tokens.clone().ended(wall, Role::Watch).await;
}

#[test]
fn any_other_token_identifies_no_operator() {
    let tokens = load(FILE.as_bytes()).unwrap();
    assert!(tokens.authenticate(None).is_none());
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
        assert_eq!(operator_of(&tokens, wrong), None, "{wrong:?}");
    }
}

#[test]
fn every_problem_is_reported_with_its_line_and_no_content() {
    let long = "n".repeat(65);
    let file = format!(
        "ok 0123456789abcdef\nlonely-hunter2-hunter2\nbad/name hunter2-hunter2-1\n\
         short hunter2\nok hunter2-hunter2-2\nother 0123456789abcdef\na b c\n\
         {long} hunter2-hunter2-3\ncafé hunter2-hunter2-4\nname hunter2-hunter2-\u{e9}\n\
         a hunter2-hunter2-5 feed b\n"
    );
    let problems = load(file.as_bytes()).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.rsplit(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["2", "3", "4", "5", "6", "7", "7", "8", "9", "10", "11"], "{problems:#?}");
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
        let of = |entries| OpsTokens {
            path: PathBuf::new(),
            current: ArcSwap::from_pointee(entries),
            changes: watch::Sender::new(()),
        };
        for file in [&file, FILE.as_bytes()] {
            if let Ok(entries) = TokenTable::parse(Path::new("tokens"), file) {
                prop_assert!(of(entries).authenticate(Some(&authorization)).is_none());
            }
        }
    }
}
