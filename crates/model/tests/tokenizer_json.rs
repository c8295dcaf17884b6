//! `tokenizer.json` files that must be refused, with the reason.

use model::tokenizer::{Tokenizer, TokenizerError};
use proptest::prelude::*;
use serde_json::{Value, json};

fn valid() -> Value {
    let text = include_str!("fixtures/tiny-a/tokenizer.json");
    serde_json::from_str(text).expect("the fixture is JSON")
}

fn read(value: &Value) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_json(value.to_string().as_bytes())
}

#[test]
fn the_fixture_reads_and_encodes_any_text() {
    let tokenizer = read(&valid()).expect("the fixture is valid");
    for text in ["", "plain words", "<|end|>", "🙂 ünïcödé \u{0} \r\n", "Reasoning: low"] {
        let tokens = tokenizer.encode(text);
        assert_eq!(tokenizer.decode(&tokens), text);
    }
}

#[test]
fn each_fault_has_its_error() {
    type Fault = (&'static str, fn(&mut Value), fn(&TokenizerError) -> bool);
    let faults: [Fault; 8] = [
        (
            "another model",
            |file| file["model"]["type"] = json!("Unigram"),
            |error| matches!(error, TokenizerError::Unknown { part: "model", .. }),
        ),
        (
            "a normaliser",
            |file| file["normalizer"] = json!({"type": "NFC"}),
            |error| matches!(error, TokenizerError::Unknown { part: "normalizer", .. }),
        ),
        (
            "another pattern",
            |file| file["pre_tokenizer"] = json!({"type": "Whitespace"}),
            |error| matches!(error, TokenizerError::Unknown { part: "pre_tokenizer", .. }),
        ),
        (
            "an id beyond the vocabulary",
            |file| file["model"]["vocab"]["a"] = json!(u64::MAX),
            |error| matches!(error, TokenizerError::Id { problem: "too large", .. }),
        ),
        (
            "an id used twice",
            |file| file["model"]["vocab"]["a"] = json!(1),
            |error| matches!(error, TokenizerError::Id { problem: "given twice", .. }),
        ),
        (
            "an empty word",
            |file| file["model"]["vocab"][""] = json!(512),
            |error| matches!(error, TokenizerError::Empty { .. }),
        ),
        (
            "a merge of nothing",
            |file| file["model"]["merges"] = json!([["漢", "字"]]),
            |error| matches!(error, TokenizerError::Merge { index: 0 }),
        ),
        (
            "no control tokens",
            |file| {
                let added = file["added_tokens"].as_array_mut().expect("a list");
                for token in added {
                    token["content"] = json!(format!("<|x{}|>", token["id"]));
                }
            },
            |error| matches!(error, TokenizerError::Control { .. }),
        ),
    ];
    for (name, break_it, is_expected) in faults {
        let mut file = valid();
        break_it(&mut file);
        let error = read(&file).expect_err(name);
        assert!(is_expected(&error), "{name}: {error:?}");
    }
}

#[test]
fn a_word_that_no_bytes_spell_is_never_encoded() {
    let mut file = valid();
    let added = file["added_tokens"].as_array_mut().expect("a list");
    let last = added.pop().expect("a token");
    file["model"]["vocab"]["漢字"] = last["id"].clone();
    let tokenizer = read(&file).expect("such a word does no harm");
    let token = last["id"].as_u64().expect("an id") as u32;
    assert!(!tokenizer.encode("漢字").contains(&token));
    assert_eq!(tokenizer.bytes(token), None);
    assert_eq!(tokenizer.decode(&[token]), "漢字");
}

#[test]
fn merges_as_strings_read_alike() {
    let mut file = valid();
    for merge in file["model"]["merges"].as_array_mut().expect("a list") {
        *merge = json!(format!(
            "{} {}",
            merge[0].as_str().expect("text"),
            merge[1].as_str().expect("text")
        ));
    }
    let text = "The moderator reads the report.";
    assert_eq!(
        read(&file).expect("valid").encode(text),
        read(&valid()).expect("valid").encode(text)
    );
}

proptest! {
    #[test]
    fn broken_bytes_never_panic(at in 0_usize..20_000, byte in any::<u8>()) {
        let mut bytes = include_bytes!("fixtures/tiny-a/tokenizer.json").to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Tokenizer::from_json(&bytes);
    }
}
