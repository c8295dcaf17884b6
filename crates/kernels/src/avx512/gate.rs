//! The gate between the experts' two products: the plain one, compiled for vectors.

use crate::scalar;

/// As the scalar twin.
pub(crate) fn swiglu(gate_up: &[f32], limit: f32, out: &mut [f32]) {
    // SAFETY: this table exists only where the CPU has AVX-512.
    unsafe { swiglu_lanes(gate_up, limit, out) }
}

#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn swiglu_lanes(gate_up: &[f32], limit: f32, out: &mut [f32]) {
    scalar::gate::swiglu(gate_up, limit, out);
}
