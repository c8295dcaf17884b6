//! What a change came to: rules, flips with both rationales, measures before and after.

use anstyle::{AnsiColor, Style};
use comfy_table::{Table, presets};
use policy::eval::{Level, Rate};
use policy::{Rule, Verdict};
use serde_json::{Value, json};

use super::Diff;
use super::rules::{Change, changes, n_other_lines};
use super::words::{Stretch, stretches};
use crate::commands::policy::test::said;
use crate::output::{align_numbers, shown};

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

pub(super) fn show(diff: &Diff<'_>) {
    show_rules(diff);
    show_flips("right to wrong", REMOVED, &diff.flips.broken, diff);
    show_flips("wrong to right", ADDED, &diff.flips.fixed, diff);
    show_measures(diff);
    anstream::println!(
        "{} right to wrong, {} wrong to right of {} cases; McNemar p = {:.3} {DIM}(exact){DIM:#}",
        diff.flips.broken.len(),
        diff.flips.fixed.len(),
        diff.suite.cases.len(),
        diff.flips.p_value(),
    );
}

fn show_rules(diff: &Diff<'_>) {
    let new = &diff.suite.policy;
    let files = (diff.old_path.display(), diff.suite.path.display());
    anstream::println!("{BOLD}{} → {}{BOLD:#}", files.0, files.1);
    for change in changes(diff.old, new) {
        anstream::println!("  {}", change_line(&change));
    }
    match n_other_lines(diff.old, new) {
        0 => {}
        n => anstream::println!("  {DIM}{n} lines outside the rules differ{DIM:#}"),
    }
}

/// The marks say without colour what the colours say too.
fn change_line(change: &Change<'_>) -> String {
    match change {
        Change::Added { rule } => format!("{ADDED}+ {}{ADDED:#}", whole(rule)),
        Change::Removed { rule } => format!("{REMOVED}- {}{REMOVED:#}", whole(rule)),
        Change::Reworded { old, new } if old.side == new.side => {
            format!("~ {}", reworded(&words(old), &words(new)))
        }
        Change::Reworded { old, new } => format!("~ {}", reworded(&whole(old), &whole(new))),
    }
}

/// Both versions in one line: `[-old-]` and `{+new+}` where they differ.
fn reworded(old: &str, new: &str) -> String {
    let mut line = String::new();
    for stretch in stretches(old, new) {
        match stretch {
            Stretch::Same(text) => line.push_str(&text),
            Stretch::Changed { old, new } => {
                if !old.is_empty() {
                    line.push_str(&format!("{REMOVED}[-{old}-]{REMOVED:#}"));
                }
                if !new.is_empty() {
                    line.push_str(&format!("{ADDED}{{+{new}+}}{ADDED:#}"));
                }
            }
        }
    }
    line
}

/// A rule with its side.
fn whole(rule: &Rule) -> String {
    format!("{} ({})", words(rule), rule.side)
}

fn words(rule: &Rule) -> String {
    let name = rule.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    shown(&format!("{} {name}{}", rule.code, rule.text))
}

fn show_flips(title: &str, style: Style, places: &[usize], diff: &Diff<'_>) {
    for &at in places {
        let case = &diff.suite.cases[at];
        anstream::println!("{style}{title}{style:#} {BOLD}{}{BOLD:#}", case.id);
        for (name, verdict) in [("old", &diff.before[at]), ("new", &diff.after[at])] {
            let why =
                verdict.rationale.as_ref().or(verdict.detail.as_ref()).map_or("", String::as_str);
            anstream::println!("  {name}  {}  {DIM}{why}{DIM:#}", said(verdict));
        }
    }
}

fn show_measures(diff: &Diff<'_>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["", "old", "new"]);
    let (old, new) = (diff.confusion(&diff.before), diff.confusion(&diff.after));
    let share =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    for rate in [Rate::Precision, Rate::Recall] {
        let cells = [&old, &new].map(|confusion| {
            let estimate = confusion.share(rate).estimate(Level::P95);
            format!(
                "{} ({:.2}–{:.2})",
                share(estimate.value),
                estimate.interval.low,
                estimate.interval.high
            )
        });
        table.add_row([rate.to_string(), cells[0].clone(), cells[1].clone()]);
    }
    table.add_row([
        "balanced accuracy".to_owned(),
        share(old.balanced_accuracy()),
        share(new.balanced_accuracy()),
    ]);
    table.add_row([
        "undetermined".to_owned(),
        old.undetermined().to_string(),
        new.undetermined().to_string(),
    ]);
    align_numbers(&mut table, 1);
    anstream::println!("{table}");
}

pub(super) fn to_json(diff: &Diff<'_>) -> Value {
    let case = |&at: &usize| {
        json!({
            "id": diff.suite.cases[at].id,
            "old": verdict_json(&diff.before[at]),
            "new": verdict_json(&diff.after[at]),
        })
    };
    let list = |places: &[usize]| places.iter().map(case).collect::<Vec<_>>();
    json!({
        "old": diff.old.reference(),
        "new": diff.suite.policy.reference(),
        "cases": diff.suite.cases.len(),
        "rules": changes(diff.old, &diff.suite.policy),
        "other_lines": n_other_lines(diff.old, &diff.suite.policy),
        "broken": list(&diff.flips.broken),
        "fixed": list(&diff.flips.fixed),
        "other": list(&diff.flips.other),
        "p_value": diff.flips.p_value(),
        "confusion": {"old": diff.confusion(&diff.before), "new": diff.confusion(&diff.after)},
    })
}

fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "violation": verdict.outcome.is_violation(),
        "said": said(verdict),
        "rule_ids": verdict.rule_ids,
        "score": verdict.score,
        "rationale": verdict.rationale,
        "reasoning": verdict.reasoning,
    })
}
