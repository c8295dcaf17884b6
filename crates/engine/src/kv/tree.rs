//! Full blocks by the tokens that lead to them.
//!
//! A node is one block; the path from the root spells the tokens of all blocks up to it. Children
//! are looked up by their tokens themselves, so that no collision of hashes can ever hand a sequence
//! the keys and values of another prefix.

use std::collections::HashMap;
use std::sync::Arc;

/// A node of one tree. Valid for as long as somebody holds the node's block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// The empty prefix.
pub(crate) const ROOT: NodeId = NodeId(0);

pub(crate) struct Tree<B> {
    /// Slot 0 is the root; evicted nodes leave `None` for the next one.
    nodes: Vec<Option<Node<B>>>,
    vacant: Vec<usize>,
    /// Counts uses, to tell which node was not used for longest.
    now: u64,
}

struct Node<B> {
    parent: NodeId,
    tokens: Arc<[u32]>,
    /// `None` in the root alone.
    block: Option<Arc<B>>,
    children: HashMap<Arc<[u32]>, NodeId>,
    last_use: u64,
}

impl<B> Node<B> {
    /// Held by the tree alone, and not on the way to another node.
    fn is_evictable(&self) -> bool {
        self.is_unused() && self.children.is_empty()
    }

    fn is_unused(&self) -> bool {
        self.block.as_ref().is_some_and(|block| Arc::strong_count(block) == 1)
    }
}

impl<B> Tree<B> {
    pub(crate) fn new() -> Tree<B> {
        let root = Node {
            parent: ROOT,
            tokens: Arc::new([]),
            block: None,
            children: HashMap::new(),
            last_use: 0,
        };
        Tree { nodes: vec![Some(root)], vacant: Vec::new(), now: 0 }
    }

    /// The block of `tokens` behind the prefix `at`.
    pub(crate) fn child(&self, at: NodeId, tokens: &[u32]) -> Option<(NodeId, &Arc<B>)> {
        let id = *self.node(at).children.get(tokens)?;
        Some((id, self.node(id).block.as_ref().expect("only the root has no block")))
    }

    /// Adds the block of `tokens` behind the prefix `at`, which has no such child yet.
    pub(crate) fn insert(&mut self, at: NodeId, tokens: &[u32], block: Arc<B>) -> NodeId {
        let tokens: Arc<[u32]> = tokens.into();
        let node = Node {
            parent: at,
            tokens: Arc::clone(&tokens),
            block: Some(block),
            children: HashMap::new(),
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

    /// Notes that the whole prefix up to `at` was used.
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

    /// Takes out the longest unused block that nobody else holds and no other block builds on.
    pub(crate) fn evict(&mut self) -> Option<Arc<B>> {
        let slots = self.nodes.iter().enumerate();
        let evictable = slots.filter_map(|(slot, node)| {
            node.as_ref().filter(|node| node.is_evictable()).map(|node| (node.last_use, slot))
        });
        let (_, slot) = evictable.min()?;
        let node = self.nodes[slot].take()?;
        self.node_mut(node.parent).children.remove(&node.tokens);
        self.vacant.push(slot);
        node.block
    }

    /// Blocks that nobody but the tree holds: all of them can be evicted, one after the other,
    /// because who holds a block holds those before it too.
    pub(crate) fn n_unused(&self) -> usize {
        self.nodes.iter().flatten().filter(|node| node.is_unused()).count()
    }

    fn node(&self, id: NodeId) -> &Node<B> {
        self.nodes[id.0].as_ref().expect("a held block's node is never evicted")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<B> {
        self.nodes[id.0].as_mut().expect("a held block's node is never evicted")
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
                at = match tree.child(at, tokens) {
                    Some((id, _)) => id,
                    None => tree.insert(at, tokens, Arc::new(tokens.to_vec())),
                };
            }
            tree.touch(at);
        }
        tree
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
        let (first, block) = tree.child(ROOT, &[1]).expect("inserted");
        let held = Arc::clone(block);
        assert_eq!(tree.n_unused(), 2);
        assert_eq!(tree.evict().as_deref(), Some(&vec![2]));
        assert_eq!(tree.evict().as_deref(), Some(&vec![3]));
        assert_eq!(tree.evict(), None);
        // A slot set free is used again.
        tree.insert(first, &[9], Arc::new(vec![9]));
        assert_eq!(tree.nodes.len(), 4);
        drop(held);
        assert_eq!(tree.n_unused(), 2);
    }
}
