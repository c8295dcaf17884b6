//! MXFP4 as products want it: the words of 32 outputs side by side, so that memory is read in one go and lanes need no
//! turning over.
//!
//! A checkpoint stores `[n_out, n_in / 32, 16]` bytes of two 4-bit values each, low half first, and a scale byte for each
//! group. Here a tile of [`WIDE`] outputs is `[n_in / 8, WIDE]` words of four such bytes; the scales follow behind all
//! tiles, `[tiles, n_in / 32, WIDE]`. The outputs that a last tile has too many are zero.

use crate::dispatch::Kernels;
use crate::int8::Activations;
use crate::matrix::{GROUP, Matrix, MatrixError, check};
use crate::pool::{Pool, SharedOut};
use crate::scalar::unpack::{FP4, scale};
use crate::slab::{Place, WIDE};

/// Bytes of one packed group: two 4-bit values a byte.
pub(crate) const GROUP_BYTES: usize = GROUP / 2;
/// Values of a word.
pub(crate) const EIGHT: usize = 8;
/// Bytes of a word.
pub(crate) const WORD: usize = EIGHT / 2;

/// How many bytes ahead memory is asked for tiles, one line at a time: they lie one behind the other, and what the CPU
/// fetches by itself ends with every page. Measured: 1 KB and 4 KB are too near, beyond 12 KB nothing is gained.
pub(crate) const AHEAD: usize = 12 << 10;

/// MXFP4 as a checkpoint stores it.
#[derive(Clone, Copy, Debug)]
pub struct StoredMxfp4<'a> {
    blocks: &'a [u8],
    scales: &'a [u8],
    n_out: usize,
    n_in: usize,
}

impl<'a> StoredMxfp4<'a> {
    /// `blocks` `[n_out, n_in/32, 16]`, low half first, `scales` `[n_out, n_in/32]`, each the exponent of a power of two
    /// with bias 127. Value 255 is for the loader to refuse.
    ///
    /// # Errors
    /// [`MatrixError::Group`] when `n_in` is no multiple of 32, [`MatrixError::Length`] otherwise.
    pub fn new(
        blocks: &'a [u8],
        scales: &'a [u8],
        n_out: usize,
        n_in: usize,
    ) -> Result<Self, MatrixError> {
        if !n_in.is_multiple_of(GROUP) {
            return Err(MatrixError::Group { n_in });
        }
        check(blocks, n_out, n_in / GROUP, GROUP_BYTES)?;
        check(scales, n_out, n_in / GROUP, 1)?;
        Ok(StoredMxfp4 { blocks, scales, n_out, n_in })
    }
}

/// What a table makes of the codes and scales of a place, `[n / 8, WIDE, 4]` and `[n / 32, WIDE]` bytes.
#[derive(Clone, Copy)]
pub(crate) struct Unpack {
    /// Codes as floats without their scale, `[n, WIDE]`.
    pub(crate) floats: fn(&[u8], &mut [f32]),
    /// Codes as raised integers, `[n / 4, WIDE, 4]`: see [`crate::int8`].
    pub(crate) integers: fn(&[u8], &mut [u8]),
    /// Codes with their scales as bfloat16, `[n / 2, WIDE, 2]`.
    pub(crate) pairs: fn(&[u8], &[u8], &mut [u16]),
    /// Scales as floats, `[n / 32, WIDE]`.
    pub(crate) scales: fn(&[u8], &mut [f32]),
}

/// The codes and scales of all inputs of one tile.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a> {
    /// `[n_in / 8, WIDE]` words.
    pub(crate) codes: &'a [u8],
    /// `[n_in / 32, WIDE]`
    pub(crate) scales: &'a [u8],
}

impl Codes<'_> {
    pub(crate) fn n_groups(self) -> usize {
        self.scales.len() / WIDE
    }
}

