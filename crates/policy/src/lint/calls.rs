//! Rows about text that does not belong into a prompt: control tokens, and what changes from call to call.
//!
//! A date is a full one (`2026-03-01`, `1.3.2026`, `1 March 2026`, `March 1, 2026`); a month or a year alone
//! is none. An id is a UUID, a number of ten digits or more, or a word of sixteen characters or more in
//! which letters and digits mix. "current date:", "today is", "request id =" and the like count as well.
//! Quotations, code, formats and the section EXAMPLES may hold all of these: they quote items.

use std::ops::Range;

use crate::lint::code::Code;
use crate::lint::document::Document;
use crate::lint::finding::Fault;
use crate::lint::marks::Kind;

/// The longest name in a control token, in bytes.
const MAX_NAME: usize = 40;
const MIN_NUMBER: usize = 10;
const MIN_ID: usize = 16;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Words before which `id` names something of one call.
const ID_OF: [&str; 8] =
    ["request", "message", "item", "content", "session", "call", "conversation", "ticket"];

pub(crate) fn check(document: &Document, faults: &mut Vec<Fault>) {
    for span in control_tokens(document) {
        let message = format!("{} is a control token of harmony", &document.text[span.clone()]);
        let help = "describe it in words, such as \"role markers\"";
        faults.push(Fault::new(Code::ControlToken, span, message, help));
    }
    for line in document.lines_without_examples() {
        changes(document, line.span.clone(), faults);
    }
}

/// `<|name|>` with a name of letters, digits and underscores.
fn control_tokens<'a>(document: &'a Document) -> impl Iterator<Item = Range<usize>> + 'a {
    let text = document.text;
    let starts = text[document.body.clone()].match_indices("<|");
    starts.filter_map(|(at, _)| {
        let start = document.body.start + at;
        let name =
            &text[start + 2..text.floor_char_boundary((start + 2 + MAX_NAME).min(text.len()))];
        let len = name.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
        (len > 0 && name[len..].starts_with("|>")).then(|| start..start + len + 4)
    })
}

fn changes(document: &Document, line: Range<usize>, faults: &mut Vec<Fault>) {
    let words: Vec<_> = document.own_words(line.clone()).collect();
    let mut done = line.start;
    for at in 0..words.len() {
        let start = words[at].0.start;
        if start < done {
            continue;
        }
        let rest = &document.text[start..line.end];
        let found =
            match (numeric_date(rest).or_else(|| written_date(rest, &words[at..])), id_len(rest)) {
                (Some(len), _) => Some((
                    len,
                    "is a date",
                    "take it out; the front matter's `date` is told to the model",
                )),
                (None, Some(len)) => Some((
                    len,
                    "looks like an id",
                    "take it out, or put it into backticks if it is one for all calls",
                )),
                (None, None) => named(document, &words[at..], line.end).map(|len| {
                    (
                        len,
                        "names what changes from call to call",
                        "take it out; facts about an item belong into its metadata",
                    )
                }),
            };
        // A number inside a longer word or number begins nothing.
        let is_inside = document.text[line.start..start].ends_with(['-', '.', '/', '_']);
        if let Some((len, what, help)) = found.filter(|_| !is_inside) {
            let message = format!("`{}` {what}", &rest[..len]);
            faults.push(Fault::new(Code::ChangesPerCall, start..start + len, message, help));
            done = start + len;
        }
    }
}

/// The length of `2026-03-01`, `2026/03/01`, `1.3.2026`, `01/03/2026` at the start of a text.
fn numeric_date(text: &str) -> Option<usize> {
    let len =
        text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '-' | '/' | '.'));
    let date = text[..len.unwrap_or(text.len())].trim_end_matches(['-', '/', '.']);
    let mark = date.chars().find(|letter| !letter.is_ascii_digit())?;
    let parts: Vec<&str> = date.split(mark).collect();
    let (year, month, day) = match parts.as_slice() {
        [year, month, day] if year.len() == 4 => (year, month, day),
        [day, month, year] if mark != '-' || day.len() == 2 => (year, month, day),
        _ => return None,
    };
    let is_small =
        |part: &str| part.len() <= 2 && part.parse().is_ok_and(|n: u32| (1..=31).contains(&n));
    (year.len() == 4 && year.parse::<u32>().is_ok() && is_small(month) && is_small(day))
        .then_some(date.len())
}

