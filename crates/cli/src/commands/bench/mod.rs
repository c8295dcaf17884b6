//! `safeguard bench`: how fast this machine judges, beside what it could do at best.

mod limits;
mod machine;
mod measure;
mod report;
mod subject;
mod workload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use engine::{Engine, EngineSettings};
use indicatif::{ProgressBar, ProgressStyle};
use kernels::{Kernels, Pool};
use model::{Model, Work};

use crate::commands::judging::{Exactness, Lifetime, Purpose};
use crate::exit::Exit;
use limits::Limits;
use machine::{Memory, Peaks};
use measure::{Measure, What};
use report::Report;
use subject::{Prompts, Subject};
use workload::{Bench, OwnFolder};

/// Measure how fast this machine judges, beside what it could do at best
///
/// Random weights of a published shape are made in memory, so that nothing is downloaded: speed does not depend on
/// their values. Prompts are random tokens. Every figure stands beside a limit: the time that this machine, measured
/// in the same run, needs to read the weights once a step or to multiply them, whichever is longer.
///
/// Exit status: 0 measured, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Decode with so many streams behind one prefix; 0 decodes none
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,8,32", value_parser = clap::value_parser!(u16).range(0..=1024))]
    streams: Vec<u16>,
    /// The prefix: what the model reads before the content under this policy; by default 1,024 random tokens
    #[arg(long, short, value_name = "FILE", conflicts_with = "prefix")]
    policy: Option<PathBuf>,
    /// Tokens of the prefix
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    prefix: u32,
    /// Items of the workload, all known in advance; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(0..=1024))]
    items: u16,
    /// Tokens of an item
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=8192))]
    item_tokens: u16,
    /// Tokens generated for an item
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..=8192))]
    generate: u16,
    /// Most MiB of keys and values
    #[arg(long, value_name = "MB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    kv_mb: u32,
    /// A quarter of the prefix, the items and the tokens: a first impression
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    exactness: Exactness,
    /// Threads to compute with; by default as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// What is measured: the sizes behind the flags.
struct Sizes {
    streams: Vec<usize>,
    n_items: usize,
    item_tokens: usize,
    n_generate: usize,
    /// Tokens of each stream of a decode measurement.
    n_decode: usize,
}

/// Tokens that a stream decodes where only the rate is wanted.
const DECODE_TOKENS: usize = 16;

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let n_threads = args.threads.map_or_else(default_threads, usize::from);
    let sizes = args.sizes();
    let bar = bar(sizes.n_steps());
    bar.set_message("this machine");
    let kernels = Kernels::detect();
    let limits = Limits::measure(&kernels, &Pool::new(n_threads));
    step(&bar, &format!("the weights of {}", args.subject));
    let start = Instant::now();
    let model = Arc::new(args.subject.open(args.purpose(n_threads))?);
    let ready_seconds = start.elapsed().as_secs_f64();
    let prompts = args.prompts(&model)?;
    let folder = OwnFolder::new();
    let settings = EngineSettings {
        n_threads,
        arithmetic: args.exactness.arithmetic(),
        // Random tokens say nothing of how well replies are guessed.
        guess_batch_tokens: 0,
        prefix_cache: Some(folder.prefix_cache()),
        kv_bytes: args.kv_bytes(),
        max_sequences: sizes.streams.iter().copied().chain([sizes.n_items]).fold(1, usize::max),
        ..EngineSettings::default()
    };
    let mut peaks = Peaks::default();
    let ready = (!args.subject.is_random()).then_some(ready_seconds);
    let run = Run {
        model: &model,
        settings: &settings,
        prompts: &prompts,
        sizes: &sizes,
        limits: &limits,
    };
    let measures = run.measure(ready, &mut peaks, &bar)?;
    bar.finish_and_clear();
    let report = Report {
        isa: kernels.isa(),
        exactness: args.exactness,
        n_threads,
        model: model.name().to_owned(),
        ready_seconds,
        n_weight_bytes: model.weights().checkpoint().n_bytes(),
        residence: model.weights().residence(),
        n_prefix: prompts.prefix.len(),
        n_items: sizes.n_items,
        item_tokens: sizes.item_tokens,
        n_generate: sizes.n_generate,
        memory: Memory { peak: peaks.most(), ..Memory::now() },
        limits,
        measures,
    };
    report.print(args.json)?;
    Ok(Exit::Clear)
}

