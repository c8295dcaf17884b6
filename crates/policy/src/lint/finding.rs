//! One thing that is wrong, with its place, its reason and, where it is safe, its fix.

use std::collections::HashMap;
use std::ops::Range;

use crate::lint::code::{Code, Severity};

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1. A mark of byte order at the file's start is none.
    pub column: usize,
}

impl Position {
    /// The position of a byte of a file.
    pub fn of(bytes: &[u8], offset: usize) -> Position {
        positions(bytes, [offset].into_iter())[&offset]
    }
}

/// A change of the text that says what the policy says already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is done, as in "add an OUTPUT section".
    pub title: String,
    /// Which bytes go.
    pub range: Range<usize>,
    /// What comes in their place.
    pub replacement: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked for.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where it begins.
    pub start: Position,
    /// Where it ends: the character behind its last one.
    pub end: Position,
    /// The same as bytes of the file, on borders of characters where the file is text.
    pub span: Range<usize>,
    /// What is wrong here. It may hold words of the file, control characters included.
    pub message: String,
    /// Why that matters.
    pub reason: &'static str,
    /// What to do.
    pub help: String,
    /// A safe change that does it.
    pub fix: Option<Fix>,
}

/// A finding before it has lines and columns.
pub(crate) struct Fault {
    code: Code,
    span: Range<usize>,
    message: String,
    help: String,
    fix: Option<Fix>,
}

impl Fault {
    pub(crate) fn new(
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Fault {
        Fault { code, span, message: message.into(), help: help.into(), fix: None }
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn with_fix(mut self, fix: Option<Fix>) -> Fault {
        self.fix = fix;
        self
    }
}

/// Findings in the order of the file, with lines and columns.
pub(crate) fn placed(bytes: &[u8], faults: Vec<Fault>) -> Vec<Finding> {
    let positions =
        positions(bytes, faults.iter().flat_map(|fault| [fault.span.start, fault.span.end]));
    let mut findings: Vec<Finding> = faults
        .into_iter()
        .map(|fault| Finding {
            code: fault.code,
            severity: fault.code.row().severity,
            start: positions[&fault.span.start],
            end: positions[&fault.span.end],
            span: fault.span,
            message: fault.message,
            reason: fault.code.row().reason,
            help: fault.help,
            fix: fault.fix,
        })
        .collect();
    findings.sort_by(|a, b| {
        (a.span.start, a.code, a.span.end).cmp(&(b.span.start, b.code, b.span.end))
    });
    findings
}

/// The positions of all offsets, in one walk over the file.
fn positions(bytes: &[u8], offsets: impl Iterator<Item = usize>) -> HashMap<usize, Position> {
    let mut offsets: Vec<usize> = offsets.collect();
    offsets.sort_unstable();
    offsets.dedup();
    let order_mark = if bytes.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    let (mut line, mut column, mut at) = (1, 1, order_mark);
    let mut found = HashMap::with_capacity(offsets.len());
    for offset in offsets {
        while at < offset.min(bytes.len()) {
            if bytes[at] == b'\n' {
                (line, column) = (line + 1, 1);
            } else if !is_inside_character(bytes.get(at + 1)) {
                column += 1;
            }
            at += 1;
        }
        found.insert(offset, Position { line, column });
    }
    found
}

/// Whether a byte goes on with the character that the byte before it began.
fn is_inside_character(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_no_byte_order_mark() {
        let text = "\u{feff}aé漢\nb";
        let check = |needle: &str, line, column| {
            let at = text.find(needle).unwrap_or_default();
            let found = Position::of(text.as_bytes(), at);
            assert_eq!(found, Position { line, column }, "{needle:?}");
        };
        check("a", 1, 1);
        check("é", 1, 2);
        check("漢", 1, 3);
        check("\n", 1, 4);
        check("b", 2, 1);
    }
}
