//! The table of one instruction set's kernels, chosen once and passed down by reference.

use crate::bf16;
use crate::ceiling::Burn;
use crate::int8::{Activations, Rounded, Weights};
use crate::isa::Isa;
use crate::matrix::Matrix;
use crate::mxfp4::{Direct, Unpack};
use crate::scalar;
use crate::slab::{Place, Slab};

/// Queries, head size, keys, scale, out, floats between heads in `out`.
type Scores = fn(&[f32], usize, &[f32], f32, &mut [f32], usize);

/// The kernels of one instruction set.
///
/// Exact and 8-bit products and attention add in one order in every table, so their bits are the same; products in
/// bfloat16 differ by rounding.
#[derive(Clone, Copy)]
pub struct Kernels {
    pub(crate) isa: Isa,
    pub(crate) bf16_unit: &'static str,
    /// Tiles of MXFP4 into what the sums of each arithmetic want.
    pub(crate) unpack: Unpack,
    /// Sums of few rows straight from such tiles, where that is faster.
    pub(crate) direct: Direct,
    /// Little-endian bfloat16 into `f32`.
    pub(crate) unpack_bf16: fn(&[u8], &mut [f32]),
    /// Little-endian IEEE half into `f32`.
    pub(crate) unpack_f16: fn(&[u8], &mut [f32]),
    /// Fills a slab from its place in a matrix, and asks the memory for bytes that are needed next.
    pub(crate) fill: fn(&Kernels, &Matrix<'_>, Place, &[u8], &mut Slab),
    /// Rows of a slab, `[WIDE, DEEP]`, as its cells; so many inputs of them.
    pub(crate) turn: fn(&[f32], usize, &mut [f32]),
    /// Rows `[n_k, n_r]`, `n_r`, by a slab, on top of totals `[n_r, WIDE]`.
    pub(crate) accumulate: fn(&[f32], usize, &Slab, &mut [f32]),
    /// Rounds a row of activations to small integers, a value and the next so many places apart.
    pub(crate) round_int8: fn(&[f32], Rounded<'_>, usize),
    /// Activations by weights in small integers, on top of totals `[rows, WIDE]`.
    pub(crate) accumulate_int8: fn(Activations<'_>, Weights<'_>, &mut [f32]),
    /// Rounds a row of activations to bfloat16, into lines so many lines apart.
    pub(crate) round_bf16: fn(&[f32], &mut [bf16::Line], usize),
    /// Fills `DEEP` inputs of a slab of bfloat16 from their place in a matrix of it, and asks the memory for what is next.
    pub(crate) fill_bf16: fn(&Matrix<'_>, Place, &[u8], &mut [u16]),
    /// Activations by weights in bfloat16, on top of totals `[rows, WIDE]` of whole tiles of rows.
    pub(crate) accumulate_bf16: fn(bf16::Activations<'_>, &bf16::Slab, &mut [f32]),
    /// Runs a task with the unit switched on that these sums need.
    pub(crate) around_bf16: fn(&mut dyn FnMut()),
    /// Queries by a block's keys, scaled.
    pub(crate) scores: Scores,
    /// Scores into weights, beside a sink.
    pub(crate) weigh: fn(&mut [f32], f32),
    /// `sum of exp(x - top)`
    pub(crate) sum_exp: fn(&[f32], f32) -> f32,
    /// Weights, floats between heads in them, values, head size: mixed on top of `out`.
    pub(crate) mix: fn(&[f32], usize, &[f32], usize, &mut [f32]),
    /// Gate and up in turns, where both are clamped, out.
    pub(crate) swiglu: fn(&[f32], f32, &mut [f32]),
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
    /// `out += factor * x`
    pub(crate) add_scaled: fn(&mut [f32], f32, &[f32]),
    /// What products do, with nothing around it: exact ones, those of 8-bit integers, and those in bfloat16.
    pub(crate) burn: Burn,
    pub(crate) burn_int8: Burn,
    pub(crate) burn_bf16: Burn,
    /// Reads bytes, a multiple of 1,024 of them.
    pub(crate) scan: fn(&[u8]) -> u64,
}

impl Kernels {
    /// The best table for this CPU. `SAFEGUARD_ISA` = `scalar`, `avx2`, `avx512` or `amx` may lower the
    /// choice; it never raises it, and other values change nothing.
    pub fn detect() -> Kernels {
        let best = Isa::best();
        let wanted = std::env::var("SAFEGUARD_ISA").ok().and_then(|name| Isa::from_name(&name));
        let isa = wanted.map_or(best, |isa| isa.min(best));
        Kernels::with_isa(isa).expect("a lower instruction set is present when a higher one is")
    }

    /// The table of `isa`; `None` when this CPU lacks it.
    pub fn with_isa(isa: Isa) -> Option<Kernels> {
        isa.is_present().then(|| Kernels::table(isa))
    }

    /// What sums products in bfloat16 here: sums of other units differ by their rounding.
    pub fn bf16_unit(&self) -> &'static str {
        self.bf16_unit
    }

    /// Which instruction set this table uses.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    fn table(isa: Isa) -> Kernels {
        match isa {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Isa::Amx => Kernels {
                isa,
                bf16_unit: "tiles",
                accumulate_bf16: crate::amx::bf16::accumulate,
                around_bf16: crate::amx::bf16::around,
                burn_bf16: crate::amx::bf16::BURN,
                ..Kernels::table(Isa::Avx512)
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                let mut kernels = crate::avx512::KERNELS;
                // The first CPUs with AVX-512 lack the sums of products of small numbers, the next ones tables of bytes.
                if !Isa::has_vnni() {
                    kernels.accumulate_int8 = crate::avx2::int8::accumulate;
                    kernels.burn_int8 = crate::avx2::ceiling::BURN_INT8;
                }
                if !Isa::has_vbmi() {
                    kernels.direct.int8 = None;
                }
                if !Isa::has_bf16() {
                    kernels.bf16_unit = "float32";
                    kernels.accumulate_bf16 = crate::avx2::bf16::accumulate;
                    kernels.burn_bf16 = kernels.burn;
                }
                kernels
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => crate::avx2::KERNELS,
            _ => scalar::KERNELS,
        }
    }
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({})", self.isa)
    }
}
