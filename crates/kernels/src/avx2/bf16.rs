//! Sums of products in bfloat16: the scalar twin with 8 lanes for the compiler to use, because there is no unit for them.

use crate::bf16::{Activations, Slab};
use crate::scalar;

/// As the scalar twin.
pub(crate) fn accumulate(x: Activations<'_>, slab: &Slab, totals: &mut [f32]) {
    // SAFETY: this table exists only where the CPU has AVX2.
    unsafe { accumulate_lanes(x, slab, totals) }
}

/// # Safety
/// AVX2.
#[target_feature(enable = "avx2")]
unsafe fn accumulate_lanes(x: Activations<'_>, slab: &Slab, totals: &mut [f32]) {
    scalar::bf16::accumulate(x, slab, totals);
}
