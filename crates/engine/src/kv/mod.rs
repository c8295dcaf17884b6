//! Who owns and who shares blocks of keys and values. What is in a block is `model::kv`'s business.
//!
//! A block that is full never changes again, so every sequence that begins with the same tokens can
//! read the same block. [`KvCache`] lends empty cells up to a limit (`pool.rs`), keeps full blocks in
//! a tree by the tokens they hold (`tree/`), and takes back what is cheapest to lose when it runs out (`unused.rs`).
//! A [`View`] is what one sequence holds of it: all blocks, and of these the sliding parts that its next positions see.
//! `amount.rs` counts what sequences need. `disk.rs` keeps prefixes for the next process, in the form of `file.rs`;
//! `writer.rs` is the thread that does.

mod amount;
mod disk;
mod file;
mod pool;
#[cfg(test)]
mod tests;
mod tree;
mod unused;
mod view;
mod writer;

pub(crate) use amount::Need;
pub(crate) use disk::Disk;
pub use disk::{PrefixCache, PrefixProblem, Warn};
pub(crate) use pool::KvCache;
pub(crate) use view::View;
