//! The forward pass: the same bits however a step is put together, and errors that harm nobody.

mod broken;

use std::sync::Arc;

use broken::fixture;
use kernels::{Arithmetic, Isa, Kernels, Pool};
use model::forward::{Forward, LogitRows, Logits, Segment};
use model::kv::{BLOCK_LEN, KvShape, KvTable};
use model::{Model, ModelError};

fn model() -> Arc<Model> {
    Arc::new(Model::open(&fixture("tiny-a")).expect("the fixture is a checkpoint"))
}

fn forward(model: &Arc<Model>, isa: Isa, n_threads: usize) -> Option<Forward> {
    Some(Forward::new(
        Arc::clone(model),
        Kernels::with_isa(isa)?,
        Pool::new(n_threads),
        Arithmetic::Exact,
    ))
}

fn tokens(seed: u32, n: usize) -> Vec<u32> {
    (0..n as u32).map(|at| (seed + at * at * 31 + at * 7) % 491).collect()
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

/// Logits of all tokens, computed in chunks of at most `chunk`.
fn alone(model: &Model, forward: &Forward, tokens: &[u32], chunk: usize) -> Vec<Vec<u32>> {
    let mut kv = KvTable::with_room(model.config(), tokens.len());
    let mut rows = Vec::new();
    for tokens in tokens.chunks(chunk) {
        let segment = Segment { tokens, kv: &mut kv, logits: LogitRows::All };
        let logits = forward.run(&mut [segment]).expect("the step is sound");
        rows.extend((0..logits.n_rows()).map(|row| bits(logits.row(row))));
    }
    rows
}

/// A block's border, the window and the original context all lie inside.
const N_TOKENS: usize = 75;

#[test]
fn chunks_and_threads_change_no_bit() {
    let model = model();
    let sequence = tokens(5, N_TOKENS);
    for isa in Isa::ALL {
        let Some(one) = forward(&model, isa, 1) else { continue };
        let two = forward(&model, isa, 2).expect("the CPU has it");
        let whole = alone(&model, &one, &sequence, N_TOKENS);
        for chunk in [1, 7, BLOCK_LEN, 50] {
            assert!(whole == alone(&model, &one, &sequence, chunk), "{isa}, chunks of {chunk}");
        }
        assert!(whole == alone(&model, &two, &sequence, N_TOKENS), "{isa}, two threads");
        assert!(whole == alone(&model, &two, &sequence, 13), "{isa}, two threads, chunks");
    }
}

#[test]
fn neighbours_change_no_bit() {
    let model = model();
    let sequences = [tokens(1, 40), tokens(2, 1), tokens(3, 33), tokens(4, 75)];
    for isa in Isa::ALL {
        let Some(forward) = forward(&model, isa, 2) else { continue };
        let mut tables: Vec<KvTable> =
            sequences.iter().map(|s| KvTable::with_room(model.config(), s.len())).collect();
        // Every sequence in two steps with different neighbours: the odd ones begin late.
        let mut found: Vec<Vec<Vec<u32>>> = vec![Vec::new(); sequences.len()];
        for step in 0..3 {
            let mut members = Vec::new();
            let mut segments = Vec::new();
            for (at, (sequence, kv)) in sequences.iter().zip(&mut tables).enumerate() {
                let half = sequence.len() / 2;
                let part = match (step, at % 2) {
                    (0, 0) | (1, 1) => &sequence[..half],
                    (1, 0) | (2, 1) => &sequence[half..],
                    _ => continue,
                };
                if !part.is_empty() {
                    members.push((at, part.len()));
                    segments.push(Segment { tokens: part, kv, logits: LogitRows::All });
                }
            }
            let logits = forward.run(&mut segments).expect("the step is sound");
            let mut row = 0;
            for (at, n) in members {
                found[at].extend((row..row + n).map(|row| bits(logits.row(row))));
                row += n;
            }
        }
        for (sequence, found) in sequences.iter().zip(found) {
            assert!(alone(&model, &forward, sequence, 100) == found, "{isa}");
        }
    }
}

#[test]
fn a_shared_prefix_changes_no_bit() {
    let model = model();
    let forward = forward(&model, Isa::Scalar, 1).expect("every CPU has it");
    let sequence = tokens(9, N_TOKENS);
    let whole = alone(&model, &forward, &sequence, N_TOKENS);
    let mut first = KvTable::with_room(model.config(), N_TOKENS);
    run(&forward, &sequence, &mut first, LogitRows::None).expect("the step is sound");
    let mut second = KvTable::with_room(model.config(), N_TOKENS);
    second.blocks[0] = first.blocks[0].clone();
    second.len = BLOCK_LEN;
    let logits = run(&forward, &sequence[BLOCK_LEN..], &mut second, LogitRows::Last(1));
    let logits = logits.expect("the shared block is only read");
    assert_eq!(bits(logits.row(0)), whole[N_TOKENS - 1]);
}

#[test]
fn what_no_layer_sees_any_more_can_be_given_back() {
    let model = model();
    let forward = forward(&model, Isa::Scalar, 1).expect("every CPU has it");
    let sequence = tokens(9, N_TOKENS);
    let whole = alone(&model, &forward, &sequence, N_TOKENS);
    let shape = KvShape::of(model.config());
    for chunk in [1, 5, BLOCK_LEN] {
        let mut kv = KvTable::with_room(model.config(), N_TOKENS);
        for tokens in sequence.chunks(chunk) {
            let first = kv.len;
            kv.blocks
                .iter_mut()
                .take(shape.first_seen(first))
                .for_each(|block| block.sliding = None);
            let logits =
                run(&forward, tokens, &mut kv, LogitRows::All).expect("nothing is missing");
            for (row, expected) in whole[first..kv.len].iter().enumerate() {
                assert!(&bits(logits.row(row)) == expected, "chunks of {chunk}, {first} and {row}");
            }
        }
        assert!(kv.blocks[0].sliding.is_none());
    }
    // Position 39 is the last that sees the end of the first block: the window is 8.
    let mut kv = KvTable::with_room(model.config(), N_TOKENS);
    run(&forward, &sequence[..38], &mut kv, LogitRows::None).expect("the step is sound");
    kv.blocks[0].sliding = None;
    let slid = run(&forward, &sequence[38..39], &mut kv, LogitRows::None);
    assert!(matches!(slid, Err(ModelError::SlidBlock { block_idx: 0 })));
    kv.len = 39;
    run(&forward, &sequence[39..40], &mut kv, LogitRows::None).expect("nobody looks there");
}

#[test]
fn only_wanted_rows_get_logits() {
    let model = model();
    let forward = forward(&model, Isa::Scalar, 1).expect("every CPU has it");
    let sequence = tokens(6, 10);
    let whole = alone(&model, &forward, &sequence, 10);
    let room = || KvTable::with_room(model.config(), 10);
    let (mut a, mut b, mut c) = (room(), room(), room());
    let mut segments = [
        Segment { tokens: &sequence, kv: &mut a, logits: LogitRows::None },
        Segment { tokens: &sequence, kv: &mut b, logits: LogitRows::Last(1) },
        Segment { tokens: &sequence, kv: &mut c, logits: LogitRows::All },
    ];
    let logits = forward.run(&mut segments).expect("the step is sound");
    assert_eq!(logits.n_rows(), 11);
    assert_eq!(bits(logits.row(0)), whole[9]);
    assert_eq!(bits(logits.row(1)), whole[0]);
    assert_eq!(bits(logits.row(10)), whole[9]);
}

#[test]
fn few_tokens_get_the_bits_that_they_have_among_all() {
    let model = model();
    let sequence = tokens(8, 12);
    let room = || KvTable::with_room(model.config(), 12);
    let few: [&[u32]; 4] = [&[511], &[3, 31, 32, 200, 510], &[], &[64, 7]];
    for isa in Isa::ALL {
        let Some(forward) = forward(&model, isa, 2) else { continue };
        let whole = alone(&model, &forward, &sequence, 12);
        let mut tables: Vec<KvTable> = (0..6).map(|_| room()).collect();
        let wishes = [
            LogitRows::LastOf(few[0]),
            LogitRows::Last(3),
            LogitRows::LastOf(few[1]),
            LogitRows::LastOf(few[2]),
            LogitRows::Last(1),
            LogitRows::LastOf(few[3]),
        ];
        let mut segments: Vec<Segment<'_>> = tables
            .iter_mut()
            .zip(wishes)
            .map(|(kv, logits)| Segment { tokens: &sequence, kv, logits })
            .collect();
        let logits = forward.run(&mut segments).expect("the step is sound");
        assert_eq!(logits.n_rows(), 8);
        for (row, at) in [(1, 9), (2, 10), (3, 11), (6, 11)] {
            assert_eq!(bits(logits.row(row)), whole[at], "{isa}, row {row}");
        }
        for (row, few) in [0, 4, 5, 7].into_iter().zip(few) {
            let expected: Vec<u32> = few.iter().map(|&token| whole[11][token as usize]).collect();
            assert_eq!(bits(logits.row(row)), expected, "{isa}, row {row}");
            assert_eq!(bits(logits.state(row)), bits(logits.state(6)), "{isa}, row {row}");
        }
    }
}

#[test]
fn steps_that_cannot_be_computed_change_no_length() {
    let model = model();
    let forward = forward(&model, Isa::Scalar, 1).expect("every CPU has it");
    let mut kv = KvTable::with_room(model.config(), BLOCK_LEN);
    run(&forward, &[1, 2, 3], &mut kv, LogitRows::None).expect("the step is sound");

    let unknown = run(&forward, &[4, 512], &mut kv, LogitRows::Last(1));
    assert!(matches!(unknown, Err(ModelError::Token { token: 512, vocab_size: 512 })));
    let unknown = run(&forward, &[4], &mut kv, LogitRows::LastOf(&[3, 600]));
    assert!(matches!(unknown, Err(ModelError::Token { token: 600, vocab_size: 512 })));
    let too_long = run(&forward, &[4; BLOCK_LEN], &mut kv, LogitRows::Last(1));
    assert!(matches!(too_long, Err(ModelError::Position { limit: BLOCK_LEN, .. })));
    let other = kv.blocks[0].clone();
    let shared = run(&forward, &[4], &mut kv, LogitRows::Last(1));
    assert!(matches!(shared, Err(ModelError::SharedBlock { block_idx: 0 })));
    drop(other);
    assert_eq!(kv.len, 3);
    run(&forward, &[4], &mut kv, LogitRows::Last(1)).expect("nothing was harmed");
}

fn run(
    forward: &Forward,
    tokens: &[u32],
    kv: &mut KvTable,
    logits: LogitRows<'_>,
) -> Result<Logits, ModelError> {
    forward.run(&mut [Segment { tokens, kv, logits }])
}
