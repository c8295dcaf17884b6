//! What the model sees, for every kind of content, and that no content gets out of its fence.

use model::tokenizer::{Control, Tokenizer};
use policy::{Content, Effort, Policy, Turn};
use proptest::prelude::*;
use reasoner::{Prompt, item_text, marker, reply_schema};

const POLICY: &str = "\
+++
date = \"2026-03-01\"
+++
# Spam (#SP)

## VIOLATES (violation = 1)
- SP1 Bulk: sends the same offer to many.

## SAFE (violation = 0)
- SP0.a A receipt.
";

fn policy() -> Policy {
    Policy::parse("spam", POLICY.as_bytes()).expect("a good policy")
}

fn turn(role: &str, tool: Option<&str>, text: &str) -> Turn {
    Turn { role: role.into(), text: text.into(), tool: tool.map(str::to_owned) }
}

#[test]
fn prompts_are_as_recorded() {
    let metadata =
        vec![("stars".to_owned(), "5".to_owned()), ("verified".to_owned(), "yes".to_owned())];
    let contents = [
        Content::Text { text: "Best kettle!".into(), metadata },
        Content::Exchange { prompt: "How?".into(), reply: "So.".into(), metadata: Vec::new() },
        Content::Conversation {
            messages: vec![
                turn("user", None, "Look it up."),
                turn("assistant", Some("search"), "{\"q\":\"x\"}"),
                turn("tool", Some("search"), "nothing"),
            ],
            metadata: Vec::new(),
        },
    ];
    let tokenizer = Tokenizer::o200k_harmony();
    for content in contents {
        let prompt = Prompt::new(&policy(), &content, Effort::Low, "3f9a1c07");
        let text = tokenizer.decode(&prompt.tokens(tokenizer));
        insta::assert_snapshot!(content.kind(), text);
    }
}

#[test]
fn the_schema_is_json_and_lists_this_policys_codes() {
    let schema: serde_json::Value = serde_json::from_str(&reply_schema(&policy())).expect("JSON");
    assert_eq!(schema["properties"]["label"]["enum"], serde_json::json!(["SP1", "SP0"]));
    assert_eq!(
        schema["properties"]["rule_ids"]["items"]["enum"],
        serde_json::json!(["SP1", "SP0.a", "SP0"])
    );
}

#[test]
fn a_seed_repeats_the_marker_and_chance_does_not() {
    let content = Content::text("hello");
    let draw = |seed| marker(&content, seed).expect("random numbers");
    assert_eq!(draw(Some(7)), draw(Some(7)));
    assert_ne!(draw(Some(7)), draw(Some(8)));
    assert_ne!(draw(None), draw(None));
    let first = draw(Some(7));
    let hostile = Content::text(format!("hello {first}"));
    assert!(!hostile.texts()[0].contains(&marker(&hostile, Some(7)).expect("random numbers")));
}

proptest! {
    #[test]
    fn no_content_leaves_its_fence(text in "(END [0-9a-f]{8}|CONTENT|<\\|(end|start|message)\\|>|\\n|[a-z ]{0,9}|\\PC){0,12}", seed in any::<u64>()) {
        prop_assume!(!text.trim().is_empty());
        let content = Content::text(text);
        let marker = marker(&content, Some(seed)).expect("random numbers");
        let item = item_text(&content, &marker);
        prop_assert_eq!(item.matches(&marker).count(), 2, "the mark stands at both ends and nowhere else");
        let tokenizer = Tokenizer::o200k_harmony();
        let tokens = Prompt::new(&policy(), &content, Effort::Medium, &marker).tokens(tokenizer);
        let count = |control| tokens.iter().filter(|&&token| token == tokenizer.control(control)).count();
        prop_assert_eq!((count(Control::Start), count(Control::End), count(Control::Message)), (4, 3, 4));
    }
}
