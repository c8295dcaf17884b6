//! What stands before the model, as people run it: budget, routes, audits while they go, metrics.

mod program;

use std::fs::{self, File};
use std::path::Path;
use std::process::Output;

use program::{command, stderr, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

const POLICY: &str = "# Sales (#SA), version 1\n\n## VIOLATES (violation = 1)\n- SA1 Sale: offers something for sale.\n\n## SAFE (violation = 0)\n- SA0.a Talk: talks about something else.\n";

/// Numbered rows, every third of them about a sale.
fn rows(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        let is_sold = n.is_multiple_of(3);
        let telling = if is_sold { ["for sale", "cheap offer"] } else { ["my garden", "dinner"] };
        let text = format!("number {n} is {} {}", telling[n / 3 % 2], n % 7);
        json!({"id": format!("item-{n}"), "text": text, "labels": {"sale": usize::from(is_sold)}})
    };
    numbers.map(|n| format!("{}\n", row(n))).collect()
}

fn run(dir: &Path, args: &str) -> Output {
    let args: Vec<&str> = args.split_whitespace().collect();
    command(dir, &args).output().expect("the program starts")
}

/// A folder with the policy and so many items.
fn folder(n_items: usize) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("sales.md"), POLICY).expect("written");
    fs::write(dir.path().join("in.jsonl"), rows(0..n_items)).expect("written");
    dir
}

fn batch(dir: &Path, cascade: &str) -> Output {
    fs::write(dir.join("cascade.toml"), cascade).expect("written");
    run(
        dir,
        "batch in.jsonl --policy sales.md --out out.jsonl --cascade cascade.toml --seed 1 --max-analysis-tokens 1 --metrics run.prom",
    )
}

fn verdicts(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("out.jsonl")).expect("verdicts");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The value of a sample.
fn metric(dir: &Path, sample: &str) -> Option<f64> {
    let text = fs::read_to_string(dir.join("run.prom")).expect("metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(sample))?;
    Some(line.trim().parse().expect("a number"))
}

#[test]
fn what_finds_no_room_in_the_budget_says_so() {
    let dir = folder(40);
    let budget = "[budget]\ntokens_per_second = 50\nwindow_s = 10\ndefer_s = 0\nfirst_guess = { low = 90, medium = 95, high = 200 }\n";
    let output = batch(dir.path(), budget);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("over budget; each verdict says so") && said.contains("hint: when_spent")
    );
    let verdicts = verdicts(dir.path());
    let (over, judged): (Vec<&Value>, Vec<&Value>) =
        verdicts.iter().partition(|verdict| verdict["cause"] == "over_budget");
    assert!((3..12).contains(&judged.len()), "{} of 40 fit into 500 tokens", judged.len());
    for verdict in &over {
        assert_eq!(verdict["outcome"], "undetermined");
        assert_eq!(verdict["given_up"], json!(["over budget"]));
    }
    let given_up = metric(dir.path(), "safeguard_budget_given_up_total{step=\"over_budget\"}");
    assert_eq!(given_up, Some(over.len() as f64));
    assert_eq!(
        metric(dir.path(), "safeguard_budget_allowed{unit=\"tokens\"}").map(f64::round),
        Some(504.0)
    );

    let more = run(
        dir.path(),
        "batch in.jsonl --policy sales.md --out out.jsonl --retry-undetermined --seed 1 --max-analysis-tokens 1",
    );
    assert!(!stderr(&more).contains("the file has verdicts of"), "{}", stderr(&more));
}

#[test]
fn a_budget_that_makes_no_sense_is_refused_with_an_example() {
    let dir = folder(3);
    fs::write(dir.path().join("host.txt"), "no number").expect("written");
    for (budget, part) in [
        ("", "give one of share"),
        ("share = 0.1\ntokens_per_second = 9", "give one of share"),
        ("share = 0.1", "host_per_second"),
        ("tokens_per_second = 100\nhost_per_second = 5", "host_per_second"),
        ("share = 1.5\nhost_per_second = 5", "1.5 is not between 0 and 1"),
        ("share = 0.5\nhost_file = \"host.txt\"", "host.txt: is not one number"),
        ("share = 0.5\nhost_file = \"none.txt\"", "none.txt"),
        ("tokens_per_second = 100\nwindow_s = 1", "window_ms"),
        ("tokens_per_second = 1", "a window holds 60"),
        ("tokens_per_second = 1\nmay_wait = 3", "unknown field"),
    ] {
        let output = batch(dir.path(), &format!("[budget]\n{budget}\n"));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{budget}: {said}");
        assert!(said.contains(part), "{budget}: {said}");
    }
}

