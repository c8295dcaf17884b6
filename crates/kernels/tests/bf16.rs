//! Products in bfloat16: near the exact ones by what rounding allows, and a row's bits in any company.

use kernels::{Arithmetic, GROUP, Kernels, Matrix, Pool, Product};
use proptest::prelude::*;

mod numbers;
use numbers::{bits, bytes, eights, noise, tables, tiled};

fn product(
    kernels: &Kernels,
    threads: &Pool,
    x: &[f32],
    w: Matrix<'_>,
    arithmetic: Arithmetic,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len() / w.n_in() * w.n_out()];
    kernels.matmul(threads, Product { x, w, bias: None, out: &mut out, arithmetic });
    out
}

/// The same on one thread, activations rounded.
fn rounded(kernels: &Kernels, x: &[f32], w: Matrix<'_>) -> Vec<f32> {
    product(kernels, &Pool::new(1), x, w, Arithmetic::Bf16)
}

/// The nearest number with eight digits in base 2.
fn nearest(value: f32) -> f32 {
    if value == 0.0 {
        return value;
    }
    let digit = 2.0_f64.powf(f64::from(value.abs()).log2().floor() - 7.0);
    ((f64::from(value) / digit).round_ties_even() * digit) as f32
}

/// How far a sum may be from the exact one. No product is rounded; of the additions every one is, by half of the last
/// place, and a term goes through those of its group and those of the groups. Numbers below the smallest normal one
/// may be lost.
fn slack(x: &[f32], w: &[f32]) -> f64 {
    let size: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x).abs() * f64::from(*w).abs()).sum();
    let n_additions = GROUP + x.len().div_ceil(GROUP);
    let lost = 8.0 * x.len() as f64 * f64::from(f32::MIN_POSITIVE);
    1.000_1 * n_additions as f64 * f64::from(f32::EPSILON) / 2.0 * size + lost
}

/// Stored bfloat16, about as large as activations.
fn dense(n: usize, seed: u64) -> Vec<u8> {
    noise(n, seed).iter().flat_map(|w| ((w.to_bits() >> 16) as u16).to_le_bytes()).collect()
}

struct Case {
    x: Vec<f32>,
    bf16: Vec<u8>,
    mxfp4: Vec<u8>,
    n_out: usize,
    n_in: usize,
}

impl Case {
    /// `n_in` inputs; MXFP4 gets those of whole groups.
    fn new(n_rows: usize, n_out: usize, n_in: usize, seed: u64) -> Case {
        let groups = n_in.div_ceil(GROUP);
        let blocks = bytes(n_out * groups * GROUP / 2, seed ^ 3);
        // Those that weights have, or any.
        let scales: Vec<u8> = bytes(n_out * groups, seed ^ 5)
            .iter()
            .map(|byte| if seed.is_multiple_of(2) { 100 + byte % 28 } else { byte % 130 })
            .collect();
        Case {
            x: noise(n_rows * groups * GROUP, seed),
            bf16: dense(n_out * n_in, seed ^ 2),
            mxfp4: tiled(&blocks, &scales, n_out, groups * GROUP),
            n_out,
            n_in,
        }
    }

