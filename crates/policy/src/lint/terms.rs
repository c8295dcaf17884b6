//! The row about terms: a word in a rule's test that stands out as a term and is defined nowhere.
//!
//! "Stands out" is judged by form alone, since there is no dictionary here: words with a capital letter
//! inside a sentence, words in capitals (two letters or more) anywhere, and words between `*` or `_`. A
//! term is common if it is in [`COMMON`], and defined if DEFINITIONS says it somewhere, plurals and
//! capitals aside. Terms in small letters are not noticed.

use std::ops::Range;

use crate::lint::code::Code;
use crate::lint::document::{Document, PlacedRule};
use crate::lint::finding::Fault;
use crate::section::SectionKind;

/// Words with capitals that need no definition: what prompts call the item, and what newspapers do not
/// explain.
const COMMON: &str = "i i'm i'll i've content instructions definitions violates safe examples output \
    ai api id ip pin url pdf html http json sms dm tv pc cv ok faq gps usb vs us usa uk eu un usd eur gbp \
    dna hiv monday tuesday wednesday thursday friday saturday sunday january february march april may \
    june july august september october november december christmas internet web bible quran god \
    english french german spanish portuguese italian dutch russian arabic hebrew turkish persian hindi \
    chinese japanese korean europe asia africa america christian muslim jewish jew hindu buddhist nazi";

/// The longest term between `*` or `_`, in bytes; what is longer is an emphasised sentence.
const MAX_EMPHASIS: usize = 40;

/// So many terms of a policy are looked up.
const MAX_TERMS: usize = 500;

/// A run of words that stands out.
struct Term {
    span: Range<usize>,
    /// Where its second word begins, if its first word opens a sentence and may have its capital from there.
    second: Option<usize>,
}

pub(crate) fn check(document: &Document, faults: &mut Vec<Fault>) {
    let definitions = document.sections_of(SectionKind::Definitions);
    let words = definitions.flat_map(|section| document.words(document.content(section)));
    let defined = stems(words.map(|(_, word)| word));
    let stems_of = |span: Range<usize>| stems(document.words(span).map(|(_, word)| word));
    let terms = document.rules.iter().flat_map(|placed| {
        let mut terms = capitalised(document, placed);
        terms.extend(emphasised(document, placed).map(|span| Term { span, second: None }));
        terms.sort_by_key(|term| term.span.start);
        terms.into_iter().map(move |term| (placed, term))
    });
    for (placed, Term { span, second }) in terms.take(MAX_TERMS) {
        let starts = [Some(span.start), second];
        let mut ways = starts.into_iter().flatten().map(|start| stems_of(start..span.end));
        if !ways.any(|way| defined.contains(&way)) {
            let term = &document.text[span.clone()];
            let message = format!("the term {term} in {} is not defined", placed.rule.code);
            let help = format!("add `- {term}: …` to DEFINITIONS, or use a plain word");
            faults.push(Fault::new(Code::UndefinedTerm, span, message, help));
        }
    }
}

/// Runs of words with a capital. One word alone at the start of a sentence says nothing, unless it is all
/// in capitals.
fn capitalised(document: &Document, placed: &PlacedRule) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    // The run that the next word may go on with, and whether it is a term already.
    let mut open: Option<(Term, bool)> = None;
    let words = document.own_words(placed.test.clone()).filter(|(_, word)| is_term(word));
    for (span, word) in words {
        let is_start = begins_sentence(&document.text[placed.test.start..span.start]);
        let goes_on = |(term, counts): &(Term, bool)| {
            let is_next = &document.text[term.span.end..span.start] == " ";
            is_next && !is_start && (*counts || !is_acronym(word))
        };
        if let Some((term, counts)) = open.as_mut().filter(|run| goes_on(run)) {
            term.second = term.second.or((!*counts).then_some(span.start));
            term.span.end = span.end;
            *counts = true;
            continue;
        }
        terms.extend(open.take().filter(|(_, counts)| *counts).map(|(term, _)| term));
        open = Some((Term { span, second: None }, !is_start || is_acronym(word)));
    }
    terms.extend(open.filter(|(_, counts)| *counts).map(|(term, _)| term));
    terms
}

