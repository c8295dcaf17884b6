//! Whether the server read all of the prompt. Some cut what does not fit their context without a word, and
//! some templates leave out a role that they do not know: then a verdict is not about this policy.

use model::tokenizer::Tokenizer;

use super::error::RemoteError;
use super::listing::Served;
use crate::prompt::Prompt;

/// Compares the server's count of prompt tokens with an own one; 0 is a server that does not count.
pub(super) fn check(prompt: &Prompt, model: &Served, read: usize) -> Result<(), RemoteError> {
    let tokenizer = Tokenizer::o200k_harmony();
    let count = |text: &str| tokenizer.encode(text).len();
    let own = count(&prompt.developer) + count(&prompt.user);
    // Other models have other vocabularies, but none that needs half as many tokens.
    let sent = if model.is_gpt_oss { own } else { own / 2 };
    if read != 0 && read < sent { Err(RemoteError::PromptCut { read, sent }) } else { Ok(()) }
}
