//! The linter on one folder for each code, on shipped policies, and on anything at all.
//!
//! `fixtures/lint/CODE/` holds a policy, perhaps a golden set, and `expected.json`: all that is found there.
//! After a change, `UPDATE_FIXTURES=1 cargo test -p policy --test lint` writes what is found now; read it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use policy::Policy;
use policy::lint::{Finding, ROWS, Report, Severity, apply, lint};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Words stand for tokens here: this crate knows no tokenizer.
fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn lint_words(policy: &[u8], golden: Option<&[u8]>) -> Report {
    lint(policy, golden, &count_words)
}

fn folders(path: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let entries = fs::read_dir(folder).expect("the folder");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

fn name(folder: &Path) -> String {
    folder.file_name().expect("a name").to_string_lossy().into_owned()
}

fn to_json(file: &str, bytes: &[u8], finding: &Finding) -> Value {
    let fix = finding.fix.as_ref().map(|fix| {
        json!({ "title": fix.title, "replacement": fix.replacement, "start": fix.range.start, "end": fix.range.end })
    });
    json!({
        "file": file,
        "code": finding.code.id(),
        "severity": finding.severity.to_string(),
        "start": format!("{}:{}", finding.start.line, finding.start.column),
        "end": format!("{}:{}", finding.end.line, finding.end.column),
        "text": String::from_utf8_lossy(&bytes[finding.span.clone()]),
        "message": finding.message,
        "help": finding.help,
        "fix": fix,
    })
}

fn check(folder: &Path) {
    let code = name(folder);
    let policy = fs::read(folder.join("policy.md")).expect("policy.md");
    let golden = fs::read(folder.join("golden.jsonl")).ok();
    let report = lint_words(&policy, golden.as_deref());
    let mut found: Vec<Value> =
        report.policy.iter().map(|finding| to_json("policy.md", &policy, finding)).collect();
    if let Some(golden) = &golden {
        found.extend(report.golden.iter().map(|finding| to_json("golden.jsonl", golden, finding)));
    }
    assert!(
        found.iter().any(|finding| finding["code"] == code.as_str()),
        "{code} finds {found:#?}"
    );
    for finding in report.policy.iter().filter(|finding| finding.fix.is_some()) {
        check_fix(&policy, finding);
    }
    let path = folder.join("expected.json");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let text = serde_json::to_string_pretty(&found).expect("JSON");
        fs::write(&path, text + "\n").expect("written");
    }
    let expected: Vec<Value> =
        serde_json::from_slice(&fs::read(&path).expect("expected.json")).expect("JSON");
    assert_eq!(found, expected, "{code}");
}

/// One fix alone: its finding is gone, and what could be read can be read.
fn check_fix(policy: &[u8], finding: &Finding) {
    let text = std::str::from_utf8(policy).expect("only text gets fixes");
    let (fixed, applied) = apply(text, std::slice::from_ref(finding));
    assert_eq!(applied, [finding]);
    let is_same =
        |other: &&Finding| (other.code, &other.message) == (finding.code, &finding.message);
    let count =
        |text: &str| lint_words(text.as_bytes(), None).policy.iter().filter(is_same).count();
    assert!(count(&fixed) < count(text), "{} stays in {fixed:?}", finding.code);
    if Policy::parse("p", policy).is_ok() {
        let read = Policy::parse("p", fixed.as_bytes());
        assert!(read.is_ok(), "{} breaks {text:?}: {read:?}", finding.code);
    }
}

#[test]
fn every_code_has_a_fixture_that_finds_it() {
    let folders = folders("tests/fixtures/lint");
    let codes: BTreeSet<String> = ROWS.iter().map(|row| row.id.to_owned()).collect();
    assert_eq!(folders.iter().map(|folder| name(folder)).collect::<BTreeSet<_>>(), codes);
    for folder in folders {
        check(&folder);
    }
}

