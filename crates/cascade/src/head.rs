//! What a filter has learned of one label: a weight for each n-gram's slot, and for each number of a vector.

use crate::dense::Standard;
use crate::features::Feature;
use crate::linear::Linear;

/// Slots that share one scale.
pub(crate) const SCALE_SLOTS: usize = 256;

/// One label's weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) bias: f32,
    /// For the slots of n-grams; empty if it reads none.
    pub(crate) slots: SlotWeights,
    /// For a vector, if it reads any.
    pub(crate) dense: Option<DenseWeights>,
}

/// Weights rounded to a byte.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SlotWeights {
    /// One for each [`SCALE_SLOTS`].
    pub(crate) scales: Vec<f32>,
    /// One a slot.
    pub(crate) weights: Vec<i8>,
}

/// Weights of a vector's numbers, as they come from the encoder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DenseWeights {
    /// Such that the mean vector of the training adds nothing.
    pub(crate) bias: f32,
    /// One for each number.
    pub(crate) weights: Vec<f32>,
}

impl Head {
    /// Of a line through `n_slots` slots and the standardised numbers behind them.
    pub(crate) fn new(linear: &Linear, n_slots: usize, standard: Option<&Standard>) -> Head {
        let (slots, dense) = linear.weights.split_at(n_slots);
        Head {
            bias: linear.bias as f32,
            slots: SlotWeights::rounded(slots),
            dense: standard.map(|standard| standard.folded(dense)),
        }
    }

    /// What n-grams add, in log-odds.
    pub(crate) fn of_slots(&self, features: &[Feature]) -> f64 {
        features.iter().map(|f| self.slots.weight(f.slot) * f64::from(f.value)).sum()
    }

    /// What a vector adds, in log-odds.
    pub(crate) fn of_vector(&self, vector: &[f32]) -> f64 {
        let Some(dense) = &self.dense else { return 0.0 };
        let products = dense.weights.iter().zip(vector).map(|(&w, &x)| f64::from(w) * f64::from(x));
        products.sum::<f64>() + f64::from(dense.bias)
    }
}

impl SlotWeights {
    /// Rounded to 127 steps either side of 0, each stretch of slots by its own largest weight.
    fn rounded(weights: &[f64]) -> SlotWeights {
        let mut rounded = SlotWeights::default();
        for stretch in weights.chunks(SCALE_SLOTS) {
            let largest = stretch.iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs()));
            let scale = (largest / 127.0) as f32;
            rounded.scales.push(scale);
            let step = if scale > 0.0 { 1.0 / f64::from(scale) } else { 0.0 };
            rounded.weights.extend(stretch.iter().map(|weight| (weight * step).round() as i8));
        }
        rounded
    }

    pub(crate) fn weight(&self, slot: u32) -> f64 {
        let slot = slot as usize;
        f64::from(self.scales[slot / SCALE_SLOTS]) * f64::from(self.weights[slot])
    }
}
