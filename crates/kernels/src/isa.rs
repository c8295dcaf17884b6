//! Which instruction sets there are and which of them this CPU has: the only file that asks the CPU.

use std::fmt;

/// An instruction set with its own kernels, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust; every CPU.
    Scalar,
    /// 8 lanes, with FMA and F16C.
    Avx2,
    /// 16 lanes (AVX-512 F, BW, VL).
    Avx512,
    /// Those, and tiles of bfloat16.
    Amx,
}

/// The bits of AMX's tiles, and of their products in bfloat16, in CPUID 7.0, EDX.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const AMX_TILE: u32 = 1 << 24;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const AMX_BF16: u32 = 1 << 22;
/// The leaf of CPUID that says how large tiles are.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const TILE_LEAF: u32 = 0x1d;
/// What the system saves of tiles, in XCR0: how they are set up, and their contents.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const XCR0_TILES: u64 = 0b11 << 17;

impl Isa {
    /// All of them, weakest first.
    pub const ALL: [Isa; 4] = [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Amx];

    /// The strongest that this CPU has.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_present()).expect("scalar is always present")
    }

    /// Whether this CPU has it.
    pub fn is_present(self) -> bool {
        match self {
            Isa::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_present()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Isa::Amx => crate::amx::works(),
            #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
            _ => false,
        }
    }

    /// Whether this CPU sums products of bfloat16 in vectors of 512 bits.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_bf16() -> bool {
        Isa::Avx512.is_present() && is_x86_feature_detected!("avx512bf16")
    }

    /// Whether this CPU sums products of 8-bit integers in vectors of 512 bits.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_vnni() -> bool {
        is_x86_feature_detected!("avx512vnni")
    }

    /// Whether this CPU finds bytes in a table of 64, and has [`Isa::has_vnni`] too.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_vbmi() -> bool {
        Isa::has_vnni() && is_x86_feature_detected!("avx512vbmi")
    }

    /// Whether this CPU multiplies tiles of bfloat16, eight of 16 rows of 64 bytes, and the system saves them. The
    /// process has yet to ask for them.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn has_tiles() -> bool {
        use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
        if !Isa::Avx512.is_present() || __cpuid(0).eax < TILE_LEAF {
            return false;
        }
        let features = __cpuid_count(7, 0).edx;
        let sizes = __cpuid_count(TILE_LEAF, 1);
        let (tile_bytes, row_bytes) = (sizes.eax >> 16, sizes.ebx & 0xffff);
        let (n_tiles, n_rows) = (sizes.ebx >> 16, sizes.ecx & 0xffff);
        // SAFETY: where AVX-512 is present the system has switched this instruction on.
        let saved = unsafe { _xgetbv(0) };
        features & AMX_TILE != 0
            && features & AMX_BF16 != 0
            && (tile_bytes, row_bytes, n_rows) == (1024, 64, 16)
            && n_tiles >= 8
            && saved & XCR0_TILES == XCR0_TILES
    }

    /// The set of that name (`scalar`, `avx2`, `avx512`, `amx`).
    pub fn from_name(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.to_string() == name)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        })
    }
}