/// All that a run measures with.
struct Run<'a> {
    model: &'a Arc<Model>,
    settings: &'a EngineSettings,
    prompts: &'a Prompts,
    sizes: &'a Sizes,
    limits: &'a Limits,
}

impl Run<'_> {
    /// All rows. `ready` are the seconds until the model could be used, where a start of it is of interest.
    fn measure(
        &self,
        ready: Option<f64>,
        peaks: &mut Peaks,
        bar: &ProgressBar,
    ) -> Result<Vec<Measure>> {
        let work = Work::of(self.model, self.settings.arithmetic);
        let start = || -> Result<Bench<'_>> {
            let engine = Engine::start(Arc::clone(self.model), self.settings.clone())?;
            Ok(Bench { engine, prompts: self.prompts, work: &work, limits: self.limits })
        };
        let mut row = |message: &str, work: &dyn Fn() -> Result<Measure>| {
            step(bar, message);
            let (measure, peak) = peaks.during(work);
            Ok::<_, anyhow::Error>(Measure { peak, ..measure? })
        };
        let mut measures = vec![row("prefill", &|| start()?.prefill())?];
        step(bar, "the prefix in another engine");
        let begun = Instant::now();
        let bench = start()?;
        let [known, first] = bench.known()?;
        let seconds = begun.elapsed().as_secs_f64();
        let started = ready.map(|ready| Measure {
            what: What::Start,
            value: ready + seconds,
            ..first.clone()
        });
        measures.extend([known, first].into_iter().chain(started));
        for &n_streams in &self.sizes.streams {
            let decode = || bench.decode(n_streams, self.sizes.n_decode);
            measures.push(row(&format!("decoding {n_streams} streams"), &decode)?);
        }
        if self.sizes.n_items > 0 {
            let message = format!("the workload of {} items", self.sizes.n_items);
            measures.push(row(&message, &|| bench.workload(self.sizes))?);
        }
        Ok(measures)
    }
}

impl Sizes {
    /// The machine, the weights, the prefix twice, and what was asked for.
    fn n_steps(&self) -> usize {
        4 + self.streams.len() + usize::from(self.n_items > 0)
    }
}

impl Args {
    fn purpose(&self, n_threads: usize) -> Purpose {
        let (exactness, kv_bytes) = (self.exactness, self.kv_bytes());
        Purpose { lifetime: Lifetime::Run, exactness, n_threads, kv_bytes }
    }

    fn kv_bytes(&self) -> usize {
        (self.kv_mb as usize) << 20
    }

    fn sizes(&self) -> Sizes {
        let part = |n: u16| usize::from(n).div_ceil(if self.quick { 4 } else { 1 });
        Sizes {
            streams: self.streams.iter().map(|&n| usize::from(n)).filter(|&n| n > 0).collect(),
            n_items: part(self.items),
            item_tokens: part(self.item_tokens),
            n_generate: part(self.generate).max(2),
            n_decode: if self.quick { DECODE_TOKENS / 2 } else { DECODE_TOKENS },
        }
    }

    fn prompts(&self, model: &Model) -> Result<Prompts> {
        match &self.policy {
            Some(path) => Prompts::under_policy(model, path),
            None => {
                let n_prefix = (self.prefix as usize).div_ceil(if self.quick { 4 } else { 1 });
                Ok(Prompts::random(model, n_prefix))
            }
        }
    }
}

fn default_threads() -> usize {
    EngineSettings::default().n_threads
}

/// On a terminal only, never into a pipe.
fn bar(n_steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(n_steps as u64);
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len}  {elapsed}  {msg}");
    bar.set_style(style.expect("the template is a constant"));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

fn step(bar: &ProgressBar, message: &str) {
    bar.inc(1);
    bar.set_message(message.to_owned());
}
