//! Memory that is promised beforehand.

use super::*;

/// A sequence with a prefix that is to be kept as soon as it is computed; 0 when that is done with.
struct Keeping {
    sequence: Sequence,
    n_prefix: usize,
}

impl Keeping {
    /// As [`Sequence::step`], but returns whether there was room without giving up what is wanted.
    fn step(&mut self, cache: &mut KvCache, n_asked: usize) -> bool {
        let Sequence { tokens, view } = &mut self.sequence;
        view.adopt(cache, tokens);
        let n_asked = n_asked.min(tokens.len() - view.table.len);
        let has_room = view.reserve(cache, n_asked) == n_asked;
        self.sequence.step(cache, n_asked, 0);
        let (view, n_blocks) = (&self.sequence.view, self.n_prefix / BLOCK_LEN);
        if view.n_shared() >= n_blocks {
            view.want_window(cache, n_blocks);
            self.n_prefix = 0;
        }
        has_room
    }

    fn n_left(&self) -> usize {
        self.sequence.tokens.len() - self.sequence.view.table.len
    }
}

/// Takes memory until what is available is hardly more than `need`; returns whether it is that.
fn fill(cache: &mut KvCache, need: impl Fn(&KvCache) -> usize) -> bool {
    let sizes =
        [Layers::Full, Layers::Sliding].map(|layers| (cache.shape.cells_bytes(layers), layers));
    let (n_bytes, layers) = sizes
        .into_iter()
        .filter(|(n_bytes, _)| *n_bytes > 0)
        .min_by_key(|size| size.0)
        .expect("cells");
    while need(cache) + n_bytes <= cache.available_bytes() {
        // Whoever took it never gives it back.
        cache.lend(layers).expect("it was available");
    }
    need(cache) <= cache.available_bytes()
}

#[test]
fn whoever_is_let_in_has_room_for_whole_steps() {
    let mut n_checked = 0;
    for (seed, about) in SHAPES.into_iter().enumerate() {
        let shape = shape(about);
        for round in 0..200 {
            let mut random = Random((seed * 1000 + round) as u64);
            let mut cache = KvCache::new(30 * shape.block_bytes(), shape);
            // Four left prefixes; one, of other tokens or behind one of these, is on its way.
            let mut others: Vec<Sequence> =
                (0..5).map(|_| Sequence::new(&mut random, 250)).collect();
            for other in &mut others[..4] {
                while other.step(&mut cache, 1 + random.below(90), 0) > 0 {}
                other.view.release(&mut cache);
            }
            let (older, newer) = (others.swap_remove(4), Sequence::new(&mut random, 250));
            let mut running = [older, newer].map(|sequence| {
                let n_prefix = random.below(sequence.tokens.len() + 1);
                Keeping { sequence, n_prefix }
            });
            let n_steps = random.below(4);
            for _ in 0..n_steps {
                running[0].step(&mut cache, 40);
            }
            let need = |cache: &KvCache| {
                let [older, newer] = &running;
                let Sequence { tokens, view } = &older.sequence;
                let promised = view.need(cache, tokens, older.n_prefix);
                let newer = cache.need(&newer.sequence.tokens, newer.n_prefix);
                let needs: Need = [promised, newer].into_iter().sum();
                needs.bytes(&shape, BLOCK_LEN)
            };
            if n_steps == 0 || !fill(&mut cache, need) {
                continue;
            }
            n_checked += 1;
            for sequence in [0, 1].repeat(8) {
                let sequence = &mut running[sequence];
                let n_before = sequence.n_left();
                let has_room = sequence.step(&mut cache, BLOCK_LEN);
                assert!(has_room, "{about:?}, round {round}, {n_before} left");
            }
            assert!(running.iter().all(|sequence| sequence.n_left() == 0));
        }
    }
    assert!(n_checked > 100, "{n_checked}");
}

#[test]
fn what_is_wanted_of_blocks_computed_anew_is_counted() {
    let shape = shape((&[true, false], 70));
    let alike = |n_blocks: usize| vec![1; n_blocks * BLOCK_LEN + 1];
    for n_steps in [0, 1, 4] {
        let mut cache = KvCache::new(16 * shape.block_bytes(), shape);
        let mut first = Sequence { tokens: alike(10), view: View::new() };
        while first.step(&mut cache, BLOCK_LEN, 0) > 0 {}
        first.view.release(&mut cache);
        // Takes the seven sliding parts in the midst and one of the three that are wanted, so that nobody can go on
        // there.
        let mut other = View::new();
        assert_eq!(other.reserve(&mut cache, 10 * BLOCK_LEN), 10 * BLOCK_LEN);
        other.release(&mut cache);
        assert_eq!(View::new().adopt(&mut cache, &alike(16)), 0);
        let second = Sequence { tokens: alike(16), view: View::new() };
        let mut second = Keeping { sequence: second, n_prefix: 0 };
        for _ in 0..n_steps {
            second.step(&mut cache, BLOCK_LEN);
        }
        let Sequence { tokens, view } = &second.sequence;
        let need = |cache: &KvCache| match n_steps {
            0 => cache.need(tokens, 0),
            _ => view.need(cache, tokens, 0),
        };
        assert!(fill(&mut cache, |cache| need(cache).bytes(&shape, BLOCK_LEN)));
        while second.n_left() > 0 {
            let n_left = second.n_left();
            assert!(second.step(&mut cache, BLOCK_LEN), "after {n_steps} steps, {n_left} left");
        }
    }
}
