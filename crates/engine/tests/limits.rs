//! Every limit is a typed error of the one request that reaches it.

mod tiny;

use std::sync::mpsc;

use engine::{
    Engine, EngineError, EngineSettings, Event, Finish, Guide, Next, Request, Sampling, TokenMask,
};
use tiny::{bits, blocks, engine, greedy, guided, run_together, settings, tokens};

#[test]
fn settings_that_cannot_hold_are_refused() {
    let model = tiny::model();
    let model_len = model.config().max_position_embeddings;
    let cases = [
        ("n_threads", EngineSettings { n_threads: 0, ..settings() }),
        ("max_batch_tokens", EngineSettings { max_batch_tokens: 0, ..settings() }),
        ("max_sequences", EngineSettings { max_sequences: 0, ..settings() }),
        ("queue_len", EngineSettings { queue_len: 0, ..settings() }),
        ("context_len", EngineSettings { context_len: Some(0), ..settings() }),
        ("context_len", EngineSettings { context_len: Some(model_len + 1), ..settings() }),
        ("kv_bytes", EngineSettings { kv_bytes: blocks(&model, 1) - 1, ..settings() }),
    ];
    for (expected, settings) in cases {
        match Engine::start(model.clone(), settings) {
            Err(EngineError::Setting { setting, .. }) => assert_eq!(setting, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn requests_that_cannot_work_are_refused() {
    let model = tiny::model();
    let vocab_size = model.config().vocab_size as u32;
    let small =
        EngineSettings { context_len: Some(100), kv_bytes: blocks(&model, 2), ..settings() };
    let engine = engine(small);
    let check = |request: Request, is_expected: fn(&EngineError) -> bool| {
        let error = engine.submit(request).expect_err("refused");
        assert!(is_expected(&error), "{error:?}");
    };
    check(greedy(vec![], 1), |e| matches!(e, EngineError::EmptyPrompt));
    check(greedy(vec![1, vocab_size], 1), |e| matches!(e, EngineError::UnknownToken { .. }));
    check(greedy(tokens(1, 100), 1), |e| {
        matches!(e, EngineError::PromptTooLong { n_tokens: 100, context_len: 100 })
    });
    check(greedy(tokens(1, 65), 1), |e| matches!(e, EngineError::KvFull { n_tokens: 65, .. }));
    let refused = [(-1.0, 1.0), (f32::NAN, 1.0), (f32::INFINITY, 1.0), (1.0, 0.0), (1.0, 1.1)];
    for (temperature, top_p) in refused {
        let sampling = Sampling { temperature, top_p, seed: 0 };
        let request = Request { sampling, ..greedy(vec![1], 1) };
        check(request, |e| matches!(e, EngineError::Sampling { .. }));
    }
    // What just fits, works.
    let reply = &run_together(&engine, vec![greedy(tokens(1, 64), 1)])[0];
    assert!(matches!(reply.finish, Finish::MaxTokens), "{:?}", reply.finish);
}

#[test]
fn a_full_context_ends_its_request_alone() {
    let engine = engine(EngineSettings { context_len: Some(40), ..settings() });
    let replies =
        run_together(&engine, vec![greedy(tokens(1, 30), 1000), greedy(tokens(2, 30), 10)]);
    let finish = &replies[0].finish;
    assert!(matches!(finish, Finish::Failed(EngineError::ContextFull { context_len: 40 })));
    assert_eq!(replies[0].tokens.len(), 10);
    assert!(matches!(replies[1].finish, Finish::MaxTokens));
}

#[test]
fn full_memory_ends_its_request_alone() {
    let model = tiny::model();
    // Four blocks of the layers that see everything, two of those that slide.
    let engine = engine(EngineSettings { kv_bytes: blocks(&model, 3), ..settings() });
    let replies =
        run_together(&engine, vec![greedy(tokens(1, 30), 1000), greedy(tokens(2, 30), 40)]);
    let finish = &replies[0].finish;
    assert!(
        matches!(finish, Finish::Failed(EngineError::KvFull { n_tokens: 129, .. })),
        "{finish:?}"
    );
    assert!(matches!(replies[1].finish, Finish::MaxTokens));
    assert_eq!(replies[1].tokens.len(), 40);
}

/// Half of the layers see eight positions back.
#[test]
fn memory_for_half_of_the_positions_is_enough() {
    let model = tiny::model();
    let kv_bytes = blocks(&model, 16);
    for max_batch_tokens in [512, 7] {
        let engine = engine(EngineSettings { kv_bytes, max_batch_tokens, ..settings() });
        let just_fits = || greedy(tokens(1, 900), 61);
        let replies = run_together(&engine, vec![just_fits(), greedy(tokens(2, 900), 100)]);
        assert!(matches!(replies[0].finish, Finish::MaxTokens), "{:?}", replies[0].finish);
        assert_eq!(
            bits(&replies[0]),
            bits(&run_together(&tiny::engine(settings()), vec![just_fits()])[0])
        );
        let finish = &replies[1].finish;
        assert!(
            matches!(finish, Finish::Failed(EngineError::KvFull { n_tokens: 961, needed_bytes, limit_bytes })
                if *limit_bytes == kv_bytes && *needed_bytes > kv_bytes),
            "{finish:?}"
        );
    }
}

/// Stops the engine's thread at its first question until it is let go.
struct Gate {
    reached: mpsc::Sender<()>,
    open: mpsc::Receiver<()>,
}

impl Guide for Gate {
    fn next(&mut self) -> Next {
        let _ = self.reached.send(());
        let _ = self.open.recv();
        Next::Stop
    }

    fn accept(&mut self, _token: u32) {}
}

#[test]
fn a_full_queue_refuses() {
    let engine = engine(EngineSettings { queue_len: 2, max_sequences: 1, ..settings() });
    let (reached, at_gate) = mpsc::channel();
    let (let_go, open) = mpsc::channel();
    let held = engine.submit(guided(vec![1], 1, Gate { reached, open })).expect("place");
    at_gate.recv().expect("the first request is running");
    let waiting: Vec<_> =
        (0..2).map(|_| engine.submit(greedy(vec![1], 1)).expect("place in the queue")).collect();
    let error = engine.submit(greedy(vec![1], 1)).expect_err("no place");
    assert!(matches!(error, EngineError::QueueFull { queue_len: 2 }));
    let_go.send(()).expect("the guide waits");
    assert!(matches!(held.wait().finish, Finish::GuideStop));
    for generation in waiting {
        assert!(matches!(generation.wait().finish, Finish::MaxTokens));
    }
}

#[test]
fn replies_end_where_they_should() {
    let engine = engine(settings());
    let script = |steps: Vec<Next>| tiny::Script::new(steps);
    let free = run_together(&engine, vec![greedy(tokens(1, 10), 6)]);
    let third = free[0].tokens[2].token;
    let n_before = free[0].tokens.iter().position(|event| event.token == third).unwrap_or(2);
    type Case = (Request, usize, fn(&Finish) -> bool);
    let cases: Vec<Case> = vec![
        (greedy(tokens(1, 10), 0), 0, |f| matches!(f, Finish::MaxTokens)),
        (Request { stop: vec![third], ..greedy(tokens(1, 10), 6) }, n_before + 1, |f| {
            matches!(f, Finish::Stop(_))
        }),
        // A guide that is done exactly at the limit is done.
        (guided(tokens(1, 10), 2, script(vec![Next::Force(vec![4, 5]), Next::Stop])), 2, |f| {
            matches!(f, Finish::GuideStop)
        }),
        (guided(tokens(1, 10), 2, script(vec![Next::Force(vec![4, 5, 6]), Next::Stop])), 2, |f| {
            matches!(f, Finish::MaxTokens)
        }),
        // Nothing follows a forced stop token.
        (
            Request {
                stop: vec![5],
                ..guided(tokens(1, 10), 9, script(vec![Next::Force(vec![4, 5, 6])]))
            },
            2,
            |f| matches!(f, Finish::Stop(5)),
        ),
        (guided(tokens(1, 10), 9, script(vec![Next::Force(vec![])])), 0, |f| {
            matches!(f, Finish::Failed(EngineError::GuideDeadEnd { position: 10 }))
        }),
        (guided(tokens(1, 10), 9, script(vec![Next::Allow(TokenMask::new(9))])), 0, |f| {
            matches!(f, Finish::Failed(EngineError::GuideDeadEnd { position: 10 }))
        }),
        (guided(tokens(1, 10), 9, script(vec![Next::Force(vec![u32::MAX])])), 0, |f| {
            matches!(f, Finish::Failed(EngineError::UnknownToken { token: u32::MAX, .. }))
        }),
        (guided(tokens(1, 10), 9, script(vec![Next::Fail(EngineError::Stopped)])), 0, |f| {
            matches!(f, Finish::Failed(EngineError::Stopped))
        }),
    ];
    for (idx, (request, n_tokens, is_expected)) in cases.into_iter().enumerate() {
        let reply = engine.submit(request).expect("sound").wait();
        assert!(is_expected(&reply.finish), "case {idx}: {:?}", reply.finish);
        assert_eq!(reply.tokens.len(), n_tokens, "case {idx}");
        assert_eq!(reply.usage.generated, n_tokens, "case {idx}");
    }
}

#[test]
fn narrow_places_report_every_choice() {
    let engine = engine(settings());
    let mask = TokenMask::of(&[7, 40, 41]);
    let guide = tiny::Script::new([Next::Allow(mask), Next::Force(vec![9]), Next::Free]);
    let reply = engine.submit(guided(tokens(1, 10), 3, guide)).expect("sound").wait();
    let [narrow, forced, free] = &reply.tokens[..] else { panic!("{reply:?}") };
    assert_eq!(narrow.choices.iter().map(|choice| choice.0).collect::<Vec<_>>(), [7, 40, 41]);
    let total: f32 = narrow.choices.iter().map(|choice| choice.1.exp()).sum();
    assert!((total - 1.0).abs() < 1e-6);
    assert!(narrow.choices.contains(&(narrow.token, narrow.logprob)));
    assert_eq!((forced.token, forced.logprob, forced.forced), (9, 0.0, true));
    assert!(forced.choices.is_empty() && free.choices.is_empty() && free.logprob < 0.0);
}

#[test]
fn events_arrive_one_by_one_and_end_with_done() {
    let engine = engine(settings());
    let mut generation = engine.submit(greedy(tokens(1, 10), 3)).expect("sound");
    let events: Vec<Event> = generation.events().collect();
    assert_eq!(events.len(), 4);
    assert!(matches!(events[3], Event::Done(_)));
    assert!(generation.events().next().is_none());
    let timeout = std::time::Duration::from_millis(1);
    assert_eq!(generation.next_within(timeout).err(), Some(engine::NoEvent::Ended));
}
