//! Prefixes are computed once and shared, up to the memory there is.

mod tiny;

use engine::{EngineSettings, Finish, Request};
use tiny::{bits, blocks, engine, greedy, run_together, settings, tokens};

/// A policy of `n` tokens and an item of 9.
fn prompt(policy: u64, n: usize, item: u64) -> Vec<u32> {
    let mut prompt = tokens(policy, n);
    prompt.extend(tokens(1000 + item, 9));
    prompt
}

#[test]
fn a_prefix_is_computed_once() {
    let engine = engine(settings());
    let first = &run_together(&engine, vec![greedy(prompt(1, 100, 1), 5)])[0];
    assert_eq!((first.usage.prompt_tokens, first.usage.cached_tokens), (109, 0));
    // Three full blocks lie within the 100 shared tokens.
    let second = &run_together(&engine, vec![greedy(prompt(1, 100, 2), 5)])[0];
    assert_eq!(second.usage.cached_tokens, 96);
    let other = &run_together(&engine, vec![greedy(prompt(2, 100, 1), 5)])[0];
    assert_eq!(other.usage.cached_tokens, 0);
    assert_eq!(other.usage.generated, 5);
}

#[test]
fn a_cached_prefix_gives_the_same_bits() {
    for n in [31, 32, 33, 64, 96, 100] {
        let fresh = run_together(&engine(settings()), vec![greedy(tokens(7, n), 40)]);
        let warm = engine(settings());
        for _ in 0..3 {
            let again = run_together(&warm, vec![greedy(tokens(7, n), 40)]);
            assert_eq!(bits(&again[0]), bits(&fresh[0]), "{n} tokens");
        }
        let last = &run_together(&warm, vec![greedy(tokens(7, n), 1)])[0];
        // The last token of a prompt is always computed.
        assert_eq!(last.usage.cached_tokens, (n - 1) / 32 * 32, "{n} tokens");
    }
}

#[test]
fn requests_that_arrive_together_share_too() {
    for max_batch_tokens in [40, 512] {
        let engine = engine(EngineSettings { max_batch_tokens, ..settings() });
        let requests = (0..6).map(|item| greedy(prompt(3, 200, item), 3)).collect();
        let replies = run_together(&engine, requests);
        let n_cached: usize = replies.iter().map(|reply| reply.usage.cached_tokens).sum();
        // All but one adopt the six blocks of the policy, whoever came first.
        assert_eq!(n_cached, 5 * 192, "{max_batch_tokens} tokens a step");
    }
}

#[test]
fn the_longest_unused_prefix_makes_room() {
    let model = tiny::model();
    // Room for the four blocks of one request and what two other policies leave: three blocks and, of their end, the
    // part that sliding layers see.
    let engine = engine(EngineSettings { kv_bytes: blocks(&model, 8), ..settings() });
    let cached = |policy| {
        let reply = &run_together(&engine, vec![greedy(prompt(policy, 100, 1), 2)])[0];
        assert!(matches!(reply.finish, Finish::MaxTokens));
        reply.usage.cached_tokens
    };
    assert_eq!([cached(1), cached(2), cached(1)], [0, 0, 96]);
    // The third policy fits beside the first two, the fourth takes the place of the second.
    assert_eq!([cached(3), cached(1), cached(4)], [0, 96, 0]);
    assert_eq!(cached(1), 96);
    assert!(cached(2) < 96);
}

/// Tokens that requests behind one policy of eight blocks find, one after the other, then six at once. Each comes to
/// thirteen blocks; there is memory for `n_blocks`.
fn cached_behind_a_policy(n_prefix: usize, n_blocks: usize) -> [Vec<usize>; 2] {
    let engine = engine(EngineSettings {
        kv_bytes: blocks(&tiny::model(), n_blocks),
        max_batch_tokens: 64,
        ..settings()
    });
    let cached = |items: std::ops::Range<u64>| {
        let request = |item| Request { n_prefix, ..greedy(prompt(1, 256, item), 120) };
        let replies = run_together(&engine, items.map(request).collect());
        assert!(replies.iter().all(|reply| reply.tokens.len() == 120));
        replies.iter().map(|reply| reply.usage.cached_tokens).collect::<Vec<_>>()
    };
    [(0..6).flat_map(|item| cached(item..item + 1)).collect(), cached(10..16)]
}

/// One request needs thirteen blocks of the layers that see everything, two of those that slide, and the policy one
/// of the latter at its end.
#[test]
fn full_memory_does_not_cost_the_policy() {
    let [alone, together] = cached_behind_a_policy(256, 8);
    assert_eq!((alone, together), (vec![0, 256, 256, 256, 256, 256], vec![256; 6]));
}

#[test]
fn of_what_was_passed_the_beginning_stays_longest() {
    // Nobody says what is shared, so only what there is memory for can be continued.
    let [alone, together] = cached_behind_a_policy(0, 10);
    assert_eq!(alone, [0, 192, 192, 192, 192, 192]);
    // Those that run at once go on from each other.
    assert_eq!(together, [192, 256, 256, 256, 256, 256]);
}
