//! From a row of logits to a token. Knows neither sequences nor batches, so neither can matter.

use kernels::Kernels;

use crate::error::EngineError;
use crate::guide::Next;
use crate::random;
use crate::request::Sampling;

/// Up to this many allowed tokens, each one's log-probability is reported.
pub(crate) const MAX_CHOICES: usize = 16;

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Natural logarithm of its probability over the allowed tokens, at temperature 1.
    pub(crate) logprob: f32,
    /// Every allowed token with the same, lowest id first, when there are at most `MAX_CHOICES`.
    pub(crate) choices: Vec<(u32, f32)>,
}

/// Chooses tokens; holds scratch memory only.
pub(crate) struct Sampler {
    kernels: Kernels,
    /// The tokens that may come, lowest id first; not used where all may.
    allowed: Vec<u32>,
    /// Their logits.
    logits: Vec<f32>,
    /// `(weight, place among those that may come)`
    weights: Vec<(f64, u32)>,
}

/// Which tokens a row of logits speaks of.
#[derive(Clone, Copy)]
enum Tokens<'a> {
    All,
    /// These, lowest id first.
    Few(&'a [u32]),
}

impl Tokens<'_> {
    fn at(self, place: usize) -> u32 {
        match self {
            Tokens::All => place as u32,
            Tokens::Few(tokens) => tokens[place],
        }
    }
}

impl Default for Sampler {
    fn default() -> Sampler {
        let (allowed, logits, weights) = (Vec::new(), Vec::new(), Vec::new());
        Sampler { kernels: Kernels::detect(), allowed, logits, weights }
    }
}

impl Sampler {
    /// Chooses the token at `position` from `logits` `[vocab]`, among those that `next` leaves.
    ///
    /// # Errors
    ///
    /// [`EngineError::NonFinite`] if the logit of a token that may come is not a finite number,
    /// [`EngineError::GuideDeadEnd`] if nothing is allowed.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        next: &Next,
        sampling: &Sampling,
        position: usize,
    ) -> Result<Choice, EngineError> {
        if matches!(next, Next::Free) {
            check_finite(logits, Tokens::All, position)?;
            return self.choose_open(logits, Tokens::All, sampling, position);
        }
        self.collect_allowed(logits, next);
        let (allowed, open) = (std::mem::take(&mut self.allowed), std::mem::take(&mut self.logits));
        let choice = self.choose_of_few(&allowed, &open, sampling, position);
        (self.allowed, self.logits) = (allowed, open);
        choice
    }

    /// As [`Sampler::choose`], where `logits` are those of the allowed tokens `few` alone, lowest id first.
    ///
    /// # Errors
    ///
    /// As [`Sampler::choose`], of these logits.
    pub(crate) fn choose_of_few(
        &mut self,
        few: &[u32],
        logits: &[f32],
        sampling: &Sampling,
        position: usize,
    ) -> Result<Choice, EngineError> {
        check_finite(logits, Tokens::Few(few), position)?;
        self.choose_open(logits, Tokens::Few(few), sampling, position)
    }

    /// Chooses among `tokens`, all of which may come and whose logits are `open`.
    fn choose_open(
        &mut self,
        open: &[f32],
        tokens: Tokens<'_>,
        sampling: &Sampling,
        position: usize,
    ) -> Result<Choice, EngineError> {
        let best = first_largest(open).ok_or(EngineError::GuideDeadEnd { position })?;
        let top = open[best];
        let chosen = if sampling.temperature == 0.0 {
            best
        } else {
            self.draw(open, f64::from(top), sampling, position)
        };
        let log_total = f64::from(top) + self.kernels.sum_exp(open, top).ln();
        let logprob = |at: usize| (f64::from(open[at]) - log_total) as f32;
        let choices = match open.len() {
            n @ ..=MAX_CHOICES => (0..n).map(|at| (tokens.at(at), logprob(at))).collect(),
            _ => Vec::new(),
        };
        Ok(Choice { token: tokens.at(chosen), logprob: logprob(chosen), choices })
    }

    fn collect_allowed(&mut self, logits: &[f32], next: &Next) {
        let n_rows = logits.len() as u32;
        self.allowed.clear();
        match next {
            Next::Forbid(tokens) => self.collect_all_but(tokens, n_rows),
            Next::Allow(mask) => self.allowed.extend(mask.iter().take_while(|&t| t < n_rows)),
            // Nothing is collected where all may come; the others are followed before any logits exist.
            Next::Free | Next::Force(_) | Next::Stop | Next::Fail(_) => {}
        }
        self.logits.clear();
        self.logits.extend(self.allowed.iter().map(|&token| logits[token as usize]));
    }

    /// From one forbidden token to the next, for there may be a thousand of them among 200,000.
    fn collect_all_but(&mut self, forbidden: &[u32], n_rows: u32) {
        let mut forbidden: Vec<u32> =
            forbidden.iter().copied().filter(|&token| token < n_rows).collect();
        forbidden.sort_unstable();
        let mut start = 0;
        for token in forbidden {
            self.allowed.extend(start..token);
            start = token + 1;
        }
        self.allowed.extend(start..n_rows);
    }

    /// The place of a random one among those that may come; `max` is their largest logit.
    fn draw(&mut self, open: &[f32], max: f64, sampling: &Sampling, position: usize) -> usize {
        let temperature = f64::from(sampling.temperature);
        let weight = |(at, &logit): (usize, &f32)| {
            (((f64::from(logit) - max) / temperature).exp(), at as u32)
        };
        self.weights.clear();
        self.weights.extend(open.iter().enumerate().map(weight));
        if sampling.top_p < 1.0 {
            self.keep_nucleus(f64::from(sampling.top_p));
        }
        let total: f64 = self.weights.iter().map(|&(weight, _)| weight).sum();
        let mut left = random::uniform(sampling.seed, position) * total;
        for &(weight, at) in &self.weights {
            if left < weight {
                return at as usize;
            }
            left -= weight;
        }
        // Rounding can leave a crumb; it belongs to the last token that has any weight.
        let last = self.weights.iter().rev().find(|&&(weight, _)| weight > 0.0);
        last.expect("the token with the largest logit has weight 1").1 as usize
    }

    /// Keeps the fewest heaviest tokens that together hold `top_p` of the weight.
    fn keep_nucleus(&mut self, top_p: f64) {
        let total: f64 = self.weights.iter().map(|&(weight, _)| weight).sum();
        // Tokens below this hold at most 1 - top_p together, so none of them is needed: this
        // spares sorting a vocabulary of 200,000 tokens.
        let cut = total * (1.0 - top_p) / self.weights.len() as f64;
        self.weights.retain(|&(weight, _)| weight >= cut);
        self.weights.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut held = 0.0;
        let n_kept = self.weights.iter().position(|&(weight, _)| {
            held += weight;
            held >= top_p * total
        });
        self.weights.truncate(n_kept.map_or(self.weights.len(), |idx| idx + 1));
    }
}

