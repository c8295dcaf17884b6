//! Guesses at what a sequence says next: what followed when it last said the same.
//!
//! A guess is computed along with the step and kept only as far as the tokens come that way anyhow, so it can spare
//! steps and never change a token. Replies that quote their prompt are guessed well; others soon stop guessing.

/// How one sequence guesses.
#[derive(Debug, Default)]
pub(crate) struct Guesser {
    /// Steps to go without a guess.
    rest: usize,
    /// Steps that the last wrong guess cost; twice as many after the next.
    penalty: usize,
}

/// Most steps without a guess after a wrong one: what is not quoting now may be later.
const MAX_REST: usize = 16;

impl Guesser {
    /// Up to `n_max` tokens that may follow `tokens`.
    pub(crate) fn guess<'a>(&self, tokens: &'a [u32], n_max: usize) -> &'a [u32] {
        match last_alike(tokens) {
            Some(place) if self.rest == 0 => &tokens[place..tokens.len().min(place + n_max)],
            _ => &[],
        }
    }

    /// Takes note of a step: how many tokens were guessed and how many of these came.
    pub(crate) fn learn(&mut self, n_guessed: usize, n_true: usize) {
        if n_guessed == 0 {
            self.rest = self.rest.saturating_sub(1);
        } else if n_true == 0 {
            self.penalty = (self.penalty * 2).clamp(1, MAX_REST);
            self.rest = self.penalty;
        } else {
            self.penalty = 0;
        }
    }
}

/// The place behind the last three tokens where they stood before, or else behind the last two; the latest such.
fn last_alike(tokens: &[u32]) -> Option<usize> {
    let (&[.., third, second, first], n_tokens) = (tokens, tokens.len()) else { return None };
    let mut pair = None;
    for place in (2..n_tokens).rev() {
        if tokens[place - 1] == first && tokens[place - 2] == second {
            if place > 2 && tokens[place - 3] == third {
                return Some(place);
            }
            pair = pair.or(Some(place));
        }
    }
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_same_three_goes_before_what_followed_the_same_two() {
        let guess = |tokens: &[u32], n_max| Guesser::default().guess(tokens, n_max).to_vec();
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 2, 3, 6, 1, 2, 3], 2), [4, 5]);
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 2, 3, 6, 8, 2, 3], 2), [6, 8]);
        assert_eq!(guess(&[1, 2, 3, 4, 1, 2, 3], 9), [4, 1, 2, 3]);
        assert_eq!(guess(&[2, 3, 7, 2, 3], 9), [7, 2, 3]);
        // What repeats itself overlaps with itself.
        assert_eq!(guess(&[5, 5, 5, 5], 9), [5]);
        for tokens in [&[][..], &[1], &[1, 1], &[1, 2, 3, 1, 3, 2]] {
            assert!(guess(tokens, 9).is_empty());
        }
        assert!(guess(&[1, 2, 3, 4, 1, 2, 3], 0).is_empty());
    }

    #[test]
    fn wrong_guesses_make_longer_and_longer_rests() {
        let tokens = [1, 2, 3, 4, 1, 2, 3];
        let mut guesser = Guesser::default();
        let mut rest = |n_true| {
            guesser.learn(2, n_true);
            let mut n_steps = 0;
            while guesser.guess(&tokens, 2).is_empty() {
                guesser.learn(0, 0);
                n_steps += 1;
            }
            n_steps
        };
        let rests: Vec<usize> = (0..6).map(|_| rest(0)).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 16]);
        assert_eq!([rest(1), rest(2), rest(0)], [0, 0, 1]);
    }
}
