//! Findings as SARIF 2.1.0, the form that code scanning reads (OASIS, "Static Analysis Results Interchange
//! Format", version 2.1.0).
//!
//! Columns count characters (`unicodeCodePoints`), lines and columns are from 1, as in the other forms.

use std::path::{Component, Path};

use policy::lint::{Finding, Fix, Position, ROWS, Row, Severity};
use serde_json::{Value, json};

use super::{Linted, Source};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// `is_done`: whether all that was asked for could be read.
pub(super) fn render(linted: &[Linted], is_done: bool) -> String {
    let results: Value = linted.iter().flat_map(Linted::findings).map(result).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "safeguard",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": ROWS.iter().map(rule).collect::<Value>(),
            }},
            "invocations": [{ "executionSuccessful": is_done }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(row: &Row) -> Value {
    json!({
        "id": row.id,
        "shortDescription": { "text": row.title },
        "fullDescription": { "text": row.reason },
        "defaultConfiguration": { "level": level(row.severity) },
    })
}

fn result((source, finding): (&Source, &Finding)) -> Value {
    let place = json!({ "uri": uri(&source.path) });
    let mut result = json!({
        "ruleId": finding.code.id(),
        "ruleIndex": finding.code as usize,
        "level": level(finding.severity),
        "message": { "text": format!("{}: {}", finding.message, finding.help) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": place,
            "region": region(finding.start, finding.end),
        }}],
    });
    if let Some(fix) = &finding.fix {
        result["fixes"] = json!([change(source, fix)]);
    }
    result
}

fn change(source: &Source, fix: &Fix) -> Value {
    let [start, end] = [fix.range.start, fix.range.end].map(|at| Position::of(&source.bytes, at));
    json!({
        "description": { "text": fix.title },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri(&source.path) },
            "replacements": [{
                "deletedRegion": region(start, end),
                "insertedContent": { "text": fix.replacement },
            }],
        }],
    })
}

fn region(start: Position, end: Position) -> Value {
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A relative path stays relative, so that it is found in the repository; other bytes than those of plain
/// names are percent-encoded.
fn uri(path: &Path) -> String {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::RootDir => parts.push("file://".to_owned()),
            other => parts.push(encoded(other.as_os_str().as_encoded_bytes())),
        }
    }
    parts.join("/")
}

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_addresses() {
        assert_eq!(uri(Path::new("./policies/a b/policy.md")), "policies/a%20b/policy.md");
        assert_eq!(uri(Path::new("/tmp/é.md")), "file:///tmp/%C3%A9.md");
        assert_eq!(uri(Path::new("../x:y.md")), "../x%3Ay.md");
    }
}
