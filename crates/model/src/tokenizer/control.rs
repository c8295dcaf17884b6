//! Harmony's control tokens: the frame that no text can forge.

/// A control token with a meaning in harmony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// Unused by harmony prompts; the vocabulary's begin of text.
    StartOfText,
    /// End of text; stops generation.
    EndOfText,
    /// The end of an answer; stops generation.
    Return,
    /// Before a content type in a header.
    Constrain,
    /// Before a channel in a header.
    Channel,
    /// The beginning of a message's header.
    Start,
    /// The end of a message.
    End,
    /// Between header and content.
    Message,
    /// The end of a message to a tool; stops generation.
    Call,
}

impl Control {
    /// All of them.
    pub const ALL: [Control; 9] = [
        Control::StartOfText,
        Control::EndOfText,
        Control::Return,
        Control::Constrain,
        Control::Channel,
        Control::Start,
        Control::End,
        Control::Message,
        Control::Call,
    ];

    /// As vocabularies spell it.
    pub fn name(self) -> &'static str {
        match self {
            Control::StartOfText => "<|startoftext|>",
            Control::EndOfText => "<|endoftext|>",
            Control::Return => "<|return|>",
            Control::Constrain => "<|constrain|>",
            Control::Channel => "<|channel|>",
            Control::Start => "<|start|>",
            Control::End => "<|end|>",
            Control::Message => "<|message|>",
            Control::Call => "<|call|>",
        }
    }
}
