//! Views beside a simple model of them: random sequences of all that views do, on caches of many shapes.

mod places;
mod room;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use model::kv::{BLOCK_LEN, KvCells, KvShape, Layers};
use model::{Config, Model};

use super::amount::{Amount, Need};
use super::{KvCache, View};

/// Layers that slide, and their window.
const SHAPES: [(&[bool], usize); 8] = [
    (&[true, false], 8),
    (&[true, false], 1),
    (&[true, false], 33),
    (&[true, false], 70),
    (&[true, false], 1 << 20),
    (&[true, false, true], 40),
    (&[false, false], 8),
    (&[true], 34),
];

/// One cell a position, layer, key and value.
fn shape((layers, window): (&[bool], usize)) -> KvShape {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    let model = Model::open(&dir).expect("the fixture is a checkpoint");
    KvShape::of(&Config {
        num_hidden_layers: layers.len(),
        is_sliding: layers.to_vec(),
        sliding_window: window,
        num_key_value_heads: 1,
        head_dim: 1,
        ..model.config().clone()
    })
}

struct Random(u64);

impl Random {
    /// Less than `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// A sequence, computed by writing down what led to each position.
struct Sequence {
    tokens: Vec<u32>,
    view: View,
}

impl Sequence {
    /// Of blocks that are all alike or all different, so that sequences share many prefixes; no more than `n_most`.
    fn new(random: &mut Random, n_most: usize) -> Sequence {
        let n_tokens = 1 + random.below(n_most);
        let blocks = (0..n_tokens.div_ceil(BLOCK_LEN)).map(|_| [random.below(2) as u32; BLOCK_LEN]);
        let mut tokens = blocks.flatten().collect::<Vec<u32>>();
        tokens.truncate(n_tokens);
        Sequence { tokens, view: View::new() }
    }

    /// What is computed at a position: a number that all tokens up to it decide, small enough for a float.
    fn number(&self, position: usize) -> f32 {
        let mix = |sum: u32, &token: &u32| (sum * 31 + token + 7) % (1 << 23);
        self.tokens[..=position].iter().fold(1, mix) as f32
    }

    /// All that the next position sees must be what was computed there.
    fn check(&self, shape: &KvShape) {
        let len = self.view.table.len;
        let first_seen = shape.first_seen(len);
        for position in 0..len {
            let (block, offset) =
                (&self.view.table.blocks[position / BLOCK_LEN], position % BLOCK_LEN);
            let number = self.number(position);
            assert!(cells_at(&block.full, offset).all(|cell| cell == number));
            if position / BLOCK_LEN >= first_seen {
                let cells = block.sliding.as_ref().expect("it is still seen");
                assert!(cells_at(cells, offset).all(|cell| cell == -number));
            }
        }
        for (block_idx, block) in self.view.table.blocks.iter().enumerate() {
            assert_eq!(block.sliding.is_some(), block_idx >= first_seen, "block {block_idx}");
        }
    }

    /// Computes `n` positions for which there is room, and behind them `n_wrong` of a guess that does not come true.
    fn compute(&mut self, shape: &KvShape, n: usize, n_wrong: usize) {
        self.check(shape);
        let start = self.view.table.len;
        for position in start..start + n + n_wrong {
            let number = if position < start + n { self.number(position) } else { 0.5 };
            let block = &mut self.view.table.blocks[position / BLOCK_LEN];
            write(&mut block.full, position % BLOCK_LEN, number);
            if let Some(cells) = &mut block.sliding {
                write(cells, position % BLOCK_LEN, -number);
            }
        }
        self.view.table.len = start + n;
    }

