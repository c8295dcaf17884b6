//! Rows about the reply format: stated under INSTRUCTIONS and again under OUTPUT, in the same way.
//!
//! A section states it by a JSON object written out, by naming JSON, by offering `0` or `1`, or (OUTPUT
//! only) by pointing to where it is written.

use std::ops::Range;

use crate::lint::code::Code;
use crate::lint::document::Document;
use crate::lint::finding::{Fault, Fix};
use crate::lint::marks::Kind;
use crate::section::SectionKind;

/// So many sections of one name are read.
const MAX_SECTIONS: usize = 16;

/// How a section states the reply format.
enum Statement {
    /// A JSON object, with its keys and what stands behind each, without spaces.
    Object { span: Range<usize>, fields: Vec<(String, String)> },
    /// The word JSON.
    Json(Range<usize>),
    /// One of two digits.
    Digit(Range<usize>),
    /// A word that points to the format: INSTRUCTIONS, format, above.
    Pointer,
}

impl Statement {
    fn is_written_out(&self) -> bool {
        matches!(self, Statement::Object { .. } | Statement::Digit(_))
    }
}

pub(crate) fn check(document: &Document, faults: &mut Vec<Fault>) {
    let heading = |kind| {
        let section = document.sections_of(kind).next();
        section
            .filter(|section| !document.text[document.content(section)].trim().is_empty())
            .map(|section| document.heading(section))
    };
    // A section that is missing has a row of its own.
    let (Some(top), Some(end)) = (heading(SectionKind::Instructions), heading(SectionKind::Output))
    else {
        return;
    };
    let first = statement(document, SectionKind::Instructions);
    let second = statement(document, SectionKind::Output);
    let once =
        |place, message: &str, help: &str| Fault::new(Code::FormatOnce, place, message, help);
    let write_out = "write the reply format out under INSTRUCTIONS: the JSON object, or `0` or `1`";
    match (first, second) {
        (None, None) => faults.push(once(top, "the reply format is stated nowhere", write_out)),
        (None, Some(_)) => {
            faults.push(once(top, "the reply format is stated under OUTPUT only", write_out))
        }
        (Some(first), None) => {
            let message = "the reply format is stated under INSTRUCTIONS only";
            let help = "repeat it in a line under OUTPUT";
            let fix = output_line(&first).and_then(|line| output_line_fix(document, line));
            faults.push(once(end, message, help).with_fix(fix));
        }
        (Some(first), Some(second)) if !first.is_written_out() && !second.is_written_out() => {
            faults.push(once(top, "the reply format is named and written out nowhere", write_out));
        }
        (Some(first), Some(second)) => faults.extend(difference(&first, &second)),
    }
}

/// An OUTPUT section that repeats what INSTRUCTIONS writes out.
pub(crate) fn output_fix(document: &Document) -> Option<Fix> {
    let first = statement(document, SectionKind::Instructions)?;
    let line = output_line(&first)?;
    if let Some(section) = document.sections_of(SectionKind::Output).next() {
        let heading = document.heading(section);
        let replacement = format!("{}{line}", newline(document));
        let range = heading.end..heading.end;
        return Some(Fix {
            title: "repeat the reply format under OUTPUT".into(),
            range,
            replacement,
        });
    }
    let level = document.sections_of(SectionKind::Instructions).next()?.heading.level;
    let newline = newline(document);
    let heading = "#".repeat(level);
    Some(Fix {
        title: "add an OUTPUT section".into(),
        range: document.body.end..document.text.len(),
        replacement: format!("{newline}{newline}{heading} OUTPUT{newline}{line}{newline}"),
    })
}

/// The line at the end of OUTPUT.
fn output_line_fix(document: &Document, line: &str) -> Option<Fix> {
    let section = document.sections_of(SectionKind::Output).next()?;
    let lines = &document.lines[section.lines.clone()];
    let end = lines.iter().rfind(|line| !document.line(line).trim().is_empty())?.span.end;
    let replacement = format!("{}{line}", newline(document));
    Some(Fix { title: "repeat the reply format under OUTPUT".into(), range: end..end, replacement })
}

fn output_line(first: &Statement) -> Option<&'static str> {
    match first {
        Statement::Object { .. } => Some("Return only the JSON object set out under INSTRUCTIONS."),
        Statement::Digit(_) => Some("Return only the digit set out under INSTRUCTIONS."),
        Statement::Json(_) | Statement::Pointer => None,
    }
}

fn newline(document: &Document) -> &'static str {
    if document.text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The first of: an object, the word JSON, two digits, a pointer.
