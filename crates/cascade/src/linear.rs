//! Logistic regression on sparse rows, solved exactly enough that nothing depends on chance but the seed.
//!
//! Minimises `|w|²/2 + sum_i c_i ln(1 + exp(-y_i w·x_i))` through its dual, one row at a time: Yu, Huang
//! and Lin (2011), "Dual coordinate descent methods for logistic regression and maximum entropy models",
//! section 4, algorithm 5. The bias is a weight of a feature that is always 1, and is drawn to 0 with
//! the others.

use policy::eval::SplitMix;

use crate::features::Feature;

/// Sparse rows, one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    ends: Vec<usize>,
    features: Vec<Feature>,
}

impl Rows {
    /// Adds a row.
    pub fn push(&mut self, row: &[Feature]) {
        self.features.extend_from_slice(row);
        self.ends.push(self.features.len());
    }

    /// Multiplies what stands in the slots from `first` on.
    pub fn scale_from(&mut self, first: u32, factor: f32) {
        let scaled = self.features.iter_mut().filter(|feature| feature.slot >= first);
        scaled.for_each(|feature| feature.value *= factor);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The row at `at`, which is below [`Rows::len`].
    pub fn row(&self, at: usize) -> &[Feature] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.features[start..self.ends[at]]
    }
}

/// What a row should come out as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Its place among the rows.
    pub row: usize,
    /// On which side.
    pub is_positive: bool,
    /// How much it counts; 1 for an ordinary row.
    pub weight: f64,
}

/// How a fit is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitSettings {
    /// What a row of weight 1 costs beside the weights' own `|w|²/2`: higher follows the rows closer.
    pub cost: f64,
    /// Orders the rows.
    pub seed: u64,
    /// The largest violation of the optimum's condition (a log-odds) at which it stops.
    pub tolerance: f64,
    /// Stops there if it has not before; each pass takes all rows once.
    pub max_passes: usize,
}

impl Default for FitSettings {
    fn default() -> FitSettings {
        FitSettings { cost: 4.0, seed: 0, tolerance: 0.01, max_passes: 300 }
    }
}

/// A line through the space of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// One a slot.
    pub weights: Vec<f64>,
    /// Added always.
    pub bias: f64,
}

impl Linear {
    /// Log-odds of the positive side.
    pub fn margin(&self, row: &[Feature]) -> f64 {
        self.product(row) + self.bias
    }

    /// The same without the bias.
    pub fn product(&self, row: &[Feature]) -> f64 {
        row.iter().map(|f| self.weights[f.slot as usize] * f64::from(f.value)).sum()
    }

    fn add(&mut self, row: &[Feature], amount: f64) {
        for feature in row {
            self.weights[feature.slot as usize] += amount * f64::from(feature.value);
        }
        self.bias += amount;
    }
}

/// Fits the rows named by `targets`; slots are below `n_slots`.
pub fn fit(rows: &Rows, targets: &[Target], n_slots: usize, settings: &FitSettings) -> Linear {
    let mut linear = Linear { weights: vec![0.0; n_slots], bias: 0.0 };
    let mut duals: Vec<Dual> = targets
        .iter()
        .filter(|target| target.weight > 0.0)
        .map(|&target| Dual::new(target, rows.row(target.row), settings.cost))
        .collect();
    for dual in &duals {
        linear.add(rows.row(dual.row), dual.sign * dual.alpha);
    }
    let mut random = SplitMix::new(settings.seed);
    for _ in 0..settings.max_passes {
        random.shuffle(&mut duals);
        let mut worst = 0.0_f64;
        for dual in &mut duals {
            let row = rows.row(dual.row);
            let margin = dual.sign * linear.margin(row);
            worst = worst.max(dual.gradient(margin).abs());
            let change = dual.improve(margin);
            linear.add(row, dual.sign * change);
        }
        if worst <= settings.tolerance {
            break;
        }
    }
    linear
}

/// A row's variable: how hard it pulls, strictly between 0 and `cost`.
#[derive(Clone, Copy, Debug)]
struct Dual {
    row: usize,
    sign: f64,
    cost: f64,
    alpha: f64,
    square: f64,
}

impl Dual {
    /// Starts near 0, as the paper does.
    fn new(target: Target, row: &[Feature], cost: f64) -> Dual {
        let cost = cost * target.weight;
        let square = 1.0 + row.iter().map(|f| f64::from(f.value).powi(2)).sum::<f64>();
        let sign = if target.is_positive { 1.0 } else { -1.0 };
        Dual { row: target.row, sign, cost, alpha: (1e-3 * cost).min(1e-8), square }
    }

