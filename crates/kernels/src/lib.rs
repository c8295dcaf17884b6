//! Vector and matrix arithmetic of the gpt-oss architecture: the only home of SIMD.
//!
//! It knows numbers and layouts, never what they mean. [`Kernels`] is the table of one instruction
//! set, made once at start (`dispatch.rs`, after asking the CPU in `isa.rs`); [`Kernels::matmul`] is
//! the one matrix product (`recipe.rs` is what arithmetics differ in, `slab.rs` what weights are unpacked into) and [`Kernels::attend`] the one attention.
//! `scalar/` is the plain twin of `avx2/` and `avx512/`: same file names, same function names. `amx/` adds tiles to the
//! last of them.
//!
//! Every result is a fixed sum: a row gives the same bits alone or in any batch, with any number of
//! threads, and however the keys and values before it are cut into runs.
#![allow(unsafe_code, reason = "vector loads and stores, and one output shared by threads")]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod arithmetic;
mod attend;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod ceiling;
mod dispatch;
mod exact;
mod int8;
mod isa;
mod matmul;
mod matrix;
mod mxfp4;
mod pointwise;
mod pool;
mod recipe;
mod scalar;
mod slab;

/// Raised whenever a sum here changes its order: numbers computed before are then not those computed now.
pub const ARITHMETIC: u32 = 4;

pub use arithmetic::Arithmetic;
pub use attend::{BLOCK, Run};
pub use dispatch::Kernels;
pub use isa::Isa;
pub use matmul::Product;
pub use matrix::{GROUP, Matrix, MatrixError, NAN_SCALE, TILE};
pub use mxfp4::StoredMxfp4;
pub use pool::Pool;