#[test]
fn free_text_gets_the_rows_that_make_sense() {
    let report = lint_words(b"No insults, please.\n", None);
    let codes: Vec<_> = report.policy.iter().map(|finding| finding.code.id()).collect();
    assert_eq!(codes, ["P106"]);
    let text =
        "No {things}. As of 2026-03-01 this is usually <|end|>.\nIn doubt, a person looks.\n";
    let report = lint_words(text.as_bytes(), None);
    let codes: Vec<_> = report.policy.iter().map(|finding| finding.code.id()).collect();
    assert_eq!(codes, ["P011", "P013", "P103", "P012"]);
    let long = "word ".repeat(701) + "unclear";
    let report = lint_words(long.as_bytes(), None);
    assert_eq!(report.policy.iter().map(|finding| finding.code.id()).collect::<Vec<_>>(), ["P101"]);
}

#[test]
fn a_usable_policy_silences_codes_and_an_unusable_one_does_not() {
    let codes = |policy: &str| -> Vec<&str> {
        let golden = r#"{"id":"a","text":"x","outcome":"clear","rule":"A9"}"#;
        let report = lint_words(policy.as_bytes(), Some(golden.as_bytes()));
        report.policy.iter().chain(&report.golden).map(|finding| finding.code.id()).collect()
    };
    let usable = "## VIOLATES\n- A1 Usually loud.\n";
    let twice = "## VIOLATES\n- A1 Usually loud.\n- A1 Usually quiet.\n";
    let allowing = |list: &str, body: &str| format!("+++\nlint_allow = {list}\n+++\n{body}");
    let all = codes(usable);
    assert!(all.contains(&"P103") && all.contains(&"P106") && all.contains(&"G004"), "{all:?}");
    let left = codes(&allowing(r#"["P103", "G004"]"#, usable));
    let expected: Vec<&str> =
        all.iter().copied().filter(|code| !["P103", "G004"].contains(code)).collect();
    assert_eq!(left, expected);
    let left = codes(&allowing(r#"["P006", "P103"]"#, twice));
    assert_eq!(left, codes(twice), "it cannot be used");
    let left = codes(&allowing(r#"["P110", "P019", "nothing"]"#, usable));
    assert_eq!(left[..3], ["P110", "P110", "P019"], "the list itself cannot be silenced");
    assert!(codes(&allowing(r#""P103""#, usable)).contains(&"P015"), "a list of codes");
}

#[test]
fn shipped_policies_have_no_errors() {
    let with_policy = |root: &str| {
        let all = folders(root).into_iter();
        all.filter(|folder| folder.join("policy.md").is_file()).collect::<Vec<_>>()
    };
    let starters = with_policy("../../policies");
    assert!(starters.len() >= 10);
    assert!(starters.iter().all(|folder| folder.join("golden.jsonl").is_file()));
    let suites = ["openai-moderation-2022", "toxicchat"].into_iter();
    let of_suites = suites.flat_map(|set| with_policy(&format!("../../policies/suites/{set}")));
    for folder in starters.into_iter().chain(of_suites) {
        let policy = fs::read(folder.join("policy.md")).expect("policy.md");
        let golden = fs::read(folder.join("golden.jsonl")).ok();
        let report = lint_words(&policy, golden.as_deref());
        let all = report.policy.iter().chain(&report.golden);
        let errors: Vec<_> = all.filter(|finding| finding.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", folder.display());
    }
}

#[test]
fn the_book_shows_the_table_of_codes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/lint.md");
    let page = fs::read_to_string(page).expect("docs/src/reference/lint.md");
    let shown: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| `P") || line.starts_with("| `G")).collect();
    let expected: Vec<String> = ROWS
        .iter()
        .map(|row| format!("| `{}` | {} | {} | {} |", row.id, row.severity, row.title, row.reason))
        .collect();
    assert_eq!(shown, expected, "copy this into the page:\n{}\n", expected.join("\n"));
}

fn check_any(policy: &[u8], golden: Option<&[u8]>) {
    let report = lint_words(policy, golden);
    let texts = [(policy, &report.policy), (golden.unwrap_or_default(), &report.golden)];
    for (bytes, findings) in texts {
        let text = std::str::from_utf8(bytes);
        for Finding { span, start, end, fix, code, .. } in findings {
            assert!(span.start <= span.end && span.end <= bytes.len(), "{code} at {span:?}");
            assert!(start <= end && start.line >= 1 && start.column >= 1);
            if let Ok(text) = text {
                assert!(text.get(span.clone()).is_some(), "{code} cuts a character");
                let range = fix.as_ref().map(|fix| fix.range.clone());
                assert!(range.is_none_or(|range| text.get(range).is_some()), "{code}");
            }
        }
    }
    if let Err(error) = Policy::parse("p", policy) {
        assert!(
            report.policy.iter().any(|finding| finding.severity == Severity::Error),
            "{error} is not found"
        );
    }
    for finding in report.policy.iter().filter(|finding| finding.fix.is_some()) {
        check_fix(policy, finding);
    }
    check_all_fixes(policy);
}

/// All fixes, round after round: it ends, and what could be read can be read.
fn check_all_fixes(policy: &[u8]) {
    const MAX_ROUNDS: usize = 8;
    let Ok(text) = std::str::from_utf8(policy) else { return };
    let mut text = text.to_owned();
    for _ in 0..MAX_ROUNDS {
        let findings = lint_words(text.as_bytes(), None).policy;
        let (fixed, applied) = apply(&text, &findings);
        if applied.is_empty() {
            assert_eq!(fixed, text);
            return;
        }
        text = fixed;
        if Policy::parse("p", policy).is_ok() {
            let read = Policy::parse("p", text.as_bytes());
            assert!(read.is_ok(), "fixes break {policy:?}: {read:?}");
        }
    }
    panic!("fixes of {policy:?} do not end");
}

/// Lines that policies are made of, and lines that nearly are.
fn policy_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "(#|##|###) ?(INSTRUCTIONS|DEFINITIONS|VIOLATES|SAFE|PRECEDENCE|EXAMPLES|OUTPUT|Else|T \\(#A\\))[ (:]?",
        "(- |\\* |1\\. |\\+ |  - | - |•)(\\*\\*|`|\\[)?[Aa][0-3](\\.[ab])?(\\*\\*|`|\\]|\\.)?(:| )[A-Za-z ]{0,12}:? ?[a-zé漢]{0,9}",
        "- \"[a-z ]{0,9}\" (->|→|=>) [AB][0-3](\\.[ab])?",
        "(Reply with )?\\{\"violation\": 0 or 1, \"label\": [a-z]{0,3}\\}?",
        "Return (only )?(JSON|0 or 1|the format)",
        "[ \\t]*(\\{|\\[|<|\"|`|```|<\\||\\*|_)?[A-Za-z0-9é漢 ]{0,12}(\\}|\\]|>|\"|`|\\|>|\\*|_)?",
        "(No|Usually|May|2026-03-01|today is|A1-A3|A9|\\+\\+\\+|---) ?",
        "\\PC{0,20}",
    ]
}

fn policy_text() -> impl Strategy<Value = String> {
    (prop::collection::vec(policy_line(), 0..24), prop_oneof![Just("\n"), Just("\r\n")])
        .prop_map(|(lines, end)| lines.join(end) + end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_linted(
        policy in prop::collection::vec(any::<u8>(), 0..200),
        golden in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        check_any(&policy, Some(&golden));
    }

    #[test]
    fn any_lines_are_linted_and_fixes_keep_policies_readable(policy in policy_text()) {
        check_any(policy.as_bytes(), None);
    }

    #[test]
    fn any_golden_lines_are_linted(golden in "((\\{|\\[|\"(id|text|rule|outcome)\"|:|,|\"[a-zA-Z0-9\\\\é]{0,4}\"|\\}|\\]| |\r?\n){0,14}\n?){0,4}") {
        check_any(b"## VIOLATES\n- A1 x\n", Some(golden.as_bytes()));
    }
}
