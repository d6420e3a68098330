//! Tests the terms of a draw.

use super::*;

#[test]
fn a_draw_has_entrants_a_commitment_and_queues() {
    let draw = "[draw]\ncommitment = \"COMMITMENT\"\nbeacon = \"six digits\"\n";
    let draw = draw.replace("COMMITMENT", &"aB".repeat(32));
    let signup = |closes: &str| format!("[signup]\nopens_at = 2026-10-14T10:00:00Z\ncloses_at = {closes}\n");
    let signup_in_time = signup("2026-11-09T11:00:00Z");
    let sells = SALE.replace("[sale]\n", "[sale]\nsells = \"draw\"\nstandby = true\n");
    let folder = folder(format!("{sells}{signup_in_time}{draw}"), None);
    let definition = Definition::load(&folder.path().join("sale.toml")).unwrap();
    assert_eq!(definition.draw.as_ref().unwrap().commitment, "ab".repeat(32));
    assert_eq!(Definition::from_json(definition.to_json().as_bytes()).unwrap(), definition);
    for (text, mistakes) in [
        (format!("{sells}{draw}"), vec!["`sells = \"draw\"` needs the table `signup`"]),
        (format!("{sells}{signup_in_time}"), vec!["`sells = \"draw\"` needs the table `draw`"]),
        (format!("{SALE}{signup_in_time}{draw}"), vec!["`draw` needs `sells = \"draw\"` in `sale`"]),
        (
            format!("{}{signup_in_time}{draw}", sells.replace("standby = true\n", "")),
            vec!["`sells = \"draw\"` needs `standby = true`"],
        ),
        (
            format!("{sells}{}{draw}", signup("2098-01-01T00:00:00Z")),
            vec!["`sells = \"draw\"` needs the end of sign-up"],
        ),
        (
            format!("{}{signup_in_time}", SALE.replace("[sale]\n", "[sale]\nsells = \"lottery\"\n")),
            vec!["`sells` must be"],
        ),
        (
            format!("{sells}{signup_in_time}{}", draw.replace("aB", "xy").replace("six digits", "")),
            vec!["`commitment` must be a SHA-256", "`beacon` must be a text"],
        ),
    ] {
        let found = of_toml(text);
        let without_lines = |text: &String| text.split_once(": ").unwrap().1.to_owned();
        assert_messages(&found.iter().map(without_lines).collect::<Vec<_>>(), &mistakes);
    }
}
