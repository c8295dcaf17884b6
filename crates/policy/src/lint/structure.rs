//! Rows about sections: the four that a policy must have, and rules that are read as such.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::lint::code::Code;
use crate::lint::document::{Document, Section, letters_of};
use crate::lint::finding::{Fault, Fix};
use crate::lint::format;
use crate::rule::{Rule, Side, is_code, label_of};
use crate::section::{Heading, SectionKind};

/// The codes of lines that are meant as rules and were not read as such.
pub(crate) fn check(document: &Document, faults: &mut Vec<Fault>) -> HashSet<String> {
    for (kind, code) in [
        (SectionKind::Instructions, Code::NoInstructions),
        (SectionKind::Violates, Code::NoViolates),
        (SectionKind::Safe, Code::NoSafe),
        (SectionKind::Output, Code::NoOutput),
    ] {
        faults.extend(missing(document, kind, code));
    }
    let has_violating = document.rules_of(Side::Violating).next().is_some();
    let mut added = Added { has_violating, ..Added::default() };
    for kind in [SectionKind::Violates, SectionKind::Safe] {
        rules(document, kind, &mut added, faults);
    }
    added.meant
}

/// A section that is not there, or has nothing in it.
fn missing(document: &Document, kind: SectionKind, code: Code) -> Option<Fault> {
    let (name, help) = wanted(kind);
    let mut sections = document.sections_of(kind).peekable();
    let (span, message) = match sections.peek() {
        None => (place(document, kind), format!("there is no {name} section")),
        Some(&first) => {
            let is_empty =
                |section: &Section| document.text[document.content(section)].trim().is_empty();
            if !sections.all(is_empty) {
                return None;
            }
            (document.heading(first), format!("the {name} section is empty"))
        }
    };
    let fix = (kind == SectionKind::Output).then(|| format::output_fix(document)).flatten();
    Some(Fault::new(code, span, message, help).with_fix(fix))
}

fn wanted(kind: SectionKind) -> (&'static str, &'static str) {
    match kind {
        SectionKind::Instructions => (
            "INSTRUCTIONS",
            "begin with `## INSTRUCTIONS`: the decision in a sentence, the order of the rules, the reply format",
        ),
        SectionKind::Violates => {
            ("VIOLATES", "add `## VIOLATES (violation = 1)` with one coded rule a line")
        }
        SectionKind::Safe => {
            ("SAFE", "add `## SAFE (violation = 0)` with what looks alike and is allowed")
        }
        _ => ("OUTPUT", "end with `## OUTPUT` and the reply format once more, in a line"),
    }
}

/// Where to look for a section that is missing: at the end for OUTPUT, else at its neighbour.
fn place(document: &Document, kind: SectionKind) -> Range<usize> {
    let neighbour = match kind {
        SectionKind::Violates => document.sections_of(SectionKind::Safe).next(),
        SectionKind::Safe => document.sections_of(SectionKind::Violates).next(),
        SectionKind::Output => {
            return document.lines.last().map_or(document.top(), |line| line.span.clone());
        }
        _ => None,
    };
    neighbour.map_or_else(|| document.top(), |section| document.heading(section))
}

/// Lines among the rules that are none; and, where there is no rule at all, the section itself.
fn rules(document: &Document, kind: SectionKind, added: &mut Added, faults: &mut Vec<Fault>) {
    let Some(side) = kind.side() else { return };
    let has_rules = document.rules_of(side).next().is_some();
    let known: HashSet<usize> = document.rules.iter().map(|placed| placed.rule.line).collect();
    for section in document.sections_of(kind) {
        let n_before = faults.len();
        let mut is_direct = true;
        let lines = &document.lines[section.lines.start + 1..section.lines.end];
        let is_meant =
            |line| list_item(document.line(line).trim_start()).and_then(repaired).is_some();
        let has_rules = has_rules || lines.iter().any(is_meant);
        for line in lines {
            let text = document.line(line);
            is_direct &= Heading::parse(text).is_none();
            if known.contains(&line.number) {
                continue;
            }
            let item = Item { document, side, text, span: line.span.clone(), is_direct };
            faults.extend(item.fault(has_rules, added));
        }
        let is_empty = document.text[document.content(section)].trim().is_empty();
        if !has_rules && faults.len() == n_before && !is_empty {
            let message =
                format!("no line of this section is a rule, so the {side} side has no code");
            let help = "begin each rule with `- ` and its code, as in `- CH1 Name: test`";
            faults.push(Fault::new(Code::NoCodedRule, document.heading(section), message, help));
        }
    }
}

/// A line of a section of rules that was not read as a rule.
struct Item<'a> {
    document: &'a Document<'a>,
    side: Side,
    text: &'a str,
    span: Range<usize>,
    /// Whether no heading stands between the section's own and this line.
    is_direct: bool,
}

