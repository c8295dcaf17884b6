//! Vectors as features: each number by its spread over the training, and the way back to raw weights.

use crate::encoder::Windows;
use crate::features::Feature;
use crate::head::DenseWeights;

/// A number that varies less over the training is taken to say nothing.
const MIN_SPREAD: f64 = 1e-6;

/// Where the numbers of the training's vectors lie.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standard {
    means: Vec<f64>,
    /// What a number's distance from its mean is multiplied by: a typical vector gets length 1. 0 for a number that
    /// hardly varies.
    factors: Vec<f64>,
}

impl Standard {
    /// Of vectors of `n_dims` numbers.
    pub(crate) fn new(texts: &[Windows], n_dims: usize) -> Standard {
        let n_vectors = texts.iter().map(Vec::len).sum::<usize>().max(1) as f64;
        let mut means = vec![0.0; n_dims];
        for vector in texts.iter().flatten() {
            means.iter_mut().zip(vector).for_each(|(mean, &x)| *mean += f64::from(x) / n_vectors);
        }
        let mut variances = vec![0.0; n_dims];
        for vector in texts.iter().flatten() {
            for ((variance, &x), mean) in variances.iter_mut().zip(vector).zip(&means) {
                *variance += (f64::from(x) - mean).powi(2) / n_vectors;
            }
        }
        let factor = |variance: f64| {
            let spread = variance.sqrt();
            if spread > MIN_SPREAD { 1.0 / (spread * (n_dims as f64).sqrt()) } else { 0.0 }
        };
        Standard { factors: variances.into_iter().map(factor).collect(), means }
    }

    /// A vector's numbers, standardised, as the slots from `first` on.
    pub(crate) fn features<'a>(
        &'a self,
        vector: &'a [f32],
        first: usize,
    ) -> impl Iterator<Item = Feature> + 'a {
        let numbers = vector.iter().zip(&self.means).zip(&self.factors);
        numbers.enumerate().map(move |(at, ((&x, mean), factor))| Feature {
            slot: (first + at) as u32,
            value: ((f64::from(x) - mean) * factor) as f32,
        })
    }

    /// Weights of standardised numbers as weights of raw ones.
    pub(crate) fn folded(&self, weights: &[f64]) -> DenseWeights {
        let raw: Vec<f64> =
            weights.iter().zip(&self.factors).map(|(w, factor)| w * factor).collect();
        let shift: f64 = raw.iter().zip(&self.means).map(|(w, mean)| w * mean).sum();
        DenseWeights { bias: -shift as f32, weights: raw.iter().map(|&w| w as f32).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_weights_give_what_standardised_ones_do() {
        let texts: Vec<Windows> = (0..20_u8)
            .map(|at| {
                let x = f32::from(at);
                vec![vec![x, 7.0, 3.0 - x * x], vec![(3.0 * x).sin(), 7.0, x]]
            })
            .collect();
        let standard = Standard::new(&texts, 3);
        let weights = [0.7, 5.0, -1.3];
        let folded = standard.folded(&weights);
        assert_eq!(folded.weights[1], 0.0, "a number that does not vary has no say");
        let mut squares = 0.0;
        for vector in texts.iter().flatten() {
            let features: Vec<Feature> = standard.features(vector, 10).collect();
            assert_eq!(features.iter().map(|f| f.slot).collect::<Vec<_>>(), [10, 11, 12]);
            squares += features.iter().map(|f| f64::from(f.value).powi(2)).sum::<f64>() / 40.0;
            let expected: f64 =
                features.iter().zip(weights).map(|(f, w)| f64::from(f.value) * w).sum();
            let raw: f32 = folded.weights.iter().zip(vector).map(|(w, x)| w * x).sum();
            assert!((f64::from(raw + folded.bias) - expected).abs() < 1e-4);
        }
        assert!((squares - 2.0 / 3.0).abs() < 1e-4, "two of three numbers vary: {squares}");
    }
}
