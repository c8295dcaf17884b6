//! What replies said lately, by the prefix of their requests: the next one behind the same prefix often says the same.
//!
//! It serves guesses only, so what is remembered changes no reply, only how soon it comes. It ends with the engine and
//! never leaves memory.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A prefix by the hash of its tokens. Two that are taken for one make guesses worse and nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrefixHash(u64);

impl PrefixHash {
    /// `None` for the empty prefix, which says nothing of what follows.
    pub(crate) fn of(prefix: &[u32]) -> Option<PrefixHash> {
        let mut hasher = DefaultHasher::new();
        prefix.hash(&mut hasher);
        (!prefix.is_empty()).then(|| PrefixHash(hasher.finish()))
    }
}

/// Tokens remembered of a prefix: some dozens of replies.
const MAX_TOKENS: usize = 4096;
/// Prefixes remembered.
const MAX_PREFIXES: usize = 64;

/// Replies by prefix.
#[derive(Default)]
pub(crate) struct Said {
    /// The latest replies of each prefix, one behind the other; the prefix that was used last is last.
    texts: VecDeque<(PrefixHash, Vec<u32>)>,
}

impl Said {
    /// What replies behind a prefix said, the latest last.
    pub(crate) fn behind(&self, prefix: Option<PrefixHash>) -> &[u32] {
        let text = self.texts.iter().find(|(of, _)| Some(*of) == prefix);
        text.map_or(&[], |(_, text)| text)
    }

    /// Remembers a reply.
    pub(crate) fn add(&mut self, prefix: Option<PrefixHash>, reply: &[u32]) {
        let Some(prefix) = prefix.filter(|_| !reply.is_empty()) else { return };
        let known = self.texts.iter().position(|(of, _)| *of == prefix);
        let (_, mut text) =
            known.and_then(|at| self.texts.remove(at)).unwrap_or((prefix, Vec::new()));
        text.extend_from_slice(&reply[reply.len().saturating_sub(MAX_TOKENS)..]);
        text.drain(..text.len().saturating_sub(MAX_TOKENS));
        self.texts.push_back((prefix, text));
        if self.texts.len() > MAX_PREFIXES {
            self.texts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_latest_replies_of_the_latest_prefixes() {
        let mut said = Said::default();
        let prefix = |token: u32| PrefixHash::of(&[token]);
        said.add(prefix(1), &[7; 4000]);
        said.add(prefix(2), &[8; 5000]);
        said.add(prefix(1), &[9; 100]);
        assert_eq!(said.behind(prefix(1)), [vec![7; 3996], vec![9; 100]].concat());
        assert_eq!(said.behind(prefix(2)), [8; 4096]);
        assert!(said.behind(prefix(3)).is_empty());
        for token in 3..=65 {
            said.add(prefix(token), &[token]);
        }
        // The first was used after the second.
        assert!(said.behind(prefix(2)).is_empty());
        assert_eq!((said.behind(prefix(1)).len(), said.behind(prefix(65))), (4096, &[65][..]));
    }

    #[test]
    fn nothing_is_remembered_of_no_prefix() {
        let mut said = Said::default();
        said.add(PrefixHash::of(&[]), &[1, 2, 3]);
        assert!(said.behind(PrefixHash::of(&[])).is_empty());
    }
}
