//! `safeguard policy lint`: what is wrong with policies and golden sets, and the safe part of mending it.
//!
//! The looking is `policy::lint`'s; here are files, fixes written back, and three forms of output.

mod excerpt;
mod json;
mod sarif;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use policy::lint::{Code, Finding, Report, Severity, apply, lint};

use crate::commands::files::{self, GOLDEN, POLICY};
use crate::commands::tokenizer::Vocabulary;
use crate::exit::Exit;
use crate::output::{hinted, print_result, report_error, report_note};

/// Check policies, and the golden sets beside them, before any model reads them
///
/// Every finding has a stable code, its place, the reason, and what to do; the book's page on codes lists
/// them. Free text is checked for what makes sense without codes and sections.
///
/// Exit status: 0 no errors (warnings are none), 1 errors, 2 something could not be read or written.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Policies: Markdown files, folders with policy.md, or folders of such folders
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Write the safe fixes into the policies, then check what is left
    ///
    /// Safe are changes that say what the policy says already: repeat the reply format under OUTPUT, and
    /// write a line that is meant as a rule as one.
    #[arg(long)]
    fix: bool,
    /// Whose tokens count: builtin, 20b, 120b, ORG/NAME in the cache, or a folder; by default gpt-oss's
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// How to write the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For machines
    Json,
    /// For code scanning: SARIF 2.1.0
    Sarif,
}

/// A policy with what was found in it.
struct Linted {
    policy: Source,
    golden: Option<Source>,
    report: Report,
    fixed: Vec<Fixed>,
}

/// A file as it was read.
struct Source {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// A fix that was written.
struct Fixed {
    code: Code,
    /// The line it was found in, before the fix.
    line: usize,
    title: String,
}

impl Linted {
    /// The findings with the files they are in.
    fn findings(&self) -> impl Iterator<Item = (&Source, &Finding)> {
        let policy = self.report.policy.iter().map(|finding| (&self.policy, finding));
        let golden = self
            .golden
            .iter()
            .flat_map(|golden| self.report.golden.iter().map(move |finding| (golden, finding)));
        policy.chain(golden)
    }
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let vocabulary = Vocabulary::open(args.model.as_deref())?;
    let mut linted = Vec::new();
    let mut exit = Exit::Clear;
    for result in lint_all(args, &vocabulary) {
        match result {
            Ok(policy) => {
                exit = exit.max(if policy.report.has_errors() { Exit::Found } else { Exit::Clear });
                linted.push(policy);
            }
            Err(error) => {
                report_error(&error);
                exit = Exit::CouldNot;
            }
        }
    }
    print_result(&match args.format {
        Format::Text => text::render(&linted),
        Format::Json => json::render(&linted),
        Format::Sarif => {
            for note in linted.iter().flat_map(text::fixed_lines) {
                report_note(&note);
            }
            sarif::render(&linted, exit != Exit::CouldNot)
        }
    })?;
    Ok(exit)
}

fn lint_all(args: &Args, vocabulary: &Vocabulary) -> Vec<Result<Linted>> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut results = Vec::new();
    for path in &args.paths {
        let files = match policy_files(path) {
            Ok(files) => files,
            Err(error) => {
                results.push(Err(error));
                continue;
            }
        };
        for file in files {
            // One file by two paths is looked at once.
            let own_path = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if !seen.contains(&own_path) {
                results.push(lint_file(&file, args.fix, vocabulary));
                seen.push(own_path);
            }
        }
    }
    results
}

/// The policies that a path means: a file, a folder's `policy.md`, or those of the folders in it.
fn policy_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() || path.join(POLICY).exists() {
        return Ok(vec![files::policy_file(path)]);
    }
    let unreadable = || format!("{}: cannot be read", path.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(path).with_context(unreadable)? {
        let file = entry.with_context(unreadable)?.path().join(POLICY);
        if file.is_file() {
            found.push(file);
        }
    }
    if found.is_empty() {
        let error = anyhow::anyhow!("{}: holds no {POLICY}, nor do its folders", path.display());
        return Err(hinted(
            error,
            "name a policy's file, or `safeguard policy new NAME` makes one",
        ));
    }
    found.sort();
    Ok(found)
}

fn lint_file(path: &Path, fix: bool, vocabulary: &Vocabulary) -> Result<Linted> {
    let mut bytes = files::read(path)?;
    let golden = files::read_beside(path, GOLDEN)?.map(|(path, bytes)| Source { path, bytes });
    let fixed = if fix { fix_file(path, &mut bytes, vocabulary)? } else { Vec::new() };
    let cases = golden.as_ref().map(|golden| golden.bytes.as_slice());
    let report = lint(&bytes, cases, &|text| vocabulary.count(text));
    Ok(Linted { policy: Source { path: path.to_owned(), bytes }, golden, report, fixed })
}

/// Applies fixes until there are none, then writes the file once.
fn fix_file(path: &Path, bytes: &mut Vec<u8>, vocabulary: &Vocabulary) -> Result<Vec<Fixed>> {
    const MAX_ROUNDS: usize = 8;
    let Ok(mut text) = String::from_utf8(bytes.clone()) else { return Ok(Vec::new()) };
    let mut fixed = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let findings = lint(text.as_bytes(), None, &|text| vocabulary.count(text)).policy;
        let (next, applied) = apply(&text, &findings);
        if applied.is_empty() {
            break;
        }
        fixed.extend(applied.into_iter().filter_map(|finding| {
            let title = finding.fix.as_ref()?.title.clone();
            Some(Fixed { code: finding.code, line: finding.start.line, title })
        }));
        text = next;
    }
    if !fixed.is_empty() {
        if files::read(path)? != *bytes {
            bail!("{}: was changed by somebody else meanwhile; nothing is fixed", path.display());
        }
        files::replace(path, text.as_bytes())?;
        *bytes = text.into_bytes();
    }
    Ok(fixed)
}

/// How many findings of a severity there are.
fn count(linted: &[Linted], severity: Severity) -> usize {
    let findings = linted.iter().flat_map(Linted::findings);
    findings.filter(|(_, finding)| finding.severity == severity).count()
}
