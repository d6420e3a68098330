//! Unit tests of `variables.rs`.

use super::*;

const KNOWN: [&str; 8] = [
    "LAUNCHGATE_DURABILITY",
    "LAUNCHGATE_REDIS",
    "LAUNCHGATE_REDIS_CA_FILE",
    "LAUNCHGATE_OPS_LISTEN",
    "LAUNCHGATE_LISTEN",
    "LAUNCHGATE_TTL",
    "LAUNCHGATE_WAS",
    "LAUNCHGATE_JSON",
];

fn of(set: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let expected = KNOWN.map(ToOwned::to_owned).into();
    let set = set.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let unknown = unknown_among(&expected, &["SEED"], set);
    (unknown.mistyped, unknown.others)
}

#[test]
fn a_mistyped_name_is_an_error_without_the_value() {
    for (name, meant) in [
        ("LAUNCHGATE_DURABILTY", "LAUNCHGATE_DURABILITY"),
        ("LAUNCHGATE_DURABILIYT", "LAUNCHGATE_DURABILITY"),
        ("LAUNCHGATE_DURABILITY_LEVEL", "LAUNCHGATE_DURABILITY"),
        ("launchgate_durability", "LAUNCHGATE_DURABILITY"),
        ("LAUNCHGATE-DURABILITY", "LAUNCHGATE_DURABILITY"),
        ("LAUCHGATE_DURABILITY", "LAUNCHGATE_DURABILITY"),
        ("LAUNCHGATE_REDIS_URL", "LAUNCHGATE_REDIS"),
        ("LAUNCHGATE_REDIS_CAFILE", "LAUNCHGATE_REDIS_CA_FILE"),
        ("LAUNCHGATE_JSN", "LAUNCHGATE_JSON"),
    ] {
        let (mistyped, others) = of(&[(name, "hunter2")]);
        assert_eq!(mistyped, [format!("the variable {name} is unknown: expected {meant}, or unset it")]);
        assert_eq!(others, Vec::<String>::new());
    }
}

#[test]
fn other_unknown_names_are_only_reported() {
    for set in [
        &[("LAUNCHGATE_COLOUR", "hunter2")][..],
        &[("LAUNCHGATE_TLS", "hunter2")],
        &[("LAUNCHGATE_DURABILTY", "hunter2"), ("LAUNCHGATE_DURABILITY", "aof")],
    ] {
        let (mistyped, others) = of(set);
        assert_eq!((mistyped.len(), others.len()), (0, 1), "{set:?}");
        assert!(others[0].contains(set[0].0) && !others[0].contains("hunter2"), "{others:?}");
    }
}

#[test]
fn flags_only_are_named_and_never_taken_for_another_option() {
    for name in ["LAUNCHGATE_CONFIRM", "LAUNCHGATE_ALL", "LAUNCHGATE_I_MEAN_IT"] {
        let (mistyped, others) = of(&[(name, "hunter2")]);
        assert_eq!(mistyped, Vec::<String>::new());
        let text =
            format!("the variable {name} has no effect: it is a flag only, which each call has to give");
        assert_eq!(others, [text]);
    }
}

#[test]
fn known_empty_foreign_and_other_variables_pass() {
    let expected = KNOWN.map(|name| (name, "x"));
    assert_eq!(of(&expected), (vec![], vec![]));
    assert_eq!(
        of(&[("LAUNCHGATE_DURABILTY", ""), ("LAUNCHGATE_SEED", "1"), ("PATH", "/bin")]),
        (vec![], vec![])
    );
    assert_eq!(of(&[("LAUNCHGATE", "x"), ("REDIS", "x"), ("LANG", "C")]), (vec![], vec![]));
}

#[test]
fn service_links_of_kubernetes_are_ignored() {
    for service in ["LAUNCHGATE", "LAUNCHGATE_OPS", "LAUNCHGATE_REDIS", "LAUNCHGATE_GATEWAY_BLUE"] {
        for end in [
            "_SERVICE_HOST",
            "_SERVICE_PORT",
            "_SERVICE_PORT_HTTP",
            "_SERVICE_PORT_HTTPS_ALT",
            "_PORT",
            "_PORT_8080_TCP",
            "_PORT_8080_TCP_PROTO",
            "_PORT_8080_TCP_PORT",
            "_PORT_8080_TCP_ADDR",
            "_PORT_53_UDP",
            "_PORT_53_SCTP_ADDR",
        ] {
            let name = format!("{service}{end}");
            assert_eq!(of(&[(&name, "tcp://10.0.0.1:8080")]), (vec![], vec![]), "{name}");
        }
    }
    for name in ["LAUNCHGATE_COLOUR_PORT_X_TCP", "LAUNCHGATE_COLOUR_TCP_ADDR", "LAUNCHGATE_COLOUR_SERVICE"] {
        assert_eq!(of(&[(name, "x")]).1.len(), 1, "{name}");
    }
}
