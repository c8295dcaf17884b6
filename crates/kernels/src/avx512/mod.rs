//! 16 lanes; twin of `scalar/`. The table exists only where the CPU has the set.

pub(crate) mod attend;
pub(crate) mod bf16;
pub(crate) mod ceiling;
pub(crate) mod product;
pub(crate) mod slab;
pub(crate) mod unpack;

use crate::dispatch::Kernels;
use crate::isa::Isa;

pub(crate) const KERNELS: Kernels = Kernels {
    isa: Isa::Avx512,
    unpack_mxfp4: unpack::mxfp4,
    unpack_bf16: unpack::bf16,
    unpack_f16: unpack::f16,
    fill: slab::fill,
    turn: slab::turn,
    accumulate: product::accumulate,
    scores: attend::scores,
    weigh: attend::weigh,
    mix: attend::mix,
    sum_exp: attend::sum_exp,
    dot: product::dot,
    add_scaled: product::add_scaled,
    burn: ceiling::burn,
    flops_a_round: ceiling::FLOPS,
    scan: ceiling::scan,
};
