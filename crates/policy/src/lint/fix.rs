//! Fixes put into the text.

use crate::lint::finding::{Finding, Fix};

/// The text with all fixes in it, and the findings that they belong to. Where two fixes touch the same bytes,
/// the second is left for another round.
///
/// `findings` must be those of this text.
pub fn apply<'a>(text: &str, findings: &'a [Finding]) -> (String, Vec<&'a Finding>) {
    let mut fixes: Vec<(&Fix, &Finding)> =
        findings.iter().filter_map(|finding| Some((finding.fix.as_ref()?, finding))).collect();
    fixes.sort_by_key(|(fix, _)| (fix.range.start, fix.range.end));
    let mut fixed = String::with_capacity(text.len());
    let mut applied = Vec::new();
    let mut done = 0;
    for (fix, finding) in fixes {
        let is_free = applied.is_empty() || fix.range.start > done;
        if let Some(before) = text.get(done..fix.range.start).filter(|_| is_free) {
            fixed.push_str(before);
            fixed.push_str(&fix.replacement);
            done = fix.range.end;
            applied.push(finding);
        }
    }
    fixed.push_str(text.get(done..).unwrap_or_default());
    (fixed, applied)
}