    /// 0 at the optimum: the log-odds that the pull stands for against those that the line gives.
    fn gradient(&self, margin: f64) -> f64 {
        (self.alpha / (self.cost - self.alpha)).ln() + margin
    }

    /// Minimises over this variable alone; how much it changed.
    ///
    /// The half of the interval that holds the optimum is walked from its own end, where Newton's steps
    /// on the logarithm converge (theorem 4 of the paper).
    fn improve(&mut self, margin: f64) -> f64 {
        let is_low = self.square * (0.5 * self.cost - self.alpha) + margin >= 0.0;
        let (from, pull) =
            if is_low { (self.alpha, margin) } else { (self.cost - self.alpha, -margin) };
        let mut z = from.min(0.5 * self.cost);
        for _ in 0..100 {
            let slope = (z / (self.cost - z)).ln() + self.square * (z - from) + pull;
            if slope.abs() < 1e-10 {
                break;
            }
            let bend = self.square + self.cost / (z * (self.cost - z));
            let next = z - slope / bend;
            z = if next <= 0.0 { 0.1 * z } else { next.min(0.5 * self.cost) };
        }
        let alpha = if is_low { z } else { self.cost - z };
        // Beyond the last bit before `cost` the pull would be infinite.
        let alpha = alpha.clamp(f64::MIN_POSITIVE, self.cost * (1.0 - f64::EPSILON));
        let change = alpha - self.alpha;
        self.alpha = alpha;
        change
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows of a seed with noise, so that no line parts the sides.
    fn noisy(seed: u64, n_rows: usize, n_slots: usize) -> (Rows, Vec<Target>) {
        let mut random = SplitMix::new(seed);
        let mut rows = Rows::default();
        let mut targets = Vec::new();
        for row in 0..n_rows {
            let features: Vec<Feature> = (0..n_slots as u32)
                .map(|slot| Feature { slot, value: (random.share() * 2.0 - 1.0) as f32 })
                .collect();
            let truth = features[0].value - 0.5 * features[1].value + random.share() as f32 - 0.5;
            rows.push(&features);
            targets.push(Target { row, is_positive: truth > 0.0, weight: 1.0 + (row % 3) as f64 });
        }
        (rows, targets)
    }

    /// The gradient of what is minimised, written down a second time.
    fn primal_gradient(rows: &Rows, targets: &[Target], linear: &Linear, cost: f64) -> f64 {
        let mut gradient = linear.weights.clone();
        gradient.push(linear.bias);
        for target in targets {
            let sign = if target.is_positive { 1.0 } else { -1.0 };
            let row = rows.row(target.row);
            let pull = cost * target.weight * sign / (1.0 + (sign * linear.margin(row)).exp());
            row.iter().for_each(|f| gradient[f.slot as usize] -= pull * f64::from(f.value));
            *gradient.last_mut().unwrap() -= pull;
        }
        gradient.iter().map(|g| g.abs()).fold(0.0, f64::max)
    }

    #[test]
    fn the_gradient_vanishes_at_the_fit() {
        for cost in [0.1, 1.0, 30.0] {
            let (rows, targets) = noisy(7, 200, 5);
            let settings =
                FitSettings { cost, tolerance: 1e-8, max_passes: 20_000, ..FitSettings::default() };
            let linear = fit(&rows, &targets, 5, &settings);
            let gradient = primal_gradient(&rows, &targets, &linear, cost);
            assert!(gradient < 1e-5, "cost {cost}: {gradient}");
        }
    }

    #[test]
    fn the_seed_only_changes_the_way_there() {
        let (rows, targets) = noisy(3, 120, 4);
        let settings =
            FitSettings { tolerance: 1e-7, max_passes: 20_000, ..FitSettings::default() };
        let one = fit(&rows, &targets, 4, &settings);
        let other = fit(&rows, &targets, 4, &FitSettings { seed: 99, ..settings });
        for (a, b) in one.weights.iter().zip(&other.weights) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        assert_eq!(one, fit(&rows, &targets, 4, &settings));
    }

    proptest! {
        #[test]
        fn no_cost_or_weight_breaks_it(cost in 1e-6..1e6_f64, weight in 0.0..1e4_f64, seed: u64) {
            let (rows, mut targets) = noisy(seed, 12, 3);
            targets.iter_mut().for_each(|target| target.weight *= weight);
            let linear = fit(&rows, &targets, 3, &FitSettings { cost, max_passes: 20, ..FitSettings::default() });
            prop_assert!(linear.weights.iter().all(|weight| weight.is_finite()) && linear.bias.is_finite());
        }
    }
}
