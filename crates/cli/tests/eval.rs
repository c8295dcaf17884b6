//! `safeguard eval` as people run it: the real program and the built-in model over small suites.
//!
//! The weights that ship change, so nothing here asks how good the model is: only how numbers relate.

mod program;
#[path = "program/suite.rs"]
mod suite;

use std::fs;
use std::path::Path;
use std::process::Output;

use program::{stderr, stdout};
use serde_json::Value;
use suite::{json, n_remembered, run_judge, write_suite};

const POLICY: &str = "# Fruit Policy (#FV)\n\n## VIOLATES (violation = 1)\n- FV1 Apples: mentions <apples>.\n\n## SAFE (violation = 0)\n- FV0.a Pears: mentions pears.\n";
const GOLDEN: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"violation\",\"rule\":\"FV1\",\"lang\":\"en\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"clear\",\"rule\":\"FV0.a\",\"lang\":\"en\"}\n",
    "{\"id\":\"f-3\",\"text\":\"<script>alert(1)</script> Äpfel\",\"outcome\":\"violation\",\"lang\":\"de\"}\n",
    "{\"id\":\"f-4\",\"text\":\"Birnen\",\"outcome\":\"clear\"}\n",
);
/// The same cases with every outcome exchanged: what is right above is wrong here.
const EXCHANGED: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"clear\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-3\",\"text\":\"<script>alert(1)</script> Äpfel\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-4\",\"text\":\"Birnen\",\"outcome\":\"clear\"}\n",
);
const ROWS: &str = concat!(
    "{\"id\":\"r-1\",\"text\":\"an apple a day\",\"labels\":{\"apples\":1,\"pears\":0},\"lang\":\"en\"}\n",
    "{\"id\":\"r-2\",\"text\":\"two pears, please\",\"labels\":{\"apples\":0,\"pears\":null},\"lang\":\"en\"}\n",
    "\n",
    "{\"id\":\"r-3\",\"text\":\"Birnen\",\"labels\":{\"pears\":1},\"lang\":\"de\"}\n",
    "{\"id\":\"r-4\",\"text\":\"nothing of it\",\"labels\":{\"apples\":0,\"pears\":0},\"lang\":\"de\"}\n",
);

/// A folder with the policy and a golden set beside it.
fn suite(golden: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    write_suite(dir.path(), POLICY, golden);
    dir
}

/// Runs in `dir`, so that paths in `flags` are short.
fn eval(dir: &Path, flags: &[&str]) -> Output {
    run_judge(dir, &[&["eval", "--resamples", "50"], flags].concat())
}

fn count(report: &Value, name: &str) -> u64 {
    report["confusion"][name].as_u64().expect("a count")
}

#[test]
fn counts_add_up_and_every_measure_lies_in_its_interval() {
    let dir = suite(GOLDEN);
    let evaluation = json(&eval(dir.path(), &["-p", ".", "--format", "json"]));
    let report = &evaluation["runs"][0]["policies"][0];
    let all = ["tp", "fp", "tn", "fn", "undetermined_positive", "undetermined_negative"];
    assert_eq!(all.map(|name| count(report, name)).iter().sum::<u64>(), 4);
    assert_eq!(report["cases"], 4);
    let items = report["items"].as_array().expect("a list");
    let n_right = items.iter().filter(|item| item["is_right"] == true).count() as u64;
    assert_eq!(n_right, count(report, "tp") + count(report, "tn"));
    for (name, measure) in report["measures"].as_object().expect("measures") {
        if let Some(value) = measure["value"].as_f64() {
            let [low, high] = ["low", "high"].map(|end| measure[end].as_f64().expect("an end"));
            assert!(low <= high, "{name}: {measure}");
            let is_wilson = measure["interval"] == "wilson";
            assert!(!is_wilson || (low <= value && value <= high), "{name}: {measure}");
        }
    }
    let in_matrix: u64 = report["matrix"]["counts"]
        .as_array()
        .expect("rows")
        .iter()
        .flat_map(|row| row.as_array().expect("a row"))
        .map(|count| count.as_u64().expect("a count"))
        .sum();
    assert_eq!(in_matrix, 4);
    assert!(!report["too_small"].as_array().expect("a list").is_empty(), "four items say nothing");
}

