//! Every instruction set of this CPU against plain sums in `f64`, and a row's bits in any company.

use kernels::{Arithmetic, BLOCK, GROUP, Kernels, Matrix, Pool, Product, Run, StoredMxfp4, TILE};
use proptest::collection::vec;
use proptest::prelude::*;

mod numbers;
use numbers::{bits, bytes, noise, tables, tiled};

/// How far a sum in `f32` may be from the exact one: `2 n eps sum |a b|`.
fn slack(a: &[f32], b: &[f32]) -> f64 {
    let size: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a * b).abs()).sum();
    2.0 * a.len() as f64 * f64::from(f32::EPSILON) * size + 1e-30
}

fn exact_dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// The value of one cell by the formula of the standard.
fn mxfp4_cell(blocks: &[u8], scales: &[u8], at: usize) -> f32 {
    let magnitudes = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let byte = blocks[at / 2];
    let code = if at.is_multiple_of(2) { byte & 15 } else { byte >> 4 };
    let sign = if code & 8 == 0 { 1.0 } else { -1.0 };
    let scale = 2.0_f64.powi(i32::from(scales[at / GROUP]) - 127);
    (sign * magnitudes[usize::from(code & 7)] * scale) as f32
}

fn floats(n: usize) -> impl Strategy<Value = Vec<f32>> {
    vec(-8.0_f32..8.0, n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dot_is_near_the_exact_sum(n in 0_usize..200, seed in any::<u64>()) {
        let a = noise(n, seed);
        let b = noise(n, seed ^ 1);
        let first = Kernels::detect().dot(&a, &b);
        for kernels in tables() {
            let found = kernels.dot(&a, &b);
            let off = f64::from(found) - exact_dot(&a, &b);
            prop_assert!(off.abs() <= slack(&a, &b), "{kernels:?}: {off}");
            prop_assert_eq!(found.to_bits(), first.to_bits(), "{:?}", kernels);
        }
    }

    #[test]
    fn mxfp4_unpacks_exactly(groups in 1_usize..9, seed in any::<u64>()) {
        let blocks = bytes(groups * GROUP / 2, seed);
        let mut scales = bytes(groups, seed ^ 7);
        scales.iter_mut().for_each(|scale| *scale = (*scale).min(252));
        scales[0] = 0;
        let expected: Vec<f32> = (0..groups * GROUP).map(|at| mxfp4_cell(&blocks, &scales, at)).collect();
        let tiled = tiled(&blocks, &scales, 1, groups * GROUP);
        let w = Matrix::mxfp4(&tiled, 1, groups * GROUP).expect("the shape fits");
        for kernels in tables() {
            let mut out = vec![f32::NAN; groups * GROUP];
            kernels.unpack_rows(&w, 0, &mut out);
            prop_assert_eq!(&out, &expected, "{:?}", kernels);
        }
    }

    #[test]
    fn sixteen_bit_floats_unpack_exactly(n in 1_usize..70, seed in any::<u64>()) {
        let cells: Vec<u8> = bytes(n * 2, seed).chunks(2).flat_map(|cell| [cell[0], cell[1] & 0xbb]).collect();
        for (name, w) in [
            ("bf16", Matrix::bf16(&cells, 1, n).expect("fits")),
            ("f16", Matrix::f16(&cells, 1, n).expect("fits")),
        ] {
            let mut twins = tables().map(|kernels| {
                let mut out = vec![f32::NAN; n];
                kernels.unpack_rows(&w, 0, &mut out);
                out.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()
            });
            let scalar = twins.next().expect("scalar is always there");
            prop_assert!(twins.all(|other| other == scalar), "{}", name);
        }
    }

    #[test]
    fn matmul_is_near_the_exact_product(n_rows in 0_usize..12, n_out in 1_usize..40, groups in 1_usize..5, seed in any::<u64>()) {
        let n_in = groups * GROUP;
        let x = noise(n_rows * n_in, seed);
        let blocks = bytes(n_out * n_in / 2, seed ^ 3);
        let scales: Vec<u8> = bytes(n_out * groups, seed ^ 5).iter().map(|byte| 120 + byte % 10).collect();
        let bias = noise(n_out, seed ^ 9);
        let tiled = tiled(&blocks, &scales, n_out, n_in);
        let w = Matrix::mxfp4(&tiled, n_out, n_in).expect("the shape fits");
        let pool = Pool::new(2);
        for kernels in tables() {
            let mut out = vec![f32::NAN; n_rows * n_out];
            kernels.matmul(&pool, Product { bias: Some(&bias), ..product(&x, w, &mut out) });
            for (at, &value) in out.iter().enumerate() {
                let (r, n) = (at / n_out, at % n_out);
                let row: Vec<f32> = (0..n_in).map(|k| mxfp4_cell(&blocks, &scales, n * n_in + k)).collect();
                let x = &x[r * n_in..][..n_in];
                let exact = exact_dot(x, &row) + f64::from(bias[n]);
                prop_assert!((f64::from(value) - exact).abs() <= slack(x, &row) + 1e-5, "{:?}", kernels);
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_any_batch(n_rows in 2_usize..28, n_out in 1_usize..70, n_in in 1_usize..200, is_packed in any::<bool>(), seed in any::<u64>()) {
        let n_in = if is_packed { n_in.next_multiple_of(GROUP) } else { n_in };
        let x = noise(n_rows * n_in, seed);
        let stored: Vec<u8> = noise(n_out * n_in, seed ^ 3).iter().flat_map(|value| value.to_le_bytes()).collect();
        let scales: Vec<u8> = bytes(n_out * n_in / GROUP, seed ^ 5).iter().map(|byte| byte % 130).collect();
        let packed = if is_packed { tiled(&stored[..n_out * n_in / 2], &scales, n_out, n_in) } else { Vec::new() };
        let w = if is_packed { Matrix::mxfp4(&packed, n_out, n_in) } else { Matrix::f32(&stored, n_out, n_in) };
        let w = w.expect("the shape fits");
        let (one, two) = (Pool::new(1), Pool::new(2));
        for kernels in tables() {
            let mut together = vec![0.0; n_rows * n_out];
            kernels.matmul(&two, product(&x, w, &mut together));
            for r in 0..n_rows {
                let mut alone = vec![0.0; n_out];
                kernels.matmul(&one, product(&x[r * n_in..][..n_in], w, &mut alone));
                prop_assert_eq!(bits(&alone), bits(&together[r * n_out..][..n_out]), "{:?} row {}", kernels, r);
            }
        }
    }

    #[test]
    fn every_table_gives_the_same_product(n_rows in 1_usize..30, n_out in 1_usize..80, groups in 1_usize..10, seed in any::<u64>()) {
        let n_in = groups * GROUP;
        let x = noise(n_rows * n_in, seed);
        let blocks = bytes(n_out * n_in / 2, seed ^ 3);
        let scales: Vec<u8> = bytes(n_out * groups, seed ^ 5).iter().map(|byte| byte % 130).collect();
        let cells: Vec<u8> = bytes(n_out * n_in * 4, seed ^ 6).iter().enumerate()
            .map(|(at, byte)| if at % 2 == 1 { byte & 0x80 | 0x3c } else { *byte }).collect();
        let n_cells = n_out * n_in;
        let tiled = tiled(&blocks, &scales, n_out, n_in);
        for (name, w) in [
            ("mxfp4", Matrix::mxfp4(&tiled, n_out, n_in)),
            ("bf16", Matrix::bf16(&cells[..n_cells * 2], n_out, n_in)),
            ("f16", Matrix::f16(&cells[..n_cells * 2], n_out, n_in)),
            ("f32", Matrix::f32(&cells, n_out, n_in)),
        ] {
            let w = w.expect("the shape fits");
            let mut twins = tables().map(|kernels| {
                let mut out = vec![f32::NAN; n_rows * n_out];
                kernels.matmul(&Pool::new(1), product(&x, w, &mut out));
                bits(&out)
            });
            let scalar = twins.next().expect("scalar is always there");
            prop_assert!(twins.all(|other| other == scalar), "{}", name);
            let n_tiles = n_out.div_ceil(TILE);
            let tiles = n_tiles / 3..n_tiles.div_ceil(2);
            let (from, to) = (tiles.start * TILE, n_out.min(tiles.end * TILE));
            let part = w.tiles(tiles);
            prop_assert_eq!((part.n_out(), part.n_in()), (to - from, n_in));
            // Packed formats come in whole tiles.
            let n_stored = |n: usize| if name == "mxfp4" { n.next_multiple_of(TILE) } else { n };
            prop_assert_eq!(part.n_bytes() * n_stored(n_out), w.n_bytes() * n_stored(to - from));
            for kernels in tables() {
                let mut out = vec![f32::NAN; n_rows * (to - from)];
                kernels.matmul(&Pool::new(1), product(&x, part, &mut out));
                let whole = scalar.chunks_exact(n_out).flat_map(|row| &row[from..to]);
                prop_assert!(bits(&out).iter().eq(whole), "{}, rows {}..{}", name, from, to);
            }
        }
    }

    #[test]
    fn many_products_at_once_are_each_what_they_are_alone(sizes in vec((0_usize..15, 1_usize..90), 1..5), seed in any::<u64>()) {
        let n_in = 96;
        let parts: Vec<(Vec<f32>, Vec<u8>)> = sizes.iter().enumerate()
            .map(|(at, (n_rows, n_out))| {
                let cells = noise(n_out * n_in, seed ^ at as u64);
                (noise(n_rows * n_in, seed + at as u64), cells.iter().flat_map(|cell| cell.to_le_bytes()).collect())
            })
            .collect();
        let w = |at: usize| Matrix::f32(&parts[at].1, sizes[at].1, n_in).expect("the shape fits");
        let kernels = Kernels::detect();
        let pool = Pool::new(2);
        let mut outs: Vec<Vec<f32>> = sizes.iter().map(|(n_rows, n_out)| vec![0.0; n_rows * n_out]).collect();
        let mut products: Vec<Product<'_>> = outs.iter_mut().enumerate()
            .map(|(at, out)| product(&parts[at].0, w(at), out))
            .collect();
        kernels.matmuls(&pool, &mut products);
        for (at, out) in outs.iter().enumerate() {
            let mut alone = vec![0.0; out.len()];
            kernels.matmul(&pool, product(&parts[at].0, w(at), &mut alone));
            prop_assert_eq!(bits(&alone), bits(out));
        }
    }

    #[test]
    fn attention_is_exact_and_blind_to_neighbours(start in 0_usize..60, n in 1_usize..80, n_heads in 1_usize..13, d in prop::sample::select(vec![8_usize, 16, 33, 64, 80]), seed in any::<u64>()) {
        let end = start + n;
        let n_blocks = end.div_ceil(BLOCK);
        let (keys, values) = (noise(n_blocks * BLOCK * d, seed), noise(n_blocks * BLOCK * d, seed ^ 1));
        let (q, sinks) = (noise(n_heads * d, seed ^ 2), noise(n_heads, seed ^ 4));
        // What is not seen may be anything.
        let hidden = |block: usize, at: usize| !(start..end).contains(&(block * BLOCK + at));
        let mut lines = keys.clone();
        for (block, lines) in lines.chunks_exact_mut(BLOCK * d).enumerate() {
            for (at, cell) in lines.iter_mut().enumerate().filter(|(at, _)| hidden(block, at % BLOCK)) {
                *cell = if at % 2 == 0 { f32::NAN } else { f32::INFINITY };
            }
        }
        let runs: Vec<Run<'_>> = (start / BLOCK..n_blocks)
            .map(|block| Run {
                keys: &lines[block * BLOCK * d..][..BLOCK * d],
                values: &values[block * BLOCK * d..][..BLOCK * d],
                start: start.saturating_sub(block * BLOCK),
                end: (end - block * BLOCK).min(BLOCK),
            })
            .collect();
        let scale = 1.0 / (d as f32).sqrt();
        // The same keys row by row.
        let rows: Vec<f32> = (start..end)
            .flat_map(|at| (0..d).map(move |j| (at / BLOCK * d + j) * BLOCK + at % BLOCK))
            .map(|cell| keys[cell])
            .collect();
        let mut first: Option<Vec<u32>> = None;
        for kernels in tables() {
            let (mut out, mut scores) = (vec![0.0; n_heads * d], Vec::new());
            kernels.attend(&q, scale, &runs, &sinks, &mut scores, &mut out);
            for h in 0..n_heads {
                let q = &q[h * d..][..d];
                let mut alone = vec![0.0; d];
                kernels.attend(q, scale, &runs, &sinks[h..=h], &mut scores, &mut alone);
                prop_assert_eq!(bits(&alone), bits(&out[h * d..][..d]), "{:?}", kernels);
                let exact = exact_attention(q, scale, &rows, &values[start * d..], d, n, sinks[h]);
                for (found, exact) in alone.iter().zip(&exact) {
                    prop_assert!((f64::from(*found) - exact).abs() < 1e-4, "{:?}: {} {}", kernels, found, exact);
                }
            }
            let first = first.get_or_insert_with(|| bits(&out));
            prop_assert_eq!(&*first, &bits(&out), "{:?}", kernels);
        }
    }

    #[test]
    fn sums_of_exponentials_are_the_same_in_every_table(n in 1_usize..3000, seed in any::<u64>()) {
        let x: Vec<f32> = noise(n, seed).iter().map(|x| x * 20.0).collect();
        let top = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exact: f64 = x.iter().map(|&x| (f64::from(x) - f64::from(top)).exp()).sum();
        let mut sums = tables().map(|kernels| kernels.sum_exp(&x, top));
        let scalar = sums.next().expect("scalar is always there");
        prop_assert!((scalar / exact - 1.0).abs() < 1e-6, "{} {}", scalar, exact);
        prop_assert!(sums.all(|other| other.to_bits() == scalar.to_bits()));
    }

    #[test]
    fn the_gate_is_the_same_in_every_table(n in 1_usize..200, bad in prop::option::of(0_usize..400), seed in any::<u64>()) {
        let mut gate_up: Vec<f32> = noise(2 * n, seed).iter().map(|x| x * 3.0).collect();
        if let Some(cell) = bad.and_then(|bad| gate_up.get_mut(bad)) {
            *cell = f32::NAN;
        }
        let mut twins = tables().map(|kernels| {
            let mut out = vec![0.0; n];
            kernels.swiglu(&gate_up, 7.0, &mut out);
            out
        });
        let scalar = twins.next().expect("scalar is always there");
        for (pair, out) in gate_up.chunks_exact(2).zip(&scalar) {
            prop_assert_eq!(out.is_nan(), pair[0].is_nan() || pair[1].is_nan());
        }
        let same = |out: Vec<f32>| out.iter().zip(&scalar).all(|(a, b)| a.is_nan() && b.is_nan() || a.to_bits() == b.to_bits());
        prop_assert!(twins.all(same));
    }

    #[test]
    fn softmax_sums_to_one(x in floats(17)) {
        let mut out = x.clone();
        Kernels::detect().softmax(&mut out);
        prop_assert!((out.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let top = |x: &[f32]| (0..x.len()).max_by(|&a, &b| x[a].total_cmp(&x[b]));
        prop_assert_eq!(out[top(&x).expect("not empty")], out[top(&out).expect("not empty")]);
    }
}

fn exact_attention(
    q: &[f32],
    scale: f32,
    keys: &[f32],
    values: &[f32],
    stride: usize,
    n: usize,
    sink: f32,
) -> Vec<f64> {
    let score = |at: usize| exact_dot(q, &keys[at * stride..][..q.len()]) * f64::from(scale);
    let top = (0..n).map(score).fold(f64::from(sink), f64::max);
    let total: f64 =
        (0..n).map(|at| (score(at) - top).exp()).sum::<f64>() + (f64::from(sink) - top).exp();
    let mixed = |i: usize| {
        (0..n).map(|at| (score(at) - top).exp() / total * f64::from(values[at * stride + i])).sum()
    };
    (0..q.len()).map(mixed).collect()
}

#[test]
fn extreme_scales_stay_exact() {
    let blocks = [0x7f_u8; GROUP / 2];
    for scale in [0_u8, 1, 126, 127, 252] {
        let scales = [scale];
        let tiled = tiled(&blocks, &scales, 1, GROUP);
        let w = Matrix::mxfp4(&tiled, 1, GROUP).expect("the shape fits");
        for kernels in tables() {
            let mut out = [0.0; GROUP];
            kernels.unpack_rows(&w, 0, &mut out);
            assert_eq!(out[0], mxfp4_cell(&blocks, &scales, 0), "{kernels:?} scale {scale}");
            assert_eq!(out[1], mxfp4_cell(&blocks, &scales, 1), "{kernels:?} scale {scale}");
        }
    }
    let tiled = tiled(&blocks, &[254], 1, GROUP);
    let w = Matrix::mxfp4(&tiled, 1, GROUP).expect("the shape fits");
    for kernels in tables() {
        let mut out = [0.0; GROUP];
        kernels.unpack_rows(&w, 0, &mut out);
        assert!(out[0].is_infinite(), "{kernels:?}: 6 * 2^127 overflows, it does not wrap");
    }
}

#[test]
fn shapes_are_checked() {
    assert!(Matrix::bf16(&[0; 6], 2, 2).is_err());
    assert!(StoredMxfp4::new(&[0; 16], &[0; 1], 1, 31).is_err());
    assert!(StoredMxfp4::new(&[0; 16], &[], 1, 32).is_err());
    assert!(Matrix::mxfp4(&[0; 17], 1, 32).is_err());
    assert!(Matrix::mxfp4(&[], usize::MAX, 32).is_err());
    assert!(Matrix::f32(&[], usize::MAX, 2).is_err());
}

#[test]
fn the_pool_runs_each_task_once_and_hands_panics_on() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let pool = Pool::new(3);
    for n_tasks in [0, 1, 2, 100] {
        let counts: Vec<AtomicUsize> = (0..n_tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(n_tasks, &|at| {
            counts[at].fetch_add(1, Ordering::Relaxed);
        });
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.run(8, &|at| assert_ne!(at, 5, "task five fails"));
    }));
    assert!(result.is_err());
    pool.run(4, &|_| {});
}

/// An exact one without bias.
fn product<'a>(x: &'a [f32], w: Matrix<'a>, out: &'a mut [f32]) -> Product<'a> {
    Product { x, w, bias: None, out, arithmetic: Arithmetic::Exact }
}
