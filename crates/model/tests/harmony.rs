//! Tokens and messages against rows made by OpenAI's own harmony library and tiktoken.

use model::harmony::{Conversation, Message, Parser, Role, parse_completion, render};
use model::tokenizer::{Control, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

const CONVERSATIONS: &str = include_str!("fixtures/harmony/harmony_golden.jsonl");
const COMPLETIONS: &str = include_str!("fixtures/harmony/harmony_parse_golden.jsonl");
const TEXTS: &str = include_str!("fixtures/harmony/tokenizer_golden.jsonl");

fn rows(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON"))
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("a list of token ids")
}

#[test]
fn texts_encode_as_in_tiktoken() {
    let tokenizer = Tokenizer::o200k_harmony();
    for row in rows(TEXTS) {
        let text = row["text"].as_str().expect("a text");
        assert_eq!(tokenizer.encode(text), ids(&row["ids"]), "{text:?}");
        assert_eq!(tokenizer.decode(&ids(&row["ids"])), text);
    }
}

#[test]
fn conversations_render_as_in_openai_harmony() {
    let tokenizer = Tokenizer::o200k_harmony();
    for mut row in rows(CONVERSATIONS) {
        fill_generated(&mut row);
        let conversation: Conversation =
            serde_json::from_value(row.clone()).expect("the layout of a conversation");
        let found = render(tokenizer, &conversation);
        let name = row["name"].as_str().expect("a name");
        if let Some(expected) = row.get("ids") {
            assert_eq!(found, ids(expected), "{name}");
        }
        let bytes: Vec<u8> = found.iter().flat_map(|token| token.to_le_bytes()).collect();
        assert_eq!(hex(&Sha256::digest(&bytes)), row["sha256"], "{name}");
    }
}

/// Long contents are recorded by the recipe they were made with.
fn fill_generated(row: &mut Value) {
    for message in row["messages"].as_array_mut().expect("messages") {
        if let Some(n) = message["content"]["n"].as_u64() {
            let line = |i| {
                format!(
                    "The moderator reads the report, checks the rule, writes a note, and moves on to the next item. \
                     Item {i} says: buy {i} tickets, get {j} for free!\n",
                    j = i * 7 % 13
                )
            };
            message["content"] = (0..n).map(line).collect::<String>().into();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn completions_parse_as_in_openai_harmony() {
    let tokenizer = Tokenizer::o200k_harmony();
    for row in rows(COMPLETIONS) {
        let found = parse_completion(tokenizer, Role::Assistant, &ids(&row["ids"]));
        match row.get("messages") {
            None => assert!(found.is_err(), "{row}: {found:?}"),
            Some(expected) => {
                let expected: Vec<Message> =
                    expected.as_array().expect("messages").iter().map(message).collect();
                assert_eq!(found.as_ref(), Ok(&expected), "{row}");
            }
        }
    }
}

/// The library reports `<|constrain|>json` as the recipient when it is the only word; it is a content type.
fn message(value: &Value) -> Message {
    let word = |key: &str| value[key].as_str().map(str::to_owned);
    let (recipient, content_type) = match word("recipient") {
        Some(word) if word.starts_with(Control::Constrain.name()) => (None, Some(word)),
        recipient => (recipient, word("content_type")),
    };
    Message {
        role: Role::from(word("role").expect("a role")),
        name: word("name"),
        channel: word("channel"),
        recipient,
        content_type,
        content: value["content"][0]["text"].as_str().expect("one text").to_owned(),
    }
}

#[test]
fn hostile_text_takes_linear_time() {
    let tokenizer = Tokenizer::o200k_harmony();
    for text in
        ["a".repeat(1 << 20), " ".repeat(1 << 20), "\n".repeat(1 << 20), "a1 ".repeat(1 << 18)]
    {
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text)), text);
    }
}

proptest! {
    #[test]
    fn text_never_becomes_control_and_comes_back(text in "(<\\|(start|end|message|channel|return)\\|>|\\PC|[ \\n\\ta-z0-9]){0,60}") {
        let tokenizer = Tokenizer::o200k_harmony();
        let tokens = tokenizer.encode(&text);
        prop_assert!(tokens.iter().all(|&token| tokenizer.bytes(token).is_some()));
        prop_assert_eq!(tokenizer.decode(&tokens), text);
    }

    #[test]
    fn the_parser_takes_any_tokens(tokens in prop::collection::vec(prop_oneof![0_u32..300, 199_990_u32..200_020, any::<u32>()], 0..60)) {
        let tokenizer = Tokenizer::o200k_harmony();
        let mut parser = Parser::new(tokenizer, Role::Assistant);
        let mut failed = None;
        for token in tokens {
            let result = parser.push(token);
            if let Some(error) = &failed {
                prop_assert_eq!(result.as_ref(), Err(error));
            }
            failed = result.err();
        }
        let _ = parser.finish();
    }

    #[test]
    fn rendered_messages_parse_back(thought in "[a-z .]{0,30}", answer in "\\PC{0,30}") {
        let tokenizer = Tokenizer::o200k_harmony();
        let said = |channel: &str, content: String| Message { channel: Some(channel.to_owned()), ..Message::new(Role::Assistant, content) };
        let messages = vec![said("analysis", thought), said("commentary", answer)];
        let conversation = Conversation { messages: messages.clone(), ..Conversation::default() };
        let tokens = render(tokenizer, &conversation);
        let after_role = 1 + tokenizer.encode("assistant").len();
        prop_assert_eq!(parse_completion(tokenizer, Role::Assistant, &tokens[after_role..]), Ok(messages));
    }
}
