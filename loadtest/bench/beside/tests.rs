//! Unit tests of `beside.rs`.

use super::*;

#[test]
fn output_of_wrk_is_parsed() {
    let text = "Running 8s test\nmeasured 4000 8000000 57.500000 55.000000 70.000000\n";
    assert_eq!(parse_wrk(text), Some([4000.0, 8e6, 57.5, 55.0, 70.0]));
    assert_eq!(parse_wrk("Running 8s test\nmeasured nothing\n"), None);
}

#[test]
fn log_of_h2load_is_parsed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "1714\t200\t512\n1715\t429\t100\n1716\t200\t300\n").unwrap();
    assert_eq!(times(file.path()).unwrap(), [300.0, 512.0]);
}
