//! Rotary position embedding with YaRN scaling (Peng et al. 2023, arXiv 2309.00071).
//!
//! It makes tables of cosines and sines; the rotation itself is `Kernels::rope`.

use crate::config::Config;

/// The frequencies of one network.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    /// Radians a position, `[head_dim / 2]`.
    inv_freq: Vec<f32>,
    /// Multiplies cosines and sines, so that scores grow by its square.
    magnitude: f32,
}

impl Rope {
    /// Frequencies that turn often within the original context stay, those that turn hardly once
    /// are divided by the factor, and between the two lies a linear blend.
    pub(crate) fn new(config: &Config) -> Rope {
        let rope = &config.rope;
        let dim = config.head_dim as f64;
        let index_of = |turns: f64| {
            let wavelength = rope.original_len / (turns * std::f64::consts::TAU);
            dim * wavelength.ln() / (2.0 * rope.theta.ln())
        };
        let (mut low, mut high) = (index_of(rope.beta_fast), index_of(rope.beta_slow));
        if rope.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        // The upper limit is `dim - 1` although there are only `dim / 2` frequencies: so do all
        // published implementations, and the blend depends on it.
        (low, high) = (low.max(0.0), high.min(dim - 1.0));
        if low == high {
            high += 0.001;
        }
        let inv_freq = (0..config.head_dim / 2).map(|i| {
            let plain = rope.theta.powf(-2.0 * i as f64 / dim);
            let blend = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            (plain * (1.0 - blend) + plain / rope.factor * blend) as f32
        });
        let magnitude = if rope.factor > 1.0 { 0.1 * rope.factor.ln() + 1.0 } else { 1.0 };
        Rope { inv_freq: inv_freq.collect(), magnitude: magnitude as f32 }
    }

    /// Cosines and sines `[n_rows, head_dim / 2]` of the positions.
    ///
    /// The angle is a product of `f32`: references form it so, and at long contexts an exact angle
    /// would differ from theirs.
    pub(crate) fn table(&self, positions: &[usize], cos: &mut Vec<f32>, sin: &mut Vec<f32>) {
        cos.clear();
        sin.clear();
        for &position in positions {
            for &inv_freq in &self.inv_freq {
                let (s, c) = (position as f32 * inv_freq).sin_cos();
                cos.push(c * self.magnitude);
                sin.push(s * self.magnitude);
            }
        }
    }
}