/// The length of `1 March 2026` or `March 1, 2026` at the start of a text.
fn written_date(text: &str, words: &[(Range<usize>, &str)]) -> Option<usize> {
    let [first, second, third, ..] = words else { return None };
    let is_month = |word: &str| MONTHS.contains(&word.to_lowercase().as_str());
    let is_day = |word: &str| {
        let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        word.len() <= digits.len() + 2
            && digits.parse().is_ok_and(|day: u32| (1..=31).contains(&day))
    };
    let is_year = |word: &str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_date =
        (is_day(first.1) && is_month(second.1)) || (is_month(first.1) && is_day(second.1));
    let len = third.0.end - first.0.start;
    (is_date && is_year(third.1) && len <= text.len()).then_some(len)
}

/// The length of an id at the start of a text.
fn id_len(text: &str) -> Option<usize> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let len = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    let word = text[..len].trim_end_matches(['-', '_']);
    let n_digits = word.bytes().filter(u8::is_ascii_digit).count();
    let n_letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_number = word.len() >= MIN_NUMBER && n_digits == word.len();
    let turns = word
        .as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit());
    let is_mixed = word.len() >= MIN_ID && n_digits >= 4 && n_letters >= 1 && turns.count() >= 4;
    (is_number || is_mixed || is_uuid(word)).then_some(word.len())
}

fn is_uuid(word: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = word.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.into_iter().all(is_hex)
}

/// The length of "current date:", "today's date is", "today is" or "request id =".
fn named(document: &Document, words: &[(Range<usize>, &str)], line_end: usize) -> Option<usize> {
    let [first, second, ..] = words else { return None };
    let (a, b) = (first.1.to_lowercase(), second.1.to_lowercase());
    if a == "today" && b == "is" {
        return Some(second.0.end - first.0.start);
    }
    let is_clock = matches!(a.as_str(), "current" | "today's" | "today’s")
        && matches!(b.as_str(), "date" | "time");
    let is_id = b == "id" && ID_OF.contains(&a.as_str());
    let after = document.text[second.0.end..line_end].trim_start();
    let is_set = after.starts_with([':', '=', '#']) || after.starts_with("is ");
    let is_own = !document.marks.has(second.0.start, Kind::ANY);
    ((is_clock || is_id) && is_set && is_own).then(|| second.0.end - first.0.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_line(line: &str, expected: &[&str]) {
        let document = Document::new(line, line);
        let mut faults = Vec::new();
        check(&document, &mut faults);
        let findings = crate::lint::finding::placed(line.as_bytes(), faults);
        let found: Vec<_> = findings.into_iter().map(|finding| &line[finding.span]).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn dates_ids_and_control_tokens_are_found() {
        check_line(
            "As of 2026-03-01, 1.3.2026 and 01/03/2026.",
            &["2026-03-01", "1.3.2026", "01/03/2026"],
        );
        check_line("On 1 March 2026 or March 1st, 2026", &["1 March 2026", "March 1st, 2026"]);
        check_line(
            "item 123e4567-e89b-12d3-a456-426614174000 or 1767225600 or a1b2c3d4e5f60718",
            &["123e4567-e89b-12d3-a456-426614174000", "1767225600", "a1b2c3d4e5f60718"],
        );
        check_line(
            "Current date: x. Today is Monday. Request id = 7",
            &["Current date", "Today is", "Request id"],
        );
        check_line("Ignore <|start|>system<|message|>", &["<|start|>", "<|message|>"]);
    }

    #[test]
    fn versions_years_months_and_quotations_are_no_dates() {
        check_line("version 1.0.2 of March 2026, rule 9.11, since 2019, 555-0100, 24/7, 1:40", &[]);
        check_line("\"on 2026-03-01\" and `2026-03-01`, <| and |>, <|a b|>", &[]);
        check_line(
            "internationalisation-and-localisation COVID-19-vaccine-2021 request id shown",
            &[],
        );
    }
}
