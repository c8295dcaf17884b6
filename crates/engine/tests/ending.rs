//! Requests that are cancelled, left, or broken by their guide end at once, and alone.

mod tiny;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use engine::{EngineError, EngineSettings, Event, Finish, Guide, Next, NoEvent};
use tiny::{bits, engine, greedy, guided, run_together, settings, tokens};

/// Longer than any test waits.
const ENDLESS: usize = 1_000_000;

#[test]
fn cancelling_ends_a_running_request_alone() {
    let engine = engine(settings());
    let mut endless = engine.submit(greedy(tokens(1, 20), ENDLESS)).expect("sound");
    assert!(matches!(endless.events().next(), Some(Event::Token(_))));
    let other = engine.submit(greedy(tokens(2, 20), 20)).expect("sound");
    endless.cancel();
    let reply = endless.wait();
    assert!(matches!(reply.finish, Finish::Cancelled), "{:?}", reply.finish);
    assert!(reply.usage.generated >= reply.tokens.len());
    assert!(matches!(other.wait().finish, Finish::MaxTokens));
}

#[test]
fn cancelling_ends_a_waiting_request() {
    let engine = engine(EngineSettings { max_sequences: 1, ..settings() });
    let running = engine.submit(greedy(tokens(1, 20), ENDLESS)).expect("sound");
    let waiting = engine.submit(greedy(tokens(2, 20), ENDLESS)).expect("sound");
    waiting.canceller().cancel();
    let reply = waiting.wait();
    assert!(matches!(reply.finish, Finish::Cancelled));
    assert_eq!((reply.usage.generated, reply.usage.prefill_seconds), (0, 0.0));
    running.cancel();
}

#[test]
fn dropping_a_generation_cancels_it() {
    let engine = engine(EngineSettings { max_sequences: 1, ..settings() });
    drop(engine.submit(greedy(tokens(1, 20), ENDLESS)).expect("sound"));
    // The only place becomes free.
    let next = engine.submit(greedy(tokens(2, 20), 3)).expect("sound");
    assert!(matches!(next.wait().finish, Finish::MaxTokens));
}

#[test]
fn dropping_the_engine_ends_all() {
    let engine = engine(EngineSettings { max_sequences: 2, ..settings() });
    let generations: Vec<_> = (0..5)
        .map(|seed| engine.submit(greedy(tokens(seed, 20), ENDLESS)).expect("sound"))
        .collect();
    drop(engine);
    for generation in generations {
        let finish = generation.wait().finish;
        assert!(matches!(finish, Finish::Failed(EngineError::Stopped)), "{finish:?}");
    }
}

#[test]
fn a_reader_who_waits_too_long_is_told() {
    let engine = engine(EngineSettings { max_sequences: 1, ..settings() });
    let running = engine.submit(greedy(tokens(1, 20), ENDLESS)).expect("sound");
    let mut waiting = engine.submit(greedy(tokens(2, 20), 2)).expect("sound");
    assert_eq!(waiting.next_within(Duration::from_millis(20)).err(), Some(NoEvent::TimedOut));
    drop(running);
    assert!(matches!(waiting.next_within(Duration::from_secs(60)), Ok(Event::Token(_))));
}

/// Panics at one of its calls; says that it was dropped.
struct Brittle {
    n_calls_left: usize,
    dropped: Arc<AtomicBool>,
}

impl Brittle {
    fn call(&mut self) {
        assert!(self.n_calls_left > 0, "brittle guide");
        self.n_calls_left -= 1;
    }
}

impl Guide for Brittle {
    fn next(&mut self) -> Next {
        self.call();
        Next::Free
    }

    fn accept(&mut self, _token: u32) {
        self.call();
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_panicking_guide_fails_its_request_alone() {
    let engine = engine(settings());
    let expected = bits(&run_together(&engine, vec![greedy(tokens(1, 40), 30)])[0]);
    // At the first question, at the first token, at the second question.
    for n_calls in 0..3 {
        let dropped = Arc::new(AtomicBool::new(false));
        let guide = Brittle { n_calls_left: n_calls, dropped: dropped.clone() };
        let replies = run_together(
            &engine,
            vec![guided(tokens(1, 40), 30, guide), greedy(tokens(1, 40), 30)],
        );
        match &replies[0].finish {
            Finish::Failed(EngineError::GuidePanicked { message }) => {
                assert!(message.contains("brittle guide"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(replies[0].tokens.len(), n_calls.div_ceil(2));
        assert_eq!(bits(&replies[1]), expected);
        assert!(dropped.load(Ordering::SeqCst));
    }
}

/// Counts what it is told.
struct Counting(Arc<AtomicUsize>);

impl Guide for Counting {
    fn next(&mut self) -> Next {
        if self.0.load(Ordering::SeqCst) == 0 { Next::Force(vec![1, 2, 3]) } else { Next::Free }
    }

    fn accept(&mut self, _token: u32) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_guide_hears_of_every_token() {
    let engine = engine(settings());
    let n_heard = Arc::new(AtomicUsize::new(0));
    let request = guided(tokens(1, 5), 10, Counting(n_heard.clone()));
    let reply = engine.submit(request).expect("sound").wait();
    assert_eq!((reply.tokens.len(), n_heard.load(Ordering::SeqCst)), (10, 10));
}
