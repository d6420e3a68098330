//! Unit tests of `page.rs`.

use super::*;

#[test]
fn the_page_names_only_embedded_files() {
    let names_of = |text: &str| -> Vec<String> {
        let quoted =
            text.split(['"', '\'']).filter(|word| word.starts_with("./") || word.starts_with("/live/"));
        quoted.map(|word| word.trim_start_matches("./").trim_start_matches("/live/").to_owned()).collect()
    };
    for asset in ASSETS.iter().filter(|asset| !asset.path.contains("uplot")) {
        let text = std::str::from_utf8(asset.bytes).unwrap_or_default();
        assert!(!text.is_empty(), "{}", asset.path);
        for name in names_of(text) {
            let path = format!("/live/{name}");
            assert!(ASSETS.iter().any(|asset| asset.path == path), "{} names {path}", asset.path);
        }
    }
    assert_eq!(EDITION.len(), 16);
}
