//! Rows about a golden set: every bad line, with the place in it.

use std::ops::Range;

use crate::error::GoldenError;
use crate::golden::GoldenCase;
use crate::lint::code::Code;
use crate::lint::finding::Fault;
use crate::policy::Policy;

/// `errors` are those of reading; cases are held against the policy where there is one.
pub(crate) fn check(
    bytes: &[u8],
    errors: &[GoldenError],
    cases: &[(usize, GoldenCase)],
    policy: Option<&Policy>,
) -> Vec<Fault> {
    let lines = lines(bytes);
    let line = |number: usize| lines.get(number - 1).cloned().unwrap_or(bytes.len()..bytes.len());
    let misfits = policy.map(|policy| {
        let misfit = |(line, case): &(usize, GoldenCase)| case.misfit(policy, *line);
        cases.iter().filter_map(misfit).collect::<Vec<_>>()
    });
    let mut faults: Vec<Fault> = errors
        .iter()
        .chain(misfits.iter().flatten())
        .map(|error| fault(bytes, line(error.line()), error))
        .collect();
    for (number, case) in cases {
        if case.content.texts().iter().any(|text| is_slot(text)) {
            let message = format!("the case {} is not filled", case.id);
            let help = "write a real item, and the outcome and rule that people agree on";
            let line = line(*number);
            let text = value_of(&bytes[line.clone()], "text");
            let span =
                text.map_or(line.clone(), |text| line.start + text.start..line.start + text.end);
            faults.push(Fault::new(Code::OpenCase, span, message, help));
        }
    }
    faults
}

/// The lines without their ends.
fn lines(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let parts = bytes.split(|&byte| byte == b'\n').map(|line| {
        let here = start;
        start += line.len() + 1;
        here..here + line.trim_ascii_end().len()
    });
    parts.collect()
}

fn fault(bytes: &[u8], line: Range<usize>, error: &GoldenError) -> Fault {
    let json = &bytes[line.clone()];
    let shifted = |span: Range<usize>| line.start + span.start..line.start + span.end;
    let value = |key| value_of(json, key).map_or_else(|| line.clone(), shifted);
    let (code, span) = match error {
        GoldenError::NotText { .. } => (Code::NotACase, shifted(not_text(json))),
        GoldenError::Json { source, .. } => {
            (Code::NotACase, shifted(character(json, source.column().saturating_sub(1))))
        }
        GoldenError::NoContent { .. } => (Code::NotACase, line.clone()),
        GoldenError::Content { .. } => (Code::BadContent, line.clone()),
        GoldenError::DuplicateId { .. } => (Code::DuplicateId, value("id")),
        GoldenError::UnknownRule { .. } => (Code::UnknownRule, value("rule")),
        GoldenError::OtherSide { .. } => (Code::OtherSide, value("outcome")),
    };
    Fault::new(code, span, message(error), help(error))
}

/// What is wrong, without the line, which is told apart.
fn message(error: &GoldenError) -> String {
    match error {
        GoldenError::Json { source, .. } => {
            let problem = source.to_string();
            // The position that the message ends with is inside this one line.
            let problem = problem.split(" at line ").next().unwrap_or_default();
            format!("the line is no case: {problem}")
        }
        GoldenError::NoContent { .. } => "the case has no content".to_owned(),
        other => {
            let text = other.to_string();
            text.split_once(": ").map_or(text.as_str(), |(_, message)| message).to_owned()
        }
    }
}

fn help(error: &GoldenError) -> &'static str {
    match error {
        GoldenError::NotText { .. } => "save the file as UTF-8",
        GoldenError::Json { .. } => {
            r#"a case is {"id":"a1","text":"…","outcome":"violation","rule":"CH1"} on one line"#
        }
        GoldenError::NoContent { .. } => {
            "give `text`, `prompt` with `reply`, or `messages` of `role` and `text`; `metadata` is an object"
        }
        GoldenError::Content { .. } => {
            "give the case a text; metadata is `key: value` on one line each"
        }
        GoldenError::DuplicateId { .. } => "give the second case an id of its own",
        GoldenError::UnknownRule { .. } => "name a code of the policy, or leave `rule` out",
        GoldenError::OtherSide { .. } => "correct the outcome, or the rule",
    }
}

/// From the first byte that is no text to the end.
fn not_text(line: &[u8]) -> Range<usize> {
    std::str::from_utf8(line).map_or_else(|error| error.valid_up_to(), |text| text.len())
        ..line.len()
}

/// The character around a byte of a line; the last one for a place behind the end.
fn character(line: &[u8], at: usize) -> Range<usize> {
    let Ok(text) = std::str::from_utf8(line) else { return 0..line.len() };
    let start = text.floor_char_boundary(at.min(text.len().saturating_sub(1)));
    let len = text[start..].chars().next().map_or(0, char::len_utf8);
    start..start + len
}

/// The place of a field's value in a line that is a JSON object; the first depth only.
fn value_of(json: &[u8], key: &str) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = string_end(json, at);
                let after = json[end..].iter().position(|byte| !byte.is_ascii_whitespace())?;
                let is_key = depth == 1 && json[end + after] == b':';
                if is_key && &json[at + 1..end - 1] == key.as_bytes() {
                    let start = end + after + 1;
                    let start = start
                        + json[start..].iter().position(|byte| !byte.is_ascii_whitespace())?;
                    let is_string = json[start] == b'"';
                    return is_string.then(|| start..string_end(json, start));
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Behind the quotation mark that closes the string at `start`.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut is_escaped = false;
    for (at, byte) in json.iter().enumerate().skip(start + 1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

/// A text that is one slot, such as `<an item that CH1 must catch>`.
fn is_slot(text: &str) -> bool {
    let inner = text.trim().strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    inner.is_some_and(|inner| inner.contains(' ') && !inner.contains(['<', '>', '|', '=']))
}
