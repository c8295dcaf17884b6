//! Starting, and not starting.

use std::process::Stdio;

use crate::program::{command, stderr, stdout};
use crate::{Service, client};

#[test]
fn what_it_says_can_be_done_can_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    let reply = client().get(format!("{}/docs", service.url)).send().unwrap();
    assert!(reply.text().unwrap().contains("openapi.json"));
    let (ended_well, log) = service.stop();
    assert!(ended_well, "{log}");
    assert!(log.contains("stopping"), "{log}");
}

#[test]
fn metrics_say_what_the_model_is_computed_with() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--store", "none", "--arithmetic", "bf16"];
    let mut chosen = command(folder.path(), &args);
    chosen.env("SAFEGUARD_ISA", "scalar");
    let service = Service::spawn(chosen, Stdio::piped());
    let metrics = client().get(format!("{}/metrics", service.url)).send().unwrap().text().unwrap();
    let labels =
        r#"isa="scalar",bf16_unit="float32",arithmetic="bf16",dense="stored",weights="in memory""#;
    assert!(metrics.contains(&format!("safeguard_engine_info{{{labels}}} 1\n")), "{metrics}");
}

#[test]
fn what_stands_in_the_way_is_named_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("bad")).unwrap();
    std::fs::write(path("bad/p.md"), "## SAFE\n- A0.a all\n").unwrap();
    std::fs::write(path("bad.toml"), "[serve.limits]\nqueue = 0\n").unwrap();
    let traces = "[serve.traces]\nendpoint = \"nowhere\"\n";
    std::fs::write(path("traces.toml"), traces).unwrap();
    for (args, words) in [
        (["serve", "--policies", "bad"], vec!["p.md: ", "safe rules only", "hint:"]),
        (["serve", "--policies", "none"], vec!["none: ", "hint: a folder"]),
        (["serve", "--config", "bad.toml"], vec!["limits.queue"]),
        (["serve", "--config", "none.toml"], vec!["none.toml"]),
        (["serve", "--config", "traces.toml"], vec!["serve.traces", "hint:"]),
        (
            ["serve", "--listen", "0.0.0.0:0"],
            vec!["the store has no keys", "hint: `safeguard key create"],
        ),
        (["serve", "--listen", "192.0.2.1:1"], vec!["192.0.2.1:1", "hint: another address"]),
    ] {
        let output = command(folder.path(), &args).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert_eq!(stdout(&output), "", "nothing is said to be served");
        for word in words {
            assert!(told.contains(word), "{args:?}: {word:?} is not in {told}");
        }
    }
}
