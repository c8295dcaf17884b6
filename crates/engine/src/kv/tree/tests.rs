//! The tree beside what a search of all its nodes says.

use super::*;

/// A node's cells: the last token that leads to them, negative in the sliding part.
type Cells = i32;

fn full(tokens: &[u32]) -> Arc<Cells> {
    Arc::new(tokens.last().copied().unwrap_or_default() as Cells)
}

fn sliding(tokens: &[u32]) -> Arc<Cells> {
    Arc::new(-*full(tokens))
}

/// A tree of paths, inserted block by block, each used later than the one before; no block has a sliding part.
fn tree_of(paths: &[&[&[u32]]]) -> Tree<Cells> {
    let mut tree = Tree::new();
    for path in paths {
        let end = path.iter().fold(ROOT, |at, tokens| step(&mut tree, at, tokens));
        tree.let_go(end);
    }
    tree
}

/// Holds the block of `tokens` behind `at`, made if need be.
fn step(tree: &mut Tree<Cells>, at: NodeId, tokens: &[u32]) -> NodeId {
    match tree.child(at, tokens) {
        Some(id) => {
            tree.hold(id);
            id
        }
        None => tree.insert(at, tokens, full(tokens)),
    }
}

/// As [`step`], with the sliding part; that is not held.
fn step_with_sliding(tree: &mut Tree<Cells>, at: NodeId, tokens: &[u32]) -> NodeId {
    let id = step(tree, at, tokens);
    if tree.sliding(id).is_none() {
        tree.put_sliding(id, sliding(tokens));
    }
    id
}

fn evict_all(tree: &mut Tree<Cells>) -> Vec<Cells> {
    std::iter::from_fn(|| tree.evict()).map(|cells| *cells).collect()
}

fn unused(tree: &Tree<Cells>) -> (usize, usize) {
    (tree.unused().n_full, tree.unused().n_sliding)
}

#[test]
fn finds_only_the_same_tokens_behind_the_same_prefix() {
    let tree = tree_of(&[&[&[1, 2], &[3, 4]], &[&[5, 6]]]);
    let first = tree.child(ROOT, &[1, 2]).expect("inserted");
    assert_eq!((**tree.full(first), tree.sliding(first)), (2, None));
    assert!(tree.child(first, &[3, 4]).is_some());
    assert!(tree.child(first, &[5, 6]).is_none());
    assert!(tree.child(ROOT, &[3, 4]).is_none());
    assert!(tree.child(ROOT, &[1]).is_none());
}

#[test]
fn evicts_leaves_first_and_the_longest_unused_of_them() {
    let mut tree = tree_of(&[&[&[1], &[2]], &[&[3]], &[&[1], &[4]]]);
    assert_eq!(evict_all(&mut tree), [2, 3, 4, 1]);
    assert_eq!(unused(&tree), (0, 0));
}

#[test]
fn keeps_what_is_held() {
    let mut tree = tree_of(&[&[&[1], &[2]], &[&[3]]]);
    let first = step(&mut tree, ROOT, &[1]);
    assert_eq!(unused(&tree), (2, 0));
    assert_eq!(evict_all(&mut tree), [2, 3]);
    // A slot set free is used again.
    let ninth = step(&mut tree, first, &[9]);
    assert_eq!((tree.nodes.len(), unused(&tree)), (4, (0, 0)));
    tree.let_go(ninth);
    assert_eq!(unused(&tree), (2, 0));
}

#[test]
fn what_is_held_outside_the_tree_waits() {
    let mut tree = tree_of(&[&[&[1]], &[&[2]]]);
    let outside = tree.child(ROOT, &[1]).map(|id| Arc::clone(tree.full(id)));
    let second = tree.child(ROOT, &[2]).expect("inserted");
    tree.put_sliding(second, sliding(&[2]));
    let outside_too = tree.sliding(second).map(Arc::clone);
    assert_eq!(tree.evict(), None);
    drop(outside_too);
    assert_eq!(evict_all(&mut tree), [-2, 2]);
    drop(outside);
    assert_eq!(evict_all(&mut tree), [1]);
}

