//! What happens to single rows between the products: norm, rotation, gate, softmax.

use crate::dispatch::Kernels;

/// Numbers that are summed in `f32` before their sum goes into an `f64`.
const SUMMED: usize = 1024;

impl Kernels {
    /// `out = x / sqrt(mean(x²) + eps) * weight`
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        assert!(x.len() == weight.len() && x.len() == out.len());
        let mean = (self.dot)(x, x) / x.len() as f32;
        let scale = 1.0 / (mean + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }

    /// Rotates one head `[d]` in place: element `i` pairs with `i + d/2`; `cos` and `sin` are `[d/2]`.
    ///
    /// # Panics
    /// When the tables are not half as long as the head.
    pub fn rope(&self, x: &mut [f32], cos: &[f32], sin: &[f32]) {
        assert!(x.len() == 2 * cos.len() && cos.len() == sin.len());
        let (low, high) = x.split_at_mut(cos.len());
        for (((a, b), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }

    /// The clamped gate of the experts: `gate_up` holds gate and up in turns, `out` is half as long.
    /// The gate is clamped above, `up` on both sides. The same bits in every table.
    ///
    /// # Panics
    /// When `gate_up` is not twice as long as `out`.
    pub fn swiglu(&self, gate_up: &[f32], limit: f32, out: &mut [f32]) {
        assert_eq!(gate_up.len(), 2 * out.len());
        (self.swiglu)(gate_up, limit, out);
    }

    /// `sum of exp(x - top)`, where `top` is the largest of `x`; the same bits in every table.
    pub fn sum_exp(&self, x: &[f32], top: f32) -> f64 {
        x.chunks(SUMMED).map(|x| f64::from((self.sum_exp)(x, top))).sum()
    }

    /// Softmax in place.
    pub fn softmax(&self, x: &mut [f32]) {
        let top = x.iter().fold(f32::NEG_INFINITY, |top, &value| top.max(value));
        let mut total = 0.0;
        for value in x.iter_mut() {
            *value = (*value - top).exp();
            total += *value;
        }
        for value in x {
            *value /= total;
        }
    }

    /// `out += factor * x`
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn add_scaled(&self, out: &mut [f32], factor: f32, x: &[f32]) {
        assert_eq!(out.len(), x.len());
        (self.add_scaled)(out, factor, x);
    }
}
