//! `safeguard classify`: one content under one or many policies, with the reasoning as it is made.

mod chosen;
mod report;
mod served;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use policy::{Content, Effort, JudgeSettings, Outcome, Policy, Verdict};

use crate::exit::Exit;
use crate::output::{Format, hinted};
use chosen::ChosenModel;
use served::ServerArgs;

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
    /// Who judges: builtin, 20b, 120b, ORG/NAME, a checkpoint's folder, or the URL of a chat server
    #[arg(long, value_name = "MODEL", default_value = "builtin")]
    model: ChosenModel,
    #[command(flatten)]
    served: ServerArgs,
    /// How long the model should think; by default what the policy says, or medium
    #[arg(long, value_enum)]
    effort: Option<EffortName>,
    /// Most tokens of reasoning; by default 512, 2048 or 8192 by effort
    #[arg(long, value_name = "N")]
    max_analysis_tokens: Option<usize>,
    /// Repeat a verdict: fixes the marker around the content and the sampling
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// 0 takes the most probable token, 1 samples as the model was trained
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Keep the most probable tokens up to this sum of probabilities
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f32,
    /// Seconds until the verdict is undetermined
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Threads to compute with; by default as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EffortName {
    /// A line or two
    Low,
    /// The models' own default
    Medium,
    /// As long as it takes
    High,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let policies = args.policy.iter().map(|path| read_policy(path)).collect::<Result<Vec<_>>>()?;
    let content = read_content(args)?;
    let settings = settings(args);
    let judge = args.model.open(args.threads.map(usize::from), &args.served)?;
    let mut worst = Exit::Clear;
    for (path, policy) in &policies {
        let verdict =
            report::judge_and_show(judge.as_ref(), policy, path, &content, &settings, args.format)?;
        worst = worst.max(exit_of(&verdict));
    }
    Ok(worst)
}

fn exit_of(verdict: &Verdict) -> Exit {
    match verdict.outcome {
        Outcome::Clear => Exit::Clear,
        Outcome::Violation => Exit::Found,
        Outcome::Undetermined(_) => Exit::CouldNot,
    }
}

fn settings(args: &Args) -> JudgeSettings {
    JudgeSettings {
        effort: args.effort.map(|effort| match effort {
            EffortName::Low => Effort::Low,
            EffortName::Medium => Effort::Medium,
            EffortName::High => Effort::High,
        }),
        seed: args.seed,
        temperature: args.temperature,
        top_p: args.top_p,
        max_analysis_tokens: args.max_analysis_tokens,
        timeout: args.timeout,
    }
}

/// The policy with the path of its file; a folder stands for its `policy.md` and gives the name.
fn read_policy(path: &Path) -> Result<(PathBuf, Policy)> {
    let file = if path.is_dir() { path.join("policy.md") } else { path.to_owned() };
    let bytes = fs::read(&file).map_err(|error| {
        let error =
            anyhow::Error::from(error).context(format!("{}: cannot be read", file.display()));
        hinted(error, "policies/ has ten to start from, each a folder with policy.md")
    })?;
    let policy =
        Policy::parse(&name_of(&file), &bytes).with_context(|| file.display().to_string())?;
    Ok((file, policy))
}

fn name_of(file: &Path) -> String {
    let word =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = word(file.file_stem()).unwrap_or_default();
    match word(file.parent().and_then(Path::file_name)) {
        Some(folder) if stem == "policy" => folder,
        _ => stem,
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

fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse()?;
    Duration::try_from_secs_f64(seconds).map_err(Into::into)
}
