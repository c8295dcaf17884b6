//! Who owns and who shares blocks of keys and values. What is in a block is `model::kv`'s business.
//!
//! A block that is full never changes again, so every sequence that begins with the same tokens can
//! read the same block. [`KvCache`] lends empty blocks up to a limit (`pool.rs`), keeps full ones in
//! a tree by the tokens they hold (`tree.rs`), and takes back the longest unused when it runs out.
//! A [`View`] is what one sequence holds of it. `disk.rs` keeps prefixes for the next process, in the form of
//! `file.rs`.

mod disk;
mod file;
mod pool;
mod tree;
mod view;

pub(crate) use disk::Disk;
pub use disk::{PrefixCache, PrefixProblem, Warn};
pub(crate) use pool::KvCache;
pub(crate) use view::View;
