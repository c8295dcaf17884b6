//! `tokenizer.json` files that must be refused, with the reason.

use std::collections::HashMap;

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
    let faults: [Fault; 11] = [
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
            "another way to split",
            |file| file["pre_tokenizer"]["pretokenizers"][0]["behavior"] = json!("Removed"),
            |error| matches!(error, TokenizerError::Unknown { part: "pre_tokenizer", .. }),
        ),
        (
            "merges left out by chance",
            |file| file["model"]["dropout"] = json!(0.1),
            |error| matches!(error, TokenizerError::Unknown { part: "dropout", .. }),
        ),
        (
            "a mark at the end of words",
            |file| file["model"]["end_of_word_suffix"] = json!("</w>"),
            |error| matches!(error, TokenizerError::Unknown { .. }),
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

/// A word that no merge makes is a token for `ignore_merges` only.
#[test]
fn whole_words_are_taken_if_the_file_says_so() {
    let mut file = valid();
    let last = file["added_tokens"].as_array_mut().expect("a list").pop().expect("a token");
    file["model"]["vocab"]["qqqq"] = last["id"].clone();
    let n_tokens = [true, false].map(|ignore_merges| {
        file["model"]["ignore_merges"] = json!(ignore_merges);
        read(&file).expect("valid").encode("qqqq").len()
    });
    assert_eq!(n_tokens, [1, 4]);
}

/// The published file: the vocabulary of o200k, every way to split each token as a merge, the 21 first
/// control tokens.
#[test]
fn the_published_file_encodes_as_the_built_in_vocabulary() {
    let o200k = Tokenizer::o200k_harmony();
    let tokenizer = read(&published_form(o200k)).expect("the published form");
    for line in include_str!("fixtures/tokenizer/tokenizer_golden.jsonl").lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        let text = row["text"].as_str().expect("a text");
        assert_eq!(json!(tokenizer.encode(text)), row["ids"], "{text:?}");
    }
}

const N_ORDINARY: u32 = 199_998;
const N_MERGES: usize = 446_189;

fn published_form(o200k: &Tokenizer) -> Value {
    let words: Vec<&[u8]> =
        (0..N_ORDINARY).map(|token| o200k.bytes(token).expect("ordinary")).collect();
    let ids: HashMap<&[u8], usize> = words.iter().copied().zip(0..).collect();
    let spelled: Vec<String> = words.iter().map(|word| spell(word)).collect();
    let mut merges = Vec::new();
    for word in &words {
        let splits = (1..word.len()).map(|at| word.split_at(at));
        let mut pairs: Vec<(usize, usize)> = splits
            .filter_map(|(left, right)| ids.get(left).copied().zip(ids.get(right).copied()))
            .collect();
        pairs.sort_unstable();
        merges.extend(pairs.iter().map(|&(left, right)| [&spelled[left], &spelled[right]]));
    }
    assert_eq!(merges.len(), N_MERGES);
    let vocab: HashMap<&String, usize> = spelled.iter().zip(0..).collect();
    let added: Vec<Value> = (N_ORDINARY..N_ORDINARY + 21)
        .map(|id| json!({ "id": id, "content": o200k.control_name(id) }))
        .collect();
    let mut file = valid();
    file["added_tokens"] = json!(added);
    file["model"] =
        json!({ "type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": true });
    file
}

/// In the alphabet of byte-level BPE.
fn spell(word: &[u8]) -> String {
    let is_shown = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let stand_in = |byte: u8| (0..byte).filter(|&other| !is_shown(other)).count() as u32 + 0x100;
    word.iter()
        .map(|&byte| if is_shown(byte) { u32::from(byte) } else { stand_in(byte) })
        .map(|letter| char::from_u32(letter).expect("a letter"))
        .collect()
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