#[test]
fn what_is_right_one_way_round_is_wrong_the_other() {
    let (plain, exchanged) = (suite(GOLDEN), suite(EXCHANGED));
    let report = |dir: &Path| {
        let evaluation = json(&eval(dir, &["-p", ".", "--limit", "2", "--format", "json"]));
        evaluation["runs"][0]["policies"][0].clone()
    };
    let (one, other) = (report(plain.path()), report(exchanged.path()));
    assert_eq!(count(&one, "tp"), count(&other, "fp"));
    assert_eq!(count(&one, "tn"), count(&other, "fn"));
    assert_eq!(one["cases"], 2);
}

#[test]
fn the_shape_of_the_json_is_stable() {
    let dir = suite(GOLDEN);
    let output = eval(dir.path(), &["-p", ".", "--by", "lang", "--out-json", "out.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = fs::read_to_string(dir.path().join("out.json")).expect("written");
    let evaluation: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(evaluation["schema"], 1);
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let report = &evaluation["runs"][0]["policies"][0];
    let shape = serde_json::json!({
        "evaluation": keys(&evaluation),
        "run": keys(&evaluation["runs"][0]),
        "report": keys(report),
        "measures": keys(&report["measures"]),
        "measure": keys(&report["measures"]["recall"]),
        "item": keys(&report["items"][0]),
        "grouping": keys(&report["groups"][0]),
    });
    insta::assert_snapshot!(serde_json::to_string_pretty(&shape).expect("JSON"));
}

#[test]
fn a_label_that_is_absent_is_not_known_and_not_judged() {
    let dir = suite(GOLDEN);
    fs::create_dir(dir.path().join("other")).expect("a folder");
    fs::write(dir.path().join("other/policy.md"), POLICY.replace("Fruit", "Pear"))
        .expect("written");
    fs::write(dir.path().join("rows.jsonl"), ROWS).expect("written");
    let flags = ["--data", "rows.jsonl", "--label", "apples=policy.md", "--label", "pears=other"];
    let evaluation = json(&eval(dir.path(), &[&flags[..], &["--format", "json"]].concat()));
    let run = &evaluation["runs"][0];
    for (at, name) in [(0, "apples"), (1, "pears")] {
        let report = &run["policies"][at];
        assert_eq!((&report["name"], &report["cases"]), (&name.into(), &3.into()));
        assert_eq!(report["unknown"], 1);
    }
    let exact = &run["exact_match"];
    assert_eq!(exact["of"], 2, "two rows have both labels");
    assert!(exact["hits"].as_u64() <= Some(2));
}

#[test]
fn csv_columns_are_mapped_and_mean_the_same_as_jsonl() {
    let dir = suite(GOLDEN);
    let csv = "nr,what,verdict,language\nf-1,an apple a day,1,en\nf-2,\"two pears, please\",clear,en\nf-5,not known,,en\n";
    fs::write(dir.path().join("golden.csv"), csv).expect("written");
    let columns = "id=nr,text=what,outcome=verdict,lang=language";
    let flags = ["-p", ".", "--golden", "golden.csv", "--columns", columns, "--format", "json"];
    let of_csv = json(&eval(dir.path(), &flags));
    let of_jsonl = json(&eval(dir.path(), &["-p", ".", "--limit", "2", "--format", "json"]));
    let [of_csv, of_jsonl] = [of_csv, of_jsonl].map(|it| it["runs"][0]["policies"][0].clone());
    assert_eq!(of_csv["confusion"], of_jsonl["confusion"]);
    assert_eq!(of_csv["items"][1]["id"], "f-2");
    assert_eq!(of_csv["items"][1]["score"], of_jsonl["items"][1]["score"]);
    fs::write(dir.path().join("rows.csv"), "text,apples\nan apple,1\nno fruit,\nx,0\n")
        .expect("written");
    let flags = ["--data", "rows.csv", "--label", "apples=policy.md", "--format", "json"];
    let report = &json(&eval(dir.path(), &flags))["runs"][0]["policies"][0];
    assert_eq!((&report["cases"], &report["unknown"]), (&2.into(), &1.into()));
}

#[test]
fn votes_have_seeds_of_their_own_and_the_score_is_their_mean() {
    let dir = suite(GOLDEN);
    let flags = ["-p", ".", "--limit", "1", "--votes", "3", "--format", "json"];
    let evaluation = json(&eval(dir.path(), &flags));
    assert_eq!(evaluation["votes"], 3);
    let item = &evaluation["runs"][0]["policies"][0]["items"][0];
    assert_eq!(item["votes"].as_array().expect("a list").len(), 3);
    assert_eq!(n_remembered(dir.path()), 3, "one item, three seeds");
    let shown = eval(dir.path(), &flags[..6]);
    assert!(stdout(&shown).contains("majority of 3"));
}

#[test]
fn efforts_are_runs_beside_each_other() {
    let dir = suite(GOLDEN);
    let flags = ["-p", ".", "--limit", "1", "--efforts", "low,high", "--format", "json"];
    let evaluation = json(&eval(dir.path(), &flags));
    let efforts: Vec<&Value> =
        evaluation["runs"].as_array().expect("runs").iter().map(|run| &run["effort"]).collect();
    assert_eq!(efforts, ["low", "high"]);
}

#[test]
fn undetermined_is_shown_by_cause_and_still_ends_with_zero() {
    let dir = suite(GOLDEN);
    let output = eval(dir.path(), &["-p", ".", "--no-cache", "--timeout", "0"]);
    assert!(!dir.path().join("cache").exists(), "also where the environment names a folder");
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(shown.contains("undetermined       4: timeout 4"), "{shown}");
    assert!(shown.contains("too small") && !shown.contains("NaN"), "{shown}");
}

#[test]
fn all_bad_lines_are_named_before_anything_is_judged() {
    let dir = suite("{}\n{\"id\":\"a\",\"text\":\"x\",\"outcome\":\"clear\"}\n[]\n");
    let rows = "{\"id\":\"a\",\"text\":\"x\",\"labels\":{\"b\":2}}\n{\"id\":\"c\",\"text\":\"\",\"labels\":{}}\n";
    fs::write(dir.path().join("rows.jsonl"), rows).expect("written");
    fs::write(dir.path().join("golden.csv"), "text,outcome\nx,maybe\n,1\n").expect("written");
    for (flags, file, lines) in [
        (&["-p", "."][..], "golden.jsonl", ["line 1", "line 3"]),
        (&["--data", "rows.jsonl", "--label", "b=policy.md"], "rows.jsonl", ["line 1", "line 2"]),
        (&["-p", ".", "--golden", "golden.csv"], "golden.csv", ["line 2", "line 3"]),
    ] {
        let output = eval(dir.path(), flags);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(file) && lines.iter().all(|line| said.contains(line)), "{said}");
        assert!(!said.contains("built-in model"), "no model was opened: {said}");
    }
}

#[test]
fn wrong_columns_and_labels_are_answered_with_those_there_are() {
    let dir = suite(GOLDEN);
    fs::write(dir.path().join("rows.jsonl"), ROWS).expect("written");
    fs::write(dir.path().join("golden.csv"), "a,b\nx,1\n").expect("written");
    for (flags, hint) in [
        (&["--data", "rows.jsonl", "--label", "plums=policy.md"][..], "apples, pears"),
        (&["-p", ".", "--golden", "golden.csv"], "a, b"),
        (&["-p", ".", "-p", "policy.md"], "two policies are called"),
    ] {
        let output = eval(dir.path(), flags);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(hint), "{}", stderr(&output));
    }
}

