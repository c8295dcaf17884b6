//! Tiles of 16 rows (Intel AMX), for products in bfloat16; all else is as in `avx512/`.

pub(crate) mod bf16;
pub(crate) mod tile;

use std::sync::OnceLock;

use crate::isa::Isa;

/// Whether tiles can be used: the CPU has them, the kernel lets this process have them, and a product comes out right.
/// Asked once, before any other use.
pub(crate) fn works() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER
        .get_or_init(|| Isa::has_tiles() && tile::ask_for_permission() && bf16::product_is_right())
}