fn statement(document: &Document, kind: SectionKind) -> Option<Statement> {
    let contents: Vec<Range<usize>> = document
        .sections_of(kind)
        .take(MAX_SECTIONS)
        .map(|section| document.content(section))
        .collect();
    let objects = document.marks.formats.iter().filter(|format| {
        contents.iter().any(|content| content.start <= format.start && format.end <= content.end)
    });
    let mut objects = objects.map(|span| (span.clone(), fields(&document.text[span.clone()])));
    if let Some((span, fields)) = objects.find(|(_, fields)| !fields.is_empty()) {
        return Some(Statement::Object { span, fields });
    }
    let words: Vec<_> = contents.into_iter().flat_map(|content| document.words(content)).collect();
    let word = |wanted: &[&str]| {
        words.iter().find(|(_, word)| wanted.iter().any(|other| word.eq_ignore_ascii_case(other)))
    };
    if let Some((span, _)) = word(&["JSON"]) {
        return Some(Statement::Json(span.clone()));
    }
    if let Some(span) = digits(document, &words) {
        return Some(Statement::Digit(span));
    }
    let points =
        kind == SectionKind::Output && word(&["INSTRUCTIONS", "format", "above"]).is_some();
    points.then_some(Statement::Pointer)
}

/// `0 or 1`, `1 or 0`, `0/1`, outside JSON; or the words "single digit", "one character".
fn digits(document: &Document, words: &[(Range<usize>, &str)]) -> Option<Range<usize>> {
    let is_open = |(span, _): &&(Range<usize>, &str)| !document.marks.has(span.start, Kind::FORMAT);
    let words: Vec<_> = words.iter().filter(is_open).collect();
    let is_pair = |a: &str, b: &str| matches!((a, b), ("0", "1") | ("1", "0"));
    let is_kind = |a: &str, b: &str| {
        matches!(a, "single" | "one") && matches!(b, "digit" | "character" | "number")
    };
    words.windows(2).zip(words.iter().skip(2).map(Some).chain([None])).find_map(|(pair, next)| {
        let (start, end) = (&pair[0].0, &pair[1].0);
        if is_pair(pair[0].1, pair[1].1) || is_kind(pair[0].1, pair[1].1) {
            return Some(start.start..end.end);
        }
        let next = next.filter(|next| pair[1].1 == "or" && is_pair(pair[0].1, next.1))?;
        Some(start.start..next.0.end)
    })
}

/// The fields of a JSON object as people write it in a prompt: `"key": anything`, at its first depth.
fn fields(object: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for part in parts(object) {
        let Some((key, value)) = part.split_once(':') else { continue };
        let value: String = value.split_whitespace().collect();
        fields.push((key.trim().trim_matches('"').to_owned(), value));
    }
    fields
}

/// What stands between the commas of an object's first depth.
fn parts(object: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut is_quoted, mut start) = (0_usize, false, 1);
    for (at, byte) in object.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'{' | b'[' if !is_quoted => depth += 1,
            b'}' | b']' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_end = depth == 0 && at > 0;
        if is_end || (byte == b',' && depth == 1 && !is_quoted) {
            parts.push(&object[start.min(at)..at]);
            start = at + 1;
        }
        if is_end {
            break;
        }
    }
    parts
}

fn difference(first: &Statement, second: &Statement) -> Option<Fault> {
    let help = "keep one format; OUTPUT may just point to INSTRUCTIONS";
    let (place, what) = match (first, second) {
        (Statement::Object { fields: a, .. }, Statement::Object { span, fields: b }) if a != b => {
            (span, format!("OUTPUT and INSTRUCTIONS state different objects: {}", differing(a, b)))
        }
        (Statement::Object { .. } | Statement::Json(_), Statement::Digit(span)) => {
            (span, "INSTRUCTIONS asks for JSON, OUTPUT for one of two digits".to_owned())
        }
        (Statement::Digit(_), Statement::Object { span, .. } | Statement::Json(span)) => {
            (span, "INSTRUCTIONS asks for one of two digits, OUTPUT for JSON".to_owned())
        }
        _ => return None,
    };
    Some(Fault::new(Code::FormatDiffers, place.clone(), what, help))
}

fn differing(first: &[(String, String)], second: &[(String, String)]) -> String {
    let lacks = |a: &[(String, String)], b: &[(String, String)]| {
        a.iter()
            .find(|(key, _)| b.iter().all(|(other, _)| other != key))
            .map(|(key, _)| key.clone())
    };
    if let Some(key) = lacks(first, second) {
        return format!("OUTPUT lacks `{key}`");
    }
    if let Some(key) = lacks(second, first) {
        return format!("INSTRUCTIONS lacks `{key}`");
    }
    let values = |(key, value): &(String, String)| {
        second.iter().any(|(other, theirs)| other == key && theirs != value)
    };
    match first.iter().find(|field| values(field)) {
        Some((key, _)) => format!("the values of `{key}` differ"),
        None => "the fields stand in another order".to_owned(),
    }
}
