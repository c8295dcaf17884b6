//! `safeguard policy show`: what this program sees in a policy, and what the model will see.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anstyle::Style;
use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use policy::{GoldenCase, GoldenOutcome, Policy, Rule, check_golden};
use serde_json::{Value, json};

use crate::commands::files;
use crate::commands::tokenizer::{self, Vocabulary};
use crate::exit::Exit;
use crate::output::{Format, align_numbers, print_result, report_hint, report_note, shown};

const BOLD: Style = Style::new().bold();
/// Columns of the table where there is no terminal to ask.
const TABLE_WIDTH: u16 = 100;

/// Show a policy: identity, front matter, tokens, and its rules with their examples and golden cases
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The policy: a Markdown file, or a folder with policy.md
    path: PathBuf,
    /// Whose tokens count: builtin, 20b, 120b, ORG/NAME in the cache, or a folder; by default gpt-oss's
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Print what the model reads before the content instead: system message, policy, reply format
    #[arg(long)]
    prompt: bool,
    /// How to write the result
    #[arg(long, value_enum, default_value_t, conflicts_with = "prompt")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let vocabulary = Vocabulary::open(args.model.as_deref())?;
    let (path, policy) = files::read_policy(&args.path)?;
    let prefix = tokenizer::prefix(&policy, vocabulary.tokenizer());
    if args.prompt {
        print_result(&(vocabulary.tokenizer().decode(&prefix) + "\n"))?;
        return Ok(Exit::Clear);
    }
    let facts = Facts {
        n_tokens: vocabulary.count(&policy.body),
        n_prefix: prefix.len(),
        cases: cases(&path, &policy)?,
        vocabulary: vocabulary.name,
        path,
        policy,
    };
    print_result(&match args.format {
        Format::Text => text(&facts),
        Format::Json => format!("{:#}\n", to_json(&facts)),
    })?;
    Ok(Exit::Clear)
}

/// What is shown.
struct Facts {
    path: PathBuf,
    policy: Policy,
    vocabulary: String,
    n_tokens: usize,
    /// Tokens before the content: the same for every content, so computed once.
    n_prefix: usize,
    /// None without a golden set that can be run.
    cases: Option<Vec<GoldenCase>>,
}

fn cases(path: &Path, policy: &Policy) -> Result<Option<Vec<GoldenCase>>> {
    let Some((file, bytes)) = files::read_beside(path, files::GOLDEN)? else { return Ok(None) };
    match check_golden(&bytes, policy) {
        Ok(cases) => Ok(Some(cases)),
        Err(errors) => {
            report_note(&format!("{} has {} fault(s)", file.display(), errors.len()));
            report_hint(&format!("safeguard policy lint {} names them", path.display()));
            Ok(None)
        }
    }
}

impl Facts {
    fn n_cases(&self, outcome: GoldenOutcome) -> usize {
        let cases = self.cases.iter().flatten();
        cases.filter(|case| case.outcome == outcome).count()
    }

    /// For every code, how many examples name it and how many golden cases.
    fn uses(&self) -> HashMap<&str, (usize, usize)> {
        let mut uses: HashMap<&str, (usize, usize)> = HashMap::new();
        for code in self.policy.examples.iter().flat_map(|example| &example.codes) {
            uses.entry(code).or_default().0 += 1;
        }
        for code in self.cases.iter().flatten().filter_map(|case| case.rule.as_ref()) {
            uses.entry(code).or_default().1 += 1;
        }
        uses
    }
}

fn text(facts: &Facts) -> String {
    let Facts { policy, .. } = facts;
    let title = shown(policy.title.as_deref().unwrap_or(&policy.name));
    let golden = facts.cases.as_ref().map(|cases| {
        let (n_violation, n_clear) =
            (facts.n_cases(GoldenOutcome::Violation), facts.n_cases(GoldenOutcome::Clear));
        format!("{} cases: {n_violation} violation, {n_clear} clear", cases.len())
    });
    let rows = [
        ("file", Some(facts.path.display().to_string())),
        ("id", Some(policy.id.to_string())),
        ("effort", policy.front.effort.map(|effort| effort.to_string())),
        ("date", policy.front.date.clone()),
        ("owner", policy.front.owner.clone()),
        (
            "tokens",
            Some(format!(
                "{}, {} with all that stands before the content ({})",
                facts.n_tokens, facts.n_prefix, facts.vocabulary
            )),
        ),
        ("golden set", golden),
    ];
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let rows = rows.into_iter().filter_map(|(name, value)| Some([name.to_owned(), shown(&value?)]));
    table.add_rows(rows);
    format!("{BOLD}{title}{BOLD:#}\n\n{}\n\n{}\n", table.trim_fmt(), rules(facts).trim_fmt())
}

fn rules(facts: &Facts) -> Table {
    let uses = facts.uses();
    let row = |rule: &Rule| {
        let (n_examples, n_cases) = uses.get(rule.code.as_str()).copied().unwrap_or_default();
        let is_body = facts.policy.is_prose() && rule.text == facts.policy.body;
        [
            rule.side.to_string(),
            rule.code.clone(),
            shown(rule.name.as_deref().unwrap_or_default()),
            if is_body { "the whole text".to_owned() } else { shown(&rule.text) },
            n_examples.to_string(),
            facts.cases.as_ref().map_or("-".to_owned(), |_| n_cases.to_string()),
        ]
    };
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["side", "code", "name", "test", "examples", "golden"]);
    if table.width().is_none() {
        table.set_width(TABLE_WIDTH);
    }
    align_numbers(&mut table, 4);
    table.add_rows(facts.policy.rules.iter().map(row));
    table
}

fn to_json(facts: &Facts) -> Value {
    let Facts { policy, .. } = facts;
    let uses = facts.uses();
    let rule = |rule: &Rule| {
        let (n_examples, n_cases) = uses.get(rule.code.as_str()).copied().unwrap_or_default();
        json!({
            "side": rule.side,
            "code": rule.code,
            "name": rule.name,
            "text": rule.text,
            "line": rule.line,
            "n_examples": n_examples,
            "n_golden": facts.cases.as_ref().map(|_| n_cases),
        })
    };
    json!({
        "path": facts.path.to_string_lossy(),
        "name": policy.name,
        "title": policy.title,
        "id": policy.id,
        "front": policy.front,
        "is_prose": policy.is_prose(),
        "vocabulary": facts.vocabulary,
        "n_tokens": facts.n_tokens,
        "n_prefix_tokens": facts.n_prefix,
        "golden": facts.cases.as_ref().map(|cases| json!({
            "n_cases": cases.len(),
            "n_violation": facts.n_cases(GoldenOutcome::Violation),
            "n_clear": facts.n_cases(GoldenOutcome::Clear),
        })),
        "rules": policy.rules.iter().map(rule).collect::<Value>(),
    })
}
