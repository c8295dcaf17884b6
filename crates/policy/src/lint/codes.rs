//! Rows about codes: defined, given once, of one prefix, on one side.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::example::{cited, codes, has_arrow};
use crate::lint::code::Code;
use crate::lint::document::{Document, Line, PlacedRule, letters_of};
use crate::lint::finding::Fault;
use crate::rule::{Side, label_of};

/// `meant` are codes of lines that are no rules; a row of their own says so.
pub(crate) fn check(document: &Document, meant: &HashSet<String>, faults: &mut Vec<Fault>) {
    clashes(document, faults);
    for placed in &document.rules {
        faults.extend(other_prefix(document, placed));
    }
    if !document.rules.is_empty() {
        let cited = in_examples(document).into_iter().chain(elsewhere(document));
        faults.extend(
            cited
                .filter(|span| !is_known(document, meant, &document.text[span.clone()]))
                .map(|span| unknown(document, span)),
        );
    }
}

/// Codes that two rules have, and base codes that stand on both sides.
fn clashes(document: &Document, faults: &mut Vec<Fault>) {
    let mut rules: HashMap<&str, usize> = HashMap::new();
    let mut labels: HashMap<&str, (Side, usize)> = HashMap::new();
    for placed in &document.rules {
        let rule = &placed.rule;
        let first = *rules.entry(&rule.code).or_insert(rule.line);
        let (side, line) = *labels.entry(rule.label()).or_insert((rule.side, rule.line));
        if first != rule.line {
            let message =
                format!("the code {} was given to the rule in line {first} already", rule.code);
            let help = "give the second rule a code of its own";
            faults.push(Fault::new(Code::DuplicateCode, placed.code.clone(), message, help));
        } else if side != rule.side {
            let message =
                format!("{} is {side} in line {line} and {} here", rule.label(), rule.side);
            let help = "safe rules are parts of the code with 0 (`CH0.a`), violating ones have the other numbers";
            faults.push(Fault::new(Code::TwoSidedLabel, placed.code.clone(), message, help));
        }
    }
}

fn other_prefix(document: &Document, placed: &PlacedRule) -> Option<Fault> {
    let prefix = document.prefix.as_ref()?;
    if fits(prefix, &placed.rule.code) {
        return None;
    }
    let message = format!("the code {} does not begin with {prefix}", placed.rule.code);
    let help = format!(
        "number the policy's rules {prefix}1, {prefix}2 and so on, {prefix}0 for the safe side"
    );
    Some(Fault::new(Code::OtherPrefix, placed.code.clone(), message, help))
}

/// `CH3` and `D-CH3` fit the prefix `CH`.
fn fits(prefix: &str, code: &str) -> bool {
    let letters = letters_of(label_of(code));
    letters.strip_suffix(prefix).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
}

/// Behind an example's arrow every code counts; without an arrow, those with the policy's prefix.
fn in_examples(document: &Document) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for line in document.examples.iter().filter_map(|example| document.numbered(example.line)) {
        let text = document.line(line);
        let codes = cited(text).into_iter();
        let codes = codes.filter(|(_, code)| has_arrow(text) || is_own(document, code));
        found.extend(codes.map(|(at, code)| placed(line, at, code)));
    }
    found
}

/// Elsewhere a word in the form of a code is one if it has the policy's prefix.
fn elsewhere(document: &Document) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for line in document.lines_without_examples() {
        let codes = codes(document.line(line)).filter(|(_, code)| is_own(document, code));
        found.extend(codes.map(|(at, code)| placed(line, at, code)));
    }
    found
}

fn placed(line: &Line, at: usize, code: &str) -> Range<usize> {
    line.span.start + at..line.span.start + at + code.len()
}

fn is_own(document: &Document, code: &str) -> bool {
    document.prefix.as_ref().is_some_and(|prefix| fits(prefix, code))
}

fn unknown(document: &Document, span: Range<usize>) -> Fault {
    let message = format!("{} is not a code of this policy", &document.text[span.clone()]);
    let help = "write a code that a rule has, or add the rule";
    Fault::new(Code::UnknownCode, span, message, help)
}

fn is_known(document: &Document, meant: &HashSet<String>, code: &str) -> bool {
    let is_known = |code: &str| {
        document.side(code).is_some() || meant.contains(code) || is_empty_side(document, code)
    };
    // `CH1-CH4` is two codes.
    is_known(code) || code.split('-').all(is_known)
}

/// A policy without safe rules still has its safe label; that the rules are missing is said elsewhere.
fn is_empty_side(document: &Document, code: &str) -> bool {
    let label = label_of(code);
    label.ends_with('0') && is_own(document, code) && document.rules_of(Side::Safe).next().is_none()
}
