//! The gate between the experts' two products.

use super::attend::exp;

/// Slope inside the gate's sigmoid (gpt-oss; not in the published configuration).
const SWIGLU_ALPHA: f32 = 1.702;

/// `out = gate * sigmoid(alpha * gate) * (up + 1)`; gate and up come in turns, the gate clamped above, `up` on both
/// sides. Inlined into the vector twins, which the compiler makes of it.
#[inline(always)]
pub(crate) fn swiglu(gate_up: &[f32], limit: f32, out: &mut [f32]) {
    for ([gate, up], out) in gate_up.as_chunks::<2>().0.iter().zip(out) {
        // Written so that what is no number stays none.
        let gate = if *gate > limit { limit } else { *gate };
        let up = if *up > limit { limit } else { *up };
        let up = if up < -limit { -limit } else { up };
        let slope = SWIGLU_ALPHA * gate;
        // The sigmoid by the power that cannot overflow.
        let power = exp(-slope.abs());
        let share = if slope < 0.0 { power } else { 1.0 };
        *out = gate * (share / (1.0 + power)) * (up + 1.0);
    }
}
