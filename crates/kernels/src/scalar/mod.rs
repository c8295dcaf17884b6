//! Plain Rust, short enough to check against the formats by eye; the twin of the vector folders.

pub(crate) mod attend;
pub(crate) mod bf16;
pub(crate) mod ceiling;
pub(crate) mod gate;
pub(crate) mod int8;
pub(crate) mod mxfp4;
pub(crate) mod product;
pub(crate) mod slab;
pub(crate) mod unpack;

use crate::dispatch::Kernels;
use crate::isa::Isa;
use crate::mxfp4::Direct;

pub(crate) const KERNELS: Kernels = Kernels {
    isa: Isa::Scalar,
    bf16_unit: "float32",
    unpack: mxfp4::UNPACK,
    direct: Direct::NONE,
    unpack_bf16: unpack::bf16,
    unpack_f16: unpack::f16,
    fill: Kernels::fill_by_rows,
    turn: slab::turn,
    accumulate: product::accumulate,
    round_int8: int8::round,
    accumulate_int8: int8::accumulate,
    round_bf16: bf16::round,
    fill_bf16: bf16::fill,
    accumulate_bf16: bf16::accumulate,
    around_bf16: bf16::around,
    scores: attend::scores,
    weigh: attend::weigh,
    mix: attend::mix,
    sum_exp: attend::sum_exp,
    swiglu: gate::swiglu,
    dot: product::dot,
    add_scaled: product::add_scaled,
    burn: ceiling::BURN,
    burn_int8: ceiling::BURN_INT8,
    burn_bf16: ceiling::BURN,
    scan: ceiling::scan,
};
