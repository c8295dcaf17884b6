//! The line that a finding is about, cut around it and made safe to show, with marks under it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::output::shown;

/// The widest excerpt, in columns.
const WIDTH: usize = 100;
/// Columns before the finding where a line is cut.
const BEFORE: usize = 30;
/// Bytes that are looked at on each side of a finding: enough for any excerpt.
const MAX_BYTES: usize = 8 * WIDTH;

/// A line and the marks under it.
pub(super) struct Excerpt {
    /// What is shown of the line.
    pub(super) line: String,
    /// Columns before the marks.
    pub(super) indent: usize,
    /// Columns to mark, at least one.
    pub(super) n_marks: usize,
}

/// The excerpt for a span of a file, which need not be text. Of a span over many lines, the first is shown.
pub(super) fn excerpt(bytes: &[u8], span: std::ops::Range<usize>) -> Excerpt {
    let start = span.start.min(bytes.len());
    let before = &bytes[start.saturating_sub(MAX_BYTES)..start];
    let is_cut_before = !before.contains(&b'\n') && start > before.len();
    let before = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let rest = &bytes[start..(start + MAX_BYTES).min(bytes.len())];
    let is_cut_after = !rest.contains(&b'\n') && start + rest.len() < bytes.len();
    let rest = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let inside = &rest[..rest.len().min(span.end.saturating_sub(start))];
    let after = rest[inside.len()..].trim_ascii_end();

    let (before, inside, after) = (visible(before), visible(inside), visible(after));
    let is_short =
        [&before, &inside, &after].map(|part| part.width()).iter().sum::<usize>() <= WIDTH;
    if is_short && !is_cut_before && !is_cut_after {
        return joined(&before, &inside, &after);
    }
    let before = last_columns(&before, BEFORE, is_cut_before);
    let inside = first_columns(&inside, WIDTH - BEFORE, false);
    let n_left = WIDTH.saturating_sub(before.width() + inside.width());
    joined(&before, &inside, &first_columns(&after, n_left, is_cut_after))
}

fn joined(before: &str, inside: &str, after: &str) -> Excerpt {
    Excerpt {
        line: format!("{before}{inside}{after}").trim_end().to_owned(),
        indent: before.width(),
        n_marks: inside.width().max(1),
    }
}

/// As text that a terminal does not obey; bytes that are no text are U+FFFD.
fn visible(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes))
}

const ELLIPSIS: &str = "…";

/// The first columns of a text, with an ellipsis where something is left out.
fn first_columns(text: &str, n_columns: usize, is_cut: bool) -> String {
    if text.width() <= n_columns && !is_cut {
        return text.to_owned();
    }
    let kept: String = fitting(text.chars(), n_columns).collect();
    kept + ELLIPSIS
}

/// The last columns, likewise.
fn last_columns(text: &str, n_columns: usize, is_cut: bool) -> String {
    if text.width() <= n_columns && !is_cut {
        return text.to_owned();
    }
    let kept: Vec<char> = fitting(text.chars().rev(), n_columns).collect();
    ELLIPSIS.chars().chain(kept.into_iter().rev()).collect()
}

/// As many letters as fit beside an ellipsis.
fn fitting(letters: impl Iterator<Item = char>, n_columns: usize) -> impl Iterator<Item = char> {
    let mut n_left = n_columns.saturating_sub(ELLIPSIS.width());
    letters.map_while(move |letter| {
        n_left = n_left.checked_sub(letter.width().unwrap_or(0))?;
        Some(letter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], needle: &[u8], line: &str, marked: &str) {
        let start = bytes.windows(needle.len()).position(|part| part == needle).unwrap();
        let excerpt = excerpt(bytes, start..start + needle.len());
        assert_eq!(excerpt.line, line);
        let is_marked = |part: &(usize, char)| {
            part.0 >= excerpt.indent && part.0 < excerpt.indent + excerpt.n_marks
        };
        let columns =
            excerpt.line.char_indices().map(|(at, letter)| (excerpt.line[..at].width(), letter));
        assert_eq!(columns.filter(is_marked).map(|(_, letter)| letter).collect::<String>(), marked);
    }

    #[test]
    fn marks_stand_under_what_is_meant() {
        check(b"one\ntwo words\nthree", b"words", "two words", "words");
        check("a漢字b\r\n".as_bytes(), "b".as_bytes(), "a漢字b", "b");
        check("\tx".as_bytes(), b"x", "    x", "x");
    }

    #[test]
    fn hostile_bytes_are_shown_as_numbers() {
        check(b"\x1b[31mred", b"red", "\\u{1b}[31mred", "red");
        check("a\u{202e}b".as_bytes(), b"b", "a\\u{202e}b", "b");
        check(b"caf\xe9!", b"\xe9", "caf\u{fffd}!", "\u{fffd}");
    }

    #[test]
    fn long_lines_are_cut_around_the_span() {
        let long = format!("{}MARK{}", "a".repeat(5000), "b".repeat(5000));
        let expected = format!("…{}MARK{}…", "a".repeat(29), "b".repeat(65));
        check(long.as_bytes(), b"MARK", &expected, "MARK");
        let all = excerpt(long.as_bytes(), 0..long.len());
        assert!(all.line.width() <= WIDTH && all.line.ends_with('…'), "{}", all.line);
    }

    #[test]
    fn an_empty_span_has_one_mark() {
        assert_eq!(excerpt(b"", 0..0).n_marks, 1);
        assert_eq!(excerpt(b"abc", 3..3).n_marks, 1);
    }
}
