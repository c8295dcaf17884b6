//! What steps are made of, seen by a network that watches.

use std::path::Path;
use std::sync::{Mutex, mpsc};

use kernels::{Arithmetic, Kernels, Pool};
use model::forward::{Forward, Logits};
use model::kv::KvShape;
use model::{Model, ModelError};

use super::*;
use crate::engine::Engine;
use crate::guide::{Guide, Next};
use crate::request::Request;
use crate::settings::EngineSettings;

/// A network that notes of each step how many sequences and tokens it computes.
struct Watched {
    forward: Forward,
    steps: Arc<Mutex<Vec<Step>>>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    n_sequences: usize,
    n_tokens: usize,
}

impl Network for Watched {
    fn run(&mut self, segments: &mut [Segment<'_>]) -> Result<Logits, ModelError> {
        let n_tokens = segments.iter().map(|segment| segment.tokens.len()).sum();
        let step = Step { n_sequences: segments.len(), n_tokens };
        self.steps.lock().expect("nobody panics").push(step);
        self.forward.run(segments)
    }
}

/// Says ten tokens over and over.
struct Repeat {
    first: u32,
    n_said: u32,
}

impl Guide for Repeat {
    fn next(&mut self) -> Next {
        let only = self.first + self.n_said % 10;
        Next::Forbid((0..512).filter(|&token| token != only).collect())
    }

    fn accept(&mut self, _token: u32) {
        self.n_said += 1;
    }
}

/// The steps of some requests, all of which end after `max_tokens`. Calls `submitted` when the engine has them all.
fn steps(requests: Vec<Request>, settings: &EngineSettings, submitted: impl FnOnce()) -> Vec<Step> {
    let forward = Forward::new(model(), Kernels::detect(), Pool::new(1), Arithmetic::Exact);
    let steps = Arc::default();
    let network = Watched { forward, steps: Arc::clone(&steps) };
    let engine = Engine::start_on(model(), settings, network).expect("the settings hold");
    let submit = |request| engine.submit(request).expect("sound");
    let replies: Vec<_> = requests.into_iter().map(submit).collect();
    submitted();
    replies.into_iter().for_each(|reply| {
        assert!(matches!(reply.wait().finish, Finish::MaxTokens));
    });
    drop(engine);
    Arc::into_inner(steps).expect("the engine is gone").into_inner().expect("whole")
}

fn model() -> Arc<Model> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    Arc::new(Model::open(&dir).expect("the fixture is a checkpoint"))
}

/// Its prompt and its reply repeat themselves.
fn repeating(first: u32) -> Request {
    let guide = Repeat { first, n_said: 0 };
    Request {
        guide: Some(Box::new(guide)),
        ..Request::new((0..40).map(|at| first + at % 10).collect(), 60)
    }
}

/// Keeps the engine from its first step until all requests are there.
struct Gate(mpsc::Receiver<()>);

impl Guide for Gate {
    fn next(&mut self) -> Next {
        let _ = self.0.recv();
        Next::Free
    }

    fn accept(&mut self, _token: u32) {}
}

/// Sliding layers see eight positions back, so a sequence of sixteen blocks keeps their part of two.
#[test]
fn memory_of_four_whole_sequences_serves_seven() {
    let request = |first: u32| Request::new((0..480).map(|at| first + at % 97).collect(), 32);
    let (all_are_there, gate) = mpsc::channel();
    let mut requests: Vec<Request> = (0..14).map(|at| request(at * 20)).collect();
    requests[0].guide = Some(Box::new(Gate(gate)));
    let settings = EngineSettings {
        kv_bytes: 4 * 16 * KvShape::of(model().config()).block_bytes(),
        max_batch_tokens: 200,
        guess_batch_tokens: 0,
        ..EngineSettings::default()
    };
    let steps = steps(requests, &settings, || drop(all_are_there));
    assert_eq!(steps.iter().map(|step| step.n_sequences).max(), Some(7));
    // Nobody was admitted who had to leave again: every prompt and reply was computed once.
    let n_tokens: usize = steps.iter().map(|step| step.n_tokens).sum();
    assert_eq!(n_tokens, 14 * (480 + 31));
}

#[test]
fn guesses_fill_small_steps_and_no_others() {
    let settings = EngineSettings { kv_bytes: 64 << 20, ..EngineSettings::default() };
    let with = |n, guess_batch_tokens, max_batch_tokens| {
        let settings = EngineSettings { guess_batch_tokens, max_batch_tokens, ..settings.clone() };
        let requests = (0..n).map(|at| repeating(at * 20)).collect();
        let steps = steps(requests, &settings, || ());
        steps.iter().map(|step| step.n_tokens).collect::<Vec<_>>()
    };
    for n in [1, 3] {
        let guessed = with(n, 6, 512);
        assert!(guessed.len() < with(n, 0, 512).len(), "{n} requests");
        // The prompts are 40 tokens each.
        assert!(guessed.iter().all(|&n_tokens| n_tokens <= 6 || n_tokens >= 40), "{guessed:?}");
        // The limit of all steps holds for guesses too.
        assert!(with(n, 20, 4).iter().all(|&n_tokens| n_tokens <= 4));
    }
    let busy = with(7, 6, 512);
    assert_eq!(busy.iter().filter(|&&n_tokens| n_tokens > 7).sum::<usize>(), 280, "{busy:?}");
}
