//! Prompts and replies against rows made by OpenAI's own harmony library.

use model::harmony::{Conversation, Event, HarmonyError, Message, Parser, Role, render};
use model::tokenizer::{Control, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

const CONVERSATIONS: &str = include_str!("fixtures/harmony/harmony_golden.jsonl");
const CALLS: &str = include_str!("fixtures/harmony/calls.jsonl");
const COMPLETIONS: &str = include_str!("fixtures/harmony/harmony_parse_golden.jsonl");
const LENIENT: &str = include_str!("fixtures/harmony/lenient.jsonl");

fn rows(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON"))
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("a list of token ids")
}

#[test]
fn conversations_render_as_in_openai_harmony() {
    let tokenizer = Tokenizer::o200k_harmony();
    for mut row in rows(CONVERSATIONS).chain(rows(CALLS)) {
        fill_generated(&mut row);
        let conversation: Conversation =
            serde_json::from_value(row.clone()).expect("the layout of a conversation");
        let found = render(tokenizer, &conversation);
        if let Some(expected) = row.get("ids") {
            assert_eq!(found, ids(expected), "{}", row["name"]);
        }
        if let Some(expected) = row.get("sha256") {
            let bytes: Vec<u8> = found.iter().flat_map(|token| token.to_le_bytes()).collect();
            assert_eq!(hex(&Sha256::digest(&bytes)), *expected, "{}", row["name"]);
        }
    }
    assert_eq!(CONVERSATIONS.lines().count(), 24);
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

/// The chat template that is published with the weights writes the same frame, with two newlines more at
/// the end of the developer's text.
#[test]
fn the_published_chat_template_says_the_same() {
    let tokenizer = Tokenizer::o200k_harmony();
    for row in rows(include_str!("fixtures/harmony/hf_template_golden.jsonl")) {
        let text = tokenizer.decode(&render(tokenizer, &as_conversation(&row)));
        assert_eq!(text, row["text"].as_str().expect("a text"), "{}", row["name"]);
    }
}

/// A chat as that template reads it: the first message may be the developer's, later ones of that kind
/// are dropped.
fn as_conversation(chat: &Value) -> Conversation {
    let messages: Vec<Message> =
        serde_json::from_value(chat["messages"].clone()).expect("messages");
    let is_instruction =
        |message: &&Message| matches!(message.role, Role::System | Role::Developer);
    let first = messages.first().filter(is_instruction).map(|message| message.content.as_str());
    let said = messages.iter().filter(|message| !is_instruction(message)).cloned();
    let system = serde_json::json!({
        "current_date": chat["current_date"],
        "reasoning_effort": chat["reasoning_effort"].as_str().unwrap_or("medium"),
    });
    Conversation {
        system: serde_json::from_value(system).expect("a system message"),
        developer: first.filter(|text| !text.is_empty()).map(|text| format!("{text}\n\n")),
        messages: said
            .map(|message| match message.role {
                Role::Assistant => Message { channel: Some("final".to_owned()), ..message },
                _ => message,
            })
            .collect(),
        next_role: Some(Role::Assistant),
    }
}

#[test]
fn completions_parse_as_in_openai_harmony() {
    let tokenizer = Tokenizer::o200k_harmony();
    for row in rows(COMPLETIONS) {
        let strict = parse(Parser::strict(tokenizer, Role::Assistant), &ids(&row["ids"]));
        let lenient = parse(Parser::lenient(tokenizer, Role::Assistant), &ids(&row["ids"]));
        match row.get("messages") {
            // The library's own lenient mode fails on the same rows as its strict one; ours on none.
            None => assert!(strict.is_err() && lenient.is_ok(), "{row}: {strict:?} {lenient:?}"),
            Some(expected) => {
                let expected: Vec<Message> =
                    expected.as_array().expect("messages").iter().map(message).collect();
                assert_eq!(strict.as_ref(), Ok(&expected), "{row}");
                assert_eq!(lenient, strict, "{row}");
            }
        }
    }
    assert_eq!(COMPLETIONS.lines().count(), 40);
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
fn a_lenient_parser_makes_the_best_of_it() {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        text: String,
        messages: Vec<Message>,
    }
    let tokenizer = Tokenizer::o200k_harmony();
    for row in rows(LENIENT) {
        let row: Row = serde_json::from_value(row).expect("a row");
        let found = parse(Parser::lenient(tokenizer, Role::Assistant), &tokens_of(&row.text));
        assert_eq!(found, Ok(row.messages), "{}", row.name);
    }
}

#[test]
fn a_strict_parser_says_what_is_wrong() {
    type Fault = (&'static str, fn(&HarmonyError) -> bool);
    let faults: [Fault; 7] = [
        ("<|channel|>fi", |error| matches!(error, HarmonyError::EndInHeader)),
        ("<|message|>a<|end|><|start|><|message|>b", |error| matches!(error, HarmonyError::NoRole)),
        ("<|message|>a<|end|><|start|> to=x<|message|>b", |error| {
            matches!(error, HarmonyError::NoRole)
        }),
        ("<|channel|><|message|>a", |error| matches!(error, HarmonyError::NoChannel)),
        ("<|message|>a<|end|>b", |error| matches!(error, HarmonyError::ExpectedStart { .. })),
        ("<|end|>", |error| matches!(error, HarmonyError::InHeader { token: 200_007 })),
        (
            " to=a<|channel|>final to=b<|message|>",
            |error| matches!(error, HarmonyError::HeaderWords { words } if words == "to=b"),
        ),
    ];
    let tokenizer = Tokenizer::o200k_harmony();
    for (text, is_expected) in faults {
        let found = parse(Parser::strict(tokenizer, Role::Assistant), &tokens_of(text));
        assert!(found.as_ref().is_err_and(is_expected), "{text}: {found:?}");
    }
}

/// Tokens of a text in which the names of control tokens stand for them.
fn tokens_of(text: &str) -> Vec<u32> {
    let tokenizer = Tokenizer::o200k_harmony();
    let next = Control::ALL
        .into_iter()
        .filter_map(|control| Some((text.find(control.name())?, control)))
        .min_by_key(|(at, _)| *at);
    let Some((at, control)) = next else { return tokenizer.encode(text) };
    let mut tokens = tokenizer.encode(&text[..at]);
    tokens.push(tokenizer.control(control));
    tokens.extend(tokens_of(&text[at + control.name().len()..]));
    tokens
}

fn parse(mut parser: Parser<'_>, tokens: &[u32]) -> Result<Vec<Message>, HarmonyError> {
    for &token in tokens {
        parser.push(token);
    }
    parser.finish()
}

#[test]
fn an_open_message_is_told_from_a_finished_one() {
    let tokenizer = Tokenizer::o200k_harmony();
    let mut parser = Parser::strict(tokenizer, Role::Assistant);
    let mut is_open = Vec::new();
    for token in tokens_of("<|channel|>final<|message|>0<|return|>") {
        parser.push(token);
        is_open.push(parser.open_message().is_some());
    }
    assert_eq!(is_open, [false, false, true, true, false]);
}

fn any_token() -> impl Strategy<Value = u32> {
    let controls = prop::sample::select(Control::ALL.to_vec());
    prop_oneof![
        4 => controls.prop_map(|control| Tokenizer::o200k_harmony().control(control)),
        2 => prop::sample::select(tokens_of("assistant user final analysis to=x code\u{301}🙂")),
        1 => 0_u32..300,
        1 => any::<u32>(),
    ]
}

/// What holds after any tokens: the events tell the contents, an error stays, only strict parsers fail.
fn check_parser(
    mut parser: Parser<'_>,
    tokens: &[u32],
    may_fail: bool,
) -> Result<(), TestCaseError> {
    let mut told = String::new();
    for &token in tokens {
        let error = parser.error().cloned();
        match parser.push(token) {
            Some(Event::Text(text) | Event::End { text, .. }) => told += &text,
            Some(Event::Message(_)) => prop_assert!(parser.open_message().is_some()),
            None => {}
        }
        prop_assert!(error.is_none() || parser.error() == error.as_ref());
    }
    let contents: String =
        parser.messages().iter().map(|message| message.content.as_str()).collect();
    prop_assert_eq!(told, contents);
    let error = parser.error().cloned();
    match parser.finish() {
        Ok(_) => prop_assert_eq!(error, None),
        Err(found) => prop_assert!(may_fail && error.is_none_or(|error| error == found)),
    }
    Ok(())
}

proptest! {
    #[test]
    fn parsers_take_any_tokens(tokens in prop::collection::vec(any_token(), 0..60)) {
        let tokenizer = Tokenizer::o200k_harmony();
        check_parser(Parser::strict(tokenizer, Role::Assistant), &tokens, true)?;
        check_parser(Parser::lenient(tokenizer, Role::Assistant), &tokens, false)?;
    }

    #[test]
    fn rendered_messages_parse_back(thought in "[a-z .]{0,30}", answer in "\\PC{0,30}") {
        let tokenizer = Tokenizer::o200k_harmony();
        let said = |channel: &str, content: String| Message {
            channel: Some(channel.to_owned()),
            ..Message::new(Role::Assistant, content)
        };
        let messages = vec![said("analysis", thought), said("commentary", answer)];
        let conversation = Conversation { messages: messages.clone(), ..Conversation::default() };
        let tokens = render(tokenizer, &conversation);
        let after_role = &tokens[1 + tokenizer.encode("assistant").len()..];
        let found = parse(Parser::strict(tokenizer, Role::Assistant), after_role);
        prop_assert_eq!(found, Ok(messages));
    }
}
