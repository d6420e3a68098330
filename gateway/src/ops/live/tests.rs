//! Unit tests of `live.rs`.

use super::*;
use crate::fleet::alarm::Level;

#[test]
fn an_alarm_of_several_gateways_is_shown_once_with_their_names() {
    let drift = |text: &str| Alarm::new(Level::Fault, "ledger-drift", text).of("small");
    let busy = |count| Alarm::new(Level::Warning, "shedding", "Shed").times(count);
    let own = vec![busy(3), drift("white is 61")];
    let others = vec![
        (drift("white is 62"), "b:1".to_owned()),
        (busy(5), "b:1".to_owned()),
        (Alarm::new(Level::Fault, "gateway-gone", "d:1 is gone"), String::new()),
        (Alarm::new(Level::Fault, "gateway-gone", "e:1 is gone"), String::new()),
    ];
    let merged = all_alarms(own, others, "a:1");
    let brief: Vec<_> =
        merged.iter().map(|a| (a.name.as_str(), a.text.as_str(), a.gateways.join(" "))).collect();
    let both = || "a:1 b:1".to_owned();
    assert_eq!(
        brief,
        [
            ("ledger-drift", "white is 61", both()),
            ("gateway-gone", "d:1 is gone", String::new()),
            ("gateway-gone", "e:1 is gone", String::new()),
            ("shedding", "Shed: 8.", both()),
        ]
    );
}
