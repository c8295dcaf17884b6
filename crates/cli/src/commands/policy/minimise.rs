//! `safeguard policy minimise`: which sentences of a policy change no verdict, and the policy without them.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use model::tokenizer::Tokenizer;
use policy::{Policy, Verdict};
use serde_json::json;

use crate::commands::judging::{Calibrations, CaseJudge, CasesArgs, Progress, Suite};
use crate::exit::Exit;
use crate::output::{Format, hinted, report_hint, report_note};

/// Find sentences of a policy that change no verdict on its golden cases
///
/// Sentences are left out in groups, halved where a group matters, and stay out if every case keeps its outcome and
/// its label. Headings and the first sentence of a rule always stay. What changes nothing here may still matter for
/// items that the golden set lacks: read the suggestion before you take it.
///
/// Exit status: 0 nothing can be left out, 1 something can, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Markdown file, or a folder with policy.md
    #[arg(value_name = "POLICY")]
    policy: PathBuf,
    /// The golden set; by default golden.jsonl beside the policy
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Write the shorter policy here
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to write the result: for people, or as one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    cases: CasesArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let suite = Suite::read(&args.policy, args.golden.as_deref())?;
    let judge = CaseJudge::open(&args.cases, Calibrations::default())?;
    if judge.settings().direct {
        return Err(hinted(
            anyhow!("verdicts that are scored directly have no label that could be kept"),
            "leave out --direct: what is left out must change neither outcomes nor labels",
        ));
    }
    let text = fs::read_to_string(&suite.path).with_context(|| suite.path.display().to_string())?;
    let progress = Progress::new(suite.cases.len(), 0);
    let answers = |policy: &Policy| -> Vec<Answer> {
        progress.expect(suite.cases.len());
        let verdicts = judge.judge(policy, &suite.cases, judge.settings(), &progress);
        verdicts.into_iter().map(answer).collect()
    };
    let wanted = answers(&suite.policy);
    let mut search = Search {
        text: &text,
        name: &suite.policy.name,
        answers: &answers,
        wanted: &wanted,
        out: Vec::new(),
    };
    search.leave_out(&sentences(&text));
    let mut left_out = search.out;
    progress.finish();
    left_out.sort_by_key(|range| range.start);
    let shorter = without(&text, &left_out);
    if let Some(path) = &args.out {
        fs::write(path, &shorter)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    show(args, &suite, &text, &left_out, &shorter)?;
    Ok(if left_out.is_empty() { Exit::Clear } else { Exit::Found })
}

/// What must not change about a verdict.
type Answer = (policy::Outcome, Option<String>);

fn answer(verdict: Verdict) -> Answer {
    (verdict.outcome, verdict.label)
}

struct Search<'a> {
    text: &'a str,
    name: &'a str,
    answers: &'a dyn Fn(&Policy) -> Vec<Answer>,
    wanted: &'a [Answer],
    /// Sentences that are left out so far.
    out: Vec<Range<usize>>,
}

impl Search<'_> {
    /// Leaves out all of `group` if that changes nothing, or tries its halves.
    fn leave_out(&mut self, group: &[Range<usize>]) {
        if group.is_empty() {
            return;
        }
        let mut tried = self.out.clone();
        tried.extend_from_slice(group);
        tried.sort_by_key(|range| range.start);
        if self.changes_nothing(&without(self.text, &tried)) {
            self.out = tried;
        } else if group.len() > 1 {
            let (first, second) = group.split_at(group.len() / 2);
            self.leave_out(first);
            self.leave_out(second);
        }
    }

    fn changes_nothing(&self, text: &str) -> bool {
        Policy::parse(self.name, text.as_bytes())
            .is_ok_and(|policy| (self.answers)(&policy) == self.wanted)
    }
}

/// Sentences that may be left out, as places in the text: whole lines of lists, sentences of running text, and
/// what follows the first sentence of a rule. Front matter, headings and reply formats stay.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut is_rules = false;
    let mut start = body_start(text);
    for line in text[start..].split_inclusive('\n') {
        let content = line.trim_end();
        let place = start..start + content.len();
        start += line.len();
        if content.starts_with('#') {
            let heading = content.trim_start_matches('#').trim_start();
            is_rules = heading.starts_with("VIOLATES") || heading.starts_with("SAFE");
        } else if content.is_empty() || content.starts_with('{') || content.starts_with("Surface:")
        {
            // Stays.
        } else if is_rules {
            found.extend(split_sentences(text, place).into_iter().skip(1));
        } else if content.starts_with("- ")
            || content.starts_with(|first: char| first.is_ascii_digit())
        {
            found.push(place);
        } else {
            found.extend(split_sentences(text, place));
        }
    }
    found
}

