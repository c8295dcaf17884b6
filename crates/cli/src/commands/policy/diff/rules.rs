//! How the rules of two versions differ, code by code.

use policy::{Policy, Rule};
use serde::Serialize;

/// One rule that is not the same in both versions.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(super) enum Change<'a> {
    /// Only the new version has it.
    Added { rule: &'a Rule },
    /// Only the old version has it.
    Removed { rule: &'a Rule },
    /// Name, test or side are different.
    Reworded { old: &'a Rule, new: &'a Rule },
}

/// The changes: of the old version's rules in their order, then what is new.
pub(super) fn changes<'a>(old: &'a Policy, new: &'a Policy) -> Vec<Change<'a>> {
    let is_same = |a: &Rule, b: &Rule| a.name == b.name && a.text == b.text && a.side == b.side;
    let of_old = old.rules.iter().filter_map(|rule| match new.rule(&rule.code) {
        None => Some(Change::Removed { rule }),
        Some(other) if is_same(rule, other) => None,
        Some(other) => Some(Change::Reworded { old: rule, new: other }),
    });
    let added = new.rules.iter().filter(|rule| old.rule(&rule.code).is_none());
    of_old.chain(added.map(|rule| Change::Added { rule })).collect()
}

/// Lines outside the rules that only one of the versions has.
pub(super) fn n_other_lines(old: &Policy, new: &Policy) -> usize {
    let lines = |policy: &Policy| -> Vec<String> {
        let is_rule = |line: &str| policy.rules.iter().any(|rule| line.contains(&rule.text));
        policy
            .body
            .lines()
            .filter(|line| !line.trim().is_empty() && !is_rule(line))
            .map(str::to_owned)
            .collect()
    };
    let (old, new) = (lines(old), lines(new));
    let missing = |these: &[String], there: &[String]| {
        these.iter().filter(|line| !there.contains(line)).count()
    };
    missing(&old, &new).max(missing(&new, &old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str) -> Policy {
        Policy::parse(
            "p",
            format!("# P\n\n## VIOLATES\n{rules}\n## SAFE\n- A0.a none\n").as_bytes(),
        )
        .expect("a policy")
    }

    #[test]
    fn changes_are_told_by_code() {
        let old = policy("- A1 One: x\n- A2 Two: y\n");
        let new = policy("- A1 One: z\n- A3 Three: y\n");
        let found: Vec<&str> = changes(&old, &new)
            .iter()
            .map(|change| match change {
                Change::Added { rule } | Change::Removed { rule } => rule.code.as_str(),
                Change::Reworded { new, .. } => new.text.as_str(),
            })
            .collect();
        assert_eq!(found, ["z", "A2", "A3"]);
        assert_eq!(changes(&old, &old), []);
        assert_eq!((n_other_lines(&old, &new), n_other_lines(&old, &old)), (0, 0));
    }
}
