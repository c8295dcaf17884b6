//! A policy's text as the linter sees it: lines, sections, rules and examples, all with their places.
//!
//! It reads what [`Policy::parse`](crate::Policy::parse) reads, and goes on where that one stops.

use std::collections::HashMap;
use std::ops::Range;

use crate::example::{Example, examples};
use crate::lint::marks::{Kind, Marks};
use crate::policy::{coded_rules, is_continuation};
use crate::rule::{Rule, Side};
use crate::section::{Heading, SectionKind};

/// A line of the body, without its end.
pub(crate) struct Line {
    /// From 1, in the file.
    pub(crate) number: usize,
    pub(crate) span: Range<usize>,
}

/// A heading and the lines below it.
pub(crate) struct Section {
    pub(crate) heading: Heading,
    /// Indexes of lines; the first is the heading.
    pub(crate) lines: Range<usize>,
}

/// A rule with its places.
pub(crate) struct PlacedRule {
    pub(crate) rule: Rule,
    pub(crate) code: Range<usize>,
    /// From behind the code to the end of the rule's last line.
    pub(crate) wording: Range<usize>,
    /// The test without the name.
    pub(crate) test: Range<usize>,
}

pub(crate) struct Document<'a> {
    /// The whole file.
    pub(crate) text: &'a str,
    /// What the model reads of it.
    pub(crate) body: Range<usize>,
    pub(crate) lines: Vec<Line>,
    pub(crate) sections: Vec<Section>,
    pub(crate) rules: Vec<PlacedRule>,
    pub(crate) examples: Vec<Example>,
    pub(crate) marks: Marks,
    /// The letters that this policy's codes begin with.
    pub(crate) prefix: Option<String>,
    /// The sides of all codes and base codes.
    sides: HashMap<String, Side>,
    /// For each line, whether it stands in EXAMPLES.
    is_example: Vec<bool>,
}

impl<'a> Document<'a> {
    /// `rest` is the end of `text` behind the front matter.
    pub(crate) fn new(text: &'a str, rest: &str) -> Document<'a> {
        let start = text.len() - rest.trim_start().len();
        let body = start..start + rest.trim().len();
        let lines = lines(text, &body);
        let numbered = || lines.iter().map(|line| (line.number, &text[line.span.clone()]));
        let rules = coded_rules(numbered());
        let examples = examples(numbered());
        let sections = sections(text, &lines);
        let marks = Marks::new(text, &lines);
        let prefix = prefix(text, &lines, &rules);
        let sides = sides(&rules);
        let is_example = is_example(&sections, lines.len());
        let rules = rules.into_iter().map(|rule| placed(text, &lines, rule)).collect();
        Document { text, body, lines, sections, rules, examples, marks, prefix, sides, is_example }
    }

    /// Whether it is free text, without codes and without sections for rules.
    pub(crate) fn is_prose(&self) -> bool {
        self.rules.is_empty()
            && !self.sections.iter().any(|section| section.heading.kind.side().is_some())
    }

    pub(crate) fn line(&self, line: &Line) -> &'a str {
        &self.text[line.span.clone()]
    }

    /// The line with this number; the number is that of one of its lines.
    pub(crate) fn numbered(&self, number: usize) -> Option<&Line> {
        self.lines.get(number.checked_sub(self.lines.first()?.number)?)
    }

    pub(crate) fn sections_of(&self, kind: SectionKind) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.heading.kind == kind)
    }

    /// The place of the section's heading.
    pub(crate) fn heading(&self, section: &Section) -> Range<usize> {
        self.lines[section.lines.start].span.clone()
    }

    /// The place of what stands below the heading.
    pub(crate) fn content(&self, section: &Section) -> Range<usize> {
        let start = self.lines[section.lines.start].span.end;
        let end = self.lines[section.lines.end - 1].span.end;
        start..end
    }

    /// The heading that opens the policy, or else its first line.
    pub(crate) fn top(&self) -> Range<usize> {
        let heading = self.sections.first().map(|section| self.heading(section));
        heading.unwrap_or_else(|| {
            self.lines.first().map_or(self.body.clone(), |line| line.span.clone())
        })
    }

    /// The side of a code or of a base code; none for a code that no rule defines.
    pub(crate) fn side(&self, code: &str) -> Option<Side> {
        self.sides.get(code).copied()
    }

    /// The rules of one side, in the order of the file.
    pub(crate) fn rules_of(&self, side: Side) -> impl Iterator<Item = &PlacedRule> {
        self.rules.iter().filter(move |placed| placed.rule.side == side)
    }

    /// The lines that are no examples: those of EXAMPLES hold items, and items may say anything.
    pub(crate) fn lines_without_examples(&self) -> impl Iterator<Item = &Line> {
        let lines = self.lines.iter().zip(&self.is_example);
        lines.filter(|(_, is_example)| !**is_example).map(|(line, _)| line)
    }

    /// The words of a range: letters, digits and apostrophes.
    pub(crate) fn words(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, &'a str)> {
        let text = self.text;
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '\'' || letter == '’';
        let Range { start: mut rest, end } = range;
        std::iter::from_fn(move || {
            let start = rest + text[rest..end].find(is_part)?;
            let len = text[start..end].find(|letter| !is_part(letter)).unwrap_or(end - start);
            rest = start + len;
            Some((start..rest, &text[start..rest]))
        })
    }

    /// The words that nobody quotes: outside quotation marks, code, reply formats and slots.
    pub(crate) fn own_words(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, &'a str)> {
        self.words(range).filter(|(span, _)| !self.marks.has(span.start, Kind::ANY))
    }
}

