//! Unit tests of `output.rs`.

use super::*;

#[test]
fn a_summary_is_read_with_its_file_or_goes_to_standard_output() {
    let summary = |format, file: Option<&str>| Ok(Summary { format, file: file.map(PathBuf::from) });
    for (text, expected) in [
        ("json", summary(SummaryFormat::Json, None)),
        ("json:-", summary(SummaryFormat::Json, None)),
        ("junit:a:b.xml", summary(SummaryFormat::Junit, Some("a:b.xml"))),
    ] {
        assert_eq!(Summary::parse(text), expected, "{text}");
    }
    for wrong in ["", "tap", "xml:x", "junit:", ":x"] {
        assert!(Summary::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_earlier_runs_files_are_removed_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(HDR)).unwrap();
    let own = ["verdict.json", SECONDS, "hdr/request-look.hgrm"];
    let others = ["mine.txt", "hdr/mine.txt"];
    own.iter().chain(&others).for_each(|file| std::fs::write(dir.path().join(file), "").unwrap());
    let output = Output { report: Some(dir.path().to_owned()), ..Output::default() };
    output.folder().unwrap();
    let is_there = |file: &&str| dir.path().join(file).exists();
    assert!(!own.iter().any(is_there) && others.iter().all(is_there));
}

#[test]
fn a_summary_that_can_be_written_is_not_there_before_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let with = |file: PathBuf| Output {
        summary: vec![Summary { format: SummaryFormat::Junit, file: Some(file) }],
        ..Output::default()
    };
    let old = dir.path().join("old.xml");
    std::fs::write(&old, "of an earlier run").unwrap();
    with(old.clone()).prepare_summaries().unwrap();
    assert!(!old.exists());
    with("/dev/null".into()).prepare_summaries().unwrap();
    for wrong in [dir.path().to_owned(), dir.path().join("nowhere/x.xml")] {
        assert!(matches!(with(wrong).prepare_summaries(), Err(Failure::Usage(_))));
    }
}
