//! Rotary embedding: frequencies with `YaRN`, and the rows of cosines and sines of positions.

use crate::config::RopeConfig;

/// The table of one network, made once.
#[derive(Clone, Debug)]
pub struct Rope {
    /// Radians a position, for each pair of elements.
    inverse: Vec<f32>,
    /// Factor on cosine and sine, on queries and keys alike.
    scale: f32,
}

impl Rope {
    /// The table for heads of `head_dim` elements.
    pub fn new(config: &RopeConfig, head_dim: usize) -> Rope {
        let (low, high) = ramp(config, head_dim);
        let inverse = (0..head_dim / 2).map(|pair| {
            let plain = config.theta.powf(-2.0 * pair as f64 / head_dim as f64);
            let share = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
            (plain * (1.0 - share) + plain / config.factor * share) as f32
        });
        let scale = if config.factor > 1.0 { 0.1 * config.factor.ln() + 1.0 } else { 1.0 };
        Rope { inverse: inverse.collect(), scale: scale as f32 }
    }

    /// Appends `head_dim / 2` cosines and sines of a position. The angle is a product in `f32`, as in
    /// every reference: exact angles differ by up to 3e-3 at the end of the context.
    pub fn push_row(&self, position: usize, cos: &mut Vec<f32>, sin: &mut Vec<f32>) {
        for inverse in &self.inverse {
            let angle = f64::from(position as f32 * inverse);
            cos.push(angle.cos() as f32 * self.scale);
            sin.push(angle.sin() as f32 * self.scale);
        }
    }

    /// Radians a position, pair by pair.
    pub fn inverse_frequencies(&self) -> &[f32] {
        &self.inverse
    }
}

/// Between which pairs the frequencies go over from plain to stretched.
fn ramp(config: &RopeConfig, head_dim: usize) -> (f64, f64) {
    let d = head_dim as f64;
    let pair_of = |turns: f64| {
        d * (config.original_len as f64 / (2.0 * std::f64::consts::PI * turns)).ln()
            / (2.0 * config.theta.ln())
    };
    let (mut low, mut high) = (pair_of(config.beta_fast), pair_of(config.beta_slow));
    if config.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(d - 1.0));
    if low == high { (low, high + 0.001) } else { (low, high) }
}
