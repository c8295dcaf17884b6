//! `safeguard filter` as people run it: trained, proven, run and looked into, on items made of words.

mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use program::{command, stderr, stdout};
use serde_json::{Value, json};

/// Words of items that have the label, and of items that have not.
const SOLD: [&str; 6] = ["selling", "for sale", "cheap offer", "buy now", "price", "discount"];
const TALK: [&str; 6] = ["yesterday", "my garden", "weather", "the match", "dinner", "holiday"];
const ANY: [&str; 8] =
    ["account", "friend", "today", "really", "please", "again", "house", "music"];

/// Numbered rows, every third with the label; what differs between two numbers is words.
fn rows(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        let is_sold = n.is_multiple_of(3);
        let telling = if is_sold { SOLD[n / 3 % 6] } else { TALK[n % 6] };
        let text = format!("{} {telling} {} {} {n}", ANY[n % 8], ANY[n / 8 % 8], ANY[n / 64 % 8]);
        json!({"id": format!("item-{n}"), "text": text, "labels": {"sale": usize::from(is_sold)}})
    };
    numbers.map(|n| format!("{}\n", row(n))).collect()
}

fn filter(dir: &Path, args: &[&str]) -> Output {
    let args: Vec<&str> = ["filter"].into_iter().chain(args.iter().copied()).collect();
    command(dir, &args).output().expect("the program starts")
}

/// A folder with a filter trained on 300 rows, and 300 others.
fn trained() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("train.jsonl"), rows(0..300)).expect("written");
    fs::write(dir.path().join("more.jsonl"), rows(300..600)).expect("written");
    let args = ["train", "--data", "train.jsonl", "--label", "sale", "--out", "sale.filter"];
    let output = filter(dir.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("AUPRC"), "{}", stdout(&output));
    assert!(stderr(&output).contains("hint:"), "{}", stderr(&output));
    dir
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_filter_is_trained_proven_and_run() {
    let dir = trained();
    let args = ["calibrate", "sale.filter", "--data", "more.jsonl", "--recall", "0.95"];
    let output = filter(dir.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("recall of at least 0.95 proven"), "{}", stdout(&output));

    let output = filter(dir.path(), &["run", "sale.filter", "more.jsonl"]);
    let scored = lines(&stdout(&output));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(scored.len(), 300);
    let n_passed = scored.iter().filter(|line| line["pass"] == true).count();
    assert!((95..200).contains(&n_passed), "{n_passed} of 300 passed on, 100 must be");
    let ids: Vec<&str> = scored.iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!((ids[0], ids[299]), ("item-300", "item-599"), "the order is kept");
    let one = filter(dir.path(), &["run", "sale.filter", "more.jsonl", "--threads", "1"]);
    assert_eq!(stdout(&one), stdout(&output), "whatever the number of threads");
}

