//! The tile instructions, for which stable Rust has no intrinsics.
//!
//! A tile is a register of 16 rows of 64 bytes. A thread that uses tiles first says how large they are
//! ([`with_tiles`]), and the process first asks the kernel for the room to save them in ([`ask_for_permission`]).

use std::arch::asm;

use crate::bf16::{Line, Slab, TILE_ROWS};
use crate::matrix::GROUP;
use crate::slab::WIDE;

/// Bytes of a row: 32 activations, a pair of inputs for 16 outputs, or 16 sums.
const ROW_BYTES: u16 = 64;

/// `arch_prctl` and its request for the state that a process has to ask for (Linux, `asm/prctl.h`).
const ARCH_PRCTL: i64 = 158;
const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
/// The number of the tiles' contents among the parts of a CPU's state.
const XFEATURE_XTILEDATA: u64 = 18;

/// The 64 bytes that `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight whole tiles. It lies in the program's image, so that no store to it can be thought useless and left out.
static WHOLE_TILES: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: first_eight(ROW_BYTES),
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

const _: () = assert!(
    TILE_ROWS == 16 && size_of::<Config>() == 64 && size_of::<Line>() == ROW_BYTES as usize
);

const fn first_eight(value: u16) -> [u16; 16] {
    [value, value, value, value, value, value, value, value, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Asks the kernel to let all threads of this process use tiles; whether it does. Without it the first tile
/// instruction ends the process.
pub(crate) fn ask_for_permission() -> bool {
    let refused: i64;
    // SAFETY: this request changes nothing but what the process may do; the two registers are the ones the kernel
    // overwrites.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => refused,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    refused == 0
}

/// Runs `task` on a thread whose tiles are set up. They are given back afterwards: a thread with tiles in use is slower
/// to put aside.
///
/// # Safety
/// The CPU has tiles and the kernel allowed them.
pub(crate) unsafe fn with_tiles(task: &mut dyn FnMut()) {
    // SAFETY: the caller's promise; all 64 bytes are a configuration by the manual.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &WHOLE_TILES, options(nostack, readonly)) };
    let _release = Release;
    task();
}

/// Gives the tiles back, on panics too.
struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        // SAFETY: only made where there are tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// `totals[r, n] += sum over k of x[r, k] * w[n, k]` for 16 rows and 32 outputs. For every group of 32 inputs the
/// products of even and of odd inputs are summed apart, in ascending order, and then go on top of the total.
///
/// # Safety
/// Inside [`with_tiles`], on a CPU with tiles of bfloat16. From `x` on there are 16 lines for each of `n_groups`
/// groups, `n_x` apart; the slab holds so many groups, at least one; `totals` is `[16, WIDE]`.
pub(crate) unsafe fn one_block(
    x: *const Line,
    n_x: usize,
    slab: &Slab,
    n_groups: usize,
    totals: *mut f32,
) {
    // SAFETY: the caller's promise; a slab's line and one of totals are two rows of a tile.
    unsafe {
        asm!(
            "tileloadd tmm0, [{totals} + {row}*2]",
            "tileloadd tmm1, [{totals} + {row}*2 + 64]",
            "2:",
            "tileloadd tmm4, [{x} + {row}]",
            "tileloadd tmm6, [{w} + {row}*2]",
            "tileloadd tmm7, [{w} + {row}*2 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {x}, {x_step}",
            "add {w}, {w_step}",
            "dec {n}",
            "jnz 2b",
            "tilestored [{totals} + {row}*2], tmm0",
            "tilestored [{totals} + {row}*2 + 64], tmm1",
            row = in(reg) u64::from(ROW_BYTES),
            x = inout(reg) x => _,
            x_step = in(reg) n_x * size_of::<Line>(),
            w = inout(reg) slab.cells.as_ptr() => _,
            w_step = const GROUP * WIDE * size_of::<u16>(),
            n = inout(reg) n_groups => _,
            totals = in(reg) totals,
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// As [`one_block`] for 32 rows: every tile that is loaded is used twice.
///
/// # Safety
/// As [`one_block`], with 32 lines a group and `totals` `[32, WIDE]`.
pub(crate) unsafe fn two_blocks(
    x: *const Line,
    n_x: usize,
    slab: &Slab,
    n_groups: usize,
    totals: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "tileloadd tmm0, [{totals} + {row}*2]",
            "tileloadd tmm1, [{totals} + {row}*2 + 64]",
            "tileloadd tmm2, [{totals} + {row}*2 + 2048]",
            "tileloadd tmm3, [{totals} + {row}*2 + 2112]",
            "2:",
            "tileloadd tmm4, [{x} + {row}]",
            "tileloadd tmm6, [{w} + {row}*2]",
            "tileloadd tmm7, [{w} + {row}*2 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{x} + {row} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {x}, {x_step}",
            "add {w}, {w_step}",
            "dec {n}",
            "jnz 2b",
            "tilestored [{totals} + {row}*2], tmm0",
            "tilestored [{totals} + {row}*2 + 64], tmm1",
            "tilestored [{totals} + {row}*2 + 2048], tmm2",
            "tilestored [{totals} + {row}*2 + 2112], tmm3",
            row = in(reg) u64::from(ROW_BYTES),
            x = inout(reg) x => _,
            x_step = in(reg) n_x * size_of::<Line>(),
            w = inout(reg) slab.cells.as_ptr() => _,
            w_step = const GROUP * WIDE * size_of::<u16>(),
            n = inout(reg) n_groups => _,
            totals = in(reg) totals,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// Multiplies empty tiles, four of them a round.
///
/// # Safety
/// Inside [`with_tiles`], on a CPU with tiles of bfloat16.
pub(crate) unsafe fn burn(n_rounds: usize) {
    // SAFETY: the caller's promise; only tiles change, and setting them up emptied them.
    unsafe {
        asm!(
            "test {n}, {n}",
            "jz 3f",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {n}",
            "jnz 2b",
            "3:",
            n = inout(reg) n_rounds => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            options(nostack, nomem),
        );
    }
}
