//! Unit tests of `policy.rs`.

use super::*;

#[test]
fn rates_are_two_numbers() {
    for text in ["1:1", "20:100", "100000000:100000000"] {
        assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
    }
    for text in [
        "",
        "off",
        "1",
        "1:",
        ":1",
        "0:1",
        "1:0",
        "+1:1",
        "1:1:1",
        "1 :1",
        "1.5:2",
        "100000001:1",
        "99999999999:1",
    ] {
        assert!(text.parse::<Rate>().is_err(), "{text}");
    }
    assert_eq!(parse_rate("off"), Ok(None));
    assert_eq!(rate_text(None), "off");
}

#[test]
fn a_share_is_never_zero_and_all_shares_add_up_to_the_rate() {
    let rate = Rate { per_second: NonZeroU32::new(10).unwrap(), burst: NonZeroU32::new(2).unwrap() };
    let share = |n| rate.shared_by(NonZeroU32::new(n).unwrap()).to_string();
    assert_eq!([share(1), share(3), share(10), share(1_000)], ["10:2", "4:1", "1:1", "1:1"]);
}

#[test]
fn a_rate_of_a_sale_counts_reservations_and_every_other_one_units() {
    let rate = parse_rate("20:100").unwrap();
    for policy in Policy::ALL {
        let unit = if policy == Policy::Sale { "reservations" } else { "units" };
        let begin = format!("at most 20 {unit} a second, 100 at once, of ");
        assert!(policy.meaning(rate).starts_with(&begin), "{}", policy.meaning(rate));
        assert_eq!(policy.meaning(rate).contains("all gateways together"), policy.is_ceiling());
    }
}
