//! Findings for people: place, code, message; the line with marks; reason and help; a summary.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use policy::lint::{Finding, Severity};

use super::excerpt::excerpt;
use super::{Linted, Source, count};
use crate::output::shown;

const BOLD: Style = Style::new().bold();
const GUTTER: Style = AnsiColor::Blue.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const FIXED: Style = AnsiColor::Green.on_default().bold();

pub(super) fn render(linted: &[Linted]) -> String {
    let mut out = String::new();
    for policy in linted {
        for line in fixed_lines(policy) {
            let _ = writeln!(out, "{FIXED}fixed{FIXED:#} {line}");
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    for (source, finding) in linted.iter().flat_map(Linted::findings) {
        push(&mut out, source, finding);
        out.push('\n');
    }
    out + &summary(linted) + "\n"
}

/// What was changed in a policy, a line each.
pub(super) fn fixed_lines(policy: &Linted) -> impl Iterator<Item = String> {
    let path = shown(&policy.policy.path.display().to_string());
    policy
        .fixed
        .iter()
        .map(move |fixed| format!("{path}:{}: {}: {}", fixed.line, fixed.code, fixed.title))
}

/// Writing to a string does not fail.
fn push(out: &mut String, source: &Source, finding: &Finding) {
    let style = match finding.severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
    };
    let path = shown(&source.path.display().to_string());
    let (line, column) = (finding.start.line, finding.start.column);
    let (severity, code) = (finding.severity, finding.code);
    let message = shown(&finding.message);
    let _ = writeln!(
        out,
        "{BOLD}{path}:{line}:{column}:{BOLD:#} {style}{severity}[{code}]{style:#}: {BOLD}{message}{BOLD:#}"
    );
    let number = line.to_string();
    let blank = " ".repeat(number.len());
    let excerpt = excerpt(&source.bytes, finding.span.clone());
    let (indent, marks) = (" ".repeat(excerpt.indent), "^".repeat(excerpt.n_marks));
    let _ = writeln!(out, "{GUTTER}{blank} |{GUTTER:#}");
    let _ = writeln!(out, "{GUTTER}{number} |{GUTTER:#} {}", excerpt.line);
    let _ = writeln!(out, "{GUTTER}{blank} |{GUTTER:#} {indent}{style}{marks}{style:#}");
    let mut note = |word: &str, text: &str| {
        let _ = writeln!(out, "{GUTTER}{blank} ={GUTTER:#} {BOLD}{word}:{BOLD:#} {}", shown(text));
    };
    note("reason", finding.reason);
    note("help", &finding.help);
    if let Some(fix) = &finding.fix {
        note("fix", &format!("{} (--fix does it)", fix.title));
    }
}

fn summary(linted: &[Linted]) -> String {
    let number = |n: usize, one: &str, many: &str| match n {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    };
    let (n_errors, n_warnings) = (count(linted, Severity::Error), count(linted, Severity::Warning));
    let n_fixes =
        linted.iter().flat_map(Linted::findings).filter(|(_, finding)| finding.fix.is_some());
    let fixes = match n_fixes.count() {
        0 => String::new(),
        n => format!("; --fix mends {n}"),
    };
    let style = match (n_errors, n_warnings) {
        (1.., _) => ERROR,
        (0, 1..) => WARNING,
        (0, 0) => FIXED,
    };
    format!(
        "{}: {style}{}, {}{style:#}{fixes}",
        number(linted.len(), "policy", "policies"),
        number(n_errors, "error", "errors"),
        number(n_warnings, "warning", "warnings"),
    )
}
