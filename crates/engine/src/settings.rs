//! How much of the machine an engine may use.

use kernels::{Arithmetic, Isa};
use model::Config;
use model::kv::{BLOCK_LEN, KvShape};

use crate::error::EngineError;
use crate::kv::{Need, PrefixCache};

/// How much of the machine an engine may use. Nothing but the arithmetic, and under bfloat16 the
/// instruction set, changes a single token of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineSettings {
    /// Threads of the forward pass, the engine's own among them.
    pub n_threads: usize,
    /// Most tokens computed in one step; long prompts are cut into chunks of at most this.
    pub max_batch_tokens: usize,
    /// Steps that compute at most half as many tokens are filled up to this many with guesses at what sequences say
    /// next, which spares steps where replies repeat what was said before; 0 guesses nothing.
    pub guess_batch_tokens: usize,
    /// Most sequences that run at once; others wait.
    pub max_sequences: usize,
    /// Most bytes of keys and values, for running sequences and cached prefixes together.
    /// Allocated as needed. One position of the 20b takes 96 KiB; half of that once it is 128 positions back, since
    /// sliding layers no longer see it.
    pub kv_bytes: usize,
    /// Most requests that may wait for a place.
    pub queue_len: usize,
    /// Most tokens of prompt and reply together; `None` is the model's own limit.
    pub context_len: Option<usize>,
    /// How exactly products are computed.
    pub arithmetic: Arithmetic,
    /// The instruction set to use; `None` is the best of this CPU.
    pub isa: Option<Isa>,
    /// Where keys and values of prefixes are kept for other processes; `None` keeps none.
    pub prefix_cache: Option<PrefixCache>,
}

impl Default for EngineSettings {
    fn default() -> EngineSettings {
        EngineSettings {
            n_threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            max_batch_tokens: 512,
            guess_batch_tokens: 12,
            max_sequences: 64,
            kv_bytes: 2 << 30,
            queue_len: 1024,
            context_len: None,
            arithmetic: Arithmetic::Exact,
            isa: None,
            prefix_cache: None,
        }
    }
}

/// Settings made to fit one model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_batch_tokens: usize,
    pub(crate) guess_batch_tokens: usize,
    pub(crate) max_sequences: usize,
    pub(crate) context_len: usize,
    pub(crate) vocab_size: usize,
    /// The sizes of keys and values.
    pub(crate) shape: KvShape,
    /// Most bytes of them in memory.
    pub(crate) kv_bytes: usize,
}

impl Limits {
    /// # Errors
    ///
    /// [`EngineError::Setting`] for a zero, a context longer than the model's, or memory for less than
    /// one block.
    pub(crate) fn of(settings: &EngineSettings, config: &Config) -> Result<Limits, EngineError> {
        for (setting, value) in [
            ("n_threads", settings.n_threads),
            ("max_batch_tokens", settings.max_batch_tokens),
            ("max_sequences", settings.max_sequences),
            ("queue_len", settings.queue_len),
            ("context_len", settings.context_len.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(refused(setting, value, "must be at least 1".to_owned()));
            }
        }
        let model_len = config.max_position_embeddings;
        let context_len = settings.context_len.unwrap_or(model_len);
        if context_len > model_len {
            let expected = format!("the model ends at {model_len}");
            return Err(refused("context_len", context_len, expected));
        }
        let shape = KvShape::of(config);
        if settings.kv_bytes < shape.block_bytes() {
            let expected =
                format!("{BLOCK_LEN} positions of this model take {}", shape.block_bytes());
            return Err(refused("kv_bytes", settings.kv_bytes, expected));
        }
        Ok(Limits {
            max_batch_tokens: settings.max_batch_tokens,
            guess_batch_tokens: settings.guess_batch_tokens.min(settings.max_batch_tokens),
            max_sequences: settings.max_sequences,
            context_len,
            vocab_size: config.vocab_size,
            shape,
            kv_bytes: settings.kv_bytes,
        })
    }

    /// # Errors
    ///
    /// [`EngineError::KvFull`] when `n_tokens` do not fit, were they alone.
    pub(crate) fn check_kv(&self, n_tokens: usize) -> Result<(), EngineError> {
        if self.needed_bytes(n_tokens) > self.kv_bytes {
            return Err(self.kv_full(n_tokens));
        }
        Ok(())
    }

    /// What to tell a sequence of `n_tokens` that has no room.
    pub(crate) fn kv_full(&self, n_tokens: usize) -> EngineError {
        EngineError::KvFull {
            n_tokens,
            needed_bytes: self.needed_bytes(n_tokens),
            limit_bytes: self.kv_bytes,
        }
    }

    fn needed_bytes(&self, n_tokens: usize) -> usize {
        Need::alone(&self.shape, n_tokens).least.bytes(&self.shape)
    }
}

fn refused(setting: &'static str, found: usize, expected: String) -> EngineError {
    EngineError::Setting { setting, found: found.to_string(), expected }
}
