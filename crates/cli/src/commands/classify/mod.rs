//! `safeguard classify`: one content under one or many policies, with the reasoning as it is made.

mod record;
mod report;

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use policy::{Content, Judge, Outcome, Verdict};

use self::record::RecordingArgs;
use super::files::read_policy;
use super::judging::{Calibrations, CascadeArgs, JudgeArgs, Lifetime, Traffic, VotesArgs};
use crate::exit::Exit;
use crate::output::{Format, hinted};

/// Judge a text, an exchange or a conversation under one or many policies
///
/// The reasoning is shown as it is made, then the verdict with the rule it rests on, the probability of
/// a violation and the rationale.
///
/// Exit status: 0 clear, 1 a policy is violated, 2 undetermined or could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: Input,
    /// A policy: a Markdown file, or a folder with policy.md; may be given many times
    #[arg(long, short, value_name = "FILE", required = true)]
    policy: Vec<PathBuf>,
    /// The input is JSON: {"text"}, {"prompt","reply"} or {"messages":[{"role","text"}]}, "metadata" if wanted
    #[arg(long)]
    json: bool,
    /// A line that the policy may refer to, such as stars=5; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    meta: Vec<(String, String)>,
    #[command(flatten)]
    cascade: CascadeArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    votes: VotesArgs,
    #[command(flatten)]
    recording: RecordingArgs,
    /// How to write the verdict: for people, or one JSON object a line for each policy
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is judged.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Input {
    /// The text; - reads standard input
    text: Option<String>,
    /// Read the content from a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let policies = args.policy.iter().map(|path| read_policy(path)).collect::<Result<Vec<_>>>()?;
    let content = read_content(args)?;
    let settings = args.votes.on(args.judge.settings());
    let beside = policies.iter().map(|(path, policy)| (path.as_path(), policy));
    let calibrations = Calibrations::beside(beside)?;
    let recording = args.recording.open()?;
    let open = args.judge.open(Lifetime::Run)?;
    let identity = open.judge.identity();
    let open = calibrations.over(open, settings.direct);
    let (open, cascaded) =
        args.cascade.over(open, policies.iter().map(|(_, policy)| policy), Traffic::Live)?;
    let mut worst = Exit::Clear;
    for (path, policy) in &policies {
        let verdict = report::judge_and_show(
            open.judge.as_ref(),
            policy,
            path,
            &content,
            &settings,
            args.format,
        )?;
        worst = worst.max(exit_of(&verdict));
        if let Some(recording) = &recording {
            recording.record(path, policy, &content, &settings, &identity, verdict)?;
        }
    }
    if let Some(cascaded) = cascaded {
        cascaded.finish()?;
    }
    Ok(worst)
}

pub(crate) fn exit_of(verdict: &Verdict) -> Exit {
    match verdict.outcome {
        Outcome::Clear => Exit::Clear,
        Outcome::Violation => Exit::Found,
        Outcome::Undetermined(_) => Exit::CouldNot,
    }
}

fn read_content(args: &Args) -> Result<Content> {
    let text = input_text(&args.input)?;
    let mut content = if args.json {
        Content::from_json(&text).map_err(|error| {
            hinted(error, r#"a text is {"text":"…"}, an exchange {"prompt":"…","reply":"…"}, a conversation {"messages":[{"role":"user","text":"…"}]}"#)
        })?
    } else {
        Content::text(text)
    };
    let (Content::Text { metadata, .. }
    | Content::Exchange { metadata, .. }
    | Content::Conversation { metadata, .. }) = &mut content;
    metadata.extend(args.meta.iter().cloned());
    content.check()?;
    Ok(content)
}

fn input_text(input: &Input) -> Result<String> {
    match (&input.text, &input.file) {
        (Some(text), _) if text != "-" => Ok(text.clone()),
        (_, Some(file)) if file.as_os_str() != "-" => fs::read_to_string(file)
            .with_context(|| format!("{}: cannot be read as text", file.display())),
        _ => {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .context("standard input cannot be read as text")?;
            Ok(text)
        }
    }
}

fn key_value(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => bail!("must be KEY=VALUE"),
    }
}