    /// Rows and the matrix that they meet.
    fn products(&self, n_rows: usize) -> [(&[f32], Matrix<'_>); 2] {
        let Case { x, bf16, mxfp4, n_out, n_in } = self;
        let n_whole = n_in.next_multiple_of(GROUP);
        [
            (x, Matrix::mxfp4(mxfp4, *n_out, n_whole).expect("the shape fits")),
            (&x[..n_rows * n_in], Matrix::bf16(bf16, *n_out, *n_in).expect("the shape fits")),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn near_the_exact_product_of_rounded_activations(n_rows in 1_usize..41, n_out in 1_usize..70, n_in in 1_usize..300, seed in any::<u64>()) {
        let case = Case::new(n_rows, n_out, n_in, seed);
        for kernels in tables() {
            for (x, w) in case.products(n_rows) {
                let out = rounded(&kernels, x, w);
                for (x, out) in x.chunks_exact(w.n_in()).zip(out.chunks_exact(n_out)) {
                    let x: Vec<f32> = x.iter().map(|x| nearest(*x)).collect();
                    for (n, &value) in out.iter().enumerate() {
                        let mut row = vec![0.0; w.n_in()];
                        kernels.unpack_rows(&w, n, &mut row);
                        let exact: f64 = x.iter().zip(&row).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                        let off = (f64::from(value) - exact).abs();
                        prop_assert!(off <= slack(&x, &row), "{kernels:?}: {value} for {exact}, {} allowed", slack(&x, &row));
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_any_batch(n_rows in 2_usize..41, n_out in 1_usize..70, n_in in 1_usize..300, seed in any::<u64>()) {
        let case = Case::new(n_rows, n_out, n_in, seed);
        let two = Pool::new(2);
        for kernels in tables() {
            for (x, w) in case.products(n_rows) {
                let together = product(&kernels, &two, x, w, Arithmetic::Bf16);
                for (x, together) in x.chunks_exact(w.n_in()).zip(together.chunks_exact(n_out)) {
                    prop_assert_eq!(bits(&rounded(&kernels, x, w)), bits(together), "{:?}", kernels);
                }
            }
        }
    }
}

#[test]
fn formats_that_would_have_to_be_rounded_are_multiplied_exactly() {
    let (n_rows, n_out, n_in) = (5, 40, 96);
    let x = noise(n_rows * n_in, 1);
    let floats: Vec<u8> = noise(n_out * n_in, 2).iter().flat_map(|w| w.to_le_bytes()).collect();
    let w = Matrix::f32(&floats, n_out, n_in).expect("the shape fits");
    let int8 = eights(&Kernels::detect(), &w);
    let half = floats[..n_out * n_in * 2].chunks(2).flat_map(|cell| [cell[0], cell[1] & 0xbb]);
    let half: Vec<u8> = half.collect();
    for kernels in tables() {
        for w in [
            w,
            Matrix::int8(&int8, n_out, n_in).expect("the shape fits"),
            Matrix::f16(&half, n_out, n_in).expect("the shape fits"),
        ] {
            let exact = product(&kernels, &Pool::new(1), &x, w, Arithmetic::Exact);
            assert_eq!(bits(&rounded(&kernels, &x, w)), bits(&exact), "{kernels:?}");
        }
    }
}

#[test]
fn what_is_no_number_stays_in_its_row_and_its_output() {
    let (n_rows, n_out, n_in) = (20, 35, 40);
    let mut x = noise(n_rows * n_in, 3);
    x[7 * n_in + 39] = f32::NAN;
    let mut stored = dense(n_out * n_in, 4);
    let at = (33 * n_in + 2) * 2;
    stored[at..at + 2].copy_from_slice(&0x7fc0_u16.to_le_bytes());
    let w = Matrix::bf16(&stored, n_out, n_in).expect("the shape fits");
    for kernels in tables() {
        let out = rounded(&kernels, &x, w);
        for (at, value) in out.iter().enumerate() {
            let touched = at / n_out == 7 || at % n_out == 33;
            assert_eq!(
                value.is_nan(),
                touched,
                "{kernels:?} row {} output {}",
                at / n_out,
                at % n_out
            );
        }
        // Nothing of it is left behind for a product that fills less of the slab.
        let w = Matrix::bf16(&stored[..9 * 2], 1, 9).expect("the shape fits");
        assert!(!rounded(&kernels, &x[..9], w)[0].is_nan(), "{kernels:?}");
    }
}

#[test]
fn scales_at_either_end_are_not_wrapped_around() {
    // Codes 1 and 7: a half, and six.
    let mut blocks = [0; GROUP / 2];
    blocks[0] = 0x71;
    for (scale, expected) in [
        (1_u8, 6.5 * 2.0_f32.powi(-126)),
        (2, 6.5 * 2.0_f32.powi(-125)),
        (127, 6.5),
        (252, 6.5 * 2.0_f32.powi(125)),
        (253, f32::INFINITY),
        (254, f32::INFINITY),
    ] {
        let tiled = tiled(&blocks, &[scale], 1, GROUP);
        let w = Matrix::mxfp4(&tiled, 1, GROUP).expect("the shape fits");
        let x = [1.0; GROUP];
        for kernels in tables() {
            let found = rounded(&kernels, &x, w)[0];
            // The half may be too small a number.
            let near = (found - expected).abs() <= f32::MIN_POSITIVE;
            assert!(near || found == expected, "{kernels:?}: scale {scale} gives {found}");
        }
    }
}