#[test]
fn a_share_goes_by_the_hosts_own_counter() {
    let dir = folder(12);
    let counter =
        "# TYPE gpu counter\ngpu_tokens_total{node=\"a\"} 5e6\ngpu_tokens_total{node=\"b\"} 1\n";
    fs::write(dir.path().join("host.prom"), counter).expect("written");
    let budget = "[budget]\nshare = 0.16\nhost_per_second = 30000\nhost_file = \"host.prom\"\nhost_metric = \"gpu_tokens_total\"\n";
    let output = batch(dir.path(), budget);
    assert!(
        verdicts(dir.path()).iter().all(|verdict| verdict["cause"] != "over_budget"),
        "{}",
        stderr(&output)
    );
    assert!(
        metric(dir.path(), "safeguard_budget_used_total{unit=\"tokens\"}").expect("spent") > 0.0
    );
}

#[test]
fn routes_are_learned_from_a_run_at_every_effort_and_used() {
    let dir = folder(102);
    let learn = "eval --data in.jsonl --label sale=sales.md --no-cache --seed 1 --max-analysis-tokens 1 --routes-out routes.toml";
    let output = run(dir.path(), &format!("{learn} --limit 99"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("99 cases are too few"), "{}", stderr(&output));
    let direct = run(dir.path(), &learn.replace("--max-analysis-tokens 1", "--direct"));
    assert_eq!(direct.status.code(), Some(2), "it has no effort to be routed by");
    let said = stderr(&direct);
    assert!(said.contains("cannot be used with") && said.contains("--direct"), "{said}");
    let output = run(dir.path(), learn);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("effort low") && said.contains("tokens saved"), "{said}");
    let routes = fs::read_to_string(dir.path().join("routes.toml")).expect("routes");
    assert!(routes.contains("cases = 102") && routes.contains("[routes]"), "{routes}");

    // Every answer is in doubt, at every effort.
    let (about, _) = routes.split_once("[routes]").expect("a table");
    let doubtful = format!("{about}[routes]\nstart = 0\nmargins = [0.6, 0.6, 0.6]\n");
    fs::write(dir.path().join("routes.toml"), doubtful).expect("written");
    fs::write(dir.path().join("in.jsonl"), rows(0..4)).expect("written");
    let output = batch(dir.path(), "routes = \"routes.toml\"\n");
    let said = stderr(&output);
    assert!(said.contains("high 4, by a bigger model 0; for a person to look at: 4"), "{said}");
    assert_eq!(metric(dir.path(), "safeguard_for_person_total"), Some(4.0));
    for verdict in verdicts(dir.path()) {
        assert_eq!(verdict["doubts"][0], "the score is near one half", "{verdict}");
    }
    let bigger = "[bigger]\nmodel = \"builtin\"\n";
    fs::remove_file(dir.path().join("out.jsonl")).expect("it was there");
    let said = stderr(&batch(dir.path(), &format!("routes = \"routes.toml\"\n{bigger}")));
    assert!(said.contains("high 0, by a bigger model 4"), "{said}");
    for verdict in verdicts(dir.path()) {
        assert_ne!(verdict["doubts"][0], "the score is near one half", "no margin is known of it");
    }
    let said = stderr(&batch(dir.path(), bigger));
    assert!(said.contains("a bigger model is asked by routes"), "{said}");

    fs::write(dir.path().join("routes.toml"), "start = 0\n").expect("written");
    let said = stderr(&batch(dir.path(), "routes = \"routes.toml\"\n"));
    assert!(said.contains("routes.toml") && said.contains("--routes-out"), "{said}");
}

#[test]
fn what_was_judged_is_remembered_from_run_to_run() {
    let dir = folder(5);
    let memory = "cache_mb = 1\ncache_file = \"verdicts.cache\"\n";
    for (n_known, n_new) in [(0, 5), (5, 0)] {
        let _ = fs::remove_file(dir.path().join("out.jsonl"));
        let said = stderr(&batch(dir.path(), memory));
        let expected =
            format!("letter for letter: {n_known}, but for case and spaces: 0, not known: {n_new}");
        assert!(said.contains(&expected), "{said}");
    }
    let item = |key: &str| json!({"id": key, "text": "one text", "metadata": {"key": key}});
    fs::write(dir.path().join("in.jsonl"), format!("{}\n{}\n", item("a"), item("b")))
        .expect("written");
    fs::remove_file(dir.path().join("out.jsonl")).expect("removed");
    fs::remove_file(dir.path().join("verdicts.cache")).expect("removed");
    let said = stderr(&batch(dir.path(), memory));
    assert!(said.contains("spaces: 0, not known: 0"), "metadata may decide: {said}");
    assert_eq!(fs::read(dir.path().join("verdicts.cache")).expect("a file"), b"");

    let careless = format!("cache_ignores_metadata = true\n{memory}");
    fs::remove_file(dir.path().join("out.jsonl")).expect("removed");
    let text = json!({"id": "c", "text": "one text"});
    fs::write(dir.path().join("in.jsonl"), format!("{}\n", item("a"))).expect("written");
    batch(dir.path(), &careless);
    fs::write(dir.path().join("in.jsonl"), format!("{text}\n")).expect("written");
    let said = stderr(&batch(dir.path(), &careless));
    assert!(said.contains("letter for letter: 1"), "{said}");

    fs::write(dir.path().join("verdicts.cache"), "{}\n").expect("written");
    let said = stderr(&batch(dir.path(), memory));
    assert!(said.contains("verdicts.cache:1: not a verdict") && said.contains("hint:"), "{said}");
    let said = stderr(&batch(dir.path(), "cache_file = \"verdicts.cache\"\n"));
    assert!(said.contains("without cache_mb"), "{said}");
}