#[test]
fn too_few_positives_are_refused_and_change_nothing() {
    let dir = trained();
    let before = fs::read(dir.path().join("sale.filter")).expect("a filter");
    let output = filter(dir.path(), &["calibrate", "sale.filter", "--data", "more.jsonl"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("it takes 299, so 199 more"), "{said}");
    assert_eq!(fs::read(dir.path().join("sale.filter")).expect("a filter"), before);
}

#[test]
fn rows_that_training_saw_prove_nothing() {
    let dir = trained();
    let output = filter(dir.path(), &["calibrate", "sale.filter", "--data", "train.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("has seen every row"), "{}", stderr(&output));
    fs::write(dir.path().join("both.jsonl"), rows(0..600)).expect("written");
    let args = ["calibrate", "sale.filter", "--data", "both.jsonl", "--recall", "0.9"];
    let output = filter(dir.path(), &args);
    assert!(stderr(&output).contains("300 rows left out"), "{}", stderr(&output));
    assert!(stdout(&output).contains("on 100 positives"), "{}", stdout(&output));
}

#[test]
fn the_same_seed_makes_the_same_file() {
    let (one, other) = (trained(), trained());
    let bytes =
        |dir: &tempfile::TempDir| fs::read(dir.path().join("sale.filter")).expect("a filter");
    assert!(bytes(&one) == bytes(&other));
    assert!(bytes(&one).len() <= 8 << 20);
}

#[test]
fn without_a_calibration_everything_goes_on() {
    let dir = trained();
    let output = filter(dir.path(), &["run", "sale.filter", "more.jsonl"]);
    assert!(stderr(&output).contains("not calibrated"), "{}", stderr(&output));
    assert!(lines(&stdout(&output)).iter().all(|line| line["pass"] == true));
}

#[test]
fn a_score_is_explained_by_its_words() {
    let dir = trained();
    let args = ["show", "sale.filter", "my account for sale", "--format", "json"];
    let shown: Value = serde_json::from_str(&stdout(&filter(dir.path(), &args))).expect("JSON");
    assert!(shown["score"].as_f64().expect("a score") > 0.5, "{shown}");
    let features = shown["features"].as_array().expect("features");
    assert!(features.iter().any(|it| it["feature"] == "sale"), "{shown}");
    let about = stdout(&filter(dir.path(), &["show", "sale.filter"]));
    assert!(about.contains("calibrated   no") && about.contains("no policy"), "{about}");
}

#[test]
fn bad_input_is_named_and_the_rest_is_scored() {
    let dir = trained();
    let long = format!(r#"{{"id":"long","text":"{}"}}"#, "sale ".repeat(400_000));
    let hidden = format!(r#"{{"id":"hidden","text":"{}a"}}"#, "\\u200b".repeat(100_000));
    let same = format!(r#"{{"id":"same","text":"{}"}}"#, "a".repeat(1_000_000));
    let text = format!(
        "{{\n\u{1}\n{{\"id\":\"a\"}}\n{long}\n{hidden}\n{same}\n{{\"id\":\"b\",\"text\":\"x\"}}\n"
    );
    fs::write(dir.path().join("odd.jsonl"), text).expect("written");
    let output = filter(dir.path(), &["run", "sale.filter", "odd.jsonl"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(["line 1:", "line 2:", "line 3:"].iter().all(|line| said.contains(line)), "{said}");
    let ids: Vec<Value> = lines(&stdout(&output)).iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, ["long", "hidden", "same", "b"]);
}

#[test]
fn what_cannot_be_done_is_said_with_a_hint() {
    let dir = trained();
    fs::write(dir.path().join("few.jsonl"), rows(0..9)).expect("written");
    fs::write(dir.path().join("bad.jsonl"), "{}\n[]\n").expect("written");
    let train = |data, label| vec!["train", "--data", data, "--label", label, "--out", "x.filter"];
    for (args, parts) in [
        (
            train("train.jsonl", "other"),
            &["no item has the label \"other\"", "its labels are sale"][..],
        ),
        (train("few.jsonl", "sale"), &["3 rows have it and 6 do not", "hint:"]),
        (train("bad.jsonl", "sale"), &["line 1", "line 2"]),
        (train("none.jsonl", "sale"), &["none.jsonl"]),
        (vec!["run", "train.jsonl", "train.jsonl"], &["not a filter's file", "hint:"]),
        (vec!["show", "none.filter"], &["none.filter", "hint:"]),
        (
            vec!["calibrate", "sale.filter", "--data", "more.jsonl", "--recall", "1"],
            &["cannot be promised"],
        ),
    ] {
        let output = filter(dir.path(), &args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{args:?}: {said}");
    }
    assert!(!dir.path().join("x.filter").exists());
}

const POLICY: &str = "# Sales (#SA), version 1\n\n## VIOLATES (violation = 1)\n- SA1 Sale: offers something for sale.\n\n## SAFE (violation = 0)\n- SA0.a Talk: talks about something else.\n";

/// As [`trained`], bound to a policy and proven at a recall of 0.9.
fn proven() -> tempfile::TempDir {
    let dir = trained();
    fs::write(dir.path().join("sales.md"), POLICY).expect("written");
    let args = "calibrate sale.filter --data more.jsonl --recall 0.9 --policy sales.md";
    let output = filter(dir.path(), &args.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    fs::write(dir.path().join("in.jsonl"), rows(600..660)).expect("written");
    dir
}

/// `safeguard batch` over `in.jsonl`, with thoughts kept short.
fn batch(dir: &Path, cascade: &str, out: &str) -> Output {
    let args = format!(
        "batch in.jsonl --policy sales.md --out {out} --cascade {cascade} --seed 1 --max-analysis-tokens 8"
    );
    command(dir, &args.split(' ').collect::<Vec<_>>()).output().expect("the program starts")
}

fn verdicts(dir: &Path, out: &str) -> Vec<Value> {
    lines(&fs::read_to_string(dir.join(out)).expect("verdicts"))
}

#[test]
fn what_the_filter_stops_is_clear_and_the_rest_is_judged() {
    let dir = proven();
    let output = batch(dir.path(), "sale.filter", "out.jsonl");
    let said = stderr(&output);
    assert!(said.contains("of 60 items so far"), "{said}");
    let verdicts = verdicts(dir.path(), "out.jsonl");
    assert_eq!(verdicts.len(), 60);
    let (stopped, judged): (Vec<&Value>, Vec<&Value>) =
        verdicts.iter().partition(|verdict| verdict["stage"] == "filter");
    assert!(stopped.len() > 20 && judged.len() >= 18, "{} {}", stopped.len(), judged.len());
    for verdict in stopped {
        assert_eq!(verdict["outcome"], "clear", "{verdict}");
        assert_eq!(verdict["score_method"], "filter", "{verdict}");
        assert!(verdict["rationale"].as_str().is_some_and(|it| it.contains("0.9")), "{verdict}");
    }
    assert!(judged.iter().all(|verdict| verdict["score_method"] == "logprob"));

    let recalibrate = "calibrate sale.filter --data more.jsonl --recall 0.8 --policy sales.md";
    filter(dir.path(), &recalibrate.split(' ').collect::<Vec<_>>());
    fs::write(dir.path().join("in.jsonl"), rows(600..690)).expect("written");
    let said = stderr(&batch(dir.path(), "sale.filter", "out.jsonl"));
    assert!(said.contains("the file has verdicts of \"filter") && said.contains("hint:"), "{said}");

    let args = "calibrate sale.filter --data in.jsonl --distill out.jsonl --policy sales.md";
    let output = filter(dir.path(), &args.split(' ').collect::<Vec<_>>());
    let said = stderr(&output);
    assert!(said.contains("a verdict of a filter") && said.contains("without --cascade"), "{said}");
}

#[test]
fn the_audit_goes_on_from_run_to_run_and_draws_the_same_items() {
    let dir = proven();
    let settings = "[[filter]]\nfile = \"sale.filter\"\naudit_rate = 0.5\naudit_seed = 3\non_alarm = \"keep\"\n";
    fs::write(dir.path().join("cascade.toml"), settings).expect("written");
    for (out, n_items) in [("a.jsonl", "of 60 items"), ("b.jsonl", "of 120 items")] {
        let said = stderr(&batch(dir.path(), "cascade.toml", out));
        assert!(said.contains(n_items), "{said}");
    }
    let stages = |out: &str| {
        let stage = |verdict: &Value| verdict["stage"].clone();
        verdicts(dir.path(), out).iter().map(stage).collect::<Vec<_>>()
    };
    assert_eq!(stages("a.jsonl"), stages("b.jsonl"));
    let n_stopped = stages("a.jsonl").iter().filter(|stage| **stage == "filter").count();
    assert!((8..35).contains(&n_stopped), "about half of some forty: {n_stopped}");
}

#[test]
fn a_filter_that_may_not_serve_is_refused() {
    let dir = trained();
    fs::write(dir.path().join("sales.md"), POLICY).expect("written");
    fs::write(dir.path().join("in.jsonl"), rows(600..603)).expect("written");
    let refused = |dir: &Path, parts: &[&str]| {
        let output = batch(dir, "sale.filter", "out.jsonl");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    refused(dir.path(), &["not calibrated", "hint:"]);
    let dir = proven();
    fs::write(dir.path().join("sales.md"), POLICY.replace("something", "anything"))
        .expect("written");
    refused(dir.path(), &["the filter was made for policy", "hint: prove it for this version"]);
    fs::write(dir.path().join("cascade.toml"), "[[filter]]\nfil = \"x\"\n").expect("written");
    let output = batch(dir.path(), "cascade.toml", "out.jsonl");
    assert!(stderr(&output).contains("cascade.toml") && stderr(&output).contains("hint:"));
}

#[test]
fn an_evaluation_sees_what_the_cascade_would_answer() {
    let dir = proven();
    let args = "eval --data more.jsonl --label sale=sales.md --cascade sale.filter --limit 40 --no-cache --seed 1 --max-analysis-tokens 8 --format json";
    let output =
        command(dir.path(), &args.split(' ').collect::<Vec<_>>()).output().expect("started");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!dir.path().join("sale.filter.audit.json").exists(), "a trial is no traffic");
}

#[test]
fn what_was_judged_before_is_not_judged_again() {
    let dir = proven();
    let again = [("a", "Selling my bike"), ("b", "SELLING  my bike"), ("c", "Selling my bike")];
    let line = |(id, text)| format!("{}\n", json!({"id": id, "text": text}));
    fs::write(dir.path().join("in.jsonl"), again.map(line).concat()).expect("written");
    fs::write(dir.path().join("cascade.toml"), "cache_mb = 1\n").expect("written");
    let args = "batch in.jsonl --policy sales.md --out out.jsonl --cascade cascade.toml --max-inflight 1 --max-analysis-tokens 8";
    let output =
        command(dir.path(), &args.split(' ').collect::<Vec<_>>()).output().expect("started");
    let said = stderr(&output);
    assert!(
        said.contains("known letter for letter: 1, but for case and spaces: 1, not known: 1"),
        "{said}"
    );
    let verdicts = verdicts(dir.path(), "out.jsonl");
    let outcomes: Vec<&Value> = verdicts.iter().map(|verdict| &verdict["outcome"]).collect();
    assert!(outcomes.iter().all(|outcome| **outcome == *outcomes[0]), "{outcomes:?}");
    assert_eq!(verdicts[2]["usage"]["generated_tokens"], 0);
}

/// `safeguard ARGS` in a folder.
fn run(dir: &Path, args: &str) -> Output {
    let args: Vec<&str> = args.split(' ').collect();
    command(dir, &args).output().expect("the program starts")
}

const PROMOTE: &str = "filter promote sale.filter --data fresh.jsonl --policy sales.md --seed 1 --max-analysis-tokens 1 --format json";

#[test]
fn a_filter_that_beats_the_model_decides_by_itself() {
    let dir = proven();
    fs::write(dir.path().join("fresh.jsonl"), rows(660..860)).expect("written");
    let output = run(dir.path(), PROMOTE);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let compared: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(compared["promoted"], true, "{compared}");
    assert!(compared["f1_difference"]["low"].as_f64().expect("a number") > 0.0, "{compared}");
    let about = stdout(&run(dir.path(), "filter show sale.filter"));
    assert!(about.contains("decides      ") && about.contains("violation from"), "{about}");

    batch(dir.path(), "sale.filter", "out.jsonl");
    let verdicts = verdicts(dir.path(), "out.jsonl");
    let decided: Vec<&Value> =
        verdicts.iter().filter(|verdict| verdict["stage"] == "classifier").collect();
    let violations: Vec<&&Value> =
        decided.iter().filter(|verdict| verdict["outcome"] == "violation").collect();
    assert!(violations.len() >= 15, "{} of 20 sales", violations.len());
    for verdict in violations {
        assert_eq!(verdict["label"], "SA1", "{verdict}");
        assert!(verdict["model"].as_str().is_some_and(|it| it.starts_with("classifier ")));
        assert!(verdict["rationale"].as_str().is_some_and(|it| it.contains("decides by itself")));
    }

    let said = stderr(&run(
        dir.path(),
        "filter calibrate sale.filter --data more.jsonl --recall 0.9 --policy sales.md",
    ));
    assert!(said.contains("promote it anew"), "{said}");
    let about = stdout(&run(dir.path(), "filter show sale.filter"));
    assert!(!about.contains("decides"), "{about}");
}

#[test]
fn a_filter_that_is_no_better_changes_nothing() {
    let dir = proven();
    fs::write(dir.path().join("fresh.jsonl"), rows(660..860)).expect("written");
    let before = fs::read(dir.path().join("sale.filter")).expect("a filter");
    // A model that is always right: nobody is better.
    let right = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let outcome = if row["labels"]["sale"] == 1 { "violation" } else { "clear" };
        let id = policy_id(dir.path());
        let verdict = json!({"id": row["id"], "policy_id": id, "outcome": outcome, "stage": "reasoner", "model": "oracle"});
        format!("{verdict}\n")
    };
    let verdicts: String = rows(660..860).lines().map(right).collect();
    fs::write(dir.path().join("oracle.jsonl"), verdicts).expect("written");
    let output = run(
        dir.path(),
        "filter promote sale.filter --data fresh.jsonl --policy sales.md --verdicts oracle.jsonl",
    );
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("oracle") && stdout(&output).contains("difference"));
    assert!(stderr(&output).contains("nothing is changed"), "{}", stderr(&output));
    let refused = |args: &str, parts: &[&str]| {
        let output = run(dir.path(), args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{args}: {said}");
    };
    let seen = "filter promote sale.filter --data more.jsonl --policy sales.md";
    refused(seen, &["training or calibration has seen every item", "hint:"]);
    let oracle = fs::read_to_string(dir.path().join("oracle.jsonl")).expect("verdicts");
    let direct = oracle.replacen('{', "{\"score_method\":\"direct\",", 1);
    fs::write(dir.path().join("direct.jsonl"), direct).expect("written");
    let promote = "filter promote sale.filter --data fresh.jsonl --policy sales.md";
    for (args, place) in [("--verdicts direct.jsonl", "direct.jsonl"), ("--direct", "--direct")] {
        refused(&format!("{promote} {args}"), &[place, "direct verdicts are not", "hint:"]);
    }
    fs::write(dir.path().join("fresh.jsonl"), rows(660..700)).expect("written");
    let few =
        "filter promote sale.filter --data fresh.jsonl --policy sales.md --verdicts oracle.jsonl";
    refused(few, &["14 violations and 26 clear", "hint:"]);
    assert_eq!(fs::read(dir.path().join("sale.filter")).expect("a filter"), before);
}

/// The identity of the policy that the filter is bound to.
fn policy_id(dir: &Path) -> Value {
    let about = stdout(&run(dir, "filter show sale.filter --format json"));
    let about: Value = serde_json::from_str(&about).expect("JSON");
    about["policy"]["id"].clone()
}

#[test]
fn verdicts_stand_in_for_labels_that_nobody_gave() {
    let dir = tempfile::tempdir().expect("a folder");
    let labelled = rows(0..90).replace("\"sale\"", "\"violation\"");
    let bare: String = rows(90..130).lines().map(unlabelled).collect();
    fs::write(dir.path().join("sales.md"), POLICY).expect("written");
    fs::write(dir.path().join("in.jsonl"), &bare).expect("written");
    fs::write(dir.path().join("all.jsonl"), labelled + &bare).expect("written");
    let run = |args: &str| {
        let args: Vec<&str> = args.split(' ').collect();
        command(dir.path(), &args).output().expect("the program starts")
    };
    run("batch in.jsonl --policy sales.md --out out.jsonl --seed 1 --max-analysis-tokens 8");
    let train = "filter train --data all.jsonl --distill out.jsonl --policy sales.md --out x.filter --format json";
    let output = run(train);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let about: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let of_side = |side: &str| about["training"]["labels"][0][side].as_u64().expect("a count");
    assert_eq!(about["labels"], json!(["violation"]));
    assert_eq!(about["policy"]["name"], "sales");
    assert_eq!(of_side("n_positives") + of_side("n_negatives"), 130);

    fs::write(dir.path().join("sales.md"), POLICY.replace("something", "anything"))
        .expect("written");
    let said = stderr(&run(train));
    assert!(
        said.contains("no verdict is of sales as it is now") && said.contains("hint:"),
        "{said}"
    );
}

#[test]
fn whatever_batch_takes_can_be_distilled_and_rules_are_told_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("sales.md"), POLICY).expect("written");
    // Numbers as ids, OpenAI's request lines with many inputs, and labels of people.
    let numbered = |n: usize| json!({"id": n, "text": format!("{} {n}", SOLD[n % 6])});
    let asked = |n: usize| {
        let input = [format!("{} {n}", TALK[n % 6]), format!("{} {n}", ANY[n % 8])];
        json!({"custom_id": format!("m{n}"), "url": "/v1/moderations", "body": {"input": input}})
    };
    let human = json!({"id": "h", "text": "for sale", "labels": {"violation": 1}});
    let lines = (0..40).map(numbered).chain((0..20).map(asked)).chain([human]);
    let items: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(dir.path().join("in.jsonl"), items).expect("written");
    let verdict = |id: String, is_sale: bool| {
        let (outcome, rule) = if is_sale { ("violation", "SA1") } else { ("clear", "SA0") };
        let line = json!({"id": id, "policy_id": "POLICY", "outcome": outcome, "stage": "reasoner", "model": "m", "rule_ids": [rule]});
        format!("{line}\n")
    };
    let sold = (0..40).map(|n| verdict(n.to_string(), true));
    let talk = (0..20).flat_map(|n| (0..2).map(move |at| verdict(format!("m{n}/{at}"), false)));
    let verdicts: String = sold.chain(talk).collect();
    let batch = "batch in.jsonl --policy sales.md --out real.jsonl --max-analysis-tokens 1";
    run(dir.path(), batch);
    let real = fs::read_to_string(dir.path().join("real.jsonl")).expect("verdicts");
    let first: Value = serde_json::from_str(real.lines().next().expect("a line")).expect("JSON");
    let id = first["policy_id"].as_str().expect("an id");
    fs::write(dir.path().join("out.jsonl"), verdicts.replace("POLICY", id)).expect("written");

    let train = "filter train --data in.jsonl --distill out.jsonl --policy sales.md --out x.filter --format json";
    let output = run(dir.path(), train);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let label = &report["training"]["labels"][0];
    assert_eq!((&label["n_positives"], &label["n_negatives"]), (&json!(41), &json!(40)));
    assert_eq!(report["per_rule"][0]["rule"], "SA1", "{report}");
    assert_eq!(report["per_rule"][0]["positives"], 40);
    assert!(report["per_rule"][0]["caught"].as_u64().expect("a count") >= 30, "{report}");

    // Without a file the model judges now; the built-in one finds too few sales to train on.
    let fresh = "filter train --data in.jsonl --distill --policy sales.md --out y.filter --max-analysis-tokens 1";
    let said = stderr(&run(dir.path(), fresh));
    assert!(said.contains("the built-in model judges"), "{said}");
}

/// The row as it comes from traffic.
fn unlabelled(line: &str) -> String {
    let mut row: Value = serde_json::from_str(line).expect("JSON");
    row.as_object_mut().expect("an object").remove("labels");
    format!("{row}\n")
}

/// A tiny encoder of random weights.
fn encoder() -> String {
    let fixtures = "../cascade/tests/fixtures/embed/bert";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixtures);
    folder.to_str().expect("a plain path").to_owned()
}

#[test]
fn a_filter_of_embeddings_finds_its_encoder_and_refuses_any_other() {
    let dir = trained();
    let mut train = vec!["train", "--data", "train.jsonl", "--label", "sale", "--out", "e.filter"];
    let tiny = encoder();
    train.extend(["--embed", &tiny, "--cost", "4"]);
    let output = filter(dir.path(), &train);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let output = filter(dir.path(), &["show", "e.filter"]);
    assert!(stdout(&output).contains("n-grams and embedding bert "), "{}", stdout(&output));
    let output = filter(dir.path(), &["show", "e.filter", "a house for sale", "--top", "1000"]);
    assert!(stdout(&output).contains("(vector)"), "{}", stdout(&output));

    // Proven and run with the encoder that the filter remembers, or the same at another place.
    let args = ["calibrate", "e.filter", "--data", "more.jsonl", "--recall", "0.9"];
    let output = filter(dir.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let one = filter(dir.path(), &["run", "e.filter", "more.jsonl", "--threads", "1"]);
    let other = filter(dir.path(), &["run", "e.filter", "more.jsonl", "--embed", &tiny]);
    assert_eq!((one.status.code(), lines(&stdout(&one)).len()), (Some(0), 300));
    assert_eq!(stdout(&one), stdout(&other), "whatever the number of threads");

    let other = encoder().replace("embed/bert", "embed/roberta");
    for (place, expected) in [
        (other.as_str(), "the encoder given is embedding roberta"),
        ("./nowhere", "./nowhere: no such directory"),
    ] {
        let output = filter(dir.path(), &["run", "e.filter", "more.jsonl", "--embed", place]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && said.contains("hint:"), "{said}");
    }
    let output = filter(dir.path(), &["run", "sale.filter", "more.jsonl", "--embed", &tiny]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("reads no sentence embeddings"), "{}", stderr(&output));

    train.push("--no-ngrams");
    let output = filter(dir.path(), &train);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let size = fs::metadata(dir.path().join("e.filter")).expect("a filter").len();
    assert!(size < 10_000, "{size} bytes for 32 numbers");
    let folder = dir.path().to_str().expect("a plain path").to_owned();
    let output = filter(
        dir.path(),
        &["train", "--data", "train.jsonl", "--label", "sale", "--out", "x", "--embed", &folder],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("config.json: cannot be read"), "{}", stderr(&output));
}

#[test]
fn a_probe_reads_the_model_and_knows_one_policy_alone() {
    let dir = trained();
    let policy =
        "## VIOLATES\n- S1 something is offered for sale\n\n## SAFE\n- S0.a anything else\n";
    fs::write(dir.path().join("sale.md"), policy).expect("written");
    fs::write(dir.path().join("other.md"), policy.replace("for sale", "or sought"))
        .expect("written");
    let train =
        ["train", "--data", "train.jsonl", "--label", "sale", "--out", "p.filter", "--cost", "4"];
    let probe = [&train[..], &["--probe", "--policy", "sale.md"]].concat();
    let output = filter(dir.path(), &probe);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let args = ["calibrate", "p.filter", "--data", "more.jsonl", "--recall", "0.95"];
    let output = filter(dir.path(), &[&args[..], &["--policy", "sale.md"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let run = ["run", "p.filter", "more.jsonl", "--policy", "sale.md"];
    let (one, again) = (filter(dir.path(), &run), filter(dir.path(), &run));
    assert_eq!(one.status.code(), Some(0), "{}", stderr(&one));
    assert_eq!(stdout(&one), stdout(&again), "the marker is no chance");
    let n_passed = lines(&stdout(&one)).iter().filter(|line| line["pass"] == true).count();
    assert!((95..300).contains(&n_passed), "{n_passed} of 300 passed on, 100 must be");

    let cases: [(&[&str], &str); 4] = [
        (&["run", "p.filter", "more.jsonl"], "reads the policy"),
        (&["run", "p.filter", "more.jsonl", "--policy", "other.md"], "one version of the policy"),
        (&[&run[..], &["--embed", "."]].concat(), "no sentence embeddings"),
        (&[&train[..], &["--probe"]].concat(), "--policy"),
    ];
    for (args, said) in cases {
        let output = filter(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
    }

    let args = "classify --policy sale.md --cascade p.filter --seed 1";
    let args: Vec<&str> = args.split(' ').chain(["cheap offer, buy now"]).collect();
    let output = command(dir.path(), &args).output().expect("the program starts");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
}
