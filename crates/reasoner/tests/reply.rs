//! Every answer that the grammar allows is a verdict, every label can be reached, and nothing else is one.

use std::path::Path;
use std::sync::Arc;

use engine::{GrammarCompiler, Guide, Next};
use model::Model;
use policy::{Cause, Outcome, Policy, Side};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use reasoner::{parse_reply, reply_grammar};

const CODED: &str =
    "## VIOLATES\n- CH1 a\n- CH2 Seeking: b\n- D-X3.b c\n## SAFE\n- CH0.a d\n- CH0.b e\n";

fn policies() -> [Policy; 3] {
    [CODED, "No insults.", "## VIOLATES\n- X1 only this\n"]
        .map(|text| Policy::parse("p", text.as_bytes()).expect("a policy"))
}

fn compiler() -> GrammarCompiler {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    GrammarCompiler::for_model(Arc::new(Model::open(&dir).expect("the fixture is a checkpoint")))
        .expect("a vocabulary")
}

/// Follows the grammar, choosing among the allowed by `choices`, and gives the text.
fn walk(
    model_compiler: &GrammarCompiler,
    tokenizer: &model::tokenizer::Tokenizer,
    policy: &Policy,
    choices: &[u32],
) -> String {
    let mut grammar = model_compiler.lark(&reply_grammar(policy)).expect("the grammar compiles");
    let mut tokens = Vec::new();
    let mut choices = choices.iter().cycle();
    let quote = tokenizer.encode("\"")[0];
    loop {
        match Guide::next(&mut grammar) {
            Next::Stop => return tokenizer.decode(&tokens),
            Next::Force(forced) => {
                for token in forced {
                    Guide::accept(&mut grammar, token);
                    tokens.push(token);
                }
            }
            Next::Allow(mask) => {
                let allowed: Vec<u32> = (0..tokenizer.vocab_size() as u32)
                    .filter(|&token| mask.contains(token))
                    .collect();
                // A long rationale is closed, so that walks end.
                let is_long = tokens.len() > 60 && allowed.contains(&quote);
                let at = *choices.next().expect("endless") as usize % allowed.len();
                let token = if is_long { quote } else { allowed[at] };
                Guide::accept(&mut grammar, token);
                tokens.push(token);
            }
            other => panic!("the grammar says {other:?} after {:?}", tokenizer.decode(&tokens)),
        }
    }
}

#[test]
fn walks_are_verdicts_and_reach_every_label() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    let model = Model::open(&dir).expect("the fixture is a checkpoint");
    let compiler = compiler();
    for policy in policies() {
        let mut reached = std::collections::HashSet::new();
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let strategy = prop::collection::vec(any::<u32>(), 12..40);
        for _ in 0..40 {
            let choices = strategy.new_tree(&mut runner).expect("a list").current();
            let text = walk(&compiler, model.tokenizer(), &policy, &choices);
            let reply =
                parse_reply(&policy, &text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let side = policy.side(&reply.label);
            assert_eq!(
                reply.outcome == Outcome::Violation,
                side == Some(Side::Violating),
                "{text}"
            );
            reached.insert(reply.label);
        }
        assert_eq!(reached.len(), policy.labels().count(), "{:?} of {policy:?}", reached);
    }
}

#[test]
fn answers_that_are_none_have_their_cause() {
    let policy = &policies()[0];
    let reply = |violation: &str, label: &str, rules: &str| {
        format!(
            r#"{{"violation":{violation},"label":"{label}","rule_ids":{rules},"confidence":"high","rationale":"r"}}"#
        )
    };
    assert!(parse_reply(policy, &reply("1", "CH1", r#"["CH1"]"#)).is_ok());
    assert!(parse_reply(policy, &reply("0", "CH0", r#"["CH0.a","CH0"]"#)).is_ok());
    for (text, cause) in [
        (String::new(), Cause::Unparseable),
        ("no JSON".to_owned(), Cause::Unparseable),
        (r#"{"violation":0}"#.to_owned(), Cause::Unparseable),
        (reply("2", "CH1", r#"["CH1"]"#), Cause::Unparseable),
        (reply("1", "CH1", "[]"), Cause::Unparseable),
        (reply("1", "CH1", r#"["CH1","CH1","CH1","CH1"]"#), Cause::Unparseable),
        (reply("1", "CH9", r#"["CH1"]"#), Cause::UnknownRule),
        (reply("1", "CH1", r#"["CH9"]"#), Cause::UnknownRule),
        (reply("0", "CH1", r#"["CH1"]"#), Cause::UnknownRule),
        (reply("0", "CH0", r#"["CH2"]"#), Cause::UnknownRule),
        (reply("1", "CH0", r#"["CH0.a"]"#), Cause::UnknownRule),
    ] {
        let error = parse_reply(policy, &text).expect_err(&text);
        assert_eq!(error.cause(), cause, "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_verdict_or_an_error(text in "\\PC{0,80}") {
        let _ = parse_reply(&policies()[0], &text);
    }
}