#[test]
fn two_runs_do_not_count_for_one_audit() {
    let dir = folder(300);
    for args in [
        "filter train --data in.jsonl --label sale --out sale.filter",
        "filter calibrate sale.filter --data more.jsonl --recall 0.9 --policy sales.md",
    ] {
        fs::write(dir.path().join("more.jsonl"), rows(300..600)).expect("written");
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    fs::write(dir.path().join("in.jsonl"), rows(600..660)).expect("written");
    let settings = "[[filter]]\nfile = \"sale.filter\"\naudit_rate = 0.2\naudit_seed = 1\n";
    let held = File::open(dir.path().join("sale.filter")).expect("a filter");
    held.lock().expect("held as by another run");
    let output = batch(dir.path(), settings);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("another run counts for this filter's audit") && said.contains("hint:"));
    assert!(!dir.path().join("out.jsonl").exists());
    held.unlock().expect("let go");

    let said = stderr(&batch(dir.path(), settings));
    assert!(said.contains("of 60 items so far"), "{said}");
    let sample = "safeguard_audit_items_total{filter=\"sale.filter\",policy=\"sales\"}";
    assert_eq!(metric(dir.path(), sample), Some(60.0));
    let sample = "safeguard_audit_alarm{filter=\"sale.filter\",policy=\"sales\"}";
    assert!(metric(dir.path(), sample).is_some());
}

#[test]
fn votes_and_raised_thresholds_are_settings_of_their_own() {
    let dir = folder(150);
    let dir = dir.path();
    let trained = "filter train --data in.jsonl --label sale --policy sales.md --out sale.filter";
    assert_eq!(run(dir, trained).status.code(), Some(0));
    fs::write(dir.join("more.jsonl"), rows(200..500)).expect("written");
    let proven = "filter calibrate sale.filter --data more.jsonl --recall 0.9";
    assert_eq!(run(dir, proven).status.code(), Some(0));

    let budget = "[budget]\ntokens_per_second = 500\nwindow_s = 6\nmay_raise_threshold = true\n";
    let filter = "[[filter]]\nfile = \"sale.filter\"\naudit_rate = 0.5\n";
    for (settings, problem) in [
        (format!("{budget}{filter}"), "no filter says how far"),
        (format!("{filter}highest_threshold = 0.9\n"), "no budget may raise it"),
        (format!("{budget}{filter}highest_threshold = 0.0\n"), "is not above the proven"),
    ] {
        let refused = batch(dir, &settings);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(problem), "{}", stderr(&refused));
    }

    batch(dir, &format!("{budget}{filter}highest_threshold = 1.0\n"));
    let verdicts = verdicts(dir);
    let left = verdicts.iter().filter(|it| it["given_up"].to_string().contains("filter threshold"));
    let left: Vec<&Value> = left.collect();
    assert!(!left.is_empty());
    for verdict in &left {
        assert_eq!((&verdict["outcome"], &verdict["stage"]), (&json!("clear"), &json!("filter")));
    }
    let counted = metric(dir, "safeguard_budget_given_up_total{step=\"thresholds\"}");
    assert_eq!(counted, Some(left.len() as f64));

    let voted = run(
        dir,
        "classify --policy sales.md --votes 3 --seed 1 --max-analysis-tokens 1 --format json dinner",
    );
    let verdict: Value = serde_json::from_str(&stdout(&voted)).expect("JSON");
    let votes = ["violation", "clear", "undetermined"].map(|said| verdict["votes"][said].as_u64());
    assert_eq!(votes.into_iter().map(|n| n.expect("counted")).sum::<u64>(), 3, "{verdict}");
    let args = "batch in.jsonl --policy sales.md --out voted.jsonl --votes 2 --seed 1 --max-analysis-tokens 1";
    run(dir, args);
    let line = fs::read_to_string(dir.join("voted.jsonl")).expect("verdicts");
    assert!(line.contains("\"votes\":{\"violation\":"), "{line}");
}
