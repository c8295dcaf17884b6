//! Products in 8-bit integers: near the exact ones by what rounding allows, and the same bits everywhere.

use kernels::{Arithmetic, GROUP, Isa, Kernels, Matrix, Pool, Product};
use proptest::prelude::*;

mod numbers;
use numbers::{bits, bytes, eights, noise, tables, tiled};

/// A product of `x` with `w`, activations rounded.
fn rounded(kernels: &Kernels, pool: &Pool, x: &[f32], w: Matrix<'_>) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len() / w.n_in() * w.n_out()];
    let arithmetic = Arithmetic::Int8;
    kernels.matmul(pool, Product { x, w, bias: None, out: &mut out, arithmetic });
    out
}

/// Rows of a matrix as floats, made one by one by the plain table.
fn floats(w: &Matrix<'_>) -> Vec<Vec<f32>> {
    let kernels = Kernels::with_isa(Isa::Scalar).expect("scalar is always there");
    let row = |at| {
        let mut row = vec![0.0; w.n_in()];
        kernels.unpack_rows(w, at, &mut row);
        row
    };
    (0..w.n_out()).map(row).collect()
}

/// How far a row's product may be from the exact one: every activation is off by half of the 127th part of its
/// group's largest, and every float operation by its last bit.
fn slack(x: &[f32], w: &[f32]) -> f64 {
    let groups = x.chunks(GROUP).zip(w.chunks(GROUP));
    let of = |(x, w): (&[f32], &[f32])| {
        let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let weights: f64 = w.iter().map(|w| f64::from(w.abs())).sum();
        f64::from(most) * weights * (0.5 / 127.0 + 4.0 * f64::from(f32::EPSILON) * x.len() as f64)
    };
    groups.map(of).sum::<f64>() * 1.000_1 + 1e-30
}

struct Case {
    x: Vec<f32>,
    mxfp4: Vec<u8>,
    int8: Vec<u8>,
    n_out: usize,
    n_in: usize,
}

impl Case {
    fn new(n_rows: usize, n_out: usize, groups: usize, seed: u64) -> Case {
        let n_in = groups * GROUP;
        let mut x = noise(n_rows * n_in, seed);
        // Groups of different size, one of them empty.
        x.chunks_mut(GROUP).enumerate().for_each(|(at, group)| {
            group.iter_mut().for_each(|value| *value *= (at % 5) as f32 * 0.3);
        });
        let cells: Vec<u8> =
            noise(n_out * n_in, seed ^ 2).iter().flat_map(|cell| cell.to_le_bytes()).collect();
        let dense = Matrix::f32(&cells, n_out, n_in).expect("the shape fits");
        let int8 = eights(&Kernels::detect(), &dense);
        let blocks = bytes(n_out * n_in / 2, seed ^ 3);
        let scales: Vec<u8> =
            bytes(n_out * groups, seed ^ 5).iter().map(|byte| byte % 130).collect();
        Case { x, mxfp4: tiled(&blocks, &scales, n_out, n_in), int8, n_out, n_in }
    }

