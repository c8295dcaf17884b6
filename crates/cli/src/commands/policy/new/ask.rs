//! Questions about what flags did not say: one line each, an empty answer leaves it open.

use std::io::{BufRead, Write};

use anyhow::Result;

use super::template::Draft;
use super::{line, prefix};

/// Asks for all that is open. `is_prefix_open`: whether the draft's prefix is only a proposal.
pub(super) fn complete(
    draft: &mut Draft,
    is_prefix_open: bool,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> Result<()> {
    let mut asker = Asker { input, out };
    if is_prefix_open {
        let proposal =
            draft.prefix.as_ref().map(|letters| format!(" [{letters}]")).unwrap_or_default();
        let question = format!("Letters of the codes{proposal}: ");
        draft.prefix = asker.ask(&question, prefix)?.or(draft.prefix.take());
    }
    if draft.surface.is_none() {
        draft.surface = asker.ask("Where do the items come from? ", line)?;
    }
    if draft.rules.is_empty() {
        writeln!(
            asker.out,
            "Violating rules as \"Name: test\", the least severe first; an empty line ends them."
        )?;
        while let Some(rule) = asker.ask(&format!("Rule {}: ", draft.rules.len() + 1), line)? {
            draft.rules.push(rule);
        }
    }
    Ok(())
}

struct Asker<'a, R, W> {
    input: &'a mut R,
    out: &'a mut W,
}

impl<R: BufRead, W: Write> Asker<'_, R, W> {
    /// The answer; none if the line is empty or the input has ended. What is refused is asked again.
    fn ask(&mut self, question: &str, read: fn(&str) -> Result<String>) -> Result<Option<String>> {
        loop {
            write!(self.out, "{question}")?;
            self.out.flush()?;
            let mut answer = String::new();
            if self.input.read_line(&mut answer)? == 0 {
                writeln!(self.out)?;
                return Ok(None);
            }
            if answer.trim().is_empty() {
                return Ok(None);
            }
            match read(answer.trim()) {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => writeln!(self.out, "{error}")?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        let prefix = Some("SP".to_owned());
        Draft { name: "spam".to_owned(), prefix, surface: None, rules: Vec::new() }
    }

    #[test]
    fn answers_fill_what_is_open_and_refused_ones_are_asked_again() {
        let mut draft = draft();
        let mut out = Vec::new();
        let answers = b"sp\nSPM\n\nBulk: sends one text to many\nlure\n\n";
        complete(&mut draft, true, &mut answers.as_slice(), &mut out).unwrap();
        assert_eq!(draft.prefix.as_deref(), Some("SPM"));
        assert_eq!(draft.surface, None);
        assert_eq!(draft.rules, ["Bulk: sends one text to many", "lure"]);
        let said = String::from_utf8(out).unwrap();
        assert!(said.starts_with("Letters of the codes [SP]: the letters of codes are"), "{said}");
    }

    #[test]
    fn what_flags_gave_is_not_asked_and_an_ended_input_leaves_slots() {
        let mut draft = Draft { surface: Some("posts".into()), rules: vec!["a".into()], ..draft() };
        complete(&mut draft, false, &mut [].as_slice(), &mut Vec::new()).unwrap();
        assert_eq!((draft.prefix.as_deref(), draft.rules.len()), (Some("SP"), 1));
        let mut open = Draft { rules: Vec::new(), ..draft };
        complete(&mut open, true, &mut [].as_slice(), &mut Vec::new()).unwrap();
        assert_eq!((open.prefix.as_deref(), open.rules.len()), (Some("SP"), 0));
    }
}
