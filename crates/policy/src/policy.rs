//! A policy file: what the model reads, and the rules that its replies can cite.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::PolicyError;
use crate::example::{self, Example};
use crate::front_matter::{self, FrontMatter};
use crate::rule::{Rule, Side};
use crate::section::Heading;
use crate::verdict::PolicyRef;

/// The label of a policy without coded rules, where it is violated.
pub const PROSE_LABEL: &str = "V";
/// The same, where it is not.
pub const PROSE_SAFE_LABEL: &str = "V0";

/// A policy of a million bytes is about 250,000 tokens, twice the context of the models.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// SHA-256 of the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyId(pub String);

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A policy, ready to judge by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What identifies this very text.
    pub id: PolicyId,
    /// The caller's name for it, usually the folder's.
    pub name: String,
    /// The first heading, without its marks.
    pub title: Option<String>,
    /// What is not for the model.
    pub front: FrontMatter,
    /// What the model reads: the file without front matter, trimmed, lines ended by `\n`.
    pub body: String,
    /// Coded rules in the order of the file; for prose, the one rule `V` and its counterpart `V0`.
    pub rules: Vec<Rule>,
    /// The lines of EXAMPLES, in the order of the file.
    pub examples: Vec<Example>,
    /// Base codes with their sides, in order of first appearance.
    labels: Vec<(String, Side)>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] with the line.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Policy, PolicyError> {
        if bytes.len() > MAX_BYTES {
            return Err(PolicyError::TooLong { n_bytes: bytes.len(), limit: MAX_BYTES });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            PolicyError::NotText { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let front_matter::Cut { toml, rest: text, n_lines: n_before } = front_matter::cut(text)?;
        let front = toml.map(front_matter::parse).transpose()?.unwrap_or_default();
        let body = text.replace("\r\n", "\n").trim().to_owned();
        if body.is_empty() {
            return Err(PolicyError::Empty);
        }
        let n_blank = text[..text.len() - text.trim_start().len()].matches('\n').count();
        let lines = || (n_before + n_blank + 1..).zip(body.lines());
        let rules = coded_rules(lines());
        let examples = example::examples(lines());
        let (rules, labels) = if rules.is_empty() { prose(&body) } else { checked(rules)? };
        Ok(Policy {
            id: PolicyId(hex(&Sha256::digest(bytes))),
            name: name.to_owned(),
            title: body
                .lines()
                .find_map(|line| line.strip_prefix("# "))
                .map(|title| title.trim().to_owned()),
            front,
            rules,
            examples,
            labels,
            body,
        })
    }

    /// Name and identity, for verdicts.
    pub fn reference(&self) -> PolicyRef {
        PolicyRef { name: self.name.clone(), id: self.id.clone() }
    }

    /// What a reply's `label` may be: base codes with their sides.
    pub fn labels(&self) -> impl Iterator<Item = (&str, Side)> {
        self.labels.iter().map(|(label, side)| (label.as_str(), *side))
    }

    /// What a reply's `rule_ids` may hold: every rule's code, then base codes that are no rule themselves.
    pub fn rule_ids(&self) -> impl Iterator<Item = (&str, Side)> {
        let bare = self.labels().filter(|(label, _)| self.rule(label).is_none());
        self.rules.iter().map(|rule| (rule.code.as_str(), rule.side)).chain(bare)
    }

    /// The side of a label or of a rule's code.
    pub fn side(&self, code: &str) -> Option<Side> {
        self.rule_ids().chain(self.labels()).find(|(other, _)| *other == code).map(|(_, side)| side)
    }

    /// The rule with this code.
    pub fn rule(&self, code: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.code == code)
    }

    /// Whether the policy has no codes of its own.
    pub fn is_prose(&self) -> bool {
        self.labels.first().is_some_and(|(label, _)| label == PROSE_LABEL)
    }
}

/// The rules of all sections headed VIOLATES or SAFE; lines indented under a rule belong to it.
pub(crate) fn coded_rules<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut side = None;
    let mut is_open = false;
    for (number, line) in lines {
        if let Some(heading) = Heading::parse(line) {
            side = heading.kind.side();
            is_open = false;
        } else if let Some(rule) = side.and_then(|side| Rule::parse(line, side, number)) {
            rules.push(rule);
            is_open = true;
        } else if is_open && is_continuation(line) {
            if let Some(rule) = rules.last_mut() {
                rule.text = format!("{} {}", rule.text, line.trim());
            }
        } else {
            is_open = false;
        }
    }
    rules
}

/// Whether a line belongs to the rule above it.
pub(crate) fn is_continuation(line: &str) -> bool {
    line.starts_with("  ") && !line.trim().is_empty()
}

type Rules = (Vec<Rule>, Vec<(String, Side)>);

fn checked(rules: Vec<Rule>) -> Result<Rules, PolicyError> {
    let mut labels: Vec<(String, Side)> = Vec::new();
    let mut lines_of_codes: HashMap<&str, usize> = HashMap::new();
    let mut first_of_labels: HashMap<&str, &Rule> = HashMap::new();
    for rule in &rules {
        let line = rule.line;
        if let Some(first_line) = lines_of_codes.insert(&rule.code, line) {
            return Err(PolicyError::DuplicateCode { code: rule.code.clone(), line, first_line });
        }
        match first_of_labels.entry(rule.label()) {
            Entry::Occupied(first) if first.get().side != rule.side => {
                let (label, first_line) = (rule.label().to_owned(), first.get().line);
                return Err(PolicyError::MixedSides { label, line, first_line });
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(new) => {
                new.insert(rule);
                labels.push((rule.label().to_owned(), rule.side));
            }
        }
    }
    if labels.iter().all(|(_, side)| *side == Side::Safe) {
        return Err(PolicyError::NothingViolates);
    }
    if labels.iter().all(|(_, side)| *side == Side::Violating) {
        labels.push((free_safe_label(&labels), Side::Safe));
    }
    Ok((rules, labels))
}

/// A safe label for a policy that forgot one: its letters with `0`, or with more zeros if that is taken.
fn free_safe_label(labels: &[(String, Side)]) -> String {
    let mut label =
        labels[0].0.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned() + "0";
    while labels.iter().any(|(other, _)| *other == label) {
        label.push('0');
    }
    label
}

fn prose(body: &str) -> Rules {
    let rule = |code: &str, text: &str, side| Rule {
        code: code.to_owned(),
        name: None,
        text: text.to_owned(),
        side,
        line: 1,
    };
    let rules = vec![
        rule(PROSE_LABEL, body, Side::Violating),
        rule(PROSE_SAFE_LABEL, "Everything that the policy does not forbid.", Side::Safe),
    ];
    let labels = rules.iter().map(|rule| (rule.code.clone(), rule.side)).collect();
    (rules, labels)
}

/// Bytes as lower-case hexadecimal digits, two each: how digests are written here.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
