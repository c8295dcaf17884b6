//! Replies bound by a grammar, over a small vocabulary and over the 20b's.

mod tiny;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use engine::{EngineError, Finish, Grammar, GrammarCompiler, Next, Request, TokenMask};
use model::Model;
use model::tokenizer::{Control, Tokenizer};
use tiny::{bits, engine, guided, run_together, settings, tokens};

const VIOLATION: &str = r#"start: "{\"violation\":" ("0"|"1") "}""#;

/// The form of a verdict, for a policy of three codes.
const VERDICT: &str = r#"
start: "{\"violation\":" (violating | safe) ",\"rationale\":" rationale "}"
violating: "1,\"rule_ids\":[" bad ("," bad)? "]"
safe: "0,\"rule_ids\":[\"CH0\"]"
bad: "\"CH1\"" | "\"CH2\""
rationale: %json {"type": "string", "maxLength": 40}
"#;

struct Case {
    name: &'static str,
    tokenizer: &'static Tokenizer,
    compiler: &'static GrammarCompiler,
}

/// A small vocabulary and that of the 20b. The compilers are made once for all tests.
fn cases() -> [Case; 2] {
    static SMALL: OnceLock<(Arc<Model>, GrammarCompiler)> = OnceLock::new();
    static O200K: OnceLock<GrammarCompiler> = OnceLock::new();
    let (model, small) = SMALL.get_or_init(|| {
        let model = tiny::model();
        let compiler =
            GrammarCompiler::for_model(Arc::clone(&model)).expect("the vocabulary is sound");
        (model, compiler)
    });
    let o200k = O200K.get_or_init(|| {
        GrammarCompiler::new(Tokenizer::o200k_harmony()).expect("the vocabulary is sound")
    });
    [
        Case { name: "small", tokenizer: model.tokenizer(), compiler: small },
        Case { name: "o200k", tokenizer: Tokenizer::o200k_harmony(), compiler: o200k },
    ]
}

/// Follows everything that is forced; returns it with what comes after.
fn follow(grammar: &mut Grammar) -> (Vec<u32>, Next) {
    let mut forced = Vec::new();
    loop {
        match grammar.ask() {
            Next::Force(tokens) => {
                for token in tokens {
                    grammar.accept(token).expect("the grammar forced it");
                    forced.push(token);
                }
            }
            next => return (forced, next),
        }
    }
}

