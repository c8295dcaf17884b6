//! The caller's end of the engine: start, submit, stop.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;

use kernels::{Arithmetic, Isa, Kernels, Pool};
use model::Model;
use model::forward::Forward;

use crate::error::EngineError;
use crate::generation::{Canceller, Finish, Generation};
use crate::grammar::GrammarCompiler;
use crate::inbox::Inbox;
use crate::kv::{Disk, KvCache};
use crate::request::Request;
use crate::scheduler::Scheduler;
use crate::sequence::Sequence;
use crate::settings::{EngineSettings, Limits};
use crate::step::Network;
use crate::totals::{Tally, Totals};

/// What an engine computes products with, as it was chosen at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComputeUnit {
    /// The instruction set.
    pub isa: Isa,
    /// What would sum products in bfloat16.
    pub bf16_unit: &'static str,
    /// How exactly.
    pub arithmetic: Arithmetic,
}

/// Runs many requests at once over one model, on a thread of its own.
///
/// A reply depends on its request alone: not on other requests, the number of threads, the settings
/// of batches, or what is cached. Dropping the engine ends all requests with
/// [`EngineError::Stopped`] after the step under way.
pub struct Engine {
    model: Arc<Model>,
    unit: ComputeUnit,
    limits: Limits,
    inbox: Arc<Inbox>,
    tally: Arc<Tally>,
    n_submitted: AtomicU64,
    grammars: OnceLock<Result<GrammarCompiler, EngineError>>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts an engine.
    ///
    /// # Errors
    ///
    /// [`EngineError::Setting`] for settings that cannot hold for this model or this CPU.
    pub fn start(model: Arc<Model>, settings: EngineSettings) -> Result<Engine, EngineError> {
        // A zero is refused before it reaches the pool.
        Limits::of(&settings, model.config())?;
        let kernels = kernels_for(&settings)?;
        let pool = Pool::new(settings.n_threads);
        let forward = Forward::new(Arc::clone(&model), kernels, pool, settings.arithmetic);
        Engine::start_on(model, &settings, forward)
    }

    /// Starts an engine whose steps are computed by `network`.
    pub(crate) fn start_on(
        model: Arc<Model>,
        settings: &EngineSettings,
        network: impl Network + 'static,
    ) -> Result<Engine, EngineError> {
        let limits = Limits::of(settings, model.config())?;
        let inbox = Arc::new(Inbox::new(settings.queue_len));
        let cache = KvCache::new(limits.kv_bytes, limits.shape);
        let kernels = kernels_for(settings)?;
        let unit = ComputeUnit {
            isa: kernels.isa(),
            bf16_unit: kernels.bf16_unit(),
            arithmetic: settings.arithmetic,
        };
        let disk = settings.prefix_cache.clone().map(|cache| {
            let arithmetic = format!(
                "{} {} {} {}",
                model.fingerprint(),
                unit.bf16_unit,
                unit.arithmetic,
                kernels::ARITHMETIC
            );
            Disk::new(cache, &arithmetic, limits.shape)
        });
        let scheduler = Scheduler::new(Arc::clone(&inbox), network, cache, disk, limits);
        let tally = scheduler.tally();
        let close = CloseAtEnd(Arc::clone(&inbox));
        let run = move || {
            let _close = close;
            scheduler.run();
        };
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(run);
        let thread = thread.map_err(|error| EngineError::Thread(Arc::new(error)))?;
        Ok(Engine {
            model,
            unit,
            limits,
            inbox,
            tally,
            n_submitted: AtomicU64::new(0),
            grammars: OnceLock::new(),
            thread: Some(thread),
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What decides a reply beside its request: the weights, and how exactly they are computed with. The last bits of
    /// sums may change with the version of this program.
    pub fn identity(&self) -> String {
        match self.unit.arithmetic {
            Arithmetic::Exact => self.model.fingerprint().to_owned(),
            Arithmetic::Int8 => format!("{} int8", self.model.fingerprint()),
            Arithmetic::Bf16 => {
                format!("{} bf16 {}", self.model.fingerprint(), self.unit.bf16_unit)
            }
        }
    }

    /// What products are computed with.
    pub fn unit(&self) -> ComputeUnit {
        self.unit
    }

    /// Most tokens of prompt and reply together.
    pub fn context_len(&self) -> usize {
        self.limits.context_len
    }

    /// What was computed so far, for all requests together.
    pub fn totals(&self) -> Totals {
        self.tally.totals()
    }

    /// The compiler of grammars over this model's tokenizer, made at its first use: for the
    /// vocabulary of the 20b that takes most of a second.
    ///
    /// # Errors
    ///
    /// As [`GrammarCompiler::new`].
    pub fn grammars(&self) -> Result<&GrammarCompiler, EngineError> {
        let make = || GrammarCompiler::for_model(Arc::clone(&self.model));
        self.grammars.get_or_init(make).as_ref().map_err(EngineError::clone)
    }

    /// Queues a request.
    ///
    /// # Errors
    ///
    /// What is wrong with the request itself, or can be known beforehand: no prompt, unknown tokens,
    /// meaningless sampling, a prompt longer than the context or than all memory for keys and values,
    /// a full queue, a stopped engine.
    pub fn submit(&self, request: Request) -> Result<Generation, EngineError> {
        self.check(&request)?;
        let (sender, receiver) = mpsc::channel();
        let canceller = Canceller::default();
        let number = self.n_submitted.fetch_add(1, Ordering::Relaxed);
        self.inbox.push(Sequence::new(number, request, canceller.clone(), sender))?;
        Ok(Generation::new(receiver, canceller))
    }

    fn check(&self, request: &Request) -> Result<(), EngineError> {
        let Limits { vocab_size, context_len, .. } = self.limits;
        request.sampling.check()?;
        let n_tokens = request.prompt.len();
        if n_tokens == 0 {
            return Err(EngineError::EmptyPrompt);
        }
        if let Some(&token) = request.prompt.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(EngineError::UnknownToken { token, vocab_size });
        }
        if n_tokens >= context_len {
            return Err(EngineError::PromptTooLong { n_tokens, context_len });
        }
        self.limits.check_kv(n_tokens)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        end_all(&self.inbox);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told to every request that it concerned.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// # Errors
///
/// [`EngineError::Setting`] for an instruction set that this CPU lacks.
fn kernels_for(settings: &EngineSettings) -> Result<Kernels, EngineError> {
    let Some(isa) = settings.isa else { return Ok(Kernels::detect()) };
    Kernels::with_isa(isa).ok_or_else(|| EngineError::Setting {
        setting: "isa",
        found: format!("{isa:?}"),
        expected: "this CPU lacks it".to_owned(),
    })
}

/// Leaves nobody waiting for a thread that is gone, however it went.
struct CloseAtEnd(Arc<Inbox>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        end_all(&self.0);
    }
}

fn end_all(inbox: &Inbox) {
    for sequence in inbox.close() {
        sequence.end(Finish::Failed(EngineError::Stopped));
    }
}