/// Where the text behind the front matter begins.
fn body_start(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("+++\n") else { return 0 };
    rest.find("\n+++\n").map_or(0, |end| "+++\n".len() + end + "\n+++\n".len())
}

/// Sentences end with a full stop, a question mark or an exclamation mark before a space.
fn split_sentences(text: &str, place: Range<usize>) -> Vec<Range<usize>> {
    let line = &text[place.clone()];
    let marks = [". ", "? ", "! "].into_iter().flat_map(|mark| line.match_indices(mark));
    let mut ends: Vec<usize> = marks.map(|(at, mark)| place.start + at + mark.len()).collect();
    ends.sort_unstable();
    ends.push(place.end);
    let starts = std::iter::once(place.start).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, &end)| start..end).collect()
}

/// The text without these places, which are in order; lines that become empty go too.
fn without(text: &str, places: &[Range<usize>]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut start = 0;
    for place in places {
        kept.push_str(&text[start..place.start]);
        start = place.end;
        let is_whole_line = kept.is_empty() || kept.ends_with('\n');
        if is_whole_line && text[start..].starts_with('\n') {
            start += 1;
        }
    }
    kept.push_str(&text[start..]);
    kept
}

fn show(
    args: &Args,
    suite: &Suite,
    text: &str,
    left_out: &[Range<usize>],
    shorter: &str,
) -> Result<()> {
    let tokenizer = Tokenizer::o200k_harmony();
    let count = |text: &str| tokenizer.encode(text).len();
    let (n_before, n_after) = (count(text), count(shorter));
    let line = |place: &Range<usize>| 1 + text[..place.start].matches('\n').count();
    match args.format {
        Format::Json => {
            let sentences = left_out
                .iter()
                .map(|place| json!({"line": line(place), "text": text[place.clone()].trim()}));
            let report = json!({
                "policy": suite.policy.reference(),
                "cases": suite.cases.len(),
                "tokens": {"before": n_before, "after": n_after},
                "left_out": sentences.collect::<Vec<_>>(),
                "shorter": shorter,
            });
            println!("{}", serde_json::to_string(&report)?);
        }
        Format::Text => {
            for place in left_out {
                anstream::println!(
                    "{}:{}: {}",
                    suite.path.display(),
                    line(place),
                    text[place.clone()].trim()
                );
            }
            anstream::println!(
                "{} sentences change none of {} cases: {n_before} tokens become {n_after}",
                left_out.len(),
                suite.cases.len(),
            );
        }
    }
    if !left_out.is_empty() && args.out.is_none() {
        report_note("what changes no case here may matter for items that the golden set lacks");
        report_hint("--out FILE writes the shorter policy");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "+++\nowner = \"a\"\n+++\n# P\n\nSurface: here.\n\n## INSTRUCTIONS\nOne thing. Another thing? A third\n{\"violation\": 0 or 1}\n\n## VIOLATES\n- A1 Name: first. Second part.\n\n## SAFE\n- A0.a fine\n\n## EXAMPLES\n- \"x\" -> A1\n1. Rule one. Rule two.\n";

    #[test]
    fn what_may_be_left_out_is_found_sentence_by_sentence() {
        let found: Vec<&str> = sentences(POLICY).into_iter().map(|place| &POLICY[place]).collect();
        assert_eq!(
            found,
            [
                "One thing. ",
                "Another thing? ",
                "A third",
                "Second part.",
                "- \"x\" -> A1",
                "1. Rule one. Rule two."
            ]
        );
        assert_eq!(without(POLICY, &[]), POLICY);
        let all = without(POLICY, &sentences(POLICY));
        assert!(all.contains("## EXAMPLES\n") && all.ends_with("## EXAMPLES\n"), "{all:?}");
        assert!(Policy::parse("p", all.as_bytes()).is_ok(), "rules keep their first sentence");
    }
}