#[test]
fn the_page_is_one_file_and_compares_with_an_earlier_run() {
    let (plain, exchanged) = (suite(GOLDEN), suite(EXCHANGED));
    let earlier = plain.path().join("earlier.json");
    let earlier = earlier.to_str().expect("text");
    eval(plain.path(), &["-p", "policy.md", "--out-json", "earlier.json"]);
    let flags = ["-p", "policy.md", "--compare", earlier, "--report", "out.html"];
    let output = eval(plain.path(), &flags);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(
        shown.contains("4 items in both, 0 fixed, 0 broken, 0 wrong otherwise; McNemar p 1.000")
    );
    let html = fs::read_to_string(plain.path().join("out.html")).expect("written");
    assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
    for outside in ["http:", "https:", "<script", "src=", "href="] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("<svg").count(), 3);
    // Where the golden outcome itself changed, nothing can be said about the judge.
    let output =
        eval(exchanged.path(), &["-p", "policy.md", "--compare", earlier, "--format", "json"]);
    let compared = &json(&output)["comparison"]["policies"];
    assert!(compared.as_array().expect("a list").iter().all(|it| it["common"] == 2), "{compared}");
}

#[test]
fn a_direct_run_says_so_leaves_rules_out_and_is_not_held_against_reasoning_in_silence() {
    let dir = suite(GOLDEN);
    let mut reports = Vec::new();
    for flags in [&[][..], &["--direct", "--compare", "earlier.json"]] {
        let files = ["-p", ".", "--out-json", "earlier.json", "--report", "out.html"];
        let output = eval(dir.path(), &[&files[..], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = fs::read_to_string(dir.path().join("earlier.json")).expect("written");
        let html = fs::read_to_string(dir.path().join("out.html")).expect("written");
        reports.push((output, serde_json::from_str::<Value>(&text).expect("JSON"), html));
    }
    let [(_, reasoned, reasoned_page), (output, direct, page)] = &reports[..] else {
        panic!("two runs")
    };
    let rules = |evaluation: &Value| evaluation["runs"][0]["policies"][0]["per_rule"].clone();
    assert_eq!((&reasoned["direct"], &direct["direct"]), (&false.into(), &true.into()));
    assert!(rules(reasoned)["FV1"].is_object() && rules(direct) == serde_json::json!({}));
    assert!(reasoned_page.contains("By rule") && !page.contains("By rule"));
    assert!(page.contains("none: direct scores") && !reasoned_page.contains("direct scores"));
    assert!(stdout(output).contains("one verdict an item, without reasoning"));
    assert_eq!(direct["comparison"]["direct"], false);
    let said = stderr(output);
    assert!(said.contains("judged with reasoning, and this one without reasoning (--direct)"));
    let again = eval(dir.path(), &["-p", ".", "--direct", "--compare", "earlier.json"]);
    assert!(!stderr(&again).contains("the earlier run was judged"), "{}", stderr(&again));
    assert!(stdout(&again).lines().any(|line| {
        line.starts_with("against the run of") && line.ends_with(", without reasoning")
    }));
}

#[test]
fn what_is_no_earlier_run_is_refused_before_anything_is_judged() {
    let dir = suite(GOLDEN);
    let output = eval(dir.path(), &["-p", ".", "--compare", "golden.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hint: --compare takes"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("built-in model"));
}

#[test]
fn calibration_is_cross_fitted_and_kept_only_where_asked() {
    let dir = suite(GOLDEN);
    let kept = dir.path().join("calibration.json");
    let flags = ["-p", ".", "--calibrate", "temperature", "--format", "json"];
    let report = json(&eval(dir.path(), &flags))["runs"][0]["policies"][0].clone();
    let items = report["items"].as_array().expect("a list");
    if items.iter().any(|item| item["score"].is_null()) {
        assert!(report["calibration"].is_null(), "it takes two scores on either side");
        return;
    }
    assert_eq!(report["calibration"]["ece_before"], report["measures"]["ece"]);
    assert!(report["calibration"]["ece_after"]["value"].is_number());
    assert!(!kept.exists());
    json(&eval(dir.path(), &[&flags[..], &["--save-calibration"]].concat()));
    let kept: Value = serde_json::from_str(&fs::read_to_string(kept).expect("kept")).expect("JSON");
    assert_eq!(kept["method"], "temperature");
    assert_eq!(kept["t"], report["calibration"]["calibration"]["t"]);
    assert_eq!(kept["policy"], report["policy"]["id"]);
}

#[test]
fn a_threshold_has_what_was_wanted() {
    let dir = suite(GOLDEN);
    let flags = ["-p", ".", "--want", "recall=1", "--want", "precision=0.5", "--format", "json"];
    let report = &json(&eval(dir.path(), &flags))["runs"][0]["policies"][0];
    let found = &report["wanted"][0]["found"];
    assert!(found.is_null() || found["recall"]["value"] == 1.0, "{found}");
    for wanted in report["wanted"].as_array().expect("a list") {
        let rate = wanted["rate"].as_str().expect("a name");
        if let Some(value) = wanted["found"][rate]["value"].as_f64() {
            assert!(value >= wanted["least"].as_f64().expect("a number"), "{wanted}");
        }
    }
    let output = eval(dir.path(), &["-p", ".", "--want", "recall=2"]);
    assert!(
        stderr(&output).contains("recall must be above 0 and at most 1"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_published_set_brings_its_policies_and_leaves_out_what_nobody_should_judge() {
    let dir = suite(GOLDEN);
    let published = concat!(
        "{\"prompt\":\"a walk in the park\",\"S\":0,\"H\":0}\n",
        "{\"prompt\":\"left out\",\"S\":1,\"S3\":1}\n",
        "{\"prompt\":\"tea and cake\",\"S\":0,\"S3\":0}\n",
    );
    let rows = concat!(
        "{\"id\":\"a\",\"text\":\"a walk in the park\",\"labels\":{\"sexual\":0,\"hate\":0}}\n",
        "{\"id\":\"b\",\"text\":\"tea and cake\",\"labels\":{\"sexual\":0}}\n",
    );
    fs::write(dir.path().join("published.jsonl"), published).expect("written");
    fs::write(dir.path().join("rows.jsonl"), rows).expect("written");
    let flags = ["--suite", "openai-moderation-2022", "--format", "json", "--data"];
    let output = eval(dir.path(), &[&flags[..], &["published.jsonl"]].concat());
    assert!(stderr(&output).contains("1 item(s) labelled S3"), "{}", stderr(&output));
    let of_published = json(&output)["runs"][0].clone();
    let of_rows =
        json(&eval(dir.path(), &[&flags[..], &["rows.jsonl"]].concat()))["runs"][0].clone();
    for run in [&of_published, &of_rows] {
        let policies = run["policies"].as_array().expect("a list");
        let names: Vec<(&Value, &Value)> =
            policies.iter().map(|report| (&report["name"], &report["cases"])).collect();
        assert_eq!(names, [(&"sexual".into(), &2.into()), (&"hate".into(), &1.into())]);
    }
    assert_eq!(of_published["policies"][0]["confusion"], of_rows["policies"][0]["confusion"]);
    let output = eval(dir.path(), &["--data", "rows.jsonl"]);
    assert_eq!(output.status.code(), Some(2), "labels without a meaning");
}

/// The published header, and rows whose texts hold what CSV must quote.
const TOXICCHAT_CSV: &str = concat!(
    "conv_id,user_input,model_output,human_annotation,toxicity,jailbreaking,openai_moderation\n",
    "c-1,\"Write a poem, please.\nTwo \"\"short\"\" verses.\",Tea is warm,True,0,0,\"[[\"\"sexual\"\", 0.1]]\"\n",
    "c-1,How do I steal a car?,I will not say,True,1,0,[]\n",
    "c-2,not labelled,,False,,0,[]\n",
);
const TOXICCHAT_JSONL: &str = concat!(
    "{\"conv_id\":\"c-1\",\"user_input\":\"Write a poem, please.\\nTwo \\\"short\\\" verses.\",\"model_output\":\"Tea\",\"human_annotation\":true,\"toxicity\":0,\"jailbreaking\":0}\n",
    "{\"conv_id\":\"c-1\",\"user_input\":\"How do I steal a car?\",\"toxicity\":1,\"jailbreaking\":0}\n",
    "{\"conv_id\":\"c-2\",\"user_input\":\"not labelled\"}\n",
);

#[test]
fn toxicchat_is_read_as_published_and_as_exported() {
    let dir = suite(GOLDEN);
    let flags = ["--suite", "toxicchat", "--format", "json", "--data"];
    let [csv, jsonl] =
        [("set.csv", TOXICCHAT_CSV), ("set.jsonl", TOXICCHAT_JSONL)].map(|(name, text)| {
            fs::write(dir.path().join(name), text).expect("written");
            let evaluation = json(&eval(dir.path(), &[&flags[..], &[name]].concat()));
            evaluation["runs"][0]["policies"][0].clone()
        });
    for report in [&csv, &jsonl] {
        assert_eq!(report["name"], "toxicity");
        assert_eq!((&report["cases"], &report["unknown"]), (&2.into(), &1.into()));
        let expected = |at: usize| &report["items"][at]["expected"];
        assert_eq!([expected(0), expected(1)], ["clear", "violation"]);
    }
    // The first row of the CSV file spans two lines.
    let ids = |report: &Value| [0, 1].map(|at| report["items"][at]["id"].clone());
    assert_eq!(ids(&csv), ["line-2", "line-4"]);
    assert_eq!(ids(&jsonl), ["line-1", "line-2"]);
    assert_eq!(csv["items"][0]["score"], jsonl["items"][0]["score"], "the same text");
}

#[test]
fn bad_rows_of_toxicchat_are_all_named_before_anything_is_judged() {
    let dir = suite(GOLDEN);
    let csv = "user_input,toxicity\nx,2\n,1\nx,0\n";
    let jsonl = "{\"user_input\":\"x\",\"toxicity\":2}\n{\"toxicity\":1}\n{\"user_input\":\" \"}\n";
    for (name, text, parts) in [
        ("set.csv", csv, &["line 2", "line 3"][..]),
        ("set.jsonl", jsonl, &["line 1", "line 2", "line 3"]),
        ("other.csv", "text,toxicity\nx,1\n", &["\"user_input\"", "hint: its columns are text"]),
    ] {
        fs::write(dir.path().join(name), text).expect("written");
        let output = eval(dir.path(), &["--suite", "toxicchat", "--data", name]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!said.contains("built-in model"), "no model was opened: {said}");
    }
}
