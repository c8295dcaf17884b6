//! What of the tree nobody holds, in the order in which its memory is taken.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::amount::Amount;
use super::tree::NodeId;

/// How dear a part is. What is cheapest goes first; of that, what was not used for longest; and of one chain its end,
/// since more sequences have their beginning in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A sliding part that is not wanted: of use only to whoever leaves the chain right there.
    Spare,
    /// A block that no running sequence came through, and its sliding part if that is wanted.
    Old,
    /// A wanted sliding part that a running sequence came through: others may follow it at any time, so it goes only
    /// when there is no other way on.
    Wanted,
}

/// What goes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A node's sliding part.
    Sliding,
    /// The node itself, which has no sliding part any more.
    Full,
}

/// A place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) rank: Rank,
    pub(super) last_use: u64,
    pub(super) depth: Reverse<usize>,
    pub(super) part: Part,
    pub(super) node: NodeId,
}

/// What one node has that nobody holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Without what is [`Rank::Wanted`].
    pub(super) amount: Amount,
    pub(super) places: [Option<Place>; 2],
}

#[derive(Debug, Default)]
pub(super) struct Unused {
    order: BTreeSet<Place>,
    amount: Amount,
}

impl Unused {
    pub(super) fn add(&mut self, share: Share) {
        self.order.extend(share.places.into_iter().flatten());
        self.amount = self.amount + share.amount;
    }

    pub(super) fn remove(&mut self, share: Share) {
        for place in share.places.into_iter().flatten() {
            self.order.remove(&place);
        }
        self.amount = self.amount - share.amount;
    }

    /// The cheapest first.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.order.iter().copied()
    }

    /// All that may go, blocks that others build on included; sliding parts of [`Rank::Wanted`] may not.
    pub(super) fn amount(&self) -> Amount {
        self.amount
    }
}
