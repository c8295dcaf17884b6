//! Where cached chains can be continued once memory was short.

use super::*;

#[test]
fn only_a_place_with_its_window_can_be_continued() {
    let shape = shape((&[true, false], 40));
    let mut cache = KvCache::new(24 * shape.block_bytes(), shape);
    // A short one, then a long one that is not like it: two blocks are seen from the end of either.
    for (token, n_blocks, n_wanted) in [(2, 3, 0), (1, 10, 6)] {
        let tokens = vec![token; n_blocks * BLOCK_LEN + 1];
        let mut sequence = Sequence { tokens, view: View::new() };
        while sequence.step(&mut cache, BLOCK_LEN, 0) > 0 {}
        // What is seen from behind six blocks of the long one is wanted.
        sequence.view.want_window(&mut cache, n_wanted);
        sequence.view.release(&mut cache);
    }
    // 26 parts are cached. What is lent takes all that is free, and then six of the seven sliding parts in the midst,
    // but for the first of the long one.
    let mut other = View::new();
    assert_eq!(other.reserve(&mut cache, 14 * BLOCK_LEN), 14 * BLOCK_LEN);
    let mut n_adopted = |token: u32, n_blocks: usize| {
        let mut view = View::new();
        let n_adopted = view.adopt(&mut cache, &vec![token; n_blocks * BLOCK_LEN + 1]);
        view.release(&mut cache);
        n_adopted / BLOCK_LEN
    };
    assert_eq!([1, 2, 3].map(|n_blocks| n_adopted(2, n_blocks)), [0, 0, 3]);
    let found = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|n_blocks| n_adopted(1, n_blocks));
    assert_eq!(found, [1, 1, 1, 1, 1, 6, 6, 6, 6, 10]);
}

#[test]
fn where_somebody_went_on_others_can() {
    let shape = shape((&[true, false], 40));
    let mut cache = KvCache::new(24 * shape.block_bytes(), shape);
    let alike = |n_blocks: usize| vec![1; n_blocks * BLOCK_LEN + 1];
    let mut first = Sequence { tokens: alike(10), view: View::new() };
    while first.step(&mut cache, BLOCK_LEN, 0) > 0 {}
    first.view.release(&mut cache);
    let mut second = Sequence { tokens: alike(8), view: View::new() };
    second.tokens[4 * BLOCK_LEN..].fill(3);
    while second.step(&mut cache, BLOCK_LEN, 0) > 0 {}
    // Thirty parts are cached or held. What is lent takes the other eighteen and all eight sliding parts in the midst.
    let mut other = View::new();
    assert_eq!(other.reserve(&mut cache, 13 * BLOCK_LEN), 13 * BLOCK_LEN);
    let mut third = View::new();
    assert_eq!(third.adopt(&mut cache, &alike(5)), 4 * BLOCK_LEN);
    third.release(&mut cache);
    // A block more takes the end of the first, since nobody runs there.
    assert_eq!(other.reserve(&mut cache, 14 * BLOCK_LEN), 14 * BLOCK_LEN);
    assert_eq!(View::new().adopt(&mut cache, &alike(10)), 4 * BLOCK_LEN);
}
