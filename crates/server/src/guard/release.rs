//! How much of a reply may leave.
//!
//! With `n` characters seen by the last check that found nothing, and a window of `w`:
//!
//! | mode | characters that have left at most |
//! | --- | --- |
//! | hold | 0, until a check of the whole reply found nothing |
//! | window | `n - w`; `n` once that check saw the end |
//! | live | `n + w` |
//!
//! So in mode `window` a violation that a check sees within `w` characters of its start has not begun to leave.
//! Characters are Unicode's; the pieces of a reply keep their order, whichever field they came in.

use std::collections::VecDeque;

use serde_json::Value;

use super::said::Said;
use super::settings::OutputMode;

/// A part of a reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// Text of one field of a chunk, which may be cut.
    Text {
        /// `content`, `reasoning`, `refusal` …
        field: String,
        /// Its text.
        text: String,
    },
    /// A field that is no text and stays whole, such as tool calls; it counts as the characters of its JSON.
    Whole {
        /// Its name.
        field: String,
        /// Its value.
        value: Value,
    },
}

impl Piece {
    fn n_chars(&self) -> usize {
        match self {
            Piece::Text { text, .. } => text.chars().count(),
            Piece::Whole { value, .. } => value.to_string().chars().count(),
        }
    }

    fn n_bytes(&self) -> usize {
        match self {
            Piece::Text { text, .. } => text.len(),
            Piece::Whole { value, .. } => value.to_string().len(),
        }
    }
}

/// A reply on its way.
#[derive(Debug)]
pub(crate) struct Release {
    mode: OutputMode,
    window: usize,
    /// All that came, for the judge.
    said: Said,
    n_bytes: usize,
    n_came: usize,
    n_sent: usize,
    /// Characters seen by the last check that found nothing.
    n_clear: usize,
    /// Characters seen by the last check that was begun.
    n_asked: usize,
    has_ended: bool,
    /// Whether a check that found nothing saw the end.
    is_whole_clear: bool,
    held: VecDeque<Piece>,
}

impl Release {
    pub(crate) fn new(mode: OutputMode, window: usize) -> Release {
        Release {
            mode,
            window,
            said: Said::default(),
            n_bytes: 0,
            n_came: 0,
            n_sent: 0,
            n_clear: 0,
            n_asked: 0,
            has_ended: false,
            is_whole_clear: false,
            held: VecDeque::new(),
        }
    }

    /// One more piece came.
    pub(crate) fn push(&mut self, piece: Piece) {
        let n_chars = piece.n_chars();
        if n_chars > 0 {
            match &piece {
                Piece::Text { field, text } => self.said.text(field, "", text),
                Piece::Whole { field, value } => self.said.push(field, value),
            }
            self.n_bytes += piece.n_bytes();
            self.n_came += n_chars;
            self.held.push_back(piece);
        }
    }

    /// No more pieces come.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Bytes that came.
    pub(crate) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Characters that have left.
    pub(crate) fn n_sent(&self) -> usize {
        self.n_sent
    }

    /// The text to be judged now, if a check is due; the answer goes to [`Release::cleared`]. One at a time.
    pub(crate) fn due(&mut self) -> Option<String> {
        let n_new = self.n_came - self.n_asked;
        let is_due = if self.has_ended {
            !self.is_whole_clear
        } else {
            self.mode != OutputMode::Hold && n_new >= self.stride()
        };
        is_due.then(|| {
            self.n_asked = self.n_came;
            self.said.whole()
        })
    }

    /// New characters that make a check due before the end. Half a window, so that a reader in mode `live` does
    /// not wait for it, nor one in mode `window` for two.
    fn stride(&self) -> usize {
        (self.window / 2).max(1)
    }

    /// A check of `n_chars`, which [`Release::n_asked`] told, found nothing; `saw_end`: it was begun after the end.
    pub(crate) fn cleared(&mut self, n_chars: usize, saw_end: bool) {
        self.n_clear = self.n_clear.max(n_chars);
        self.is_whole_clear |= saw_end && n_chars == self.n_came;
    }

    /// Characters that the check begun last sees.
    pub(crate) fn n_asked(&self) -> usize {
        self.n_asked
    }

    /// What may leave now; it counts as sent.
    pub(crate) fn ready(&mut self) -> Vec<Piece> {
        let mut n_left = self.limit().saturating_sub(self.n_sent);
        let mut ready = Vec::new();
        while n_left > 0 {
            let Some(piece) = self.held.pop_front() else { break };
            let n_chars = piece.n_chars();
            if n_chars <= n_left {
                n_left -= n_chars;
                self.n_sent += n_chars;
                ready.push(piece);
                continue;
            }
            match piece {
                Piece::Text { field, text } => {
                    let at = text.char_indices().nth(n_left).map_or(text.len(), |(at, _)| at);
                    let (now, later) = text.split_at(at);
                    let later = Piece::Text { field: field.clone(), text: later.to_owned() };
                    self.held.push_front(later);
                    self.n_sent += n_left;
                    ready.push(Piece::Text { field, text: now.to_owned() });
                }
                whole @ Piece::Whole { .. } => self.held.push_front(whole),
            }
            break;
        }
        ready
    }

    fn limit(&self) -> usize {
        if self.is_whole_clear {
            return self.n_came;
        }
        match self.mode {
            OutputMode::Hold => 0,
            OutputMode::Window => self.n_clear.saturating_sub(self.window),
            OutputMode::Live => self.n_clear + self.window,
        }
    }
}

#[cfg(test)]
mod tests;
