//! `tokenizer.json` of the Hugging Face form, as gpt-oss publishes it.

use std::collections::HashMap;

use serde::Deserialize;

use super::merge::Merges;
use super::{Tokenizer, TokenizerError, split};

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
    pre_tokenizer: Option<serde_json::Value>,
    normalizer: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: HashMap<String, u64>,
    merges: Vec<Pair>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
}

/// Older files write a merge as one string with a space.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pair {
    Two(String, String),
    One(String),
}

impl Pair {
    fn sides(&self) -> Option<(&str, &str)> {
        match self {
            Pair::Two(left, right) => Some((left, right)),
            Pair::One(both) => both.split_once(' '),
        }
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let file: File = serde_json::from_slice(bytes)?;
    check_kind(&file)?;
    let n_tokens = file.model.vocab.len() + file.added_tokens.len();
    let mut words: Vec<Option<Box<[u8]>>> = vec![None; n_tokens];
    let alphabet = byte_alphabet();
    let mut names = HashMap::new();
    for added in &file.added_tokens {
        let is_also_listed = file.model.vocab.get(&added.content) == Some(&added.id);
        if !is_also_listed {
            place(&mut words, added.id, Box::default())?;
        }
        names.insert(added.id as u32, added.content.clone());
    }
    for (word, &id) in &file.model.vocab {
        if word.is_empty() {
            return Err(TokenizerError::Empty { id });
        }
        // No text's bytes give a word outside the byte alphabet: it has a name, like a control token.
        let is_control = names.contains_key(&(id as u32));
        let bytes = spelled(&alphabet, word).filter(|_| !is_control).unwrap_or_else(|| {
            names.entry(id as u32).or_insert_with(|| word.clone());
            Box::default()
        });
        place(&mut words, id, bytes)?;
    }
    let words = complete(words)?;
    let merges = listed_merges(&file.model)?;
    Tokenizer::new(words, names, merges)
}

fn check_kind(file: &File) -> Result<(), TokenizerError> {
    if let Some(kind) = file.model.kind.as_deref().filter(|kind| *kind != "BPE") {
        return Err(TokenizerError::Unknown {
            part: "model",
            found: kind.to_owned(),
            expected: "BPE",
        });
    }
    if let Some(normalizer) = &file.normalizer {
        return Err(TokenizerError::Unknown {
            part: "normalizer",
            found: normalizer.to_string(),
            expected: "none",
        });
    }
    let found =
        file.pre_tokenizer.as_ref().map_or_else(|| "absent".to_owned(), ToString::to_string);
    let pattern = serde_json::Value::from(split::O200K).to_string();
    if !found.contains(&pattern) || !found.contains("ByteLevel") {
        let expected = "the pattern of o200k followed by ByteLevel";
        return Err(TokenizerError::Unknown { part: "pre_tokenizer", found, expected });
    }
    Ok(())
}

fn place(words: &mut [Option<Box<[u8]>>], id: u64, bytes: Box<[u8]>) -> Result<(), TokenizerError> {
    let n_tokens = words.len();
    let cell = usize::try_from(id).ok().and_then(|at| words.get_mut(at));
    let cell = cell.ok_or(TokenizerError::Id { id, problem: "too large", n_tokens })?;
    if cell.replace(bytes).is_some() {
        return Err(TokenizerError::Id { id, problem: "given twice", n_tokens });
    }
    Ok(())
}

/// All words in order. Added tokens that are in the vocabulary too leave room at the end.
fn complete(mut words: Vec<Option<Box<[u8]>>>) -> Result<Vec<Box<[u8]>>, TokenizerError> {
    while words.last().is_some_and(Option::is_none) {
        words.pop();
    }
    let n_tokens = words.len();
    let missing = |id| TokenizerError::Id { id, problem: "missing", n_tokens };
    (0..).zip(words).map(|(id, word)| word.ok_or_else(|| missing(id))).collect()
}

fn listed_merges(model: &Model) -> Result<Merges, TokenizerError> {
    let token = |word: &str| model.vocab.get(word).map(|&id| id as u32);
    let mut pairs = HashMap::with_capacity(model.merges.len());
    for (index, pair) in model.merges.iter().enumerate() {
        let found = pair.sides().and_then(|(left, right)| {
            Some(((token(left)?, token(right)?), token(&format!("{left}{right}"))?))
        });
        let (sides, joined) = found.ok_or(TokenizerError::Merge { index })?;
        pairs.entry(sides).or_insert((index as u32, joined));
    }
    Ok(Merges::Listed(pairs))
}

/// The bytes that a word stands for, if it is written in the byte alphabet.
fn spelled(alphabet: &HashMap<char, u8>, word: &str) -> Option<Box<[u8]>> {
    word.chars().map(|letter| alphabet.get(&letter).copied()).collect()
}

/// The printable stand-ins of byte-level BPE: printable Latin-1 for itself, the rest from U+0100 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut spare = (0x100..).filter_map(char::from_u32);
    (0..=255_u8)
        .map(|byte| {
            let is_printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
            let letter = if is_printable {
                char::from(byte)
            } else {
                spare.next().expect("there are enough")
            };
            (letter, byte)
        })
        .collect()
}