impl Item<'_> {
    /// `has_rules`: whether the side has rules, so that an item without a code is a slip and not a style.
    fn fault(&self, has_rules: bool, added: &mut Added) -> Option<Fault> {
        let indent = self.text.len() - self.text.trim_start().len();
        let item = list_item(self.text.trim_start())?;
        let place = self.span.start + indent..self.span.end;
        if let Some(rule) = repaired(item) {
            let code = rule_code(&rule);
            if indent > 0 && self.document.side(&code).is_some() {
                // Part of a rule's text, about another rule.
                return None;
            }
            added.meant.insert(code.clone());
            let message = match (self.is_direct, indent) {
                (false, _) => format!("{code} stands under another heading, so it is no rule"),
                (true, 1..) => format!("{code} is indented, so it is no rule of its own"),
                (true, 0) => format!("{code} is not written as a rule"),
            };
            let help =
                format!("write `{}` at the start of a line, below VIOLATES or SAFE", short(&rule));
            let is_free = self.is_direct && self.is_free(&code, added);
            let fix = is_free.then(|| Fix {
                title: "write the line as a rule".into(),
                range: self.span.clone(),
                replacement: rule,
            });
            return Some(Fault::new(Code::NotARule, place, message, help).with_fix(fix));
        }
        let message = "the line has no code, so it is no rule";
        let help = "give it a code, as in `- CH1 Name: test`, or write it as a sentence without a list mark";
        (has_rules && indent == 0).then(|| Fault::new(Code::NotARule, place, message, help))
    }

    /// Whether the code can be added without a clash with the rules that are there, or with those that
    /// other fixes add. Safe rules come after violating ones, so that the policy can be read at every step.
    fn is_free(&self, code: &str, added: &mut Added) -> bool {
        let label = label_of(code);
        let sides = [self.document.side(label), added.labels.get(label).copied()];
        let is_free = self.document.side(code).is_none()
            && !added.codes.contains(code)
            && sides.into_iter().flatten().all(|side| side == self.side)
            && (self.side == Side::Violating || added.has_violating)
            && self.document.prefix.as_ref().is_none_or(|prefix| letters_of(label) == prefix);
        if is_free {
            added.codes.insert(code.to_owned());
            added.labels.insert(label.to_owned(), self.side);
        }
        is_free
    }
}

/// What was found among the rules, and what the fixes of one round add.
#[derive(Default)]
struct Added {
    /// Codes of lines that are no rules, fixed or not.
    meant: HashSet<String>,
    /// Whether the policy has violating rules before any fix.
    has_violating: bool,
    codes: HashSet<String>,
    labels: HashMap<String, Side>,
}

/// What follows the mark of a list item: `-`, `*`, `+`, `•`, `–`, or a number.
fn list_item(line: &str) -> Option<&str> {
    let digits = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let rest = if digits.len() < line.len() {
        digits.strip_prefix(['.', ')'])?
    } else {
        line.strip_prefix(['-', '*', '+', '•', '–'])?
    };
    rest.starts_with([' ', '\t']).then(|| rest.trim())
}

/// The item as a rule: emphasis, backticks, brackets, a dot behind the code and small letters taken away.
/// `None` where that gives no rule.
fn repaired(item: &str) -> Option<String> {
    let mut item = item.to_owned();
    for mark in ["**", "__", "`"] {
        if item.starts_with(mark) {
            item = item.replacen(mark, "", 2);
        }
    }
    let item = match item.strip_prefix(['[', '(']) {
        Some(rest) => rest.replacen([']', ')'], "", 1),
        None => item,
    };
    let (code, rest) = item.split_once([' ', ':'])?;
    let code = code.trim_end_matches(['.', ')', ':']);
    let (base, part) = code.split_once('.').map_or((code, None), |(base, part)| (base, Some(part)));
    let code = match part {
        None => base.to_ascii_uppercase(),
        Some(part) => format!("{}.{}", base.to_ascii_uppercase(), part.to_ascii_lowercase()),
    };
    let rule = format!("- {code} {}", rest.trim_start_matches([':', ' ']).trim());
    let is_rule =
        is_code(&code) && Rule::parse(&rule, Side::Safe, 0).is_some_and(|rule| rule.code == code);
    is_rule.then_some(rule)
}

fn rule_code(rule: &str) -> String {
    rule.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// The first words of a rule.
fn short(rule: &str) -> String {
    const MAX_LEN: usize = 30;
    match rule.char_indices().nth(MAX_LEN) {
        Some((end, _)) => format!("{}…", rule[..end].trim_end()),
        None => rule.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&str>) {
        assert_eq!(list_item(line).and_then(repaired).as_deref(), expected, "{line}");
    }

    #[test]
    fn rules_in_other_dress_are_recognised() {
        check("- **CH1 Seeking**: asks for a cheat", Some("- CH1 Seeking: asks for a cheat"));
        check("- **CH1**: asks for a cheat", Some("- CH1 asks for a cheat"));
        check("* `CH0.a` reports", Some("- CH0.a reports"));
        check("1. [CH1] Seeking: asks", Some("- CH1 Seeking: asks"));
        check("+ ch0.B. reports", Some("- CH0.b reports"));
        check("• D-sp1) ads", Some("- D-SP1 ads"));
        check("- asks for a cheat", None);
        check("- CH asks for a cheat", None);
        check("- CH1", None);
        check("CH1 asks", None);
    }
}
