use clap::Parser;

use super::{Cli, DeliverOptions};

const ALWAYS: [&str; 6] = ["relay", "small", "--from-ops", "http://127.0.0.1:1", "--token-file", "t"];

fn parse(more: &[&str]) -> Result<DeliverOptions, String> {
    let words = ALWAYS.iter().chain(more);
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    cli.deliver.check().map_err(|failure| failure.to_string())?;
    Ok(cli.deliver)
}

#[test]
fn exactly_one_sink_is_named() {
    assert!(parse(&[]).unwrap_err().contains("--postgres"));
    assert!(
        parse(&["--stdout", "--postgres", "postgres://h/d"]).unwrap_err().contains("cannot be used with")
    );
    assert!(parse(&["--webhook", "https://h/"]).unwrap_err().contains("--webhook-secret-file"));
    assert_eq!(parse(&["--stdout"]).unwrap().reader(), "stdout");
    let options = parse(&["--postgres", "postgres://h/d", "--name", "orders"]).unwrap();
    assert_eq!((options.sink(), options.reader()), ("postgres", "orders"));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let wrong = parse(&["--postgres", "postgres://h/d", "--state", "held", "--name", "a b", "--lease", "2m"])
        .unwrap_err();
    for mistake in ["--name: expected", "--state and --item are not for --postgres", "--lease must be"] {
        assert!(wrong.contains(mistake), "{mistake}: {wrong}");
    }
    assert!(parse(&["--stdout", "--state", "paid"]).unwrap_err().contains("confirmed"));
    assert!(parse(&["--stdout", "--item", "white"]).unwrap_err().contains("expected model:ID"));
}

#[test]
fn the_schema_needs_nothing_else() {
    assert!(Cli::try_parse_from(["relay", "--print-schema"]).unwrap().deliver.postgres.print_schema);
    assert!(Cli::try_parse_from(["relay", "small"]).unwrap_err().to_string().contains("--from-ops"));
}
