//! `safeguard bench` as people run it; its figures are the machine's, so only their form is tested.

mod program;

use std::path::Path;

use program::{command, stderr, stdout};
use serde_json::Value;

fn measured(args: &[&str]) -> Value {
    let mut all = vec!["bench", "--json", "--threads", "1"];
    all.extend(args);
    let output = command(Path::new("."), &all).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn names(report: &Value) -> Vec<&str> {
    let measures = report["measures"].as_array().expect("a list");
    measures.iter().map(|measure| measure["name"].as_str().expect("a name")).collect()
}

#[test]
fn random_weights_go_through_the_real_engine() {
    let sizes = ["--prefix", "70", "--items", "3", "--item-tokens", "5", "--generate", "2"];
    let report = measured(&[&["--shape", "tiny", "--streams", "1,2"][..], &sizes[..]].concat());
    assert_eq!(
        names(&report),
        [
            "prefill of 70 tokens",
            "known prefix from disk",
            "first token behind it",
            "decode, 1 streams",
            "decode, 2 streams",
            "3 items"
        ]
    );
    for measure in report["measures"].as_array().expect("a list") {
        for key in ["value", "limit", "reached"] {
            assert!(measure[key].as_f64().is_some_and(|value| value > 0.0), "{measure}");
        }
    }
    let peaks = report["measures"].as_array().expect("a list").iter().map(|row| &row["peak_bytes"]);
    // Only Linux tells, and not every container lets it be asked.
    let told: Vec<u64> = peaks.filter_map(Value::as_u64).collect();
    let most = report["memory"]["peak_bytes"].as_u64().unwrap_or_default();
    assert!(told.iter().all(|&peak| peak > 0 && peak <= most), "{told:?} of {most}");
    assert_eq!(report["model"]["name"], "random tiny");
    assert!(report["model"]["ready_seconds"].as_f64() > Some(0.0));
    assert_eq!(report["estimates"].as_array().map(Vec::len), Some(3));
    assert!(report["machine"]["read_bytes_per_second"].as_f64() > Some(0.0));
}

#[test]
fn decoding_and_the_workload_can_be_left_out() {
    let sizes = ["--shape", "tiny", "--prefix", "40", "--item-tokens", "4", "--generate", "2"];
    let kinds = |streams, items| {
        let report = measured(&[&sizes[..], &["--streams", streams, "--items", items]].concat());
        let measures = report["measures"].as_array().expect("a list").iter();
        let kinds = measures.map(|measure| (measure["what"].clone(), measure["count"].clone()));
        (kinds.skip(3).collect::<Vec<_>>(), report["estimates"].as_array().map(Vec::len))
    };
    assert_eq!(kinds("2", "0"), (vec![("decode".into(), 2.into())], Some(3)));
    assert_eq!(kinds("0", "3"), (vec![("workload".into(), 3.into())], Some(0)));
}

#[test]
fn every_arithmetic_can_be_measured() {
    let sizes = ["--prefix", "40", "--items", "1", "--item-tokens", "4", "--generate", "2"];
    for arithmetic in ["exact", "int8", "bf16"] {
        let how = ["--arithmetic", arithmetic, "--dense", "int8", "--streams", "1"];
        let report = measured(&[&["--shape", "tiny"][..], &how[..], &sizes[..]].concat());
        assert_eq!(report["arithmetic"], arithmetic);
        assert_eq!(names(&report).len(), 5);
    }
}

#[test]
fn where_weights_are_is_said() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    let kept = tempfile::tempdir().expect("a folder");
    let [model, kept] = [&model, kept.path()].map(|path| path.to_str().expect("UTF-8"));
    let sizes = ["--prefix", "40", "--streams", "0", "--items", "0", "--kv-mb", "16"];
    let from = ["--model", model, "--weights-cache", kept];
    for (how, place) in [("map", "mapped in small pages"), ("load", "in memory")] {
        let report = measured(&[&from[..], &sizes[..], &["--weights", how]].concat());
        assert_eq!(report["model"]["weights"], place);
    }
}

#[test]
fn what_memory_has_no_room_for_is_mapped_with_one_note() {
    // The most that keys and values can ask for.
    if model::memory::available().is_ok_and(|n_free| n_free >> 40 > 0) {
        return;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    let kept = tempfile::tempdir().expect("a folder");
    let [model, kept] = [&model, kept.path()].map(|path| path.to_str().expect("UTF-8"));
    let sizes = ["--prefix", "40", "--streams", "0", "--items", "0", "--kv-mb", "1048576"];
    let from = ["bench", "--model", model, "--weights-cache", kept, "--weights", "load"];
    let args = [&from[..], &sizes[..], &["--dense", "int8"]].concat();
    let output = command(Path::new("."), &args).output().expect("the program starts");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.matches("they are mapped, which may be slower").count(), 1, "{told}");
    assert!(stdout(&output).contains("mapped in small pages"), "{}", stdout(&output));
}

#[test]
fn a_policy_is_the_prefix_and_quick_is_smaller() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/spam");
    let policy = folder.to_str().expect("UTF-8");
    let sizes = ["--streams", "1", "--items", "4", "--item-tokens", "8", "--generate", "4"];
    let report = measured(&[&["--quick", "--policy", policy][..], &sizes[..]].concat());
    assert!(report["sizes"]["prefix_tokens"].as_u64() > Some(300), "{report}");
    assert_eq!(report["sizes"]["items"], 1);
    assert_eq!(report["model"]["name"], "builtin");
    let value = |name: &str| {
        let rows = report["measures"].as_array().expect("a list");
        rows.iter().find(|row| row["name"] == name).expect(name)["value"]
            .as_f64()
            .expect("a number")
    };
    let ready = report["model"]["ready_seconds"].as_f64().expect("a number");
    assert!(value("start to first token") >= ready + value("first token behind it"));
}

#[test]
fn the_table_names_the_machine_and_every_limit() {
    let sizes = ["--prefix", "40", "--items", "1", "--item-tokens", "4", "--generate", "2"];
    let args = [&["bench", "--shape", "tiny", "--streams", "1"][..], &sizes[..]].concat();
    let output = command(Path::new("."), &args).output().expect("the program starts");
    let text = stdout(&output);
    for word in ["this machine:", "kernels", "limit", "bound by", "tok/s", "items/min", "memory:"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn what_cannot_be_measured_ends_with_2() {
    for (args, word) in [
        (&["--shape", "7b"][..], "there are 20b, 120b and tiny"),
        (&["--shape", "tiny", "--model", "x"], "cannot be used with"),
        (&["--streams", "1025"], "1025 is not in"),
        (&["--arithmetic", "int4"], "there are exact, int8"),
        (&["--weights", "copy"], "possible values: auto, map, load"),
        (&["--policy", "nowhere.md"], "cannot be read"),
        (&["--model", "./nowhere"], "./nowhere"),
    ] {
        let mut all = vec!["bench"];
        all.extend(args);
        let output = command(Path::new("."), &all).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
    }
}