fn begins_sentence(before: &str) -> bool {
    let before = before.trim_end().trim_end_matches(['(', '"', '“', '*', '_']).trim_end();
    before.is_empty() || before.ends_with(['.', '!', '?', ':'])
}

/// A capital first letter, no digit, and not common.
fn is_term(word: &str) -> bool {
    let is_common = || {
        let lower = word.to_lowercase().replace('’', "'");
        let single = lower.trim_end_matches("'s");
        COMMON.split(' ').any(|common| single == common || single.strip_suffix('s') == Some(common))
    };
    word.starts_with(char::is_uppercase)
        && !word.contains(|letter: char| letter.is_numeric())
        && !is_common()
}

fn is_acronym(word: &str) -> bool {
    word.chars().count() >= 2 && word.chars().all(char::is_uppercase)
}

/// What stands between two `*` or `_` of a line, the marks left out. What has a capital was found already.
fn emphasised<'a>(
    document: &'a Document,
    placed: &PlacedRule,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut found = Vec::new();
    let mut start = placed.test.start;
    for line in document.text[placed.test.clone()].split('\n') {
        for mark in ['*', '_'] {
            found.extend(
                between(line, mark).into_iter().map(|span| start + span.start..start + span.end),
            );
        }
        start += line.len() + 1;
    }
    found.into_iter().filter(|span| {
        let word = &document.text[span.clone()];
        let is_own = document.own_words(span.clone()).next().is_some();
        is_own && word.len() <= MAX_EMPHASIS && !word.starts_with(char::is_uppercase)
    })
}

/// What stands between runs of a mark: the first has no letter before it and no space behind it, the second
/// the reverse.
fn between(line: &str, mark: char) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    let mut at = 0;
    while let Some(start) = line[at..].find(mark).map(|n| at + n) {
        let end = start + line[start..].chars().take_while(|letter| *letter == mark).count();
        let (before, after) = (line[..start].chars().next_back(), line[end..].chars().next());
        let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let is_space = |letter: Option<char>| letter.is_none_or(char::is_whitespace);
        match open.take() {
            Some(inner) if !is_space(before) && !is_letter(after) => found.push(inner..start),
            other => open = (!is_letter(before) && !is_space(after)).then_some(end).or(other),
        }
        at = end;
    }
    found
}

/// Words in one form, each between spaces: small letters, without `'s` and the `s` of plurals.
pub(crate) fn stems<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.fold(" ".to_owned(), |text, word| text + &stem(word) + " ")
}

/// A word in small letters, without `'s` and the `s` of plurals.
pub(crate) fn stem(word: &str) -> String {
    const MIN_PLURAL: usize = 4;
    let word = word.to_lowercase().replace('’', "'");
    let word = word.trim_end_matches("'s");
    match word.strip_suffix('s') {
        Some(single) if word.len() >= MIN_PLURAL && !single.ends_with('s') => single.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_rule(test: &str, expected: &[&str]) {
        let text = format!(
            "## DEFINITIONS\n- Use detail: a fact.\n- Rival: a shop.\n\n## VIOLATES\n- A1 Fake Name: {test}\n"
        );
        let document = Document::new(&text, &text);
        let mut faults = Vec::new();
        check(&document, &mut faults);
        let findings = crate::lint::finding::placed(text.as_bytes(), faults);
        let found: Vec<_> = findings.into_iter().map(|finding| &text[finding.span]).collect();
        assert_eq!(found, expected, "{test}");
    }

    #[test]
    fn terms_are_known_by_their_form() {
        check_rule("sells Grey Goods to Rivals. Use Details count", &["Grey Goods"]);
        check_rule("Shares CSAM, or a PIN, with CONTENT in English", &["CSAM"]);
        check_rule("Protected Groups are attacked. Tells Use Details", &["Protected Groups"]);
        check_rule("praises *grooming* or **Rivals** or _use detail_", &["grooming"]);
        check_rule("says \"Buy Now\": Buy is no term, 2 * 3 * 4, rule_ids or policy_category", &[]);
    }
}
