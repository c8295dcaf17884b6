//! Guesses at what a sequence says next: what followed where the same was said before, in the sequence itself or in
//! earlier replies behind the same prefix (`said.rs`).
//!
//! A guess is computed along with the step and kept only as far as the tokens come that way anyhow, so it can spare
//! steps and never change a token. Replies that quote their prompt, or have phrases in common, are guessed well;
//! others soon stop guessing.

/// How one sequence guesses.
#[derive(Debug, Default)]
pub(crate) struct Guesser {
    /// What guesses earned: two for each token that came true, less one for each that was guessed. Below zero none is
    /// made, and every step without one adds one.
    balance: i32,
}

/// Most tokens of a guess. Of longer ones too few come true to be worth their arithmetic.
const MAX_GUESS: usize = 4;
/// A place is like the end of a sequence if at least so many tokens before it are the same, and is the more so up to
/// so many.
const ALIKE: (usize, usize) = (2, 4);
/// The balance's upper end, so that what no longer comes true is soon noticed.
const MAX_BALANCE: i32 = 16;

impl Guesser {
    /// Up to `n_max` tokens that may follow `tokens`, taken from these or from `said`.
    pub(crate) fn guess<'a>(&self, tokens: &'a [u32], said: &'a [u32], n_max: usize) -> &'a [u32] {
        let n_max = n_max.min(MAX_GUESS);
        if self.balance < 0 || n_max == 0 {
            return &[];
        }
        let ([own, other], least) = ([tokens, said].map(|text| most_alike(text, tokens)), ALIKE.0);
        let (text, (n_alike, place)) = if own.0 >= other.0 { (tokens, own) } else { (said, other) };
        if n_alike < least { &[] } else { &text[place..text.len().min(place + n_max)] }
    }

    /// Takes note of a step: how many tokens were guessed and how many of these came.
    pub(crate) fn learn(&mut self, n_guessed: usize, n_true: usize) {
        self.balance = match n_guessed {
            0 => self.balance + i32::from(self.balance < 0),
            _ => (self.balance + 2 * n_true as i32 - n_guessed as i32).min(MAX_BALANCE),
        };
    }
}

/// The latest place in `text` before which most tokens are those at the end of `tokens`: how many, and the place.
fn most_alike(text: &[u32], tokens: &[u32]) -> (usize, usize) {
    let (mut best, most) = ((0, 0), ALIKE.1);
    for place in (1..text.len()).rev() {
        let pairs = text[..place].iter().rev().zip(tokens.iter().rev()).take(most);
        let n_alike = pairs.take_while(|(token, wanted)| token == wanted).count();
        if n_alike > best.0 {
            best = (n_alike, place);
        }
        if n_alike == most {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(tokens: &[u32], said: &[u32], n_max: usize) -> Vec<u32> {
        Guesser::default().guess(tokens, said, n_max).to_vec()
    }

    #[test]
    fn the_most_alike_place_goes_before_a_later_one() {
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 2, 3, 6, 1, 2, 3], &[], 2), [4, 5]);
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 2, 3, 6, 8, 2, 3], &[], 2), [6, 8]);
        // More than four tokens are not compared.
        assert_eq!(guess(&[0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 6, 0, 1, 2, 3, 4], &[], 1), [6]);
        assert_eq!(guess(&[1, 2, 3, 4, 5, 6, 7, 1, 2, 3], &[], 9), [4, 5, 6, 7]);
        assert_eq!(guess(&[2, 3, 7, 2, 3], &[], 9), [7, 2, 3]);
        // What repeats itself overlaps with itself.
        assert_eq!(guess(&[5, 5, 5, 5], &[], 9), [5]);
        for tokens in [&[][..], &[1], &[1, 1], &[1, 2, 3, 1, 3, 2]] {
            assert!(guess(tokens, &[], 9).is_empty());
        }
        assert!(guess(&[1, 2, 3, 4, 1, 2, 3], &[], 0).is_empty());
    }

    #[test]
    fn what_others_said_counts_if_it_is_more_alike() {
        let said = [1, 2, 3, 4, 5, 8, 3, 6];
        assert_eq!(guess(&[2, 3], &said, 9), [4, 5, 8, 3]);
        assert_eq!(guess(&[7, 2, 3, 9, 9, 7, 2, 3], &said, 2), [9, 9]);
        assert_eq!(guess(&[7, 2, 3, 9, 9, 1, 2, 3], &said, 2), [4, 5]);
        assert!(guess(&[3, 6], &said, 2).is_empty());
    }

    #[test]
    fn wrong_guesses_are_paid_for_by_steps_without() {
        let tokens = [1, 2, 3, 4, 1, 2, 3];
        let mut guesser = Guesser::default();
        let mut rest = |n_guessed, n_true| {
            guesser.learn(n_guessed, n_true);
            let mut n_steps = 0;
            while guesser.guess(&tokens, &[], 4).is_empty() {
                guesser.learn(0, 0);
                n_steps += 1;
            }
            n_steps
        };
        assert_eq!([rest(4, 0), rest(4, 1), rest(4, 2), rest(1, 0)], [4, 2, 0, 1]);
        // What was right before makes up for some that are wrong, but not for ever.
        (0..100).for_each(|_| assert_eq!(rest(4, 4), 0));
        assert_eq!([0; 5].map(|_| rest(4, 0)), [0, 0, 0, 0, 4]);
    }
}
