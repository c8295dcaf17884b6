//! The vocabulary that tokens are counted with, where a command needs no model.

use std::path::Path;

use anyhow::Result;
use model::Model;
use model::harmony::{self, Conversation};
use model::tokenizer::{Tokenizer, TokenizerError};
use policy::{Content, Policy};
use reasoner::Prompt;

use crate::hub;
use crate::output::hinted;

const BUILTIN: &str = "builtin";

/// A vocabulary with its name.
pub(crate) struct Vocabulary {
    /// As people call it.
    pub(crate) name: String,
    source: Source,
}

enum Source {
    Harmony,
    Read(Box<Tokenizer>),
    Builtin(Box<Model>),
}

impl Vocabulary {
    /// `builtin`, a folder, or a model in the cache; without a word, that of gpt-oss.
    pub(crate) fn open(word: Option<&str>) -> Result<Vocabulary> {
        let Some(word) = word else {
            return Ok(Vocabulary { name: "o200k_harmony".to_owned(), source: Source::Harmony });
        };
        let is_path = Path::new(word).exists() || word.starts_with(['.', '/', '~']);
        let source = match word {
            BUILTIN => Source::Builtin(Box::new(Model::builtin()?)),
            path if is_path => Source::Read(Box::new(read(Path::new(path))?)),
            name => Source::Read(Box::new(read(&hub::resolve(name)?)?)),
        };
        Ok(Vocabulary { name: word.to_owned(), source })
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        match &self.source {
            Source::Harmony => Tokenizer::o200k_harmony(),
            Source::Read(tokenizer) => tokenizer,
            Source::Builtin(model) => model.tokenizer(),
        }
    }

    /// How many tokens a text has.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.tokenizer().encode(text).len()
    }
}

/// The tokens of the prompt that stand before every content.
pub(crate) fn prefix(policy: &Policy, tokenizer: &Tokenizer) -> Vec<u32> {
    let effort = policy.front.effort.unwrap_or_default();
    let prompt = Prompt::new(policy, &Content::text(""), effort, "");
    let conversation = Conversation {
        system: Some(prompt.system),
        developer: Some(prompt.developer),
        messages: Vec::new(),
        next_role: None,
    };
    harmony::render(tokenizer, &conversation)
}

/// The `tokenizer.json` of a folder, or of that very path.
pub(crate) fn read(dir: &Path) -> Result<Tokenizer> {
    let path = if dir.is_dir() { dir.join("tokenizer.json") } else { dir.to_owned() };
    Tokenizer::from_file(&path).map_err(|error| match error {
        TokenizerError::Read { .. } => {
            hinted(error, "name a folder with a tokenizer.json, or leave --model out for gpt-oss")
        }
        error => error.into(),
    })
}
