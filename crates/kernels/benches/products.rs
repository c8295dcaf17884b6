//! Products and attention at the sizes of the 20b, beside what this machine can do at best.
//!
//! `cargo bench -p kernels` prints bytes of weights a second where few rows share them, and sums a second (an
//! element is one multiplication with its addition) where many do. `ceiling` is the same with nothing around it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kernels::{Arithmetic, BLOCK, Kernels, Matrix, Pool, Product, Run};

/// Width of the 20b.
const WIDTH: usize = 2880;
/// Experts that are multiplied in turn: more than the caches hold.
const N_MATRICES: usize = 48;

fn bytes(n: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..n).map(|_| next()).collect()
}

fn floats(n: usize) -> Vec<f32> {
    bytes(n).into_iter().map(|byte| f32::from(byte) / 128.0 - 1.0).collect()
}

fn pool() -> Pool {
    Pool::new(std::thread::available_parallelism().map_or(1, |n| n.get()))
}

fn ceiling(c: &mut Criterion) {
    let (kernels, pool) = (Kernels::detect(), pool());
    let memory = bytes(1 << 28);
    let mut group = c.benchmark_group("ceiling");
    group.throughput(Throughput::Bytes(memory.len() as u64));
    group.bench_function("read", |b| b.iter(|| kernels.scan(&pool, &memory)));
    let n_rounds = 100_000;
    for arithmetic in Arithmetic::ALL {
        let flops = kernels.burn(&pool, arithmetic, n_rounds);
        group.throughput(Throughput::Elements(flops as u64 / 2));
        group.bench_function(format!("multiply {arithmetic}"), |b| {
            b.iter(|| kernels.burn(&pool, arithmetic, n_rounds));
        });
    }
    group.finish();
}

fn products(c: &mut Criterion) {
    let (kernels, pool) = (Kernels::detect(), pool());
    let n_cells = WIDTH * WIDTH;
    let n_mxfp4 = Matrix::mxfp4_len(WIDTH, WIDTH).expect("it is small");
    let mut mxfp4 = bytes(N_MATRICES * n_mxfp4);
    // The scales lie behind the codes.
    mxfp4.chunks_mut(n_mxfp4).for_each(|matrix| matrix[n_cells / 2..].fill(120));
    let mut floats_16 = bytes(N_MATRICES / 4 * n_cells * 2);
    // Either sign and about 1/100: no number that a CPU takes longer for.
    floats_16.iter_mut().skip(1).step_by(2).for_each(|upper| *upper = *upper & 0x80 | 0x3c);
    let stored = Matrix::bf16(&floats_16[..n_cells * 2], WIDTH, WIDTH).expect("the shape fits");
    let n_int8 = Matrix::int8_len(WIDTH, WIDTH).expect("it is small");
    let mut eights = vec![vec![0; n_int8]; N_MATRICES / 2];
    eights.iter_mut().for_each(|matrix| kernels.to_int8(&pool, &stored, matrix));
    let matrix = |format: &str, at: usize| match format {
        "int8" => Matrix::int8(&eights[at % eights.len()], WIDTH, WIDTH).expect("the shape fits"),
        "mxfp4" => {
            let bytes = &mxfp4[at % N_MATRICES * n_mxfp4..][..n_mxfp4];
            Matrix::mxfp4(bytes, WIDTH, WIDTH).expect("the shape fits")
        }
        _ => {
            let cells = &floats_16[at % (N_MATRICES / 4) * n_cells * 2..][..n_cells * 2];
            Matrix::bf16(cells, WIDTH, WIDTH).expect("the shape fits")
        }
    };
    for (format, arithmetic) in [
        ("mxfp4", Arithmetic::Exact),
        ("mxfp4", Arithmetic::Int8),
        ("mxfp4", Arithmetic::Bf16),
        ("bf16", Arithmetic::Exact),
        ("bf16", Arithmetic::Bf16),
        ("int8", Arithmetic::Int8),
    ] {
        let mut group = c.benchmark_group(format!("{format} {arithmetic}"));
        group.sample_size(20);
        for n_rows in [1, 4, 8, 16, 64, 512] {
            let x = floats(n_rows * WIDTH);
            let mut out = vec![0.0; n_rows * WIDTH];
            let n_bytes = matrix(format, 0).n_bytes() as u64;
            group.throughput(match n_rows {
                ..16 => Throughput::Bytes(n_bytes),
                _ => Throughput::Elements((n_rows * n_cells) as u64),
            });
            let mut at = 0;
            group.bench_function(BenchmarkId::from_parameter(n_rows), |b| {
                b.iter(|| {
                    at += 1;
                    let (w, out) = (matrix(format, at), out.as_mut_slice());
                    kernels.matmul(&pool, Product { x: &x, w, bias: None, out, arithmetic });
                });
            });
        }
        group.finish();
    }
}

fn attention(c: &mut Criterion) {
    let kernels = Kernels::detect();
    let (d, n_heads, n_positions) = (64, 8, 1024);
    let (keys, values) = (floats(n_positions * d), floats(n_positions * d));
    let runs: Vec<Run<'_>> = keys
        .chunks_exact(BLOCK * d)
        .zip(values.chunks_exact(BLOCK * d))
        .map(|(keys, values)| Run { keys, values, start: 0, end: BLOCK })
        .collect();
    let (q, sinks) = (floats(n_heads * d), [0.5; 8]);
    let (mut out, mut scores) = (vec![0.0; n_heads * d], Vec::new());
    let mut group = c.benchmark_group("attention");
    group.throughput(Throughput::Elements((2 * n_heads * d * n_positions) as u64));
    group.bench_function("8 heads, 1024 positions, one thread", |b| {
        b.iter(|| {
            kernels.attend(black_box(&q), 0.125, &runs, &sinks, &mut scores, &mut out);
        });
    });
    group.finish();
}

criterion_group!(benches, ceiling, products, attention);
criterion_main!(benches);
