//! Rows about words: hedges, prohibitions as rules, and the route for items that cannot be decided.

use crate::lint::code::Code;
use crate::lint::document::Document;
use crate::lint::finding::Fault;
use crate::lint::marks::Kind;
use crate::rule::Side;
use crate::section::Heading;

/// Words that leave a decision open. `May` with a capital is the month.
const HEDGES: [&str; 15] = [
    "generally",
    "usually",
    "often",
    "may",
    "might",
    "appropriate",
    "appropriately",
    "inappropriate",
    "inappropriately",
    "reasonable",
    "reasonably",
    "unreasonable",
    "unreasonably",
    "typically",
    "normally",
];

/// What a policy says where it sends items that it cannot decide, or where it speaks of such items.
const ROUTES: [&str; 13] = [
    "confidence low",
    "low confidence",
    "manual review",
    "human review",
    "moderator",
    "reviewer",
    "undetermined",
    "ambiguous",
    "unclear",
    "cannot tell",
    "can't tell",
    "in doubt",
    "not enough",
];

pub(crate) fn hedges(document: &Document, faults: &mut Vec<Fault>) {
    for line in document.lines_without_examples() {
        for (span, word) in document.own_words(line.span.clone()) {
            let is_hedge =
                HEDGES.iter().any(|hedge| hedge.eq_ignore_ascii_case(word)) && word != "May";
            if is_hedge {
                let message = format!("\"{word}\" leaves the decision open");
                let help = "write a test that two people would answer alike: what the item contains, shows or asks for";
                faults.push(Fault::new(Code::HedgeWord, span, message, help));
            }
        }
    }
}

/// Violating rules whose name, or else whose test, begins with No, Don't or Do not.
pub(crate) fn negations(document: &Document, faults: &mut Vec<Fault>) {
    for placed in document.rules_of(Side::Violating) {
        let mut words = document.words(placed.wording.clone());
        let (Some((span, first)), second) = (words.next(), words.next()) else { continue };
        let second = second.filter(|(_, word)| word.eq_ignore_ascii_case("not"));
        let span = match (first.to_lowercase().replace('’', "'").as_str(), second) {
            ("no" | "don't", _) => span,
            ("do", Some((not, _))) => span.start..not.end,
            _ => continue,
        };
        let message = format!("the violating rule {} begins with a prohibition", placed.rule.code);
        let help = "say what an item does that violates: \"contains …\", \"asks for …\"";
        faults.push(Fault::new(Code::NegatedRule, span, message, help));
    }
}

/// A policy has a route if its text, headings, examples and formats aside, says one of [`ROUTES`].
pub(crate) fn route(document: &Document, faults: &mut Vec<Fault>) {
    let mut text = String::new();
    let lines = document.lines_without_examples();
    for line in lines.filter(|line| Heading::parse(document.line(line)).is_none()) {
        for (span, word) in document.words(line.span.clone()) {
            if !document.marks.has(span.start, Kind::FORMAT) {
                text.push(' ');
                text.extend(word.replace('’', "'").chars().flat_map(char::to_lowercase));
            }
        }
    }
    if ROUTES.iter().any(|route| text.contains(&format!(" {route}"))) {
        return;
    }
    let message = "nothing says what happens to an item that cannot be decided";
    let help = "add a sentence: if CONTENT does not show what a rule needs, answer the safe code with confidence \"low\"";
    let precedence = document.sections_of(crate::section::SectionKind::Precedence).next();
    let place = precedence.map_or_else(|| document.top(), |section| document.heading(section));
    faults.push(Fault::new(Code::NoAmbiguityRoute, place, message, help));
}
