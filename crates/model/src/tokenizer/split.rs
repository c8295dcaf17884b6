//! Pre-tokenisation: text into the pieces inside which tokens are merged.

use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::meta::Regex;

/// The pattern of `o200k`, as `tokenizer.json` spells it.
pub(super) const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+",
    r"|\s+(?!\S)",
    r"|\s+",
);
const LOOKAHEAD: &str = r"|\s+(?!\S)";

/// The pieces of `text`, in order; together they are the whole text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let piece = start..start + piece_len(&text[start..])?;
        start = piece.end;
        Some(piece)
    })
}

fn piece_len(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    let found = pattern().find(rest).filter(|found| found.start() == 0);
    // Every character fits some branch; were one forgotten, it would be a piece by itself.
    let end = found.map_or(first.len_utf8(), |found| found.end());
    Some(without_last_space(rest, end))
}

/// What the branch `\s+(?!\S)` does, since automata cannot look ahead: a run of spaces before a word
/// leaves its last one to the word.
fn without_last_space(rest: &str, end: usize) -> usize {
    let piece = &rest[..end];
    let Some(last) = piece.chars().next_back() else { return end };
    let is_run = last.is_whitespace()
        && last != '\r'
        && last != '\n'
        && piece.chars().all(char::is_whitespace);
    let cut = end - last.len_utf8();
    if is_run && end < rest.len() && cut > 0 { cut } else { end }
}

fn pattern() -> &'static Regex {
    static PATTERN: OnceLock<Regex> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let without = O200K.replace(LOOKAHEAD, "");
        let anchored = format!("^(?:{without})");
        Regex::new(&anchored).expect("the pattern is a constant and the tests compile it")
    })
}