    fn matrices(&self) -> [Matrix<'_>; 2] {
        let Case { mxfp4, int8, n_out, n_in, .. } = self;
        [
            Matrix::mxfp4(mxfp4, *n_out, *n_in).expect("the shape fits"),
            Matrix::int8(int8, *n_out, *n_in).expect("the shape fits"),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn near_the_exact_product(n_rows in 0_usize..16, n_out in 1_usize..70, groups in 1_usize..10, seed in any::<u64>()) {
        let case = Case::new(n_rows, n_out, groups, seed);
        for w in case.matrices() {
            let out = rounded(&Kernels::detect(), &Pool::new(2), &case.x, w);
            for (x, out) in case.x.chunks_exact(case.n_in).zip(out.chunks_exact(n_out)) {
                for (row, &value) in floats(&w).iter().zip(out) {
                    let exact: f64 = x.iter().zip(row).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                    let off = (f64::from(value) - exact).abs();
                    prop_assert!(off <= slack(x, row), "{value} for {exact}, {} allowed", slack(x, row));
                }
            }
        }
    }

    #[test]
    fn the_same_bits_in_every_table(n_rows in 1_usize..30, n_out in 1_usize..80, groups in 1_usize..10, seed in any::<u64>()) {
        let case = Case::new(n_rows, n_out, groups, seed);
        for w in case.matrices() {
            let mut twins = tables().map(|kernels| bits(&rounded(&kernels, &Pool::new(1), &case.x, w)));
            let scalar = twins.next().expect("scalar is always there");
            prop_assert!(twins.all(|other| other == scalar), "{w:?}");
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_any_batch(n_rows in 2_usize..30, n_out in 1_usize..70, groups in 1_usize..10, seed in any::<u64>()) {
        let case = Case::new(n_rows, n_out, groups, seed);
        let (kernels, one, two) = (Kernels::detect(), Pool::new(1), Pool::new(2));
        for w in case.matrices() {
            let together = rounded(&kernels, &two, &case.x, w);
            for (x, together) in case.x.chunks_exact(case.n_in).zip(together.chunks_exact(n_out)) {
                prop_assert_eq!(bits(&rounded(&kernels, &one, x, w)), bits(together));
            }
        }
    }

    #[test]
    fn stored_cells_are_off_by_half_a_step(n_out in 1_usize..70, groups in 1_usize..6, seed in any::<u64>()) {
        let n_in = groups * GROUP;
        let values = noise(n_out * n_in, seed);
        let cells: Vec<u8> = values.iter().flat_map(|cell| cell.to_le_bytes()).collect();
        let dense = Matrix::f32(&cells, n_out, n_in).expect("the shape fits");
        for kernels in tables() {
            let stored = eights(&kernels, &dense);
            let w = Matrix::int8(&stored, n_out, n_in).expect("the shape fits");
            for (row, values) in floats(&w).iter().zip(values.chunks_exact(n_in)) {
                for (found, values) in row.chunks(GROUP).zip(values.chunks(GROUP)) {
                    let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                    // The scale is rounded up to the 8 bits of a bfloat16.
                    let step = most / 127.0 * (1.0 + 1.0 / 128.0);
                    for (found, value) in found.iter().zip(values) {
                        prop_assert!((found - value).abs() <= step * 0.5001, "{found} for {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn stored_cells_in_exact_products_are_what_they_stand_for(n_rows in 1_usize..5, n_out in 1_usize..70, groups in 1_usize..6, seed in any::<u64>()) {
        let case = Case::new(n_rows, n_out, groups, seed);
        let [_, w] = case.matrices();
        for kernels in tables() {
            let mut out = vec![f32::NAN; n_rows * n_out];
            kernels.matmul(&Pool::new(1), Product { x: &case.x, w, bias: None, out: &mut out, arithmetic: Arithmetic::Exact });
            for (x, out) in case.x.chunks_exact(case.n_in).zip(out.chunks_exact(n_out)) {
                for (row, &value) in floats(&w).iter().zip(out) {
                    let terms = x.iter().zip(row).map(|(&x, &w)| f64::from(x) * f64::from(w));
                    let size: f64 = terms.clone().map(f64::abs).sum();
                    let off = (f64::from(value) - terms.sum::<f64>()).abs();
                    prop_assert!(off <= 2.0 * x.len() as f64 * f64::from(f32::EPSILON) * size + 1e-30);
                }
            }
        }
    }
}

#[test]
fn weights_that_are_not_finite_stay_so() {
    for bad in [f32::NAN, f32::INFINITY] {
        for n_bad in [1, 96] {
            let mut weights = noise(2 * 96, 5);
            weights[..n_bad].fill(bad);
            let cells: Vec<u8> = weights.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            let dense = Matrix::f32(&cells, 2, 96).expect("the shape fits");
            for kernels in tables() {
                let stored = eights(&kernels, &dense);
                let w = Matrix::int8(&stored, 2, 96).expect("the shape fits");
                let out = rounded(&kernels, &Pool::new(1), &noise(96, 6), w);
                assert!(out[0].is_nan() && out[1].is_finite(), "{bad} {kernels:?}");
            }
        }
    }
}

/// What is no number before rounding is none after it: a failure must not look like a logit.
#[test]
fn what_is_not_finite_stays_so() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut case = Case::new(1, 40, 3, 7);
        case.x[40] = bad;
        for w in case.matrices() {
            for kernels in tables() {
                let out = rounded(&kernels, &Pool::new(1), &case.x, w);
                assert!(out.iter().all(|value| value.is_nan()), "{bad} {kernels:?}");
            }
        }
    }
}