    /// One step as the scheduler takes it; returns how many positions were computed.
    fn step(&mut self, cache: &mut KvCache, n_asked: usize, n_guessed: usize) -> usize {
        self.view.adopt(cache, &self.tokens);
        let n_asked = n_asked.min(self.tokens.len() - self.view.table.len);
        let mut n_room = self.view.reserve(cache, n_asked);
        if n_room == 0 && n_asked > 0 && cache.give_up_wanted() {
            n_room = self.view.reserve(cache, n_asked);
        }
        if n_room < n_asked {
            assert!(cache.available_bytes() < cache.shape.block_bytes(), "there was memory");
        }
        let n_wrong = self.view.reserve(cache, n_room + n_guessed) - n_room;
        self.compute(&cache.shape.clone(), n_room, n_wrong);
        self.view.publish(cache, &self.tokens);
        self.view.slide(cache);
        n_room
    }
}

fn cells_at(cells: &KvCells, offset: usize) -> impl Iterator<Item = f32> {
    cells.all().iter().skip(offset).step_by(BLOCK_LEN).copied()
}

fn write(cells: &mut Arc<KvCells>, offset: usize, number: f32) {
    let cells = Arc::get_mut(cells).expect("nobody else holds what is written");
    cells.all_mut().iter_mut().skip(offset).step_by(BLOCK_LEN).for_each(|cell| *cell = number);
}

/// Nothing is lost and nothing counted twice: what is not available is what sequences hold.
fn check_bytes(cache: &KvCache, max_bytes: usize, running: &[Sequence]) {
    let blocks = running.iter().flat_map(|sequence| &sequence.view.table.blocks);
    let cells = blocks.flat_map(|block| block.sliding.iter().chain([&block.full]));
    let held: HashMap<_, _> = cells.map(|cells| (Arc::as_ptr(cells), cells.n_bytes())).collect();
    let wanted = Amount { n_full: 0, n_sliding: cache.tree.n_wanted() };
    let n_bytes = held.values().sum::<usize>() + wanted.bytes(&cache.shape);
    assert_eq!(cache.available_bytes() + n_bytes, max_bytes);
}

#[test]
fn any_order_of_steps_keeps_what_is_seen_and_loses_nothing() {
    for (seed, about) in SHAPES.into_iter().enumerate() {
        let shape = shape(about);
        // Some bytes more than whole cells.
        let max_bytes = 20 * shape.block_bytes() + 13;
        let mut cache = KvCache::new(max_bytes, shape);
        let (mut random, mut running) = (Random(seed as u64), Vec::new());
        for _ in 0..3_000 {
            match random.below(8) {
                0 if running.len() < 5 => running.push(Sequence::new(&mut random, 300)),
                1 if !running.is_empty() => {
                    let mut sequence: Sequence = running.swap_remove(random.below(running.len()));
                    sequence.view.release(&mut cache);
                    assert!(!sequence.view.holds_blocks());
                }
                2 if !running.is_empty() => {
                    let view = &running[random.below(running.len())].view;
                    view.want_window(&mut cache, random.below(view.n_shared() + 1));
                }
                _ if !running.is_empty() => {
                    let (n_asked, n_guessed) = (1 + random.below(100), random.below(5));
                    let sequence_idx = random.below(running.len());
                    running[sequence_idx].step(&mut cache, n_asked, n_guessed);
                }
                _ => {}
            }
            check_bytes(&cache, max_bytes, &running);
        }
        running.iter_mut().for_each(|sequence| sequence.view.release(&mut cache));
        assert_eq!(cache.available_bytes(), max_bytes, "{about:?}");
        // All of it can be lent.
        let mut view = View::new();
        assert_eq!(view.reserve(&mut cache, 20 * BLOCK_LEN), 20 * BLOCK_LEN, "{about:?}");
    }
}

#[test]
fn a_sequence_alone_needs_what_is_said_and_no_byte_less() {
    for (seed, about) in SHAPES.into_iter().enumerate() {
        let shape = shape(about);
        for n_blocks in 1..12 {
            let mut random = Random((seed * 100 + n_blocks) as u64);
            let n_tokens = n_blocks * BLOCK_LEN - random.below(BLOCK_LEN);
            let need = Need::alone(&shape, n_tokens).least.bytes(&shape);
            for max_bytes in [need, need - 1] {
                let mut cache = KvCache::new(max_bytes, shape);
                // Others were there before, and one of them left what this one may adopt.
                let mut others: Vec<Sequence> =
                    (0..3).map(|_| Sequence::new(&mut random, n_tokens)).collect();
                for other in &mut others {
                    while other.step(&mut cache, 1 + random.below(60), 0) > 0 {}
                    other.view.release(&mut cache);
                }
                let mut tokens = others[0].tokens.clone();
                tokens.resize(n_tokens, 3);
                let mut sequence = Sequence { tokens, view: View::new() };
                while sequence.step(&mut cache, 1 + random.below(100), random.below(3)) > 0 {}
                let is_done = sequence.view.table.len == n_tokens;
                assert_eq!(is_done, max_bytes == need, "{about:?}, {n_tokens} tokens");
                sequence.view.release(&mut cache);
            }
        }
    }
}

#[test]
fn a_long_sequence_holds_half() {
    let shape = shape((&[true, false], 128));
    let mut cache = KvCache::new(1000 * shape.block_bytes(), shape);
    let mut sequence = Sequence { tokens: vec![1; 100 * BLOCK_LEN], view: View::new() };
    let mut most = 0;
    while sequence.step(&mut cache, 20, 4) > 0 {
        most = most.max(1000 * shape.block_bytes() - cache.available_bytes());
    }
    assert_eq!(sequence.view.table.len, 100 * BLOCK_LEN);
    // All full parts; sliding parts of the window and, at most, of one block that a guess reached.
    let least = 100 * shape.cells_bytes(Layers::Full) + 4 * shape.cells_bytes(Layers::Sliding);
    assert!((least..=52 * shape.block_bytes() + shape.block_bytes()).contains(&most), "{most}");
}
