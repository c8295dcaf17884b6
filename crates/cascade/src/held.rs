//! An observer of a verdict that may not stand.

use policy::{AnswerToken, Heard, Observer};

/// Keeps what it hears of one attempt until it is known which attempt counts, so that whoever listens does not hear
/// one reply after another for the same item.
pub(crate) struct HeldObserver<'a> {
    to: &'a mut dyn Observer,
    heard: Vec<Heard>,
}

impl<'a> HeldObserver<'a> {
    pub(crate) fn new(to: &'a mut dyn Observer) -> HeldObserver<'a> {
        HeldObserver { to, heard: Vec::new() }
    }

    /// What was heard of the attempt.
    pub(crate) fn into_heard(self) -> Vec<Heard> {
        self.heard
    }
}

/// Passes on what was heard of the attempt that counts.
pub(crate) fn tell(heard: &[Heard], to: &mut dyn Observer) {
    for one in heard {
        match one {
            Heard::Reasoning(text) => to.reasoning(text),
            Heard::Answer(token) => to.answer(token),
        }
    }
}

impl Observer for HeldObserver<'_> {
    fn reasoning(&mut self, text: &str) {
        self.heard.push(Heard::Reasoning(text.to_owned()));
    }

    fn answer(&mut self, token: &AnswerToken) {
        self.heard.push(Heard::Answer(token.clone()));
    }

    fn is_cancelled(&self) -> bool {
        self.to.is_cancelled()
    }
}
