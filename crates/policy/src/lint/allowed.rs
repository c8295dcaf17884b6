//! Codes that a policy's author has silenced, as `lint_allow` in its front matter, and the rows about that list.
//!
//! A policy that cannot be used silences nothing: whoever repairs it should see all that is wrong.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::front_matter;
use crate::lint::code::{Code, ROWS};
use crate::lint::finding::Fault;

/// Takes the silenced faults out of a usable policy's and its golden set's, and adds what is wrong with the list.
pub(crate) fn silence(text: &str, policy: &mut Vec<Fault>, golden: &mut Vec<Fault>) {
    let mut own = Vec::new();
    for (id, span) in listed(text) {
        let Some(code) = ROWS.iter().find(|row| row.id == id).map(|row| row.code) else {
            own.push(unknown(&id, span));
            continue;
        };
        let n_before = policy.len() + golden.len();
        policy.retain(|fault| fault.code() != code);
        golden.retain(|fault| fault.code() != code);
        if policy.len() + golden.len() == n_before {
            own.push(idle(&id, span));
        }
    }
    policy.append(&mut own);
}

/// The list with its places in the file.
fn listed(text: &str) -> Vec<(String, Range<usize>)> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        lint_allow: Vec<Spanned<String>>,
    }
    let own = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(toml) = front_matter::cut(own).ok().and_then(|cut| cut.toml) else {
        return Vec::new();
    };
    let Ok(Listed { lint_allow }) = toml::from_str(toml) else { return Vec::new() };
    // It begins behind the line of the fence.
    let start = text.find('\n').map_or(0, |at| at + 1);
    let placed = lint_allow.into_iter().map(|id| {
        let span = id.span();
        (id.into_inner(), start + span.start..start + span.end)
    });
    placed.collect()
}

fn unknown(id: &str, span: Range<usize>) -> Fault {
    let message = format!("there is no code {id}");
    let help = "write the code as the finding shows it, such as \"P103\"";
    Fault::new(Code::UnknownAllowed, span, message, help)
}

fn idle(id: &str, span: Range<usize>) -> Fault {
    let message = format!("{id} is silenced and not found");
    Fault::new(Code::IdleAllowed, span, message, "take it out of lint_allow")
}
