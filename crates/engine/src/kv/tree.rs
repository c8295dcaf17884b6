//! Full blocks by the tokens that lead to them.
//!
//! A node is one block; the path from the root spells the tokens of all blocks up to it. Children
//! are looked up by their tokens themselves, so that no collision of hashes can ever hand a sequence
//! the keys and values of another prefix.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A node of one tree. Valid for as long as somebody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(usize);

/// The empty prefix.
pub(crate) const ROOT: NodeId = NodeId(0);

pub(crate) struct Tree<B> {
    /// Slot 0 is the root; evicted nodes leave `None` for the next one.
    nodes: Vec<Option<Node<B>>>,
    vacant: Vec<usize>,
    /// Counts uses, to tell which node was not used for longest.
    now: u64,
    /// Nodes that nobody holds and no other node builds on, with their last use: the longest unused first.
    evictable: BTreeSet<(u64, NodeId)>,
    /// Nodes that nobody holds.
    n_unused: usize,
}

struct Node<B> {
    parent: NodeId,
    tokens: Arc<[u32]>,
    /// `None` in the root alone.
    block: Option<Arc<B>>,
    children: HashMap<Arc<[u32]>, NodeId>,
    /// Who holds it, see [`Tree::hold`]. At least as many as hold any of the children.
    n_holders: usize,
    last_use: u64,
}

impl<B> Tree<B> {
    pub(crate) fn new() -> Tree<B> {
        let root = Node {
            parent: ROOT,
            tokens: Arc::new([]),
            block: None,
            children: HashMap::new(),
            n_holders: 0,
            last_use: 0,
        };
        Tree {
            nodes: vec![Some(root)],
            vacant: Vec::new(),
            now: 0,
            evictable: BTreeSet::new(),
            n_unused: 0,
        }
    }

    /// The block of `tokens` behind the prefix `at`.
    pub(crate) fn child(&self, at: NodeId, tokens: &[u32]) -> Option<(NodeId, &Arc<B>)> {
        let id = *self.node(at).children.get(tokens)?;
        Some((id, self.node(id).block.as_ref().expect("only the root has no block")))
    }

    /// Adds the block of `tokens` behind the prefix `at`, which has no such child yet and is held. The block is held
    /// from then on, as by [`Tree::hold`].
    pub(crate) fn insert(&mut self, at: NodeId, tokens: &[u32], block: Arc<B>) -> NodeId {
        let tokens: Arc<[u32]> = tokens.into();
        let node = Node {
            parent: at,
            tokens: Arc::clone(&tokens),
            block: Some(block),
            children: HashMap::new(),
            n_holders: 1,
            last_use: self.now,
        };
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        self.nodes[slot] = Some(node);
        self.node_mut(at).children.insert(tokens, NodeId(slot));
        NodeId(slot)
    }

    /// Keeps a node from eviction until [`Tree::let_go`]. Who holds a node holds those before it too.
    pub(crate) fn hold(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.n_holders += 1;
        if node.n_holders == 1 {
            let place = (node.last_use, id);
            self.n_unused -= 1;
            self.evictable.remove(&place);
        }
    }

    /// Notes that the whole prefix up to `at`, which is held, was used.
    pub(crate) fn touch(&mut self, at: NodeId) {
        self.now += 1;
        let mut id = at;
        while id != ROOT {
            let now = self.now;
            let node = self.node_mut(id);
            node.last_use = now;
            id = node.parent;
        }
    }

    /// Notes that the whole prefix up to `at` was used, and ends one holding of each of its nodes.
    pub(crate) fn let_go(&mut self, at: NodeId) {
        self.touch(at);
        let mut id = at;
        while id != ROOT {
            let node = self.node_mut(id);
            node.n_holders -= 1;
            let (is_unused, parent) = (node.n_holders == 0, node.parent);
            if is_unused {
                self.n_unused += 1;
                self.note_if_evictable(id);
            }
            id = parent;
        }
    }

    /// Takes out the longest unused block that nobody holds and no other block builds on.
    pub(crate) fn evict(&mut self) -> Option<Arc<B>> {
        // Blocks on their way to the disk are held elsewhere for a while.
        let is_free = |&&(_, id): &&(u64, NodeId)| {
            self.node(id).block.as_ref().is_some_and(|block| Arc::strong_count(block) == 1)
        };
        let place = *self.evictable.iter().find(is_free)?;
        self.evictable.remove(&place);
        let NodeId(slot) = place.1;
        let node = self.nodes[slot].take()?;
        self.node_mut(node.parent).children.remove(&node.tokens);
        self.vacant.push(slot);
        self.n_unused -= 1;
        self.note_if_evictable(node.parent);
        node.block
    }

    /// Blocks that nobody holds: all of them can be evicted, one after the other, but for those on their way to disk.
    pub(crate) fn n_unused(&self) -> usize {
        self.n_unused
    }

