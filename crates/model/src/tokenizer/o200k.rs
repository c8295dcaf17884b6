//! The built-in vocabulary of gpt-oss (`assets/README.md` says where it comes from).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::Tokenizer;
use super::merge::Merges;
use super::words::Words;

/// Ordinary tokens in rank order: a byte of length, then the bytes.
const PACKED: &[u8] = include_bytes!("../../assets/o200k.tokens");
const N_ORDINARY: u32 = 199_998;
/// Rows of the published embedding; ids above do not exist.
const VOCAB_SIZE: u32 = 201_088;

/// Control tokens with a name; all others up to the end are `<|reserved_ID|>`.
const NAMED: [(u32, &str); 10] = [
    (199_998, "<|startoftext|>"),
    (199_999, "<|endoftext|>"),
    (200_002, "<|return|>"),
    (200_003, "<|constrain|>"),
    (200_005, "<|channel|>"),
    (200_006, "<|start|>"),
    (200_007, "<|end|>"),
    (200_008, "<|message|>"),
    (200_012, "<|call|>"),
    (200_018, "<|endofprompt|>"),
];

pub(super) fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let n_others = (VOCAB_SIZE - N_ORDINARY) as usize;
        let words = Words::new(unpacked().chain(std::iter::repeat_n([].as_slice(), n_others)));
        let mut names: BTreeMap<u32, String> = (N_ORDINARY..VOCAB_SIZE)
            .map(|token| (token, format!("<|reserved_{token}|>")))
            .collect();
        names.extend(NAMED.map(|(token, name)| (token, name.to_owned())));
        Tokenizer::new(words, names, Merges::ByBytes, true)
            .expect("the asset is checked by the tests")
    })
}

fn unpacked() -> impl Iterator<Item = &'static [u8]> {
    let mut packed = PACKED;
    std::iter::from_fn(move || {
        let (&len, rest) = packed.split_first()?;
        let (word, rest) = rest.split_at(usize::from(len));
        packed = rest;
        Some(word)
    })
}