fn allowed(next: &Next) -> Vec<u32> {
    match next {
        Next::Allow(mask) => mask.iter().collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fixed_text_is_forced_and_leaves_the_two_answers() {
    for Case { name, tokenizer, compiler } in cases() {
        for answer in ["0", "1"] {
            let mut grammar = compiler.lark(VIOLATION).expect("compiles");
            let (forced, next) = follow(&mut grammar);
            assert_eq!(forced, tokenizer.encode("{\"violation\":"), "{name}");
            let mut expected = [tokenizer.encode("0")[0], tokenizer.encode("1")[0]];
            expected.sort_unstable();
            assert_eq!(allowed(&next), expected, "{name}");
            grammar.accept(tokenizer.encode(answer)[0]).expect("allowed");
            let (forced, next) = follow(&mut grammar);
            assert_eq!(forced, tokenizer.encode("}"), "{name}");
            assert!(matches!(next, Next::Stop), "{name}: {next:?}");
            assert!(grammar.is_complete());
        }
    }
}

#[test]
fn text_never_matches_a_control_token() {
    for Case { name, tokenizer, compiler } in cases() {
        let mut grammar = compiler.lark(r"start: /(.|\n)*/").expect("compiles");
        let mask: HashSet<u32> = allowed(&grammar.ask()).into_iter().collect();
        let n_controls = (0..tokenizer.vocab_size() as u32)
            .filter(|token| tokenizer.bytes(*token).is_none() && mask.contains(token))
            .inspect(|&token| assert_eq!(token, tokenizer.control(Control::Return), "{name}"))
            .count();
        // The reply may end at any time: `<|return|>` says so.
        assert_eq!(n_controls, 1, "{name}");
        assert!(mask.len() > tokenizer.vocab_size() / 2, "{name}: {}", mask.len());
        assert!(grammar.is_complete());
        grammar.accept(tokenizer.control(Control::Return)).expect("the reply may end");
        assert!(matches!(grammar.ask(), Next::Stop));
    }
}

#[test]
fn control_text_in_a_string_stays_text() {
    let text = "{\"violation\":0,\"rule_ids\":[\"CH0\"],\"rationale\":\"<|end|><|start|>\"}";
    for Case { name, tokenizer, compiler } in cases() {
        let mut grammar = compiler.lark(VERDICT).expect("compiles");
        for token in tokenizer.encode(text) {
            grammar.accept(token).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(matches!(grammar.ask(), Next::Stop), "{name}");
        let mut grammar = compiler.lark(VERDICT).expect("compiles");
        for token in tokenizer.encode("{\"violation\":0,\"rule_ids\":[\"CH0\"],\"rationale\":\"") {
            grammar.accept(token).expect("the beginning is fixed");
        }
        assert!(grammar.accept(tokenizer.control(Control::End)).is_err(), "{name}");
    }
}

/// Any path through the grammar spells a reply of the form.
#[test]
fn every_walk_is_a_verdict() {
    for Case { name, tokenizer, compiler } in cases() {
        let fresh = compiler.lark(VERDICT).expect("compiles");
        let mut outcomes = HashSet::new();
        for seed in 0..40 {
            let mut grammar = fresh.clone();
            let mut walk = Vec::new();
            let mut steps = tokens(seed, 400).into_iter();
            loop {
                let (forced, next) = follow(&mut grammar);
                walk.extend(forced);
                if matches!(next, Next::Stop) {
                    break;
                }
                let choices = allowed(&next);
                let step = steps.next().expect("a verdict is short") as usize;
                let token = choices[step * 7919 % choices.len()];
                grammar.accept(token).expect("allowed");
                walk.push(token);
            }
            let text = tokenizer.decode(&walk);
            let verdict: serde_json::Value = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
            let violates = verdict["violation"] == 1;
            let first_rule = verdict["rule_ids"][0].as_str().expect("a code");
            assert_eq!(violates, first_rule != "CH0", "{name}: {text}");
            let n_chars = verdict["rationale"].as_str().expect("a string").chars().count();
            assert!(n_chars <= 40, "{name}: {text}");
            outcomes.insert(violates);
        }
        assert_eq!(outcomes.len(), 2, "{name}: both answers were walked");
    }
}

#[test]
fn mistakes_are_typed_errors() {
    for Case { compiler, .. } in cases() {
        for source in ["", "start: (", "start: missing", "start: /[/", "rule: \"a\""] {
            let error = compiler.lark(source).err();
            assert!(
                matches!(error, Some(EngineError::GrammarSource { .. })),
                "{source}: {error:?}"
            );
        }
        let mut grammar = compiler.lark(VIOLATION).expect("compiles");
        for token in [0, u32::MAX] {
            let mut clone = grammar.clone();
            assert!(matches!(clone.accept(token), Err(EngineError::GrammarState { .. })));
            assert!(matches!(clone.ask(), Next::Fail(EngineError::GrammarState { .. })));
        }
        // What went wrong in a clone does not touch the original.
        assert!(matches!(grammar.ask(), Next::Force(_)));
    }
}

#[test]
fn an_engine_follows_a_grammar() {
    let engine = engine(settings());
    let grammar = engine.grammars().expect("sound").lark(VERDICT).expect("compiles");
    let tokenizer = engine.model().tokenizer();
    let answers = [tokenizer.encode("0")[0], tokenizer.encode("1")[0]];
    let request = || guided(tokens(3, 50), 300, grammar.clone());
    let alone = &run_together(&engine, vec![request()])[0];
    assert!(matches!(alone.finish, Finish::GuideStop), "{:?}", alone.finish);
    let n_chosen = alone.tokens.iter().filter(|event| !event.forced).count();
    // What is forced takes no step of its own.
    assert_eq!(alone.usage.steps + alone.usage.guessed, n_chosen);
    let text: String =
        tokenizer.decode(&alone.tokens.iter().map(|event| event.token).collect::<Vec<_>>());
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    let answer = alone.tokens.iter().find(|event| !event.forced).expect("the answer");
    assert_eq!(answer.choices.len(), 2);
    assert!(answer.choices.iter().all(|(token, _)| answers.contains(token)));
    let requests = (0..4).map(|_| request()).chain([tiny::greedy(tokens(3, 60), 40)]);
    let together = run_together(&engine, requests.collect::<Vec<Request>>());
    for reply in &together[..4] {
        assert_eq!(bits(reply), bits(alone));
    }
}

#[test]
fn a_grammar_left_by_a_guide_fails_the_request() {
    /// Allows what the grammar does not.
    struct Stray(Grammar, usize);
    impl engine::Guide for Stray {
        fn next(&mut self) -> Next {
            self.1 += 1;
            if self.1 == 1 { Next::Allow(TokenMask::of(&[0])) } else { self.0.ask() }
        }
        fn accept(&mut self, token: u32) {
            engine::Guide::accept(&mut self.0, token);
        }
    }
    let engine = engine(settings());
    let grammar = engine.grammars().expect("sound").lark(VIOLATION).expect("compiles");
    let reply = &run_together(&engine, vec![guided(tokens(1, 5), 9, Stray(grammar, 0))])[0];
    assert!(
        matches!(reply.finish, Finish::Failed(EngineError::GrammarState { .. })),
        "{:?}",
        reply.finish
    );
}
