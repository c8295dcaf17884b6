//! `safeguard model check` as people run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(path)
}

fn check(dir: &Path, golden: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_safeguard"))
        .args(["model", "check"])
        .arg(dir)
        .arg("--golden")
        .arg(golden)
        .args(more)
        .output()
        .expect("the program starts")
}

/// A copy of the fixture with one number of its configuration changed.
fn changed(key: &str, value: Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for entry in std::fs::read_dir(fixture("tiny-a")).expect("the fixture is there") {
        let from = entry.expect("readable").path();
        if from.is_file() {
            let to = folder.path().join(from.file_name().expect("a name"));
            std::fs::copy(&from, to).expect("files can be copied");
        }
    }
    let path = folder.path().join("config.json");
    let text = std::fs::read(&path).expect("the file is there");
    let mut config: Value = serde_json::from_slice(&text).expect("it is JSON");
    config[key] = value;
    std::fs::write(&path, config.to_string()).expect("files can be written");
    folder
}

#[test]
fn the_same_model_ends_with_0_and_a_table() {
    let output = check(&fixture("tiny-a"), &fixture("tiny-a/golden"), &["--threads", "2"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("same greedy tokens"), "{text}");
    assert!(text.contains("64 of 64"), "{text}");
    assert!(text.contains("tiny-a: the same model"), "{text}");
}

#[test]
fn json_has_every_number() {
    let output =
        check(&fixture("tiny-plain"), &fixture("tiny-plain/golden"), &["--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["passes"], json!(true));
    assert_eq!(report["greedy"], json!({"n_equal": 64, "n_all": 64}));
    assert_eq!(report["prompts"].as_array().map(Vec::len), Some(8));
    assert!(report["max_relative"].as_f64().is_some_and(|error| error < 2e-5));
    assert_eq!(report["inner"]["experts"], json!({"n_equal": 57, "n_all": 57}));
}

/// What rounding does is told in the same table; it is not the reference's arithmetic, and says so.
#[test]
fn rounded_arithmetic_is_measured_and_told_apart() {
    let error = |more: &[&str]| {
        let all = [&["--format", "json"][..], more].concat();
        let output = check(&fixture("tiny-d"), &fixture("tiny-d/golden"), &all);
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        report["max_relative"].as_f64().expect("a number")
    };
    for more in [
        &["--arithmetic", "int8"][..],
        &["--arithmetic", "bf16"],
        &["--dense", "int8"],
        &["--arithmetic", "int8", "--dense", "int8"],
    ] {
        let error = error(more);
        assert!((1e-4..0.3).contains(&error), "{more:?}: {error}");
    }
    let output = check(
        &fixture("tiny-d"),
        &fixture("tiny-d/golden"),
        &["--arithmetic", "int8", "--dense", "int8"],
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("arithmetic int8"), "{text}");
}

/// What each mistake in the arithmetic would do, made by telling the network another number.
#[test]
fn another_model_ends_with_1() {
    let types = ["full_attention", "sliding_attention", "full_attention", "sliding_attention"];
    let rope = json!({"rope_type": "yarn", "factor": 32.0, "beta_fast": 8.0, "beta_slow": 1.0,
        "original_max_position_embeddings": 128, "truncate": true});
    for (key, value) in [
        ("sliding_window", json!(9)),
        ("sliding_window", json!(7)),
        ("layer_types", json!(types)),
        ("rms_norm_eps", json!(1e-6)),
        ("swiglu_limit", json!(1000.0)),
        ("num_experts_per_tok", json!(1)),
        ("rope_theta", json!(10000.0)),
        ("rope_scaling", rope),
        ("rope_scaling", json!(null)),
    ] {
        let folder = changed(key, value.clone());
        let output = check(folder.path(), &fixture("tiny-a/golden"), &["--format", "json"]);
        // With another number of experts a token the recorded choices have another shape.
        let expected = if key == "num_experts_per_tok" { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(expected), "{key} = {value}");
    }
}

#[test]
fn what_cannot_be_compared_ends_with_2_and_a_hint() {
    let output = check(&fixture("tiny-a"), &fixture("tiny-a"), &[]);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("golden.json") && text.contains("hint:"), "{text}");
    let other = check(&fixture("tiny-a"), &fixture("tiny-plain/golden"), &[]);
    assert_eq!(other.status.code(), Some(2));
}

#[test]
fn prepared_weights_are_kept_where_the_flag_says() {
    let kept = tempfile::tempdir().expect("a temporary folder");
    let file = kept.path().join("file");
    std::fs::write(&file, "no folder").expect("writable");
    let (kept, below) = (kept.path().join("kept"), file.join("below"));
    let [kept, below] = [&kept, &below].map(|path| path.to_str().expect("UTF-8"));
    let run = |place: &str| {
        let flags = ["--weights-cache", place, "--dense", "int8"];
        check(&fixture("tiny-a"), &fixture("tiny-a/golden"), &flags)
    };
    let (first, second, off, refused) = (run(kept), run(kept), run("off"), run(below));
    let names = || std::fs::read_dir(kept).expect("made").map(|entry| entry.unwrap().file_name());
    let n_tiles = names().filter(|name| name.to_string_lossy().ends_with(".tiles")).count();
    assert_eq!(n_tiles, 2);
    for other in [second, off, Output { stderr: Vec::new(), ..refused.clone() }] {
        assert_eq!(other, first);
    }
    let stderr = String::from_utf8(refused.stderr).expect("UTF-8");
    assert_eq!(stderr.matches("prepared weights cannot be kept there").count(), 1, "{stderr}");
    assert!(stderr.contains("--weights-cache off"), "{stderr}");
}

#[test]
fn how_weights_come_into_memory_changes_no_number() {
    let kept = tempfile::tempdir().expect("a temporary folder");
    let place = kept.path().to_str().expect("UTF-8");
    let run = |how: &str| {
        let flags = ["--weights-cache", place, "--weights", how, "--format", "json"];
        check(&fixture("tiny-a"), &fixture("tiny-a/golden"), &flags)
    };
    let [auto, map, load] = ["auto", "map", "load"].map(run);
    assert_eq!(auto.status.code(), Some(0));
    for other in [map, load] {
        assert_eq!((other.status, other.stdout), (auto.status, auto.stdout.clone()));
    }
    let refused = run("copy");
    let stderr = String::from_utf8(refused.stderr).expect("UTF-8");
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("[possible values: auto, map, load]"), "{stderr}");
}
