//! What is wrong with a policy before any model reads it.
//!
//! [`lint`] is pure: bytes in, findings out, tokens counted by a function of the caller's. The codes stand in
//! one table (`code.rs`); `document.rs` is the text with its places; each other file holds a group of rows.
//! A policy in free text gets the rows that make sense without codes and sections.

mod allowed;
mod calls;
mod code;
mod codes;
mod document;
mod examples;
mod finding;
mod fix;
mod format;
mod golden;
mod likeness;
mod marks;
mod size;
mod slots;
mod structure;
mod terms;
mod wording;

use std::ops::Range;

pub use code::{Code, MAX_RULES, MAX_TOKENS, MIN_TOKENS, ROWS, Row, Severity};
pub use finding::{Finding, Fix, Position};
pub use fix::apply;

use crate::error::PolicyError;
use crate::front_matter;
use crate::golden::{GoldenCase, read_golden};
use crate::lint::document::Document;
use crate::lint::finding::{Fault, placed};
use crate::policy::{MAX_BYTES, Policy};

/// What was found, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the policy.
    pub policy: Vec<Finding>,
    /// In its golden set.
    pub golden: Vec<Finding>,
}

impl Report {
    /// Whether something is wrong that must not be.
    pub fn has_errors(&self) -> bool {
        self.policy.iter().chain(&self.golden).any(|finding| finding.severity == Severity::Error)
    }
}

/// Looks at a policy's bytes and, where it has one, at its golden set.
///
/// `count_tokens` is asked once, for the text that the model will read.
pub fn lint(policy: &[u8], golden: Option<&[u8]>, count_tokens: &dyn Fn(&str) -> usize) -> Report {
    let parsed = Policy::parse("", policy).ok();
    let read = golden.map(read_golden);
    let cases = read.as_ref().map(|(cases, _)| cases.as_slice());
    let text = text(policy);
    let mut policy_faults = match &text {
        Ok(text) => lint_text(text, cases, count_tokens),
        Err(_) => Vec::new(),
    };
    let mut golden_faults = match (golden, &read) {
        (Some(bytes), Some((cases, errors))) => {
            golden::check(bytes, errors, cases, parsed.as_ref())
        }
        _ => Vec::new(),
    };
    match text {
        Ok(text) if parsed.is_some() => {
            allowed::silence(text, &mut policy_faults, &mut golden_faults);
        }
        Ok(_) => {}
        Err(fault) => policy_faults.push(*fault),
    }
    Report {
        policy: placed(policy, policy_faults),
        golden: golden.map_or_else(Vec::new, |bytes| placed(bytes, golden_faults)),
    }
}

/// The bytes as text that can be a policy.
fn text(bytes: &[u8]) -> Result<&str, Box<Fault>> {
    let unreadable = |span, message: String, help: &str| {
        Box::new(Fault::new(Code::Unreadable, span, message, help))
    };
    if bytes.len() > MAX_BYTES {
        let error = PolicyError::TooLong { n_bytes: bytes.len(), limit: MAX_BYTES };
        return Err(unreadable(0..0, error.to_string(), "is this the right file?"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        let end = error.error_len().map_or(bytes.len(), |len| start + len);
        unreadable(start..end, "the policy is not UTF-8 text".to_owned(), "save the file as UTF-8")
    })
}

fn lint_text(
    text: &str,
    cases: Option<&[(usize, GoldenCase)]>,
    count_tokens: &dyn Fn(&str) -> usize,
) -> Vec<Fault> {
    let own = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut faults = Vec::new();
    let rest = match front_matter::cut(own) {
        Ok(cut) => {
            faults.extend(
                cut.toml
                    .and_then(|toml| front_matter::parse(toml).err())
                    .map(|error| front(text, &error)),
            );
            cut.rest
        }
        Err(error) => return vec![front(text, &error)],
    };
    if rest.trim().is_empty() {
        let end = text.len()..text.len();
        let help = "write what is allowed and what is not; `safeguard policy new` makes a start";
        faults.push(Fault::new(Code::Unreadable, end, PolicyError::Empty.to_string(), help));
        return faults;
    }
    let document = Document::new(text, rest);
    let n_tokens = count_tokens(&text[document.body.clone()].replace("\r\n", "\n"));
    check(&document, n_tokens, cases, &mut faults);
    faults
}

fn check(
    document: &Document,
    n_tokens: usize,
    cases: Option<&[(usize, GoldenCase)]>,
    faults: &mut Vec<Fault>,
) {
    slots::check(document, faults);
    calls::check(document, faults);
    size::tokens(document, n_tokens, faults);
    wording::hedges(document, faults);
    wording::route(document, faults);
    if document.is_prose() {
        return;
    }
    let meant = structure::check(document, faults);
    codes::check(document, &meant, faults);
    examples::check(document, cases, faults);
    format::check(document, faults);
    terms::check(document, faults);
    size::rules(document, faults);
    wording::negations(document, faults);
    likeness::check(document, faults);
}

fn front(text: &str, error: &PolicyError) -> Fault {
    let (line, problem) = match error {
        PolicyError::FrontMatter { line, problem } => (*line, problem.clone()),
        other => (1, other.to_string()),
    };
    let help = "the front matter is TOML between two lines of `+++`, with the keys effort, date, owner and lint_allow";
    let message = format!("the front matter cannot be read: {problem}");
    Fault::new(Code::FrontMatter, line_span(text, line), message, help)
}

/// The bytes of a line, from 1, without its end.
fn line_span(text: &str, number: usize) -> Range<usize> {
    let mut start = 0;
    for (at, line) in text.split('\n').enumerate() {
        if at + 1 == number {
            let order_mark = line.len() - line.trim_start_matches('\u{feff}').len();
            return start + order_mark..start + line.trim_end().len().max(order_mark);
        }
        start += line.len() + 1;
    }
    text.len()..text.len()
}
