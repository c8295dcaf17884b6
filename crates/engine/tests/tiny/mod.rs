//! What the tests of the engine share: a tiny random model and requests made from a seed.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::sync::Arc;

use engine::{Engine, EngineSettings, Finish, Guide, Next, Reply, Request, Sampling};
use model::Model;

/// A random checkpoint in the published layout, four layers, window 8.
pub(crate) fn model() -> Arc<Model> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    Arc::new(Model::open(&dir).expect("the fixture is a valid checkpoint"))
}

/// One thread, everything else as by default.
pub(crate) fn settings() -> EngineSettings {
    EngineSettings { n_threads: 1, kv_bytes: 64 << 20, ..EngineSettings::default() }
}

/// An engine on the tiny model.
pub(crate) fn engine(settings: EngineSettings) -> Engine {
    Engine::start(model(), settings).expect("the settings hold")
}

/// Memory for `n` blocks of the model.
pub(crate) fn blocks(model: &Model, n: usize) -> usize {
    n * model::kv::KvShape::of(model.config()).block_bytes()
}

/// `n` ordinary tokens; the same for the same seed, and each a continuation of the shorter ones.
pub(crate) fn tokens(seed: u64, n: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(2) + 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32 % 250
        })
        .collect()
}

/// A greedy request.
pub(crate) fn greedy(prompt: Vec<u32>, max_tokens: usize) -> Request {
    Request::new(prompt, max_tokens)
}

/// A sampled request.
pub(crate) fn sampled(prompt: Vec<u32>, max_tokens: usize, seed: u64) -> Request {
    let sampling = Sampling { temperature: 0.9, top_p: 0.95, seed };
    Request { sampling, ..Request::new(prompt, max_tokens) }
}

/// A guided request.
pub(crate) fn guided(prompt: Vec<u32>, max_tokens: usize, guide: impl Guide + 'static) -> Request {
    Request { guide: Some(Box::new(guide)), ..Request::new(prompt, max_tokens) }
}

/// A guide that reads its words from a script, then lets the reply run free.
pub(crate) struct Script(std::vec::IntoIter<Next>);

impl Script {
    pub(crate) fn new(steps: impl Into<Vec<Next>>) -> Script {
        Script(steps.into().into_iter())
    }
}

impl Guide for Script {
    fn next(&mut self) -> Next {
        self.0.next().unwrap_or(Next::Free)
    }

    fn accept(&mut self, _token: u32) {}
}

/// Tokens, and log-probabilities to the bit.
pub(crate) fn bits(reply: &Reply) -> Vec<(u32, u32, bool)> {
    assert!(!matches!(reply.finish, Finish::Failed(_)), "{:?}", reply.finish);
    reply.tokens.iter().map(|event| (event.token, event.logprob.to_bits(), event.forced)).collect()
}

/// Submits all, then reads all.
pub(crate) fn run_together(engine: &Engine, requests: Vec<Request>) -> Vec<Reply> {
    let generations: Vec<_> = requests
        .into_iter()
        .map(|request| engine.submit(request).expect("the request is sound"))
        .collect();
    generations.into_iter().map(engine::Generation::wait).collect()
}
