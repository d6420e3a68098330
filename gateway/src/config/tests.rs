//! Tests of the options, and of the generated configuration page.

use clap::{Args, Command};

use super::options::GivenOptions;
use super::*;

fn given<const IS_COMMON: bool>(options: &[(&'static str, &str)]) -> GivenOptions<IS_COMMON> {
    GivenOptions(options.iter().map(|(key, value)| (*key, (*value).to_owned())).collect())
}

/// A command with all options.
fn command() -> Command {
    ServeOptions::augment_args(CommonOptions::augment_args(Command::new("gateway")))
}

#[test]
fn defaults_are_good_and_every_option_has_one() {
    let serve = given(&[("ops-token-file", "ops")]);
    let config = Settings::new(&CommonOptions::default(), Some(&serve)).serve().map_err(|p| p.join("\n"));
    assert!(config.is_ok_and(|c| c.listen.ip().is_loopback() && c.ops_listen.ip().is_loopback()));
    let command = command();
    let mut flags: Vec<_> =
        command.get_arguments().filter_map(|a| a.get_long()).filter(|l| *l != "config").collect();
    let mut keys: Vec<_> = OPTIONS.iter().map(|option| option.key).collect();
    flags.sort_unstable();
    keys.sort_unstable();
    assert_eq!(flags, keys);
    for arg in command.get_arguments() {
        let name = arg.get_long().unwrap().to_uppercase().replace('-', "_");
        assert_eq!(arg.get_env().unwrap().to_str().unwrap(), format!("LAUNCHGATE_{name}"));
    }
}

#[test]
fn all_bad_values_are_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, "listen = \"here\"\nqueue-max = -3\ncolour = \"red\"\n").unwrap();
    let common = CommonOptions { config: Some(file), given: given(&[("redis", "http://:hunter2@x")]) };
    let serve = given(&[
        ("workers", "many"),
        ("connections-per-address-max", "0"),
        ("idle-timeout-ms", "3600001"),
        ("connection-max-age", "never"),
        ("connection-max-requests", "0"),
        ("cors-origins", "https://a.example,*"),
    ]);
    let problems = Settings::new(&common, Some(&serve)).serve().err().unwrap().join("\n");
    for part in [
        "--listen",
        "--queue-max",
        "\"colour\"",
        "--redis",
        "--workers",
        "--connections-per-address-max",
        "--idle-timeout-ms",
        "--connection-max-age",
        "--connection-max-requests",
        "--cors-origins",
        "--ops-token-file",
    ] {
        assert!(problems.contains(part), "{part} in {problems}");
    }
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn a_finding_in_the_file_shows_its_line_and_no_value_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    let problems = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let common = CommonOptions { config: Some(file.clone()), given: given(&[]) };
        Settings::new(&common, Some(&given(&[("ops-token-file", "ops")]))).serve().err().unwrap().join("\n")
    };
    let broken = problems("workers = 3\nsentinel-password = \"hunter2\n");
    assert!(broken.contains("gateway.toml:2: ") && !broken.contains("hunter2"), "{broken}");
    let large = problems("\nsentinel-password = 123456789012345678901\n");
    assert!(large.contains("gateway.toml:2: ") && !large.contains("123456789"), "{large}");
    let fraction = problems("workers = 1.5\n");
    assert!(fraction.contains("\"1.5\" is not a number from"), "{fraction}");
}

#[test]
fn a_flag_overrides_the_file_and_the_document_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    std::fs::write(
        &file,
        "workers = 3\nbatch-max = 7\ncors-origins = [\"https://a.example\", \"https://b.example\"]\n",
    )
    .unwrap();
    let common = CommonOptions { config: Some(file.clone()), ..CommonOptions::default() };
    let serve = given(&[("workers", "5"), ("ops-token-file", "ops")]);
    let document = Settings::new(&common, Some(&serve)).document().unwrap();
    std::fs::write(&file, document).unwrap();
    let config = Settings::new(&common, None).serve().map_err(|p| p.join("\n"));
    assert!(config.is_ok_and(|c| c.workers == 5 && c.requests.queue.batch_max == 7 && c.cors.origins() == 2));
}

/// The table of `docs/configuration.md`, between its marks; with `UPDATE_DOCS=1` in the environment this
/// writes it.
#[test]
fn the_configuration_page_lists_every_option() {
    const START: &str = "<!-- options: generated from gateway/src/config -->\n";
    const END: &str = "<!-- end of options -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(START).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut table = "| flag and key | variable | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for option in OPTIONS {
        let default = if option.default.is_empty() { String::new() } else { format!("`{}`", option.default) };
        let (key, variable, help) = (option.key, option.variable, option.help().replace('|', "\\|"));
        table += &format!("| `--{key}` | `{variable}` | {default} | {help} |\n");
    }
    let expected = format!("{before}{START}{table}{END}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, expected).unwrap();
    } else {
        assert!(
            page == expected,
            "docs/configuration.md differs from the options: UPDATE_DOCS=1 cargo test -p gateway configuration_page"
        );
    }
}

#[test]
fn passwords_are_not_shown() {
    assert_eq!(without_password("redis://u:secret@h:1/0"), "redis://***@h:1/0");
    assert_eq!(without_password("redis://h:1"), "redis://h:1");
    assert_eq!(without_password("unix:/s?pass=secret"), "unix:/s?***");
}
