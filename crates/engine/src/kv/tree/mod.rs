//! Full blocks by the tokens that lead to them.
//!
//! A node is one block; the path from the root spells the tokens of all blocks up to it. Children
//! are looked up by their tokens themselves, so that no collision of hashes can ever hand a sequence
//! the keys and values of another prefix. A node's sliding part is held apart from the node, comes and goes.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::amount::Amount;
use super::unused::{Part, Place, Rank, Share, Unused};

/// A node of one tree. Valid for as long as somebody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(usize);

/// The empty prefix.
pub(crate) const ROOT: NodeId = NodeId(0);

pub(crate) struct Tree<C> {
    /// Slot 0 is the root; evicted nodes leave `None` for the next one.
    nodes: Vec<Option<Node<C>>>,
    vacant: Vec<usize>,
    /// Counts uses, to tell which node was not used for longest.
    now: u64,
    unused: Unused,
}

struct Node<C> {
    parent: NodeId,
    /// Nodes from the root to here.
    depth: usize,
    tokens: Arc<[u32]>,
    /// `None` in the root alone.
    full: Option<Arc<C>>,
    sliding: Option<Arc<C>>,
    children: HashMap<Arc<[u32]>, NodeId>,
    /// Who holds it, see [`Tree::hold`]. At least as many as hold any of the children, or the sliding part.
    n_holders: usize,
    n_sliding_holders: usize,
    /// See [`Tree::want_sliding`].
    is_sliding_wanted: bool,
    last_use: u64,
}

impl<C> Tree<C> {
    pub(crate) fn new() -> Tree<C> {
        let root = Node::new(ROOT, 0, Arc::new([]), None);
        Tree { nodes: vec![Some(root)], vacant: Vec::new(), now: 0, unused: Unused::default() }
    }

    /// The node of `tokens` behind the prefix `at`.
    pub(crate) fn child(&self, at: NodeId, tokens: &[u32]) -> Option<NodeId> {
        self.node(at).children.get(tokens).copied()
    }

    /// A node's cells of full layers; the root has none.
    pub(crate) fn full(&self, id: NodeId) -> &Arc<C> {
        self.node(id).full.as_ref().expect("only the root has no block")
    }

    /// A node's cells of sliding layers, if they are there.
    pub(crate) fn sliding(&self, id: NodeId) -> Option<&Arc<C>> {
        self.node(id).sliding.as_ref()
    }

    /// Adds the block of `tokens` behind the prefix `at`, which has no such child yet and is held. The block is held
    /// from then on, as by [`Tree::hold`], and has no sliding part.
    pub(crate) fn insert(&mut self, at: NodeId, tokens: &[u32], full: Arc<C>) -> NodeId {
        let tokens: Arc<[u32]> = tokens.into();
        let mut node = Node::new(at, self.node(at).depth + 1, Arc::clone(&tokens), Some(full));
        (node.n_holders, node.last_use) = (1, self.now);
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        self.nodes[slot] = Some(node);
        self.change(at, |parent| parent.children.insert(tokens, NodeId(slot)));
        NodeId(slot)
    }

    /// Gives a node the sliding part that it lacks.
    pub(crate) fn put_sliding(&mut self, id: NodeId, cells: Arc<C>) {
        self.change(id, |node| node.sliding = Some(cells));
    }

    /// Keeps a node from eviction until [`Tree::let_go`]. Who holds a node holds those before it too.
    pub(crate) fn hold(&mut self, id: NodeId) {
        self.change(id, |node| node.n_holders += 1);
    }

    /// Keeps the sliding part of a held node from eviction until [`Tree::let_go_sliding`].
    pub(crate) fn hold_sliding(&mut self, id: NodeId) {
        self.change(id, |node| node.n_sliding_holders += 1);
    }

    /// Notes that the sliding part of a node is wanted: sequences begin or end where it is seen. So it is not the first
    /// to go, and stays while a running sequence is behind it.
    pub(crate) fn want_sliding(&mut self, id: NodeId) {
        self.change(id, |node| node.is_sliding_wanted = true);
    }

    /// Notes that the whole prefix up to `at`, which is held, was used.
    pub(crate) fn touch(&mut self, at: NodeId) {
        self.now += 1;
        let now = self.now;
        self.change_prefix(at, |node| node.last_use = now);
    }

    /// Notes that the whole prefix up to `at` was used, and ends one holding of each of its nodes.
    pub(crate) fn let_go(&mut self, at: NodeId) {
        self.touch(at);
        self.change_prefix(at, |node| node.n_holders -= 1);
    }

    /// Ends one holding of a sliding part.
    pub(crate) fn let_go_sliding(&mut self, id: NodeId) {
        self.change(id, |node| node.n_sliding_holders -= 1);
    }