    pub(crate) fn is_unused(&self, id: NodeId) -> bool {
        self.node(id).n_holders == 0
    }

    fn note_if_evictable(&mut self, id: NodeId) {
        let node = self.node(id);
        if id != ROOT && node.n_holders == 0 && node.children.is_empty() {
            let place = (node.last_use, id);
            self.evictable.insert(place);
        }
    }

    fn node(&self, id: NodeId) -> &Node<B> {
        self.nodes[id.0].as_ref().expect("a held node is never evicted")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<B> {
        self.nodes[id.0].as_mut().expect("a held node is never evicted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of strings; the paths are inserted block by block, each used later than the one before.
    fn tree_of(paths: &[&[&[u32]]]) -> Tree<Vec<u32>> {
        let mut tree = Tree::new();
        for path in paths {
            let mut at = ROOT;
            for tokens in *path {
                at = step(&mut tree, at, tokens);
            }
            tree.let_go(at);
        }
        tree
    }

    /// Holds the block of `tokens` behind `at`, made if need be.
    fn step(tree: &mut Tree<Vec<u32>>, at: NodeId, tokens: &[u32]) -> NodeId {
        match tree.child(at, tokens).map(|(id, _)| id) {
            Some(id) => {
                tree.hold(id);
                id
            }
            None => tree.insert(at, tokens, Arc::new(tokens.to_vec())),
        }
    }

    #[test]
    fn finds_only_the_same_tokens_behind_the_same_prefix() {
        let tree = tree_of(&[&[&[1, 2], &[3, 4]], &[&[5, 6]]]);
        let (first, block) = tree.child(ROOT, &[1, 2]).expect("inserted");
        assert_eq!(**block, [1, 2]);
        assert!(tree.child(first, &[3, 4]).is_some());
        assert!(tree.child(first, &[5, 6]).is_none());
        assert!(tree.child(ROOT, &[3, 4]).is_none());
        assert!(tree.child(ROOT, &[1]).is_none());
    }

    #[test]
    fn evicts_leaves_first_and_the_longest_unused_of_them() {
        let mut tree = tree_of(&[&[&[1], &[2]], &[&[3]], &[&[1], &[4]]]);
        let order: Vec<Vec<u32>> =
            std::iter::from_fn(|| tree.evict()).map(|block| block.to_vec()).collect();
        assert_eq!(order, [vec![2], vec![3], vec![4], vec![1]]);
        assert_eq!(tree.n_unused(), 0);
    }

    #[test]
    fn keeps_what_is_held() {
        let mut tree = tree_of(&[&[&[1], &[2]], &[&[3]]]);
        let first = step(&mut tree, ROOT, &[1]);
        assert_eq!(tree.n_unused(), 2);
        assert_eq!(tree.evict().as_deref(), Some(&vec![2]));
        assert_eq!(tree.evict().as_deref(), Some(&vec![3]));
        assert_eq!(tree.evict(), None);
        // A slot set free is used again.
        let ninth = step(&mut tree, first, &[9]);
        assert_eq!((tree.nodes.len(), tree.n_unused()), (4, 0));
        tree.let_go(ninth);
        assert_eq!(tree.n_unused(), 2);
    }

    #[test]
    fn what_is_held_outside_the_tree_waits() {
        let mut tree = tree_of(&[&[&[1]], &[&[2]]]);
        let outside = tree.child(ROOT, &[1]).map(|(_, block)| Arc::clone(block));
        assert_eq!(tree.evict().as_deref(), Some(&vec![2]));
        assert_eq!(tree.evict(), None);
        drop(outside);
        assert_eq!(tree.evict().as_deref(), Some(&vec![1]));
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
        let mut held: Vec<NodeId> = Vec::new();
        for _ in 0..3_000 {
            match random(4) {
                0 | 1 => {
                    let mut at = ROOT;
                    for _ in 0..=random(4) {
                        at = step(&mut tree, at, &[random(3)]);
                    }
                    held.push(at);
                }
                2 if !held.is_empty() => {
                    let at = random(held.len() as u32) as usize;
                    tree.let_go(held.swap_remove(at));
                }
                _ => {
                    let nodes = tree.nodes.iter().enumerate().skip(1);
                    let nodes = nodes.filter_map(|(slot, node)| Some((slot, node.as_ref()?)));
                    let unused = nodes.filter(|(_, node)| node.n_holders == 0);
                    assert_eq!(unused.clone().count(), tree.n_unused());
                    let leaves = unused.filter(|(_, node)| node.children.is_empty());
                    let first = leaves.min_by_key(|(slot, node)| (node.last_use, *slot));
                    let expected = first.and_then(|(_, node)| node.block.clone());
                    let expected = expected.map(|block| block.to_vec());
                    assert_eq!(tree.evict().map(|block| block.to_vec()), expected);
                }
            }
        }
    }
}