fn lines(text: &str, body: &Range<usize>) -> Vec<Line> {
    let mut start = body.start;
    let first = 1 + text[..start].matches('\n').count();
    let parts = text[body.clone()].split_inclusive('\n').map(|part| {
        let here = start;
        start += part.len();
        here..here + part.trim_end_matches(['\n', '\r']).len()
    });
    (first..).zip(parts).map(|(number, span)| Line { number, span }).collect()
}

fn sections(text: &str, lines: &[Line]) -> Vec<Section> {
    let headings: Vec<(usize, Heading)> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, Heading::parse(&text[line.span.clone()])?)))
        .collect();
    let mut sections: Vec<Section> = Vec::new();
    let mut n_open: Vec<usize> = Vec::new();
    for (at, heading) in headings {
        while let Some(&open) = n_open.last().filter(|&&open| heading.ends(sections[open].heading))
        {
            sections[open].lines.end = at;
            n_open.pop();
        }
        n_open.push(sections.len());
        sections.push(Section { heading, lines: at..lines.len() });
    }
    sections
}

fn placed(text: &str, lines: &[Line], rule: Rule) -> PlacedRule {
    let first = rule.line - lines[0].number;
    let span = lines[first].span.clone();
    let line = &text[span.clone()];
    let code = span.start + line.find(&rule.code).unwrap_or_default();
    let code = code..code + rule.code.len();
    let n_more = lines[first + 1..]
        .iter()
        .take_while(|line| is_continuation(&text[line.span.clone()]))
        .count();
    let end = lines[first + n_more].span.end;
    let between = text[code.end..span.end].trim_start_matches([':', ' ']);
    let wording = span.end - between.len()..end;
    let own_text = Rule::parse(line, rule.side, rule.line).map_or(0, |rule| rule.text.len());
    let test = span.start + line.trim_end().len() - own_text..end;
    PlacedRule { rule, code, wording, test }
}

/// `CH` of a title's `(#CH)`; else the letters that more than half of the rules share.
fn prefix(text: &str, lines: &[Line], rules: &[Rule]) -> Option<String> {
    let mut titles = lines.iter().filter_map(|line| text[line.span.clone()].strip_prefix("# "));
    let named = titles.next().and_then(|title| title.split_once("(#")?.1.split_once(')'));
    let is_prefix =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    if let Some((word, _)) = named.filter(|(word, _)| is_prefix(word)) {
        return Some(word.to_owned());
    }
    let n_same =
        |letters: &str| rules.iter().filter(|rule| letters_of(rule.label()) == letters).count();
    let first = rules.iter().map(|rule| letters_of(rule.label()));
    let mut first = first.take(MAX_PREFIXES);
    first.find(|letters| n_same(letters) * 2 > rules.len()).map(str::to_owned)
}

/// A prefix that more than half of the rules share is looked for among so many.
const MAX_PREFIXES: usize = 16;

fn is_example(sections: &[Section], n_lines: usize) -> Vec<bool> {
    let mut is_example = vec![false; n_lines];
    for section in sections.iter().filter(|section| section.heading.kind == SectionKind::Examples) {
        is_example[section.lines.clone()].fill(true);
    }
    is_example
}

/// The first rule with a code gives it its side, as it does in replies.
fn sides(rules: &[Rule]) -> HashMap<String, Side> {
    let mut sides = HashMap::new();
    for rule in rules {
        sides.entry(rule.code.clone()).or_insert(rule.side);
        sides.entry(rule.label().to_owned()).or_insert(rule.side);
    }
    sides
}

/// A base code without its number.
pub(crate) fn letters_of(label: &str) -> &str {
    label.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('-')
}
