//! What one run computed of a policy, the next one reads from disk; where it cannot be kept, a note says so.

mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use program::{command, stderr, stdout};
use serde_json::Value;

fn classify(folder: &Path, place: &str) -> Output {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/spam");
    let policy = policy.to_str().expect("UTF-8");
    let args = [
        "classify",
        "--policy",
        policy,
        "--format",
        "json",
        "--seed",
        "1",
        "--max-analysis-tokens",
        "8",
    ];
    command(folder, &args)
        .args(["--prefix-cache", place, "Buy now, cheap pills!"])
        .output()
        .expect("the program starts")
}

fn verdict(output: &Output) -> Value {
    let mut verdict: Value = serde_json::from_str(&stdout(output)).expect("a verdict");
    verdict["usage"]["seconds"] = Value::Null;
    verdict
}

#[test]
fn the_second_run_reads_what_the_first_computed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (classify(folder.path(), "kept"), classify(folder.path(), "kept"));
    let (mut first, mut second) = (verdict(&first), verdict(&second));
    assert_eq!(fs::read_dir(folder.path().join("kept")).expect("made").count(), 1);
    assert_eq!(first["usage"]["cached_tokens"], 0);
    assert!(second["usage"]["cached_tokens"].as_u64() > Some(300), "{second}");
    first["usage"] = Value::Null;
    second["usage"] = Value::Null;
    assert_eq!(first, second);
}

#[test]
fn off_keeps_nothing_and_an_unwritable_folder_is_noted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let off = verdict(&classify(folder.path(), "off"));
    assert!(!folder.path().join("off").exists());
    fs::write(folder.path().join("file"), "no folder").expect("writable");
    let output = classify(folder.path(), "file/below");
    assert_eq!(stderr(&output).matches("computed prefixes cannot be kept there").count(), 1);
    assert!(stderr(&output).contains("--prefix-cache"), "{}", stderr(&output));
    assert_eq!(verdict(&output), off);
}