    /// Takes out what is cheapest to lose of what nobody holds: a sliding part, or a block that has none and that no
    /// other builds on.
    pub(crate) fn evict(&mut self) -> Option<Arc<C>> {
        // Cells on their way to the disk are held elsewhere for a while.
        let is_free = |place: &Place| self.cells(place).is_some_and(|c| Arc::strong_count(c) == 1);
        let cheap = self.unused.places().take_while(|place| place.rank < Rank::Wanted);
        let place = { cheap }.find(is_free)?;
        match place.part {
            Part::Sliding => self.change(place.node, |node| node.sliding.take()),
            Part::Full => self.remove(place.node),
        }
    }

    /// Makes all of [`Rank::Wanted`] parts that nobody wants, so that these can be evicted too; returns whether there
    /// are any.
    pub(crate) fn give_up_wanted(&mut self) -> bool {
        let wanted = self.unused.places().filter(|place| place.rank == Rank::Wanted);
        let nodes: Vec<NodeId> = wanted.map(|place| place.node).collect();
        for &id in &nodes {
            self.change(id, |node| node.is_sliding_wanted = false);
        }
        !nodes.is_empty()
    }

    /// What can be evicted, one after the other, but for what is on its way to disk.
    pub(crate) fn unused(&self) -> Amount {
        self.unused.amount()
    }

    /// Parts of [`Rank::Wanted`], which only [`Tree::give_up_wanted`] lets go.
    #[cfg(test)]
    pub(crate) fn n_wanted(&self) -> usize {
        self.unused.places().filter(|place| place.rank == Rank::Wanted).count()
    }

    /// Whether a node's sliding part stays when nobody holds it.
    pub(crate) fn is_sliding_wanted(&self, id: NodeId) -> bool {
        self.node(id).is_sliding_wanted
    }

    /// What holding a node, and wanting its sliding part if that `is_seen`, takes of [`Tree::unused`], now or when those
    /// who hold the part have passed.
    pub(crate) fn taken_by_holding(&self, id: NodeId, is_seen: bool) -> Amount {
        let (node, unused) = (self.node(id), self.node(id).unused(id).amount);
        let n_sliding = match node.is_sliding_wanted {
            true => unused.n_sliding,
            false => usize::from(is_seen && node.sliding.is_some()),
        };
        Amount { n_sliding, ..unused }
    }

    fn cells(&self, place: &Place) -> Option<&Arc<C>> {
        match place.part {
            Part::Sliding => self.sliding(place.node),
            Part::Full => self.node(place.node).full.as_ref(),
        }
    }

    fn remove(&mut self, id: NodeId) -> Option<Arc<C>> {
        let node = self.nodes[id.0].take()?;
        self.unused.remove(node.unused(id));
        self.vacant.push(id.0);
        self.change(node.parent, |parent| parent.children.remove(&node.tokens));
        node.full
    }

    /// Changes a node, and its place among what nobody holds with it.
    fn change<T>(&mut self, id: NodeId, change: impl FnOnce(&mut Node<C>) -> T) -> T {
        let node = self.nodes[id.0].as_mut().expect("a held node is never evicted");
        self.unused.remove(node.unused(id));
        let result = change(node);
        self.unused.add(node.unused(id));
        result
    }

    fn change_prefix(&mut self, at: NodeId, change: impl Fn(&mut Node<C>)) {
        let mut id = at;
        while id != ROOT {
            self.change(id, &change);
            id = self.node(id).parent;
        }
    }

    fn node(&self, id: NodeId) -> &Node<C> {
        self.nodes[id.0].as_ref().expect("a held node is never evicted")
    }
}

impl<C> Node<C> {
    fn new(parent: NodeId, depth: usize, tokens: Arc<[u32]>, full: Option<Arc<C>>) -> Node<C> {
        Node {
            parent,
            depth,
            tokens,
            full,
            sliding: None,
            children: HashMap::new(),
            n_holders: 0,
            n_sliding_holders: 0,
            is_sliding_wanted: false,
            last_use: 0,
        }
    }

    fn is_sliding_unused(&self) -> bool {
        self.sliding.is_some() && self.n_sliding_holders == 0
    }

    /// What it has that nobody holds.
    fn unused(&self, id: NodeId) -> Share {
        let is_unused = id != ROOT && self.n_holders == 0;
        let rank = match (self.is_sliding_wanted, is_unused) {
            (false, _) => Rank::Spare,
            (true, true) => Rank::Old,
            (true, false) => Rank::Wanted,
        };
        let (last_use, depth) = (self.last_use, Reverse(self.depth));
        let place = |rank, part| Place { rank, last_use, depth, part, node: id };
        let is_alone = is_unused && self.children.is_empty() && self.sliding.is_none();
        let places = [
            self.is_sliding_unused().then(|| place(rank, Part::Sliding)),
            is_alone.then(|| place(Rank::Old, Part::Full)),
        ];
        let amount = Amount {
            n_full: usize::from(is_unused),
            n_sliding: usize::from(self.is_sliding_unused() && rank < Rank::Wanted),
        };
        Share { amount, places }
    }
}
