//! The row about rules of both sides that say nearly the same.
//!
//! Two rules are compared by their words: name and test, in small letters, without plurals, without words of
//! two letters or fewer and without the words in [`EMPTY`] ("without" and "never" among them, because they
//! are what such rules differ in). The measure is Jaccard's: words in both over words in either. This sees
//! equal words and not equal meanings; a measure of meaning needs a model, and there is none on this floor.

use std::collections::BTreeSet;

use crate::lint::code::Code;
use crate::lint::document::{Document, PlacedRule};
use crate::lint::finding::Fault;
use crate::lint::terms::stem;
use crate::rule::Side;

/// From here on two rules are nearly the same.
const LIMIT: f64 = 0.6;
/// Rules with fewer words than this are not compared.
const MIN_WORDS: usize = 3;
/// So many rules of each side are compared; a policy should have twelve in all.
const MAX_COMPARED: usize = 100;

/// Words that say little about what a rule is for.
const EMPTY: [&str; 24] = [
    "the", "and", "for", "with", "without", "not", "never", "that", "this", "these", "those",
    "from", "are", "has", "have", "who", "which", "what", "when", "its", "into", "only", "any",
    "all",
];

pub(crate) fn check(document: &Document, faults: &mut Vec<Fault>) {
    let side = |side| {
        let rules = document.rules_of(side).take(MAX_COMPARED);
        rules.map(|rule| (rule, words(document, rule))).collect::<Vec<_>>()
    };
    let (violating, safe) = (side(Side::Violating), side(Side::Safe));
    for (rule, words) in &safe {
        let alike = violating.iter().map(|(other, theirs)| (*other, likeness(words, theirs)));
        let nearest = alike.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((other, likeness)) = nearest.filter(|(_, likeness)| *likeness >= LIMIT) {
            let (code, other) = (&rule.rule.code, &other.rule.code);
            let message = format!(
                "{code} and {other} are on different sides and share {:.0} % of their words",
                likeness * 100.0
            );
            let help = "put what tells the two apart first, in words that the other does not have";
            faults.push(Fault::new(Code::NearDuplicate, rule.wording.clone(), message, help));
        }
    }
}

fn words(document: &Document, rule: &PlacedRule) -> BTreeSet<String> {
    let words = document.words(rule.wording.clone()).map(|(_, word)| stem(word));
    words.filter(|word| word.chars().count() > 2 && !EMPTY.contains(&word.as_str())).collect()
}

fn likeness(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    if a.len() < MIN_WORDS || b.len() < MIN_WORDS {
        return 0.0;
    }
    let n_both = a.intersection(b).count();
    n_both as f64 / (a.len() + b.len() - n_both) as f64
}
