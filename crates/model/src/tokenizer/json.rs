//! `tokenizer.json` of the Hugging Face form, as gpt-oss publishes it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;

use super::merge::Merges;
use super::words::Words;
use super::{Tokenizer, TokenizerError, split};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    model: Model<'a>,
    #[serde(default)]
    added_tokens: Vec<Added>,
    pre_tokenizer: Option<Value>,
    normalizer: Option<Value>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: HashMap<String, u64>,
    #[serde(borrow)]
    merges: Vec<Pair<'a>>,
    #[serde(default)]
    ignore_merges: bool,
    dropout: Option<Value>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
}

pub(super) fn read(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let file: File<'_> = serde_json::from_slice(bytes)?;
    check_kind(&file)?;
    let n_tokens = file.model.vocab.len() + file.added_tokens.len();
    let mut words: Vec<Option<Box<[u8]>>> = vec![None; n_tokens];
    let alphabet = byte_alphabet();
    let mut names = BTreeMap::new();
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
    let words = Words::new(words.iter().map(|word| &**word));
    let merges = listed_merges(&file.model)?;
    Tokenizer::new(words, names, merges, file.model.ignore_merges)
}

fn check_kind(file: &File<'_>) -> Result<(), TokenizerError> {
    let model = &file.model;
    let unknown = |part, found: String, expected| {
        Err(TokenizerError::Unknown { part, found: found.chars().take(200).collect(), expected })
    };
    if let Some(kind) = model.kind.as_deref().filter(|kind| *kind != "BPE") {
        return unknown("model", kind.to_owned(), "BPE");
    }
    if let Some(dropout) = model.dropout.as_ref().filter(|dropout| dropout.as_f64() != Some(0.0)) {
        return unknown("dropout", dropout.to_string(), "none");
    }
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    if let Some(affix) = affixes.into_iter().flatten().find(|affix| !affix.is_empty()) {
        return unknown("subword prefix or word suffix", affix.clone(), "none");
    }
    if let Some(normalizer) = &file.normalizer {
        return unknown("normalizer", normalizer.to_string(), "none");
    }
    match &file.pre_tokenizer {
        Some(found) if splits_as_o200k(found) => Ok(()),
        found => {
            let found = found.as_ref().map_or_else(|| "absent".to_owned(), Value::to_string);
            unknown("pre_tokenizer", found, "the pattern of o200k followed by ByteLevel")
        }
    }
}

fn splits_as_o200k(pre_tokenizer: &Value) -> bool {
    let steps = pre_tokenizer["pretokenizers"].as_array().map(Vec::as_slice);
    let Some([split, byte_level]) = steps else { return false };
    split["type"] == "Split"
        && split["pattern"]["Regex"] == split::O200K
        && split["behavior"] == "Isolated"
        && split["invert"] != true
        && byte_level["type"] == "ByteLevel"
        && byte_level["add_prefix_space"] == false
        && byte_level["use_regex"] == false
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

fn listed_merges(model: &Model<'_>) -> Result<Merges, TokenizerError> {
    let token = |word: &str| model.vocab.get(word).map(|&id| id as u32);
    let mut pairs = HashMap::with_capacity_and_hasher(model.merges.len(), Default::default());
    let mut joined = String::new();
    for (index, Pair(left, right)) in model.merges.iter().enumerate() {
        joined.clear();
        joined.extend([&**left, &**right]);
        let sides = token(left).zip(token(right));
        let found = sides.zip(token(&joined));
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

/// A merge. Newer files write its sides as a list of two, older ones as one string with a space.
struct Pair<'a>(Cow<'a, str>, Cow<'a, str>);

/// A string of the file, without a copy where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pair<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairVisitor)
    }
}

struct PairVisitor;

impl<'de> Visitor<'de> for PairVisitor {
    type Value = Pair<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge: two strings, or one with a space between two")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Pair<'de>, E> {
        let (left, right) = text
            .split_once(' ')
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
        Ok(Pair(left.to_owned().into(), right.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sides: A) -> Result<Pair<'de>, A::Error> {
        let mut side = |at| {
            sides.next_element::<Text<'de>>()?.ok_or_else(|| A::Error::invalid_length(at, &self))
        };
        let pair = Pair(side(0)?.0, side(1)?.0);
        match sides.next_element::<Text<'de>>()? {
            None => Ok(pair),
            Some(_) => Err(A::Error::invalid_length(3, &self)),
        }
    }
}
