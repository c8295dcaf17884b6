//! What a test of policies came to: failures with their reasoning, unstable cases, a line a policy.

use anstyle::{AnsiColor, Style};
use policy::eval::TooSmall;
use serde_json::{Value, json};

use super::{Tested, TestedCase, said};
use crate::commands::judging::probability_words;
use crate::output::shortened;

const PASS: Style = AnsiColor::Green.on_default().bold();
const FAIL: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
/// Characters of an item and of reasoning that are shown.
const SHOWN: usize = 160;

pub(super) fn show(tested: &[Tested<'_>]) {
    for one in tested {
        for case in one.cases.iter().filter(|case| !case.has_passed) {
            show_failure(case);
        }
        show_unstable(one);
        show_summary(one);
    }
}

fn show_failure(case: &TestedCase<'_>) {
    let verdict = case.telling();
    anstream::println!("{FAIL}FAIL{FAIL:#} {BOLD}{}{BOLD:#}", case.case.id);
    anstream::println!("  expected  {}", case.expected());
    let probability = probability_words(verdict).map(|words| format!("  {words}"));
    anstream::println!("  given     {}{}", said(verdict), probability.unwrap_or_default());
    anstream::println!("  item      {}", shortened(&case.case.content.texts().join(" / "), SHOWN));
    for (name, text) in
        [("reasoning", Some(&verdict.reasoning)), ("detail", verdict.detail.as_ref())]
    {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            anstream::println!("  {DIM}{name:<9} {}{DIM:#}", shortened(text, SHOWN));
        }
    }
}

fn show_unstable(tested: &Tested<'_>) {
    let unstable = tested.unstable();
    if unstable.is_empty() {
        return;
    }
    anstream::println!("{BOLD}unstable over {} rounds{BOLD:#}", tested.n_rounds);
    for (case, instability) in unstable {
        let verdicts: Vec<String> = case.verdicts.iter().map(said).collect();
        anstream::println!(
            "  {:<12} {:>3.0} %  {}",
            case.case.id,
            instability * 100.0,
            verdicts.join(", ")
        );
    }
    let labels: Vec<String> =
        tested.vague_labels().iter().map(|(label, sum)| format!("{label} {sum:.2}")).collect();
    anstream::println!(
        "  {DIM}labels they point to, the vaguest first: {}{DIM:#}",
        labels.join(", ")
    );
}

fn show_summary(tested: &Tested<'_>) {
    let passed = tested.passed();
    let interval = passed.wilson(tested.level());
    let style = if passed.hits() == passed.of() { PASS } else { FAIL };
    let undetermined = match tested.n_undetermined() {
        0 => String::new(),
        n => format!(", {n} undetermined"),
    };
    anstream::println!(
        "{style}{}{style:#}  {} of {} passed{undetermined}  {DIM}{:.0} %, 95 % {:.0}–{:.0} %{DIM:#}",
        tested.suite.policy.name,
        passed.hits(),
        passed.of(),
        passed.value().unwrap_or_default() * 100.0,
        interval.low * 100.0,
        interval.high * 100.0,
    );
    for reason in tested.too_small() {
        anstream::println!("  {WARNING}too small{WARNING:#} {reason}");
    }
}

pub(super) fn to_json(tested: &[Tested<'_>]) -> Value {
    tested.iter().map(policy_json).collect()
}

fn policy_json(tested: &Tested<'_>) -> Value {
    let passed = tested.passed();
    let interval = passed.wilson(tested.level());
    let unstable = tested.unstable();
    json!({
        "policy": tested.suite.policy.reference(),
        "file": tested.suite.path,
        "golden": tested.suite.golden_path,
        "rounds": tested.n_rounds,
        "cases": passed.of(),
        "passed": passed.hits(),
        "interval": [interval.low, interval.high],
        "undetermined": tested.n_undetermined(),
        "too_small": tested.too_small().iter().map(TooSmall::to_string).collect::<Vec<_>>(),
        "failures": tested.cases.iter().filter(|case| !case.has_passed).map(case_json).collect::<Vec<_>>(),
        "unstable": unstable.iter().map(|(case, instability)| json!({
            "id": case.case.id,
            "instability": instability,
            "given": case.verdicts.iter().map(said).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "vague_labels": tested.vague_labels(),
    })
}

fn case_json(case: &TestedCase<'_>) -> Value {
    let verdict = case.telling();
    json!({
        "id": case.case.id,
        "expected": case.expected(),
        "given": said(verdict),
        "score": verdict.score,
        "probability": verdict.probability,
        "rationale": verdict.rationale,
        "reasoning": verdict.reasoning,
        "detail": verdict.detail,
    })
}
