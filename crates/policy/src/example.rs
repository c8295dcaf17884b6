//! Examples: lines of a policy's EXAMPLES section, with the codes that they are filed under.

use crate::rule::is_code;
use crate::section::{Heading, SectionKind};

/// What stands between an example's item and its codes.
const ARROWS: [&str; 3] = ["->", "=>", "→"];

/// One line of EXAMPLES: `- "item" -> CH0 (CH0.a)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The codes in it, as written.
    pub codes: Vec<String>,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// All examples of numbered lines.
pub(crate) fn examples<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Example> {
    let mut found = Vec::new();
    let mut open: Option<Heading> = None;
    for (number, line) in lines {
        if let Some(heading) = Heading::parse(line) {
            let is_inside = open.is_some_and(|open| !heading.ends(open));
            if !is_inside {
                open = Some(heading).filter(|heading| heading.kind == SectionKind::Examples);
            }
        } else if open.is_some() {
            let codes = cited(line);
            if has_arrow(line) || !codes.is_empty() {
                let codes = codes.into_iter().map(|(_, code)| code.to_owned()).collect();
                found.push(Example { codes, line: number });
            }
        }
    }
    found
}

pub(crate) fn has_arrow(line: &str) -> bool {
    ARROWS.iter().any(|arrow| line.contains(arrow))
}

/// The codes of an example's line with their places in it: what follows the last arrow; without one, what
/// stands outside quotation marks or fills them.
pub(crate) fn cited(line: &str) -> Vec<(usize, &str)> {
    let after_arrow =
        ARROWS.iter().filter_map(|arrow| line.rfind(arrow).map(|at| at + arrow.len())).max();
    match after_arrow {
        Some(start) => codes(&line[start..]).map(|(at, code)| (start + at, code)).collect(),
        None => {
            let parts = line.split('"').enumerate().scan(0, |start, (at, part)| {
                let here = *start;
                *start += part.len() + 1;
                Some((here, part, at % 2 == 1))
            });
            let is_open = |part: &str, is_quoted: bool| !is_quoted || is_code(part);
            parts
                .filter(|(_, part, is_quoted)| is_open(part, *is_quoted))
                .flat_map(|(start, part, _)| codes(part).map(move |(at, code)| (start + at, code)))
                .collect()
        }
    }
}

/// What has the form of a code, with its place.
pub(crate) fn codes(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '.' || letter == '-';
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_part)?;
        let end = text[start..].find(|letter| !is_part(letter)).map_or(text.len(), |n| start + n);
        rest = end;
        let word = text[start..end].trim_end_matches(['.', '-']);
        let marks = word.len() - word.trim_start_matches(['.', '-']).len();
        Some((start + marks, &word[marks..]))
    })
    .filter(|(_, word)| is_code(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let found = cited(line);
        assert!(found.iter().all(|(at, code)| line[*at..].starts_with(code)), "{found:?}");
        assert_eq!(found.iter().map(|(_, code)| *code).collect::<Vec<_>>(), expected, "{line}");
    }

    #[test]
    fn codes_stand_behind_the_arrow_or_outside_quotation_marks() {
        check(r#"- "Ranked -> CH9 accounts" -> CH0 (CH0.a)."#, &["CH0", "CH0.a"]);
        check(r#"- CH1: "Buy a CH2 now""#, &["CH1"]);
        check(r#"Answer: {"violation": 1, "label": "CH3"}"#, &["CH3"]);
        check("| étage 5 | CH1, D-SP2 |", &["CH1", "D-SP2"]);
        check(r#"- "nothing" -> safe"#, &[]);
    }
}
