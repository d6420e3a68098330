//! Unit tests of `admin.rs`.

use super::*;

#[test]
fn urls_escape_what_is_put_into_them() {
    let listener = Url::parse("http://ops:9").unwrap();
    let url = |path: &[&str], query: &[(&str, &str)]| super::url(&listener, path, query);
    assert_eq!(url(&["sales", "s-1"], &[]).as_str(), "http://ops:9/admin/v1/sales/s-1");
    let lookup = ["sales", "s-1", "buyers", "a/b?c%"];
    assert_eq!(url(&lookup, &[]).path(), "/admin/v1/sales/s-1/buyers/a%2Fb%3Fc%25");
    let journal = url(&["sales", "s-1", "journal"], &[("from", "4711-0/3")]);
    assert_eq!(journal.query(), Some("from=4711-0%2F3"));
}

#[test]
fn the_contracts_answers_are_read() {
    let sale: AdminSale = serde_json::from_str(
        r#"{"sale": "s", "revision": 3, "sequence": 4711, "phase": "open", "rehearsal": true, "paused": false,
        "reservations": {"held": 1}, "items": [{"item": "model:x", "total": 3000, "free": 12},
        {"item": "package:y", "total": null, "free": null}],
        "definition": {"sale": {"id": "s", "per_buyer": 2, "rehearsal": true}, "model": [{"id": "x"}],
        "package": [], "stores": []}}"#,
    )
    .unwrap();
    assert!(sale.definition.sale.rehearsal && sale.definition.sale.per_buyer == 2);
    assert_eq!(sale.items[1].total, None);
    let audit: Audit = serde_json::from_str(
        r#"{"sale": "s", "sequence": 4711, "verdict": "balanced", "items": [{"item": "model:x", "total": 3000,
        "free": 12, "held": 40, "confirmed": 2948, "drift": 0}], "reservations": {"held": 40}, "problems": []}"#,
    )
    .unwrap();
    assert_eq!(audit.items[0].confirmed, 2948);
}

#[test]
fn the_version_of_a_gateway_is_read_from_its_metrics() {
    let metrics = "# HELP x\nlaunchgate_build_info{version=\"0.1.0\",redis_scripts=\"ab\"} 1\n";
    assert_eq!(build_version(metrics), Some("0.1.0"));
    assert_eq!(build_version("launchgate_ready 1\n"), None);
}
