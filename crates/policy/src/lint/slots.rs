//! Slots of a template that nobody filled: `{…}`, `[…]` and `<…>`, and the row about them.
//!
//! A slot opens and closes on one line and holds a letter or an ellipsis. These are none: reply formats
//! (JSON), what stands between quotation marks or backticks, links, footnotes and check boxes of Markdown,
//! and tags of HTML (one word in small letters, or with `=`).

use std::ops::Range;

use crate::lint::code::Code;
use crate::lint::document::Document;
use crate::lint::finding::Fault;
use crate::lint::marks::{Kind, Marks};

/// The longest slot, in bytes; what is longer is a sentence in brackets.
const MAX_SLOT: usize = 200;

/// All slots that are left over.
pub(crate) fn check(document: &Document, faults: &mut Vec<Fault>) {
    for span in &document.marks.slots {
        let message = format!("the slot {} is not filled", &document.text[span.clone()]);
        let help = "write what belongs there, or take the line out; what is meant literally goes into backticks";
        faults.push(Fault::new(Code::OpenSlot, span.clone(), message, help));
    }
}

/// The slots of one line.
pub(crate) fn slots(text: &str, line: Range<usize>, marks: &Marks) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = line.start;
    while let Some(open) = text[from..line.end].find(['{', '[', '<']) {
        let start = from + open;
        let slot = slot(text, start..line.end).filter(|_| !marks.has(start, Kind::FOREIGN));
        from = slot.as_ref().map_or(start + 1, |slot| slot.end);
        found.extend(slot);
    }
    found
}

/// The slot that begins the range, if one does.
fn slot(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = &text[range.start..text.floor_char_boundary(range.end.min(range.start + MAX_SLOT))];
    let end = range.start + closing(part)?;
    let inner = &text[range.start + 1..end - 1];
    let (before, after) = (&text[..range.start], &text[end..range.end]);
    let is_slot = match part.as_bytes()[0] {
        b'<' => is_angle_slot(inner),
        b'[' => is_filled(inner) && !is_markdown(inner, before, after),
        _ => is_filled(inner),
    };
    is_slot.then_some(range.start..end)
}

/// The length up to the bracket that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let open = text.chars().next()?;
    let close = match open {
        '{' => '}',
        '[' => ']',
        _ => '>',
    };
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

fn is_filled(inner: &str) -> bool {
    inner.chars().any(char::is_alphabetic) || has_ellipsis(inner)
}

fn has_ellipsis(inner: &str) -> bool {
    inner.contains('…') || inner.contains("...")
}

/// A link, a picture, the target of a link, a footnote, a check box.
fn is_markdown(inner: &str, before: &str, after: &str) -> bool {
    let is_target =
        after.strip_prefix(": ").is_some_and(|target| target.starts_with(['<', '/', 'h']))
            && after.contains("//");
    let is_box = inner.trim().eq_ignore_ascii_case("x");
    before.ends_with(['!', ']'])
        || after.starts_with(['(', '['])
        || inner.starts_with('^')
        || is_target
        || is_box
}

/// Not `<br>`, `<a href="…">`, `<https://…>`, `<|end|>`, `a <- b`.
fn is_angle_slot(inner: &str) -> bool {
    let is_open =
        inner.starts_with(|letter: char| letter.is_alphabetic() || matches!(letter, '…' | '.'));
    let is_tag = !inner.contains(|letter: char| letter.is_whitespace() || letter.is_uppercase())
        && !has_ellipsis(inner);
    is_open
        && !is_tag
        && is_filled(inner)
        && !inner.contains(['<', '|', '=', '@'])
        && !inner.contains("://")
}

#[cfg(test)]
mod tests {
    use crate::lint::document::Document;

    fn check(line: &str, expected: &[&str]) {
        let document = Document::new(line, line);
        let found: Vec<_> = document.marks.slots.iter().map(|span| &line[span.clone()]).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn slots_are_told_from_json_quotations_and_markdown() {
        check("Posts on {platform} by [who?].", &["{platform}", "[who?]"]);
        check("- <Term>: <a test>, {{name}}, <…>", &["<Term>", "<a test>", "{{name}}", "<…>"]);
        check("{\"violation\": 0 or 1, \"rule_ids\": [codes]} {then}", &["{then}"]);
        check("- \"[PRODUCT] is great\" -> FR3, `[literal]`", &[]);
        check("see [the list](list.md), [x][y] and [^1]; - [ ] - [x] [1]", &[]);
        check("[guide]: https://example.org", &[]);
        check("<br> <a href=\"X Y\"> <|end|> a < b and B > c, <https://a.b/C D> x <- y -> z", &[]);
        check("{0, 1} [unclosed {unclosed <Unclosed", &[]);
    }
}
