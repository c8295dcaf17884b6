//! What a request asks for beside the messages. A server may know none of it, so each can be left out.

/// One such wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    /// The policy in a developer message, where harmony wants it; else it is the system message.
    DeveloperRole,
    /// The reply bound by the policy's schema.
    ResponseFormat,
    /// A schema that binds the codes to the verdict's side too, which not every server can do.
    Sides,
    /// The probabilities from which the score is read.
    Logprobs,
    /// How long to think.
    Effort,
    Seed,
    Temperature,
    TopP,
    /// The limit of the reply under its old name, which nearly all servers know.
    MaxTokens,
    /// The same under its new name, which OpenAI's own models want.
    MaxCompletionTokens,
}

use Extra::{
    DeveloperRole, Effort, Logprobs, MaxCompletionTokens, MaxTokens, ResponseFormat, Seed, Sides,
    Temperature, TopP,
};

/// Words by which servers name what they refuse, in lower case.
const WORDS: [(Extra, &[&str]); 9] = [
    (DeveloperRole, &["developer"]),
    (ResponseFormat, &["response_format", "json_schema", "grammar", "structured output", "guided"]),
    (Logprobs, &["logprobs"]),
    (Effort, &["reasoning_effort", "reasoning effort", "reasoning.effort"]),
    (Seed, &["seed"]),
    (Temperature, &["temperature"]),
    (TopP, &["top_p"]),
    (MaxTokens, &["max_tokens"]),
    (MaxCompletionTokens, &["max_completion_tokens"]),
];

/// A set of wishes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Extras(u16);

impl Extras {
    /// What every server is asked for at first.
    pub(super) const USUAL: Extras =
        Extras::of(&[Logprobs, Effort, Seed, Temperature, TopP, MaxTokens]);

    const fn of(extras: &[Extra]) -> Extras {
        let mut bits = 0;
        let mut at = 0;
        while at < extras.len() {
            bits |= 1 << extras[at] as u16;
            at += 1;
        }
        Extras(bits)
    }

    pub(super) fn has(self, extra: Extra) -> bool {
        self.0 & Extras::of(&[extra]).0 != 0
    }

    #[must_use]
    pub(super) fn with(self, extra: Extra) -> Extras {
        Extras(self.0 | Extras::of(&[extra]).0)
    }

    #[must_use]
    pub(super) fn without(self, extra: Extra) -> Extras {
        Extras(self.0 & !Extras::of(&[extra]).0)
    }

    /// Without those that a refusal names, or `None` when it names none that was asked for.
    ///
    /// Calling this again with each next refusal ends: every wish is given up once.
    pub(super) fn after_refusal(self, words: &str) -> Option<Extras> {
        let named = |extra| {
            let names = WORDS.iter().find(|(other, _)| *other == extra).map(|(_, names)| names);
            names.is_some_and(|names| names.iter().any(|name| words.contains(name)))
        };
        let mut left = self;
        for extra in WORDS.map(|(extra, _)| extra).into_iter().filter(|extra| named(*extra)) {
            left = match extra {
                ResponseFormat if left.has(Sides) => left.without(Sides),
                MaxTokens if left.has(MaxTokens) && named(MaxCompletionTokens) => {
                    return Some(left.without(MaxTokens).with(MaxCompletionTokens));
                }
                _ => left.without(extra),
            };
        }
        (left != self).then_some(left)
    }
}

impl std::fmt::Debug for Extras {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(WORDS.map(|(extra, _)| extra).into_iter().filter(|extra| self.has(*extra)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_names_is_given_up_once() {
        let all = Extras::USUAL.with(DeveloperRole).with(ResponseFormat).with(Sides);
        let after = |words| all.after_refusal(words);
        assert_eq!(after("'logprobs' is not supported"), Some(all.without(Logprobs)));
        assert_eq!(after("unknown: top_logprobs, seed"), Some(all.without(Logprobs).without(Seed)));
        assert_eq!(after("unexpected role 'developer'"), Some(all.without(DeveloperRole)));
        let loose = after("failed to parse grammar").unwrap();
        assert_eq!(loose, all.without(Sides));
        let free = loose.after_refusal("response_format is not supported");
        assert_eq!(free, Some(loose.without(ResponseFormat)));
        assert_eq!(after("bad request"), None);
        let renamed = after("'max_tokens' is not supported, use 'max_completion_tokens'").unwrap();
        assert_eq!(renamed, all.without(MaxTokens).with(MaxCompletionTokens));
        let neither = renamed.after_refusal("'max_completion_tokens' is unknown");
        assert_eq!(neither, Some(renamed.without(MaxCompletionTokens)));
    }

    #[test]
    fn refusals_end() {
        let everything = WORDS.iter().flat_map(|(_, words)| *words).copied().collect::<String>();
        let mut left = Some(Extras::USUAL.with(DeveloperRole).with(ResponseFormat).with(Sides));
        let mut times = 0;
        while let Some(extras) = left {
            left = extras.after_refusal(&everything);
            times += 1;
        }
        assert!(times <= 3, "{times}");
    }
}
