//! What a layer does to each number, in place and on the thread that calls.
//!
//! Candle's own go through one pool of threads that wait by spinning, one call at a time: batches that are computed side
//! by side would stand in line for it.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor, bail};

use super::config::Activation;

/// `x W^T + b`, by rows, bent if there is an activation.
pub(super) struct Line {
    /// `[n_in, n_out]`
    weight: Tensor,
    bias: Vec<f32>,
    activation: Option<Activation>,
}

impl Line {
    /// `weight` is `[n_out, n_in]` and `bias` `[n_out]`.
    pub(super) fn new(
        weight: &Tensor,
        bias: &Tensor,
        activation: Option<Activation>,
    ) -> Result<Line> {
        Ok(Line { weight: weight.t()?, bias: bias.to_vec1()?, activation })
    }

    /// `rows` is `[n_rows, n_in]`; the result `[n_rows, n_out]`.
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let out = rows.matmul(&self.weight)?;
        out.inplace_op1(self)?;
        Ok(out)
    }
}

impl InplaceOp1 for Line {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        for row in numbers(storage, layout)?.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(&self.bias).for_each(|(x, bias)| *x += bias);
            match self.activation {
                None => {}
                Some(Activation::Gelu) => row.iter_mut().for_each(|x| *x = gelu(*x)),
                Some(Activation::GeluTanh) => row.iter_mut().for_each(|x| *x = gelu_tanh(*x)),
                Some(Activation::Relu) => row.iter_mut().for_each(|x| *x = x.max(0.0)),
            }
        }
        Ok(())
    }
}

/// Adds another tensor of the same shape.
pub(super) struct Add;

impl InplaceOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(
        &self,
        storage: &mut CpuStorage,
        layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(other), Some((start, end))) =
            (other, other_layout.contiguous_offsets())
        else {
            bail!("a sum of something else than whole float32 tensors")
        };
        let sums = numbers(storage, layout)?.iter_mut().zip(&other[start..end]);
        sums.for_each(|(x, y)| *x += y);
        Ok(())
    }
}

fn numbers<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(all), Some((start, end))) => Ok(&mut all[start..end]),
        _ => bail!("not a whole float32 tensor"),
    }
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Hendrycks and Gimpel (2016), "Gaussian Error Linear Units", section 2.
fn gelu_tanh(x: f32) -> f32 {
    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

/// The error function as a fraction of polynomials, within 5e-7; without a branch, so that it is computed many at a time.
/// The coefficients are those of Eigen's `generic_fast_erf_float`.
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let above = [
        -2.726_142_3e-10_f32,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    let below =
        [-1.456_607_2e-5_f32, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let polynomial = |coefficients: &[f32]| coefficients.iter().fold(0.0, |sum, c| sum * x2 + c);
    x * polynomial(&above) / polynomial(&below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz and Stegun (1964), table 7.1.
    #[test]
    fn the_error_function_is_that_of_the_tables() {
        let table = [
            (0.0, 0.0),
            (0.1, 0.112_462_92),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (1.5, 0.966_105_1),
            (2.0, 0.995_322_3),
            (3.0, 0.999_977_9),
            (9.0, 1.0),
        ];
        for (x, expected) in table {
            assert!((erf(x) - expected).abs() < 5e-7, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + expected).abs() < 5e-7, "erf(-{x}) = {}", erf(-x));
        }
    }
}
