//! Texts as windows of token ids, control tokens at both ends.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::config::{Config, Recipe};
use super::error::EmbedError;
use super::{read, read_if_there};
use crate::encoder::MAX_WINDOWS;

/// Bytes of a text beyond which it is not even cut into tokens: its windows would be too many in any language.
const MAX_BYTES: usize = 1 << 20;
/// Letters in a row that a word-piece model still takes for a word; longer ones it cannot read at all (the constant
/// `max_input_chars_per_word` of BERT).
const MAX_WORD: usize = 100;

/// A tokenizer, and how its ids are laid into windows.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    is_lower_case: bool,
    /// Before and after the ids of a window.
    before: Vec<u32>,
    after: Vec<u32>,
    /// Most ids of a text in one window, at least 2.
    n_inside: usize,
}

impl Tokens {
    pub(super) fn read(
        directory: &Path,
        config: &Config,
        recipe: &Recipe,
        digest: &mut Sha256,
    ) -> Result<Tokens, EmbedError> {
        let (path, bytes) = tokenizer_file(directory)?;
        digest.update(&bytes);
        let failed = |source| EmbedError::Tokenizer { path: path.clone(), source };
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(failed)?;
        tokenizer.with_truncation(None).map_err(failed)?;
        tokenizer.with_padding(None);
        // What a text spells is text, control tokens too.
        tokenizer.set_encode_special_tokens(true);
        let wrong = |field, problem| EmbedError::Field { path: path.clone(), field, problem };
        let n_ids = tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        if n_ids > config.n_vocab {
            let problem = format!("{n_ids} ids, but config.json has vocab_size {}", config.n_vocab);
            return Err(wrong("vocab", problem));
        }
        let encoded = |with| tokenizer.encode_fast("a", with).map(|it| it.get_ids().to_vec());
        let (bare, whole) = (encoded(false).map_err(failed)?, encoded(true).map_err(failed)?);
        let start = (0..=whole.len()).find(|&at| whole[at..].starts_with(&bare));
        let start = start.filter(|_| !bare.is_empty());
        let start = start.ok_or_else(|| wrong("post_processor", "it hides the text".to_owned()))?;
        let (before, after) = (whole[..start].to_vec(), whole[start + bare.len()..].to_vec());
        let n_inside = recipe.max_tokens.saturating_sub(before.len() + after.len());
        if n_inside < 2 {
            let problem = format!("no window fits into {} tokens", recipe.max_tokens);
            return Err(wrong("post_processor", problem));
        }
        let is_lower_case = recipe.is_lower_case;
        Ok(Tokens { tokenizer, is_lower_case, before, after, n_inside })
    }

    /// The windows of a text, each overlapping the next by half; `None` if they would be too many.
    pub(super) fn windows(
        &self,
        text: &str,
    ) -> Result<Option<Vec<Vec<u32>>>, Box<dyn std::error::Error + Send + Sync>> {
        if text.len() > MAX_BYTES {
            return Ok(None);
        }
        let mut text = broken_up(text);
        if self.is_lower_case {
            text = text.to_lowercase();
        }
        let encoding = self.tokenizer.encode_fast(text, false)?;
        let ids = encoding.get_ids();
        if ids.is_empty() && self.before.is_empty() && self.after.is_empty() {
            return Ok(None);
        }
        let step = self.n_inside / 2;
        let n_windows = 1 + ids.len().saturating_sub(self.n_inside).div_ceil(step);
        if n_windows > MAX_WINDOWS {
            return Ok(None);
        }
        let window = |at: usize| {
            let inside = &ids[at * step..ids.len().min(at * step + self.n_inside)];
            [&self.before, inside, &self.after].concat()
        };
        Ok(Some((0..n_windows).map(window).collect()))
    }
}

/// A text whose overlong words are cut by spaces: a word-piece model would take each for one unknown token.
fn broken_up(text: &str) -> String {
    let mut broken = String::with_capacity(text.len());
    let mut n_letters = 0;
    for c in text.chars() {
        // Marks belong to the letter before them.
        let ends_word = c.is_whitespace() || c.is_ascii_punctuation();
        n_letters = if ends_word { 0 } else { n_letters + 1 };
        if n_letters > MAX_WORD {
            broken.push(' ');
            n_letters = 1;
        }
        broken.push(c);
    }
    broken
}

/// `tokenizer.json`, or one made of `vocab.txt`.
fn tokenizer_file(directory: &Path) -> Result<(PathBuf, Vec<u8>), EmbedError> {
    let whole = directory.join("tokenizer.json");
    if let Some(found) = read_if_there(&whole)? {
        return Ok(found);
    }
    let Some((path, vocab)) = read_if_there(&directory.join("vocab.txt"))? else {
        return Err(read(&whole).err().unwrap_or_else(|| EmbedError::Field {
            path: whole,
            field: "file",
            problem: "it came and went".to_owned(),
        }));
    };
    let vocab: serde_json::Map<String, Value> = String::from_utf8_lossy(&vocab)
        .lines()
        .enumerate()
        .map(|(id, word)| (word.trim_end().to_owned(), id.into()))
        .collect();
    let settings = read_if_there(&directory.join("tokenizer_config.json"))?;
    let settings: Value = match settings {
        Some((path, bytes)) => {
            serde_json::from_slice(&bytes).map_err(|source| EmbedError::Json { path, source })?
        }
        None => Value::Null,
    };
    let id = |word: &str| {
        vocab.get(word).cloned().ok_or_else(|| EmbedError::Field {
            path: path.clone(),
            field: "vocab",
            problem: format!("{word} is not in it"),
        })
    };
    let (first, last) = (id("[CLS]")?, id("[SEP]")?);
    let special = |word: &str, id: &Value| {
        json!({"id": id, "content": word, "special": true, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false})
    };
    let made = json!({
        "version": "1.0",
        "added_tokens": [special("[CLS]", &first), special("[SEP]", &last)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
                       "handle_chinese_chars": settings["tokenize_chinese_chars"].as_bool().unwrap_or(true),
                       "strip_accents": settings["strip_accents"],
                       "lowercase": settings["do_lower_case"].as_bool().unwrap_or(true)},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", last], "cls": ["[CLS]", first]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": MAX_WORD, "vocab": vocab},
    });
    Ok((path, made.to_string().into_bytes()))
}