#[test]
fn sliding_parts_in_the_midst_go_first_and_wanted_ones_last() {
    let mut tree = Tree::new();
    // An old chain, and one that is held; of either, the second block is wanted.
    let ends = [[1, 2, 3], [11, 12, 13]].map(|chain| {
        let ids = chain.map(|token| [token]);
        let mut at = ROOT;
        for tokens in &ids {
            at = step_with_sliding(&mut tree, at, tokens);
            if tokens[0] % 10 == 2 {
                tree.want_sliding(at);
            }
        }
        at
    });
    tree.let_go(ends[0]);
    assert_eq!((unused(&tree), tree.n_wanted()), ((3, 5), 1));
    // A sliding part that is held stays.
    tree.hold_sliding(ends[1]);
    assert_eq!((unused(&tree), tree.n_wanted()), ((3, 4), 1));
    assert_eq!(evict_all(&mut tree), [-11, -3, -1, 3, -2, 2, 1]);
    assert_eq!((unused(&tree), tree.n_wanted()), ((0, 0), 1));
    assert!(tree.give_up_wanted() && !tree.give_up_wanted());
    assert_eq!(evict_all(&mut tree), [-12]);
    tree.let_go_sliding(ends[1]);
    tree.let_go(ends[1]);
    assert_eq!(unused(&tree), (3, 1));
    assert_eq!(evict_all(&mut tree), [-13, 13, 12, 11]);
}

/// Nodes on the way from the root.
fn n_before(tree: &Tree<Cells>, id: NodeId) -> usize {
    std::iter::successors(Some(id), |&id| (id != ROOT).then(|| tree.node(id).parent)).count()
}

/// What a search of all nodes says is cheapest to lose: rank, last use, depth, whether it is the full part,
/// slot.
fn cheapest(tree: &Tree<Cells>) -> Option<(u8, u64, Reverse<usize>, bool, usize)> {
    let nodes = tree.nodes.iter().enumerate().skip(1);
    let nodes = nodes.filter_map(|(slot, node)| Some((slot, node.as_ref()?)));
    let full = nodes.clone().filter(|(_, node)| {
        node.n_holders == 0 && node.children.is_empty() && node.sliding.is_none()
    });
    let depth = |slot| Reverse(n_before(tree, NodeId(slot)));
    let full = full.map(|(slot, node)| (1, node.last_use, depth(slot), true, slot));
    let parts = nodes.filter(|(_, node)| node.sliding.is_some() && node.n_sliding_holders == 0);
    let parts = parts.map(|(slot, node)| {
        let rank = if node.is_sliding_wanted { 1 + u8::from(node.n_holders > 0) } else { 0 };
        (rank, node.last_use, depth(slot), false, slot)
    });
    full.chain(parts).filter(|place| place.0 < 2).min()
}

/// Beside a list that is searched whole, as long as anything is in it.
#[test]
fn any_order_of_use_evicts_as_a_search_of_all_nodes_would() {
    let mut state = 1_u32;
    let mut random = |n: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % n
    };
    let mut tree = Tree::new();
    // Ends that are held, and whether their sliding part is.
    let mut held: Vec<(NodeId, bool)> = Vec::new();
    for _ in 0..5_000 {
        match random(7) {
            0 | 1 => {
                let mut at = ROOT;
                for _ in 0..=random(4) {
                    let step = if random(3) == 0 { step } else { step_with_sliding };
                    at = step(&mut tree, at, &[1 + random(3)]);
                }
                let is_sliding_held = random(2) == 0 && tree.sliding(at).is_some();
                if is_sliding_held {
                    tree.hold_sliding(at);
                }
                held.push((at, is_sliding_held));
            }
            2 if !held.is_empty() => {
                let at = random(held.len() as u32) as usize;
                let (end, is_sliding_held) = held.swap_remove(at);
                if is_sliding_held {
                    tree.let_go_sliding(end);
                }
                tree.let_go(end);
            }
            3 if random(9) == 0 => assert_eq!(tree.n_wanted() > 0, tree.give_up_wanted()),
            4 if !held.is_empty() => tree.want_sliding(held[random(held.len() as u32) as usize].0),
            _ => {
                let expected = cheapest(&tree).and_then(|(_, _, _, is_full, slot)| {
                    let node = tree.nodes[slot].as_ref().expect("found");
                    if is_full { node.full.clone() } else { node.sliding.clone() }
                });
                let expected = expected.map(|cells| *cells);
                assert_eq!(tree.evict().map(|cells| *cells), expected);
            }
        }
        let nodes = || tree.nodes.iter().skip(1).flatten();
        let n_full = nodes().filter(|node| node.n_holders == 0).count();
        let n_sliding =
            nodes().filter(|node| node.sliding.is_some() && node.n_sliding_holders == 0).count();
        assert_eq!(unused(&tree), (n_full, n_sliding - tree.n_wanted()));
        let is_kept = |node: &&Node<Cells>| {
            node.is_sliding_unused() && node.is_sliding_wanted && node.n_holders > 0
        };
        assert_eq!(nodes().filter(is_kept).count(), tree.n_wanted());
    }
}
