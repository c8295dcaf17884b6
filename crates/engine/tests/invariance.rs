//! The same request gives the same tokens, and the same log-probabilities to the bit, whatever runs
//! beside it, on any number of threads, however prompts are cut, whatever memory there is.

mod tiny;

use engine::{EngineSettings, Next, Request, TokenMask};
use kernels::Arithmetic;
use tiny::{bits, blocks, engine, greedy, guided, run_together, sampled, settings, tokens};

/// Requests of many shapes. Some share prefixes; the lengths lie around the borders of blocks.
fn requests(seed: u64) -> Vec<Request> {
    let mut requests = Vec::new();
    for (idx, n_prompt) in [1, 5, 31, 32, 33, 64, 65, 130].into_iter().enumerate() {
        let request_seed = seed * 100 + idx as u64;
        // Half of the prompts begin alike.
        let prompt = tokens(if idx % 2 == 0 { seed } else { request_seed }, n_prompt);
        let n_reply = 4 + (request_seed as usize * 7) % 40;
        requests.push(match idx % 3 {
            0 => greedy(prompt, n_reply),
            _ => sampled(prompt, n_reply, request_seed),
        });
    }
    let mut both = tokens(seed, 70);
    requests.push(guided(both.clone(), 30, script(seed)));
    both.extend(tokens(seed + 1, 40));
    requests.push(guided(both, 60, script(seed + 1)));
    requests
}

/// Forces short and long runs between free, forbidden and narrow places.
fn script(seed: u64) -> tiny::Script {
    tiny::Script::new([
        Next::Free,
        Next::Force(tokens(seed + 9, 3)),
        Next::Allow(TokenMask::of(&tokens(seed + 10, 2))),
        Next::Forbid(tokens(seed + 11, 20)),
        Next::Force(tokens(seed + 12, 17)),
        Next::Allow(TokenMask::of(&tokens(seed + 13, 100))),
    ])
}

type Bits = Vec<(u32, u32, bool)>;

/// Each request on an engine of its own.
fn alone(seed: u64, arithmetic: Arithmetic) -> Vec<Bits> {
    let n_requests = requests(seed).len();
    (0..n_requests)
        .map(|idx| {
            let settings = EngineSettings { guess_batch_tokens: 0, arithmetic, ..settings() };
            let engine = engine(settings);
            let request = requests(seed).swap_remove(idx);
            bits(&run_together(&engine, vec![request])[0])
        })
        .collect()
}

#[test]
fn replies_do_not_depend_on_anything_but_the_request() {
    let small = blocks(&tiny::model(), 9);
    let cases = [
        ("together", settings()),
        ("two threads", EngineSettings { n_threads: 2, ..settings() }),
        ("one token a step", EngineSettings { max_batch_tokens: 1, ..settings() }),
        ("seven tokens a step", EngineSettings { max_batch_tokens: 7, ..settings() }),
        ("no guesses", EngineSettings { guess_batch_tokens: 0, ..settings() }),
        ("many guesses", EngineSettings { guess_batch_tokens: 100, ..settings() }),
        ("two at once", EngineSettings { max_sequences: 2, n_threads: 2, ..settings() }),
        ("little memory", EngineSettings { kv_bytes: small, ..settings() }),
        (
            "little of everything",
            EngineSettings {
                kv_bytes: small,
                max_batch_tokens: 19,
                guess_batch_tokens: 19,
                max_sequences: 5,
                ..settings()
            },
        ),
    ];
    for seed in 1..4 {
        let expected = alone(seed, Arithmetic::Exact);
        for (name, settings) in &cases {
            let engine = engine(settings.clone());
            // The second round finds what the first left in the cache.
            for round in 0..2 {
                let replies = run_together(&engine, requests(seed));
                for (idx, (reply, expected)) in replies.iter().zip(&expected).enumerate() {
                    assert_eq!(
                        &bits(reply),
                        expected,
                        "{name}, seed {seed}, {round}, request {idx}"
                    );
                }
            }
        }
    }
}

/// Rounding changes what a request's reply is, and nothing about what it depends on.
#[test]
fn rounded_replies_depend_on_the_request_and_the_arithmetic() {
    let exact = alone(1, Arithmetic::Exact);
    for arithmetic in [Arithmetic::Int8, Arithmetic::Bf16] {
        let expected = alone(1, arithmetic);
        assert_ne!(expected, exact, "{arithmetic}");
        for more in [
            EngineSettings { n_threads: 2, ..settings() },
            EngineSettings { max_batch_tokens: 7, ..settings() },
        ] {
            let engine = engine(EngineSettings { arithmetic, ..more });
            for round in 0..2 {
                let replies = run_together(&engine, requests(1));
                let found: Vec<Bits> = replies.iter().map(bits).collect();
                assert_eq!(found, expected, "{arithmetic}, {round}");
            }
        }
    }
}

#[test]
fn random_streams_differ_by_seed_alone() {
    let engine = engine(settings());
    let run = |seed| bits(&run_together(&engine, vec![sampled(tokens(1, 20), 30, seed)])[0]);
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// Where few tokens may come, their logits alone are computed; where the others are forbidden, all are.
#[test]
fn allowing_few_is_forbidding_the_rest() {
    let vocab_size = tiny::model().config().vocab_size as u32;
    let masks = |seed: u64| (0..24).map(move |at| tokens(seed + at, 1 + at as usize % 4));
    let allowed = |seed| masks(seed).map(|few| Next::Allow(TokenMask::of(&few)));
    let forbidden = |seed| {
        let rest = move |few: Vec<u32>| (0..vocab_size).filter(move |token| !few.contains(token));
        masks(seed).map(move |few| Next::Forbid(rest(few).collect()))
    };
    let engine = engine(settings());
    for seed in [100, 200, 300] {
        let request = |script: Vec<Next>| {
            let sampling = match seed {
                100 => engine::Sampling::default(),
                _ => engine::Sampling { temperature: 1.5, top_p: 0.9, seed },
            };
            Request { sampling, ..guided(tokens(seed, 45), 24, tiny::Script::new(script)) }
        };
        let requests = vec![
            request(allowed(seed).collect()),
            greedy(tokens(seed, 50), 10),
            request(forbidden(seed).collect()),
        ];
        let replies = run_together(&engine, requests);
        assert_eq!(replies[0].tokens.len(), 24);
        assert_eq!(replies[0].tokens, replies[2].tokens, "seed {seed}");
        assert!(replies[0].tokens.iter().all(|event| !event.choices.is_empty()));
    }
}
