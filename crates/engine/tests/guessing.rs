//! Guesses spare steps and change nothing: not a token, not an end, not what is left in the cache.

mod tiny;

use engine::{Engine, EngineSettings, Guide, Next, Reply, Request, Sampling, TokenMask};
use tiny::{bits, engine, greedy, guided, run_together, sampled, settings, tokens};

fn guessing(guess_batch_tokens: usize) -> EngineSettings {
    EngineSettings { guess_batch_tokens, ..settings() }
}

/// Lets only one token come at each place, but as one of all: what is forbidden is computed.
struct Recite {
    text: Vec<u32>,
    n_said: usize,
    /// At this place two tokens are forced at once.
    force_at: Option<usize>,
}

impl Recite {
    fn new(text: Vec<u32>) -> Recite {
        Recite { text, n_said: 0, force_at: None }
    }
}

impl Guide for Recite {
    fn next(&mut self) -> Next {
        let rest = &self.text[self.n_said..];
        match rest {
            [] => Next::Stop,
            [first, second, ..] if self.force_at == Some(self.n_said) => {
                Next::Force(vec![*first, *second])
            }
            [first, ..] => Next::Forbid((0..512).filter(|token| token != first).collect()),
        }
    }

    fn accept(&mut self, token: u32) {
        assert_eq!(token, self.text[self.n_said], "tokens are told in order");
        self.n_said += 1;
    }
}

/// 30 tokens, none twice.
fn quote() -> Vec<u32> {
    (100..130).collect()
}

/// A prompt that holds the quote.
fn prompt() -> Vec<u32> {
    [tokens(1, 20), quote(), tokens(2, 5)].concat()
}

fn run(settings: EngineSettings, request: Request) -> Reply {
    run_together(&engine(settings), vec![request]).remove(0)
}

#[test]
fn what_is_quoted_takes_few_steps() {
    let request = || guided(prompt(), 100, Recite::new(quote()));
    let plain = run(guessing(0), request());
    // One for the prompt, then one for each token but the last.
    assert_eq!((plain.usage.steps, plain.usage.guessed), (30, 0));
    let guessed = run(guessing(6), request());
    assert_eq!(bits(&guessed), bits(&plain));
    // The prompt; a token alone, then the quote is known: the other 28 come 5 a step.
    assert_eq!((guessed.usage.steps, guessed.usage.guessed), (8, 23));
    assert_eq!(guessed.usage.generated, 30);
}

/// The same request twice: once on each engine.
fn check_same(engines: &[Engine; 2], request: impl Fn() -> Request, about: &str) {
    let [plain, guessed] =
        engines.each_ref().map(|engine| run_together(engine, vec![request()]).remove(0));
    assert_eq!(plain.tokens, guessed.tokens, "{about}");
    assert_eq!(format!("{:?}", plain.finish), format!("{:?}", guessed.finish), "{about}");
    assert_eq!(plain.usage.generated, guessed.usage.generated, "{about}");
    assert_eq!(plain.usage.guessed, 0);
    assert!(guessed.usage.steps <= plain.usage.steps, "{about}");
}

/// The quote, four other tokens, and the quote again: guesses that come true and one that does not.
fn text() -> Vec<u32> {
    [quote(), tokens(3, 4), quote()].concat()
}

#[test]
fn guesses_change_no_end() {
    let engines = [0, 9].map(|n| engine(guessing(n)));
    let recite = |n| guided(prompt(), n, Recite::new(text()));
    for n in (0..=text().len()).step_by(3) {
        let cut = || guided(prompt(), 100, Recite::new(text()[..n].to_vec()));
        check_same(&engines, cut, &format!("the guide ends after {n}"));
        check_same(&engines, || recite(n), &format!("{n} tokens at most"));
        let forced = || Recite { force_at: Some(n), ..Recite::new(text()) };
        check_same(&engines, || guided(prompt(), 100, forced()), &format!("forced after {n}"));
        let stop: Vec<u32> = text().get(n).copied().into_iter().collect();
        let stopped = || Request { stop: stop.clone(), ..recite(100) };
        check_same(&engines, stopped, &format!("stopped by the token of {n}"));
    }
    for n in (1..30).step_by(4) {
        let context_len = Some(prompt().len() + n);
        let engines = [0, 9].map(|n| engine(EngineSettings { context_len, ..guessing(n) }));
        check_same(&engines, || recite(100), &format!("room for {n}"));
    }
}

#[test]
fn guesses_among_few_change_nothing() {
    // Places with few tokens to choose from lie between those that are guessed.
    let script = |seed: u64| {
        let quote = quote();
        let steps = (0..60).map(move |at| match at % 4 {
            0 => Next::Allow(TokenMask::of(&[quote[at % 30], tokens(seed, 60)[at]])),
            _ => Next::Forbid((0..512).filter(|&token| token != quote[at % 30]).collect()),
        });
        tiny::Script::new(steps.collect::<Vec<_>>())
    };
    let engines = [0, 9].map(|n| engine(guessing(n)));
    for seed in 1..20 {
        let sampling = Sampling { temperature: 1.0, top_p: 1.0, seed };
        let request = || Request { sampling, ..guided(prompt(), 60, script(seed)) };
        check_same(&engines, request, &format!("seed {seed}"));
    }
}

#[test]
fn what_is_left_in_the_cache_was_said() {
    let requests: [fn() -> Request; 4] = [
        || guided(prompt(), 100, Recite::new(text())),
        || greedy([tokens(5, 40), tokens(5, 40)].concat(), 120),
        || sampled([tokens(6, 30), tokens(6, 30)].concat(), 90, 6),
        || sampled(vec![7; 50], 70, 7),
    ];
    let guessing = engine(guessing(12));
    for (idx, request) in requests.iter().enumerate() {
        let first = run_together(&guessing, vec![request()]).remove(0);
        let said = first.tokens.iter().map(|event| event.token);
        let prompt: Vec<u32> = request().prompt.into_iter().chain(said).collect();
        let n_blocks = (prompt.len() - 1) / 32;
        let again = run_together(&guessing, vec![greedy(prompt.clone(), 8)]).remove(0);
        assert!(again.usage.cached_tokens >= (n_blocks - 1) * 32, "request {idx}");
        let fresh = run(settings(), greedy(prompt, 8));
        assert_eq!(bits(&again), bits(&fresh), "request {idx}");
    }
}

#[test]
fn replies_behind_one_prefix_guess_by_each_other() {
    let behind = |prefix: u64, item: u64| {
        let prompt = [tokens(prefix, 40), tokens(100 + item, 9)].concat();
        Request { n_prefix: 40, ..guided(prompt, 100, Recite::new(quote())) }
    };
    let engine = engine(guessing(12));
    let steps = |prefix, item| {
        let request = behind(prefix, item);
        let expected = run(guessing(0), behind(prefix, item));
        let reply = run_together(&engine, vec![request]).remove(0);
        assert_eq!(bits(&reply), bits(&expected));
        reply.usage.steps
    };
    // The first, and the first behind another prefix, have nothing to go by.
    assert_eq!([steps(1, 1), steps(1, 2), steps(2, 3), steps(1, 4)], [30, 8, 30, 8]);
}
