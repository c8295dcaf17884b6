//! How a verdict looks in a terminal and in JSON.

use std::io::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use policy::{
    Content, Judge, JudgeSettings, Observer, Outcome, Policy, ScoreMethod, Silent, Verdict,
};

use crate::commands::judging::probability_words;
use crate::output::Format;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const VIOLATION: Style = AnsiColor::Red.on_default().bold();
const CLEAR: Style = AnsiColor::Green.on_default().bold();
const UNDETERMINED: Style = AnsiColor::Yellow.on_default().bold();

/// Judges, showing what the format asks for on the way.
pub(super) fn judge_and_show(
    judge: &dyn Judge,
    policy: &Policy,
    path: &Path,
    content: &Content,
    settings: &JudgeSettings,
    format: Format,
) -> Result<Verdict> {
    match format {
        Format::Json => {
            let verdict = judge.judge(policy, content, settings, &mut Silent);
            println!("{}", serde_json::to_string(&verdict)?);
            Ok(verdict)
        }
        Format::Text => {
            anstream::println!("{BOLD}{}{BOLD:#}", policy.title.as_deref().unwrap_or(&policy.name));
            let mut thoughts = Thoughts { is_open: false };
            let verdict = judge.judge(policy, content, settings, &mut thoughts);
            thoughts.close();
            show(&verdict, policy, path);
            Ok(verdict)
        }
    }
}

/// Prints the reasoning as it comes, dimmed and indented.
struct Thoughts {
    is_open: bool,
}

impl Observer for Thoughts {
    fn reasoning(&mut self, text: &str) {
        if !self.is_open {
            anstream::print!("  ");
            self.is_open = true;
        }
        anstream::print!("{DIM}{}{DIM:#}", plain(text).replace('\n', "\n  "));
        // A terminal that is gone is noticed when the verdict is written.
        let _ = anstream::stdout().flush();
    }
}

impl Thoughts {
    fn close(&mut self) {
        if self.is_open {
            anstream::println!();
        }
    }
}

fn show(verdict: &Verdict, policy: &Policy, path: &Path) {
    match verdict.outcome {
        Outcome::Violation => anstream::print!("{VIOLATION}violation{VIOLATION:#}"),
        Outcome::Clear => anstream::print!("{CLEAR}clear{CLEAR:#}"),
        Outcome::Undetermined(cause) => {
            anstream::print!("{UNDETERMINED}undetermined{UNDETERMINED:#} ({cause})")
        }
    }
    if let Some(label) = &verdict.label {
        anstream::print!("  {BOLD}{}{BOLD:#}", cited(verdict, label));
    }
    if let Some(probability) = probability_words(verdict) {
        anstream::print!("  {probability}");
    }
    if let Some(confidence) = verdict.confidence {
        anstream::print!("  confidence {confidence}");
    }
    anstream::println!();
    for line in [&verdict.rationale, &verdict.detail].into_iter().flatten() {
        anstream::println!("  {}", plain(line));
    }
    show_rules(verdict, policy, path);
    if verdict.score_method == ScoreMethod::Direct {
        anstream::println!(
            "  {DIM}scored directly: no reasoning, so no rule and no rationale{DIM:#}"
        );
    }
    if verdict.capped {
        anstream::println!(
            "  {DIM}the reasoning was cut off at its limit and the verdict asked for then{DIM:#}"
        );
    }
    let usage = &verdict.usage;
    anstream::println!(
        "  {DIM}{} prompt tokens ({} known before), {} generated, {:.2} s, model {}{DIM:#}",
        usage.prompt_tokens,
        usage.cached_tokens,
        usage.generated_tokens,
        usage.seconds,
        plain(&verdict.model)
    );
}

/// Without what could move a terminal's cursor: a model's words are its own.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|&letter| letter == '\n' || letter == '\t' || !letter.is_control())
        .collect()
}

/// The rules where they are more exact than the label.
fn cited(verdict: &Verdict, label: &str) -> String {
    let rules = verdict.rule_ids.join(" ");
    if rules == label { rules } else { format!("{label} ({rules})") }
}

fn show_rules(verdict: &Verdict, policy: &Policy, path: &Path) {
    for rule in
        verdict.rule_ids.iter().filter_map(|code| policy.rule(code)).filter(|_| !policy.is_prose())
    {
        let name = rule.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        anstream::println!("  {BOLD}{}{name}{BOLD:#}: {}", rule.code, rule.text);
        anstream::println!("  {DIM}{}:{}{DIM:#}", path.display(), rule.line);
    }
}
