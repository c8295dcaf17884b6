//! What this machine could do at best, and how long a step would then take.

use std::fmt;
use std::time::Instant;

use kernels::{Arithmetic, Kernels, Pool};
use model::{Sums, Work};

/// Rates of this machine with all threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes read a second from memory.
    pub(super) read: f64,
    /// Operations a second in registers, in 32-bit floats.
    pub(super) exact: f64,
    /// The same in 8-bit integers.
    pub(super) int8: f64,
    /// The same in bfloat16.
    pub(super) bf16: f64,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Memory,
    Arithmetic,
}

/// More than the caches hold.
const SCANNED: usize = 1 << 30;
const N_ROUNDS: usize = 2_000_000;
/// The best of so many: whatever disturbs makes slower.
const N_TRIES: usize = 5;

impl Limits {
    pub(super) fn measure(kernels: &Kernels, pool: &Pool) -> Limits {
        // Pages that were never written are all the same page.
        let bytes = vec![1_u8; SCANNED];
        Limits {
            read: best(|| kernels.scan(pool, &bytes)),
            exact: best(|| kernels.burn(pool, Arithmetic::Exact, N_ROUNDS)),
            int8: best(|| kernels.burn(pool, Arithmetic::Int8, N_ROUNDS)),
            bf16: best(|| kernels.burn(pool, Arithmetic::Bf16, N_ROUNDS)),
        }
    }

    fn seconds(&self, sums: Sums) -> f64 {
        sums.flops
            / match sums.arithmetic {
                Arithmetic::Exact => self.exact,
                Arithmetic::Int8 => self.int8,
                Arithmetic::Bf16 => self.bf16,
            }
    }

    /// Seconds of a step of `n_rows` tokens that see `context` positions each, `n_logits` of which get logits.
    pub(super) fn step(
        &self,
        work: &Work,
        n_rows: usize,
        n_logits: usize,
        context: usize,
    ) -> (f64, Bound) {
        let reading = work.step_bytes(n_rows) / self.read;
        let body: f64 = work.body.iter().map(|&sums| self.seconds(sums)).sum();
        let row = body + self.seconds(work.attention(context));
        let multiplying = n_rows as f64 * row + n_logits as f64 * self.seconds(work.head);
        if reading > multiplying {
            (reading, Bound::Memory)
        } else {
            (multiplying, Bound::Arithmetic)
        }
    }
}

/// The best rate of `work`, which returns how much it did.
fn best(work: impl Fn() -> f64) -> f64 {
    let rate = || {
        let start = Instant::now();
        let amount = work();
        amount / start.elapsed().as_secs_f64()
    };
    (0..N_TRIES).map(|_| rate()).fold(0.0, f64::max)
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Memory => "memory",
            Bound::Arithmetic => "arithmetic",
        })
    }
}
