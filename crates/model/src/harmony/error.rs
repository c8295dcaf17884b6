//! Why tokens are no harmony messages.

/// What is wrong with generated tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HarmonyError {
    /// The tokens end inside a header.
    #[error("the tokens end inside a message's header")]
    EndInHeader,
    /// A header without a role.
    #[error("a message's header names no role")]
    NoRole,
    /// `<|channel|>` without a channel.
    #[error("a message's header names no channel after <|channel|>")]
    NoChannel,
    /// A message must begin with `<|start|>`.
    #[error("token {token} stands where a message must start")]
    ExpectedStart {
        /// The token found.
        token: u32,
    },
    /// A control token that no header has.
    #[error("token {token} cannot stand in a message's header")]
    InHeader {
        /// The token found.
        token: u32,
    },
    /// Words in a header beyond role, channel, recipient and content type.
    #[error("a message's header has the words {words:?} too many")]
    HeaderWords {
        /// The words left over.
        words: String,
    },
}
