//! Unit tests of `line.rs`.

use super::*;

fn line(words: &[&str], variables: &[(&str, &str)]) -> String {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    written(words, variables.collect())
}

#[test]
fn a_line_is_written_as_a_shell_takes_it() {
    let words = ["/usr/bin/loadtest", "spike", "--set", "verdict.thresholds=[\"won < 1\"]", "--sale", "it's"];
    assert_eq!(
        line(&words, &[]),
        r#"loadtest spike --set 'verdict.thresholds=["won < 1"]' --sale 'it'\''s'"#
    );
    assert_eq!(line(&["loadtest", "spike", ""], &[]), "loadtest spike ''");
}

#[test]
fn variables_of_its_options_belong_to_it_and_no_others() {
    let variables = [
        ("LAUNCHGATE_SEED", "7"),
        ("LAUNCHGATE_BUYERS", "1 0"),
        ("LAUNCHGATE_REDIS", "redis://:secret@r"),
        ("LAUNCHGATE_STEP", "9s"),
        ("LAUNCHGATE_SALE", ""),
        ("HOME", "/root"),
    ];
    let expected = "LAUNCHGATE_BUYERS='1 0' LAUNCHGATE_SEED=7 loadtest spike";
    assert_eq!(line(&["loadtest", "spike"], &variables), expected);
}

#[test]
fn values_of_headers_are_left_out() {
    let words =
        ["loadtest", "look", "--header", "X-Key: hunter2", "--header=X-Other:hunter3", "--sale", "s:1"];
    assert_eq!(line(&words, &[]), "loadtest look --header X-Key:… --header=X-Other:… --sale s:1");
}
