//! What all commands that judge share: which model, how it thinks, and the bar that shows how far it is.

mod calibrations;
mod cascade;
mod cases;
mod chosen;
mod exactness;
mod metrics;
mod place;
mod prefixes;
mod progress;
mod served;
mod weights;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use policy::{Effort, JudgeSettings};

pub(crate) use calibrations::{Calibrations, SavedCalibration, probability_words};
pub(crate) use cascade::{CascadeArgs, Cascaded, RoutesFile, Traffic};
pub(crate) use cases::{BadLines, CaseJudge, CasesArgs, Suite};
pub(crate) use chosen::OpenJudge;
use chosen::{ChosenModel, Room};
pub(crate) use exactness::Exactness;
pub(crate) use metrics::{Metrics, MetricsArgs, cascade_page};
pub(crate) use place::CachePlace;
pub(crate) use progress::Progress;
use reasoner::LocalJudge;
use served::ServerArgs;
pub(crate) use weights::{Lifetime, Purpose, WeightsArgs};

use crate::output::hinted;

/// Flags that say who judges.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// Who judges: builtin, 20b, 120b, ORG/NAME, a checkpoint's folder, or the URL of a chat server
    #[arg(long, value_name = "MODEL", default_value = "builtin")]
    model: ChosenModel,
    #[command(flatten)]
    served: ServerArgs,
    /// Threads to compute with; by default as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    exactness: Exactness,
    /// Most MiB of keys and values; those of what was judged are kept until it is full
    #[arg(long, value_name = "MB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    kv_mb: u32,
    /// Keep what was computed of a policy in this folder, for later runs; off keeps nothing
    ///
    /// By default in the user's cache folder, for models that are large enough to gain by it.
    #[arg(long, value_name = "DIR|off", env = "SAFEGUARD_PREFIX_CACHE")]
    prefix_cache: Option<CachePlace>,
    #[command(flatten)]
    weights: WeightsArgs,
}

/// Who judges, how it thinks, and how long it may take.
#[derive(Debug, clap::Args)]
pub(crate) struct ReasoningArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// How long the model should think; by default what the policy says, or medium
    #[arg(long, value_enum)]
    effort: Option<EffortName>,
    /// Most tokens of reasoning; by default 512, 2048 or 8192 by effort
    #[arg(long, value_name = "N")]
    max_analysis_tokens: Option<usize>,
    /// No reasoning: the outcome and its probability alone, in one pass over the content, without a rule or a rationale
    #[arg(long, conflicts_with = "max_analysis_tokens")]
    direct: bool,
    /// Seconds until a verdict is undetermined
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
}

/// Flags of all commands that judge.
#[derive(Debug, clap::Args)]
pub(crate) struct JudgeArgs {
    #[command(flatten)]
    reasoning: ReasoningArgs,
    /// Repeat a verdict: fixes the marker around the content and the sampling
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// 0 takes the most probable token, 1 samples as the model was trained
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Keep the most probable tokens up to this sum of probabilities
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f32,
}

/// How many verdicts decide.
#[derive(Debug, clap::Args)]
pub(crate) struct VotesArgs {
    /// Ask for this many verdicts, each with a seed of its own; more than half of them must agree, or the item is
    /// undetermined
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=99))]
    votes: u16,
}

impl VotesArgs {
    /// The settings, with so many votes.
    pub(crate) fn on(&self, settings: JudgeSettings) -> JudgeSettings {
        JudgeSettings { votes: self.votes.into(), ..settings }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EffortName {
    /// A line or two
    Low,
    /// The models' own default
    Medium,
    /// As long as it takes
    High,
}

impl From<EffortName> for Effort {
    fn from(name: EffortName) -> Effort {
        match name {
            EffortName::Low => Effort::Low,
            EffortName::Medium => Effort::Medium,
            EffortName::High => Effort::High,
        }
    }
}

impl ModelArgs {
    /// Opens the model and starts its judge.
    pub(crate) fn open(&self, lifetime: Lifetime) -> Result<OpenJudge> {
        if matches!(self.model, ChosenModel::Url(_)) && self.exactness.is_given() {
            return Err(hinted(
                anyhow!("--arithmetic and --dense are for a model in this process"),
                "what a chat server computes with is set where it is started",
            ));
        }
        let room = Room {
            lifetime,
            n_threads: self.n_threads(),
            exactness: self.exactness,
            kv_bytes: (self.kv_mb as usize) << 20,
            prefixes: self.prefix_cache.clone(),
            weights: self.weights.clone(),
        };
        self.model.open(room, &self.served)
    }

    /// The model in this process, for what looks inside it.
    pub(crate) fn open_local(&self) -> Result<Arc<LocalJudge>> {
        local(self.open(Lifetime::Run)?.local)
    }

    /// Threads asked for.
    pub(crate) fn n_threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

/// The model in this process, or why there is none.
pub(crate) fn local(judge: Option<Arc<LocalJudge>>) -> Result<Arc<LocalJudge>> {
    judge.ok_or_else(|| {
        let error = anyhow!("a probe looks inside the model, and a chat server does not let it");
        hinted(error, "give a checkpoint's folder or name with --model")
    })
}

impl ReasoningArgs {
    /// Who judges.
    pub(crate) fn model(&self) -> &ModelArgs {
        &self.model
    }

    /// Opens the model and starts its judge.
    pub(crate) fn open(&self, lifetime: Lifetime) -> Result<OpenJudge> {
        if self.direct && matches!(self.model.model, ChosenModel::Url(_)) {
            return Err(hinted(
                anyhow!("--direct is for a model in this process"),
                "a chat server reasons before its verdict; --effort low makes that short",
            ));
        }
        self.model.open(lifetime)
    }

    /// How each content is judged.
    pub(crate) fn settings(&self) -> JudgeSettings {
        JudgeSettings {
            effort: self.effort.map(Effort::from),
            max_analysis_tokens: self.max_analysis_tokens,
            direct: self.direct,
            timeout: self.timeout,
            ..JudgeSettings::default()
        }
    }
}

impl JudgeArgs {
    /// Who judges.
    pub(crate) fn model(&self) -> &ModelArgs {
        &self.reasoning.model
    }

    /// Opens the model and starts its judge.
    pub(crate) fn open(&self, lifetime: Lifetime) -> Result<OpenJudge> {
        self.reasoning.open(lifetime)
    }

    /// The model, by the name that people know.
    pub(crate) fn model_name(&self) -> String {
        self.reasoning.model.model.name()
    }

    /// How each content is judged.
    pub(crate) fn settings(&self) -> JudgeSettings {
        JudgeSettings {
            seed: self.seed,
            temperature: self.temperature,
            top_p: self.top_p,
            ..self.reasoning.settings()
        }
    }
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse()?;
    Duration::try_from_secs_f64(seconds).map_err(Into::into)
}
