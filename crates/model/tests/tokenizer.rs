//! Encoding and decoding with the built-in vocabulary, against rows made by OpenAI's tiktoken.

use model::tokenizer::{Control, TextStream, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;

const TEXTS: &str = include_str!("fixtures/tokenizer/tokenizer_golden.jsonl");

#[derive(Deserialize)]
struct Row {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn texts_encode_as_in_tiktoken() {
    let tokenizer = Tokenizer::o200k_harmony();
    for line in TEXTS.lines() {
        let Row { text, ids } = serde_json::from_str(line).expect("a row");
        assert_eq!(tokenizer.encode(&text), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
    assert_eq!(TEXTS.lines().count(), 205);
}

#[test]
fn control_tokens_are_apart() {
    let tokenizer = Tokenizer::o200k_harmony();
    for control in Control::ALL {
        let token = tokenizer.control(control);
        assert_eq!(tokenizer.control_of(token), Some(control));
        assert_eq!(tokenizer.bytes(token), None);
        assert_eq!(tokenizer.decode(&[token]), control.name());
        assert!(!tokenizer.encode(control.name()).contains(&token));
    }
    assert_eq!(tokenizer.vocab_size(), 201_088);
    assert_eq!(tokenizer.bytes(201_088), None);
    assert_eq!(tokenizer.decode(&[201_087, u32::MAX]), "<|reserved_201087|>\u{fffd}");
}

/// Were any of these quadratic, the test would take an hour.
#[test]
fn hostile_text_takes_linear_time() {
    let tokenizer = Tokenizer::o200k_harmony();
    let units = ["a", " ", "\n", " \n", "\n ", "\u{3000}", "/", "'s", "漢", "\u{301}", "🙂", "aB"];
    for unit in units {
        let text = unit.repeat((1 << 19) / unit.len()) + "x";
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text)), text, "{unit:?}");
    }
}

#[test]
fn a_character_in_two_tokens_comes_when_it_is_complete() {
    let tokenizer = Tokenizer::o200k_harmony();
    let tokens = tokenizer.encode("👍🏽é");
    let mut stream = TextStream::new(tokenizer);
    let parts: Vec<String> = tokens.iter().map(|&token| stream.push(token)).collect();
    assert!(parts.iter().any(String::is_empty), "{parts:?}");
    assert_eq!(parts.concat() + &stream.finish(), "👍🏽é");
}

proptest! {
    #[test]
    fn text_never_becomes_control_and_comes_back(
        text in "(<\\|(start|end|message|channel|return)\\|>|\\PC|[ \\n\\r\\ta-z0-9'sA-Z]){0,60}"
    ) {
        let tokenizer = Tokenizer::o200k_harmony();
        let tokens = tokenizer.encode(&text);
        prop_assert!(tokens.iter().all(|&token| tokenizer.bytes(token).is_some()));
        prop_assert_eq!(tokenizer.decode(&tokens), text);
    }

    #[test]
    fn any_tokens_decode_as_their_bytes_do(tokens in prop::collection::vec(0_u32..199_998, 0..40)) {
        let tokenizer = Tokenizer::o200k_harmony();
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|&token| tokenizer.bytes(token).expect("ordinary")).copied().collect();
        prop_assert_eq!(tokenizer.decode(&tokens), String::from_utf8_lossy(&bytes));
    }
}