/// Rows `[n_in, n_rows]`, `n_rows`, the codes, totals `[n_rows, WIDE]`.
type ExactDirect = fn(&[f32], usize, Codes<'_>, &mut [f32]);
/// Activations in small integers, the codes, totals `[rows, WIDE]`.
type Int8Direct = fn(Activations<'_>, Codes<'_>, &mut [f32]);

/// What a table sums straight from codes where that is faster, of as many rows as are summed together; into totals that are
/// zero before.
#[derive(Clone, Copy)]
pub(crate) struct Direct {
    pub(crate) exact: Option<ExactDirect>,
    pub(crate) int8: Option<Int8Direct>,
}

impl Direct {
    pub(crate) const NONE: Direct = Direct { exact: None, int8: None };
}

impl Kernels {
    /// The bytes for [`Matrix::mxfp4`] of what a checkpoint stores.
    ///
    /// # Panics
    /// When `out` has another length than [`Matrix::mxfp4_len`] says.
    pub fn tile_mxfp4(&self, pool: &Pool, stored: StoredMxfp4<'_>, out: &mut [u8]) {
        let StoredMxfp4 { blocks, scales, n_out, n_in } = stored;
        let (n_codes, n_scales) = n_bytes(n_out, n_in).expect("it is in memory already");
        assert_eq!(out.len(), n_codes + n_scales, "out holds the matrix");
        let (out_codes, out_scales) = out.split_at_mut(n_codes);
        let (codes, spread) = (SharedOut::new(out_codes), SharedOut::new(out_scales));
        let (n_row, n_groups) = (n_in / GROUP * GROUP_BYTES, n_in / GROUP);
        pool.run(n_out.div_ceil(WIDE), &|tile| {
            // SAFETY: tiles lie inside and do not overlap, and each comes once.
            let (codes, spread) = unsafe {
                (
                    codes.range(tile * WIDE * n_row, WIDE * n_row),
                    spread.range(tile * WIDE * n_groups, WIDE * n_groups),
                )
            };
            let rows = tile * WIDE..n_out.min((tile + 1) * WIDE);
            let of = |bytes, n| rows_of(bytes, n, rows.clone());
            interleave::<WORD>(of(blocks, n_row), n_row, codes);
            interleave::<1>(of(scales, n_groups), n_groups, spread);
        });
    }
}

fn rows_of(bytes: &[u8], n_row: usize, rows: std::ops::Range<usize>) -> &[u8] {
    &bytes[rows.start * n_row..rows.end * n_row]
}

/// Rows of `n_row` bytes as `[n_row / N, WIDE, N]`; lanes without a row are zero.
fn interleave<const N: usize>(rows: &[u8], n_row: usize, out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<N>();
    let n_rows = rows.len().checked_div(n_row).unwrap_or(0);
    if n_rows < WIDE {
        out.fill([0; N]);
    }
    for (lane, row) in rows.chunks_exact(n_row.max(1)).enumerate() {
        for (word, line) in row.as_chunks::<N>().0.iter().zip(out.chunks_exact_mut(WIDE)) {
            line[lane] = *word;
        }
    }
}

/// Bytes of the codes and of the scales.
pub(crate) fn n_bytes(n_out: usize, n_in: usize) -> Option<(usize, usize)> {
    let n_cells = n_out.div_ceil(WIDE).checked_mul(WIDE)?.checked_mul(n_in)?;
    Some((n_cells / 2, n_cells / GROUP))
}

/// The codes of a place.
pub(crate) fn codes_at<'a>(w: &Matrix<'_>, codes: &'a [u8], place: Place) -> &'a [u8] {
    &codes[(place.row / WIDE * w.n_in + place.k) * WIDE / 2..][..place.n_k * WIDE / 2]
}

/// The scale bytes of a place.
pub(crate) fn scales_at<'a>(w: &Matrix<'_>, scales: &'a [u8], place: Place) -> &'a [u8] {
    &scales[(place.row / WIDE * w.n_in + place.k) / GROUP * WIDE..][..place.n_k / GROUP * WIDE]
}

/// One value.
pub(crate) fn value(codes: &[u8], scales: &[u8], n_in: usize, row: usize, k: usize) -> f32 {
    let (tile, lane) = (row / WIDE, row % WIDE);
    let word = (tile * n_in / EIGHT + k / EIGHT) * WIDE + lane;
    let byte = codes[word * WORD + k % EIGHT / 2];
    let code = if k.is_multiple_of(2) { byte & 15 } else { byte >> 4 };
    FP4[usize::from(code)] * scale(scales[(tile * n_in / GROUP + k / GROUP) * WIDE + lane])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::scalar;

    /// Bytes from a seed; scales up to the largest there are.
    fn noise(n: usize, seed: usize) -> Vec<u8> {
        (0..n).map(|at| ((at * 7919 + seed * 104_729) >> 3) as u8 % 255).collect()
    }

    #[test]
    fn twins_unpack_alike() {
        for (seed, kernels) in
            (0..60).flat_map(|seed| Isa::ALL.map(|isa| (seed, Kernels::with_isa(isa))))
        {
            let Some(kernels) = kernels else { continue };
            let n_k = GROUP * (1 + seed % 5);
            let codes = noise(n_k * WIDE / 2, seed);
            let mut scales = noise(n_k / GROUP * WIDE, seed + 1);
            if seed % 3 > 0 {
                // As those of weights are.
                scales.iter_mut().for_each(|scale| *scale = 100 + *scale % 28);
            }
            let (plain, own) = (scalar::mxfp4::UNPACK, kernels.unpack);
            let mut floats = [vec![0.0; n_k * WIDE], vec![1.0; n_k * WIDE]];
            (plain.floats)(&codes, &mut floats[0]);
            (own.floats)(&codes, &mut floats[1]);
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&floats[0]), bits(&floats[1]), "floats {seed} {kernels:?}");
            let mut factors = [vec![0.0; scales.len()], vec![1.0; scales.len()]];
            (plain.scales)(&scales, &mut factors[0]);
            (own.scales)(&scales, &mut factors[1]);
            assert_eq!(bits(&factors[0]), bits(&factors[1]), "scales {seed} {kernels:?}");
            let mut integers = [vec![0; n_k * WIDE], vec![1; n_k * WIDE]];
            (plain.integers)(&codes, &mut integers[0]);
            (own.integers)(&codes, &mut integers[1]);
            assert_eq!(integers[0], integers[1], "integers {seed} {kernels:?}");
            let mut pairs = [vec![0; n_k * WIDE], vec![1; n_k * WIDE]];
            (plain.pairs)(&codes, &scales, &mut pairs[0]);
            (own.pairs)(&codes, &scales, &mut pairs[1]);
            for (a, b) in pairs[0].iter().zip(&pairs[1]) {
                // Of zeros one twin keeps the sign.
                assert!(a == b || (a | b) & 0x7fff == 0, "pairs {seed} {kernels:?}: {a:x} {b:x}");
            }
        }
    }

    #[test]
    fn a_last_tile_is_filled_up_with_nothing() {
        let (n_out, n_in) = (WIDE + 3, 2 * GROUP);
        let (blocks, scales) = (noise(n_out * n_in / 2, 1), noise(n_out * n_in / GROUP, 2));
        let stored = StoredMxfp4::new(&blocks, &scales, n_out, n_in).expect("the shape fits");
        let mut out = vec![7; Matrix::mxfp4_len(n_out, n_in).expect("it is small")];
        Kernels::detect().tile_mxfp4(&Pool::new(2), stored, &mut out);
        let (codes, spread) = out.split_at(n_bytes(n_out, n_in).expect("it is small").0);
        let is_empty = |bytes: &[u8], n: usize| {
            let mut lines = bytes[bytes.len() / 2..].chunks_exact(WIDE * n);
            lines.all(|line| line[3 * n..].iter().all(|byte| *byte == 0))
        };
        assert!(is_empty(codes, WORD) && is_empty(spread, 1));
        for (row, k) in [(0, 0), (31, 63), (32, 1), (34, 40)] {
            let byte = blocks[(row * n_in + k) / 2];
            let code = if k % 2 == 0 { byte & 15 } else { byte >> 4 };
            let expected = FP4[usize::from(code)] * scale(scales[(row * n_in + k) / GROUP]);
            assert_eq!(value(codes, spread, n_in, row, k), expected, "{row} {k}");
        }
    }
}
