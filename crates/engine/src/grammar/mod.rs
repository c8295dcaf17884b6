//! Replies bound to a form: a grammar in Lark's notation, followed over a tokenizer's tokens.
//!
//! `llguidance` follows the grammar; here it is given our tokens (`vocabulary.rs`) and asked for what
//! a [`Guide`] must say. The notation is Lark's with `llguidance`'s additions (`%json`, regular
//! expressions between slashes); see that project's `docs/syntax.md`.

mod vocabulary;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use llguidance::api::{StopReason, TopLevelGrammar};
use llguidance::earley::SlicedBiasComputer;
use llguidance::{Matcher, ParserFactory};
use model::Model;
use model::tokenizer::Tokenizer;
use toktrie::InferenceCapabilities;

use crate::error::EngineError;
use crate::guide::{Guide, Next};
use crate::mask::TokenMask;
use vocabulary::Vocabulary;

/// Compiles grammars over one tokenizer. Make it once: tables over the whole vocabulary are made
/// with it, which takes most of a second and 84 MiB for 200,000 tokens. A grammar takes about a
/// millisecond.
pub struct GrammarCompiler {
    factory: ParserFactory,
}

impl GrammarCompiler {
    /// The compiler over a tokenizer that lives long enough: `&'static Tokenizer`, `Arc<Tokenizer>`.
    ///
    /// # Errors
    ///
    /// [`EngineError::GrammarSource`] when `llguidance` refuses the vocabulary.
    pub fn new(
        tokenizer: impl Deref<Target = Tokenizer> + Send + Sync + 'static,
    ) -> Result<GrammarCompiler, EngineError> {
        let vocabulary: toktrie::TokEnv = Arc::new(Vocabulary::new(tokenizer));
        let capabilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&vocabulary, capabilities, &slices)
            .map_err(|error| EngineError::GrammarSource { message: format!("{error:#}") })?;
        // Its errors would quote the reply so far, and its log goes to stderr.
        factory.limits_mut().verbose_errors = false;
        factory.quiet();
        Ok(GrammarCompiler { factory })
    }

    /// The compiler over a model's tokenizer.
    ///
    /// # Errors
    ///
    /// As [`GrammarCompiler::new`].
    pub fn for_model(model: Arc<Model>) -> Result<GrammarCompiler, EngineError> {
        GrammarCompiler::new(TokenizerOf(model))
    }

    /// Compiles a grammar; its start rule is `start`.
    ///
    /// # Errors
    ///
    /// [`EngineError::GrammarSource`] with the compiler's words.
    pub fn lark(&self, source: &str) -> Result<Grammar, EngineError> {
        let parser = self.factory.create_parser(TopLevelGrammar::from_lark(source.to_owned()));
        let parser =
            parser.map_err(|error| EngineError::GrammarSource { message: format!("{error:#}") })?;
        Ok(Grammar { matcher: Matcher::new(Ok(parser)), n_tokens: 0 })
    }
}

impl fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarCompiler").finish_non_exhaustive()
    }
}

struct TokenizerOf(Arc<Model>);

impl Deref for TokenizerOf {
    type Target = Tokenizer;

    fn deref(&self) -> &Tokenizer {
        self.0.tokenizer()
    }
}

/// A place in a compiled grammar. Clone a fresh one for each reply; clones share tables.
///
/// Text that the grammar fixes is forced, as the tokens that the tokenizer itself would give.
/// Control tokens match no text. Where the reply may end but need not, `<|return|>` is among the
/// allowed; where it must end, the grammar says [`Next::Stop`] and leaves the last token to its
/// owner.
#[derive(Clone)]
pub struct Grammar {
    matcher: Matcher,
    n_tokens: usize,
}

impl Grammar {
    /// What may come next: [`Next::Force`], [`Next::Allow`], [`Next::Stop`], or [`Next::Fail`] once
    /// the grammar cannot be followed.
    pub fn ask(&mut self) -> Next {
        if self.matcher.is_stopped() && self.matcher.stop_reason().is_ok() {
            return Next::Stop;
        }
        let forced = self.matcher.compute_ff_tokens();
        if !forced.is_empty() {
            return Next::Force(forced);
        }
        match self.matcher.compute_mask() {
            Ok(mask) => Next::Allow(TokenMask::from_words(mask.as_slice().to_vec())),
            Err(error) => Next::Fail(self.state_error(format!("{error:#}"))),
        }
    }

    /// Goes on by one token.
    ///
    /// # Errors
    ///
    /// [`EngineError::GrammarState`] when the grammar excludes it; then nothing can follow.
    pub fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        let accepted = self.matcher.consume_token(token);
        accepted.map_err(|error| self.state_error(format!("token {token}: {error:#}")))?;
        self.n_tokens += 1;
        Ok(())
    }

    /// Whether the reply so far is complete, even if it may go on.
    pub fn is_complete(&mut self) -> bool {
        match self.matcher.stop_reason() {
            StopReason::NotStopped => self.matcher.is_accepting().unwrap_or(false),
            reason => reason.is_ok(),
        }
    }

    fn state_error(&self, message: String) -> EngineError {
        EngineError::GrammarState { n_tokens: self.n_tokens, message }
    }
}

impl Guide for Grammar {
    fn next(&mut self) -> Next {
        self.ask()
    }

    fn accept(&mut self, token: u32) {
        // A grammar that was left stays in error, and the next `next` reports it.
        let _ = Grammar::accept(self, token);
    }
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammar").field("n_tokens", &self.n_tokens).finish_non_exhaustive()
    }
}
