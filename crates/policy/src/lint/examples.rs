//! Rows about what shows a rule at work: examples on both sides, and something for every rule.

use std::collections::HashSet;

use crate::golden::GoldenCase;
use crate::lint::code::Code;
use crate::lint::document::Document;
use crate::lint::finding::Fault;
use crate::rule::Side;
use crate::section::SectionKind;

pub(crate) fn check(
    document: &Document,
    golden: Option<&[(usize, GoldenCase)]>,
    faults: &mut Vec<Fault>,
) {
    one_sided(document, faults);
    untested(document, golden, faults);
}

fn one_sided(document: &Document, faults: &mut Vec<Fault>) {
    let cited = document.examples.iter().flat_map(|example| &example.codes);
    let shown: HashSet<Side> = cited.filter_map(|code| document.side(code)).collect();
    let section = document.sections_of(SectionKind::Examples).next();
    let place = section.map_or_else(|| document.top(), |section| document.heading(section));
    let missing: Vec<Side> = [Side::Violating, Side::Safe]
        .into_iter()
        .filter(|side| document.rules_of(*side).next().is_some() && !shown.contains(side))
        .collect();
    let help = "add 4 to 6 short items next to the line, each as `- \"item\" -> CODE`, both sides";
    let message = match missing.as_slice() {
        [] => return,
        [side] => format!("no example shows the {side} side"),
        _ if section.is_none() => "there is no EXAMPLES section".to_owned(),
        _ => "no example names a code of this policy".to_owned(),
    };
    faults.push(Fault::new(Code::OneSidedExamples, place, message, help));
}

fn untested(document: &Document, golden: Option<&[(usize, GoldenCase)]>, faults: &mut Vec<Fault>) {
    let in_examples = document.examples.iter().flat_map(|example| &example.codes);
    let in_cases = golden.into_iter().flatten().filter_map(|(_, case)| case.rule.as_ref());
    let tested: HashSet<&str> = in_examples.chain(in_cases).map(String::as_str).collect();
    for placed in document.rules.iter().filter(|placed| !tested.contains(placed.rule.code.as_str()))
    {
        let code = &placed.rule.code;
        let message = match golden {
            Some(_) => format!("{code} has neither an example nor a golden case"),
            None => format!("{code} has no example, and there is no golden set"),
        };
        let help =
            "add a case for it to golden.jsonl beside the policy; five for every rule make a start";
        faults.push(Fault::new(Code::UntestedRule, placed.code.clone(), message, help));
    }
}
