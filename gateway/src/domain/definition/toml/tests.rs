//! Unit tests of `toml.rs`.

use super::*;

fn broken(text: &str) -> (String, Vec<String>) {
    let file = SourceFile { name: "f".to_owned(), rank: 0 };
    let mistakes = Mistakes::default();
    let text = without_broken_lines(text.to_owned(), &file, &mistakes);
    (text, mistakes.into_list().into_iter().map(|mistake| mistake.place).collect())
}

#[test]
fn parsing_continues_after_broken_lines() {
    let (text, places) = broken("[a]\nb \"c\"\nd = 1\ne = 1x\nf =\n\n[g\nh = 2\ni = 3\n");
    assert_eq!(places, ["f:2", "f:4", "f:5", "f:7"]);
    assert_eq!(text, "[a]\n     \nd = 1\n      \n   \n\n[g\nh = 2\ni = 3\n");
}

#[test]
fn valid_text_is_unchanged() {
    let good = "a = 1\n[[b]]\nc = [\n  1,\n]\n";
    assert_eq!(broken(good), (good.to_owned(), Vec::new()));
}

#[test]
fn lines_are_counted() {
    let lines = LineStarts::of("ab\n\nc");
    let at: Vec<_> = (0..6).map(|byte| lines.at(byte)).collect();
    assert_eq!(at, [1, 1, 1, 2, 3, 3]);
    assert_eq!(lines.at(0), 1);
    assert_eq!(LineStarts::of("").at(0), 1);
}
