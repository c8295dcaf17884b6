//! Findings as one JSON object.

use policy::lint::{Finding, Fix, Severity};
use serde_json::{Value, json};

use super::{Fixed, Linted, Source, count};

pub(super) fn render(linted: &[Linted]) -> String {
    let policies: Value = linted.iter().map(policy).collect();
    let report = json!({
        "policies": policies,
        "n_errors": count(linted, Severity::Error),
        "n_warnings": count(linted, Severity::Warning),
    });
    format!("{report:#}\n")
}

fn policy(linted: &Linted) -> Value {
    json!({
        "path": linted.policy.path.to_string_lossy(),
        "golden": linted.golden.as_ref().map(|golden| golden.path.to_string_lossy()),
        "fixed": linted.fixed.iter().map(fixed).collect::<Value>(),
        "findings": linted.findings().map(finding).collect::<Value>(),
    })
}

fn fixed(fixed: &Fixed) -> Value {
    json!({ "code": fixed.code.id(), "line": fixed.line, "title": fixed.title })
}

fn finding((source, finding): (&Source, &Finding)) -> Value {
    json!({
        "path": source.path.to_string_lossy(),
        "code": finding.code.id(),
        "severity": finding.severity.to_string(),
        "line": finding.start.line,
        "column": finding.start.column,
        "end_line": finding.end.line,
        "end_column": finding.end.column,
        "span": [finding.span.start, finding.span.end],
        "message": finding.message,
        "reason": finding.reason,
        "help": finding.help,
        "fix": finding.fix.as_ref().map(fix),
    })
}

fn fix(fix: &Fix) -> Value {
    json!({
        "title": fix.title,
        "span": [fix.range.start, fix.range.end],
        "replacement": fix.replacement,
    })
}
