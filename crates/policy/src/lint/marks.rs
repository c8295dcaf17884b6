//! Which bytes of a policy are not its author's own words: quotations, code, reply formats, slots.

use std::ops::Range;

use crate::lint::document::Line;
use crate::lint::slots;

/// A set of kinds, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(u8);

impl Kind {
    /// Between quotation marks on one line, straight or curved.
    pub(crate) const QUOTE: Kind = Kind(1);
    /// Between backticks on one line, or between lines of three.
    pub(crate) const CODE: Kind = Kind(2);
    /// A JSON object.
    pub(crate) const FORMAT: Kind = Kind(4);
    /// A slot of a template.
    pub(crate) const SLOT: Kind = Kind(8);
    pub(crate) const ANY: Kind = Kind(15);
    /// All but slots.
    pub(crate) const FOREIGN: Kind = Kind(7);
}

/// The longest JSON object that is taken for a reply format, in bytes.
const MAX_FORMAT: usize = 2000;
/// The same in lines.
const MAX_FORMAT_LINES: usize = 60;

pub(crate) struct Marks {
    /// For each byte of the file, what it is part of.
    bytes: Vec<Kind>,
    /// The JSON objects.
    pub(crate) formats: Vec<Range<usize>>,
    /// The slots.
    pub(crate) slots: Vec<Range<usize>>,
}

impl Marks {
    pub(crate) fn new(text: &str, lines: &[Line]) -> Marks {
        let mut marks =
            Marks { bytes: vec![Kind(0); text.len()], formats: Vec::new(), slots: Vec::new() };
        marks.formats = formats(text, lines);
        for format in marks.formats.clone() {
            marks.set(format, Kind::FORMAT);
        }
        for span in code(text, lines) {
            marks.set(span, Kind::CODE);
        }
        for span in lines
            .iter()
            .flat_map(|line| quotes(text, line.span.clone(), &marks))
            .collect::<Vec<_>>()
        {
            marks.set(span, Kind::QUOTE);
        }
        for line in lines {
            marks.slots.extend(slots::slots(text, line.span.clone(), &marks));
        }
        for slot in marks.slots.clone() {
            marks.set(slot, Kind::SLOT);
        }
        marks
    }

    /// Whether the byte there is part of one of these kinds.
    pub(crate) fn has(&self, at: usize, kinds: Kind) -> bool {
        self.bytes.get(at).is_some_and(|mark| mark.0 & kinds.0 != 0)
    }

    fn set(&mut self, span: Range<usize>, kind: Kind) {
        for mark in &mut self.bytes[span] {
            mark.0 |= kind.0;
        }
    }
}

/// JSON objects: from a brace before a quotation mark to the brace that closes it, at most to the next
/// heading; one that is not closed ends with its line.
fn formats(text: &str, lines: &[Line]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut done = 0;
    for (at, line) in lines.iter().enumerate() {
        let mut from = line.span.start.max(done);
        while let Some(open) = text.get(from..line.span.end).and_then(|part| part.find('{')) {
            let start = from + open;
            let limit = limit(text, &lines[at..], start);
            from = match json_end(&text[start..limit]) {
                _ if !text[start + 1..limit].trim_start().starts_with('"') => start + 1,
                Some(len) => {
                    found.push(start..start + len);
                    start + len
                }
                None => {
                    found.push(start..line.span.end);
                    line.span.end
                }
            };
        }
        done = from;
    }
    found
}

/// How far the object at `start` can go.
fn limit(text: &str, lines: &[Line], start: usize) -> usize {
    let is_inside = |line: &&Line| !text[line.span.clone()].starts_with('#');
    let section = lines.iter().take(MAX_FORMAT_LINES).take_while(is_inside);
    let end = section.last().map_or(start, |line| line.span.end);
    text.floor_char_boundary(end.min(start + MAX_FORMAT)).max(start + 1)
}

/// The length of the object that the text begins with.
fn json_end(text: &str) -> Option<usize> {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'{' if !is_quoted => depth += 1,
            b'}' if !is_quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Lines between fences, and what stands between two backticks of a line.
fn code(text: &str, lines: &[Line]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    for line in lines {
        let content = &text[line.span.clone()];
        if content.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            found.push(line.span.clone());
        } else {
            found.extend(pairs(content, '`', '`').map(|pair| shifted(pair, line.span.start)));
        }
    }
    found
}

fn quotes(text: &str, line: Range<usize>, marks: &Marks) -> Vec<Range<usize>> {
    let content = &text[line.clone()];
    let straight = pairs(content, '"', '"');
    let curved = pairs(content, '“', '”').chain(pairs(content, '„', '“'));
    let found = straight.chain(curved).map(|pair| shifted(pair, line.start));
    found.filter(|pair| !marks.has(pair.start, Kind::FORMAT)).collect()
}

fn shifted(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

/// From each opening mark to the next closing one, both included.
fn pairs(text: &str, open: char, close: char) -> impl Iterator<Item = Range<usize>> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(open)?;
        let inner = start + open.len_utf8();
        rest = inner + text[inner..].find(close)? + close.len_utf8();
        Some(start..rest)
    })
}