fn check_finite(logits: &[f32], tokens: Tokens<'_>, position: usize) -> Result<(), EngineError> {
    match logits.iter().position(|logit| !logit.is_finite()) {
        None => Ok(()),
        Some(at) => {
            Err(EngineError::NonFinite { position, token: tokens.at(at), value: logits[at] })
        }
    }
}

/// The place of the largest, the first among equals.
fn first_largest(values: &[f32]) -> Option<usize> {
    // In lanes, so that it costs no time beside the network.
    let mut tops = [f32::NEG_INFINITY; 16];
    for values in values.chunks(tops.len()) {
        for (top, &value) in tops.iter_mut().zip(values) {
            *top = if value > *top { value } else { *top };
        }
    }
    let top = tops.into_iter().reduce(f32::max)?;
    values.iter().position(|&value| value == top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::TokenMask;

    const LOGITS: [f32; 6] = [0.5, 2.0, -1.0, 2.0, 1.0, 0.0];

    fn choose(next: Next, sampling: Sampling, position: usize) -> Result<Choice, EngineError> {
        Sampler::default().choose(&LOGITS, &next, &sampling, position)
    }

    #[test]
    fn greedy_takes_the_lowest_of_the_best() {
        let cases: [(Next, u32); 6] = [
            (Next::Free, 1),
            (Next::Forbid(vec![1]), 3),
            (Next::Forbid(vec![1, 3]), 4),
            (Next::Forbid(vec![99, 4, 3, 1, 3]), 0),
            (Next::Allow(TokenMask::of(&[2, 5])), 5),
            (Next::Allow(TokenMask::of(&[2, 99])), 2),
        ];
        for (next, expected) in cases {
            let choice = choose(next.clone(), Sampling::default(), 0).expect("something allowed");
            assert_eq!(choice.token, expected, "{next:?}");
        }
    }

    #[test]
    fn nothing_allowed_is_a_dead_end() {
        for next in [
            Next::Allow(TokenMask::new(6)),
            Next::Allow(TokenMask::of(&[6, 7])),
            Next::Forbid(vec![0, 1, 2, 3, 4, 5]),
        ] {
            let error = choose(next, Sampling::default(), 7).expect_err("nothing allowed");
            assert!(matches!(error, EngineError::GuideDeadEnd { position: 7 }));
        }
    }

    #[test]
    fn choices_are_log_probabilities_over_the_allowed() {
        let next = Next::Allow(TokenMask::of(&[0, 4]));
        let choice = choose(next, Sampling::default(), 0).expect("two allowed");
        // 0.5 against 1.0: the softmax of a difference of one half.
        let p = 1.0 / (1.0 + (-0.5f64).exp());
        let expected = [(0, (1.0 - p).ln() as f32), (4, p.ln() as f32)];
        for ((token, logprob), (expected_token, expected_logprob)) in
            choice.choices.iter().zip(expected)
        {
            assert_eq!(*token, expected_token);
            assert!((logprob - expected_logprob).abs() < 1e-6);
        }
        assert_eq!(choice.logprob, choice.choices[1].1);
    }

    #[test]
    fn a_single_choice_is_certain() {
        let next = Next::Allow(TokenMask::of(&[2]));
        let choice = choose(next, Sampling { temperature: 1.0, ..Sampling::default() }, 3);
        let choice = choice.expect("one allowed");
        assert_eq!((choice.token, choice.logprob, choice.choices), (2, 0.0, vec![(2, 0.0)]));
    }

    #[test]
    fn what_may_come_must_be_finite() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let logits = [1.0, value, 2.0];
            let choose = |next| Sampler::default().choose(&logits, &next, &Sampling::default(), 5);
            for next in [Next::Free, Next::Allow(TokenMask::of(&[0, 1])), Next::Forbid(vec![0])] {
                let error = choose(next).expect_err("not finite");
                assert!(matches!(error, EngineError::NonFinite { position: 5, token: 1, .. }));
            }
            // One rule with and without the other tokens' logits: what may not come is not looked at.
            assert_eq!(choose(Next::Forbid(vec![1])).expect("finite").token, 2);
        }
    }

    #[test]
    fn few_logits_give_the_choice_that_all_would() {
        let few = [0, 2, 3, 5];
        let logits = few.map(|token| LOGITS[token as usize]);
        for temperature in [0.0, 0.7, 3.0] {
            for position in 0..50 {
                let sampling = Sampling { temperature, top_p: 0.9, seed: 5 };
                let next = Next::Allow(TokenMask::of(&few));
                let of_all = choose(next, sampling, position).expect("some allowed");
                let of_few = Sampler::default().choose_of_few(&few, &logits, &sampling, position);
                assert_eq!(of_few.expect("some allowed"), of_all);
            }
        }
        let mut sampler = Sampler::default();
        let error = sampler.choose_of_few(&[], &[], &Sampling::default(), 4).expect_err("none");
        assert!(matches!(error, EngineError::GuideDeadEnd { position: 4 }));
        let error = sampler.choose_of_few(&[7, 9], &[0.0, f32::NAN], &Sampling::default(), 4);
        let error = error.expect_err("not finite");
        assert!(matches!(error, EngineError::NonFinite { position: 4, token: 9, .. }));
    }

    #[test]
    fn draws_follow_the_distribution() {
        let sampling = Sampling { temperature: 2.0, top_p: 1.0, seed: 11 };
        let weights = LOGITS.map(|logit| (f64::from(logit) / 2.0).exp());
        let total: f64 = weights.iter().sum();
        let n_draws = 20_000;
        let mut counts = [0usize; 6];
        for position in 0..n_draws {
            counts[choose(Next::Free, sampling, position).expect("free").token as usize] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            let p = weight / total;
            let deviation = (*count as f64 / f64::from(n_draws as u32) - p).abs();
            // Five standard deviations of a binomial share.
            assert!(deviation < 5.0 * (p * (1.0 - p) / f64::from(n_draws as u32)).sqrt());
        }
    }

    #[test]
    fn top_p_keeps_the_nucleus() {
        // Probabilities at temperature 1: 1 and 3 hold 0.36 each, 4 holds 0.13.
        for (top_p, kept) in [(0.3, vec![1]), (0.7, vec![1, 3]), (0.8, vec![1, 3, 4])] {
            let sampling = Sampling { temperature: 1.0, top_p, seed: 3 };
            let mut seen: Vec<u32> = (0..500)
                .map(|position| choose(Next::Free, sampling, position).expect("free").token)
                .collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, kept, "top_p {top_p}");
        }
    }

    #[test]
    fn a_tiny_temperature_is_greedy() {
        let sampling = Sampling { temperature: 1e-30, top_p: 0.9, seed: 1 };
        for position in 0..50 {
            let token = choose(Next::Forbid(vec![3]), sampling, position).expect("allowed").token;
            assert_eq!(token, 1);
        }
    }
}
