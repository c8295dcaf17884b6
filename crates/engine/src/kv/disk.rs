//! Prefixes on disk: what a policy cost once, the next process need not pay again.
//!
//! A file holds the keys and values of one prefix under one model and one arithmetic. It appears by renaming, so
//! nobody reads half of one; what is damaged or foreign counts as absent and is written anew. Nothing here can fail a
//! request: where a folder cannot be written, the caller is told once and prefixes stay in memory.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use model::kv::{BLOCK_LEN, KvShape};
use sha2::{Digest, Sha256};

use super::file::{self, Identity};
use super::writer::{Prefix, Writer};
use super::{KvCache, View};

/// Where prefixes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixCache {
    /// The folder; made when it is first written to.
    pub dir: PathBuf,
    /// Most bytes of all files together; those not used for longest go first.
    pub max_bytes: u64,
    /// Whom to tell when prefixes cannot be kept; called at most once.
    pub warn: Warn,
}

/// A listener for what goes wrong on disk.
#[derive(Clone, Copy)]
pub struct Warn(pub fn(&PrefixProblem));

impl std::fmt::Debug for Warn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Warn(…)")
    }
}

impl PartialEq for Warn {
    /// Who listens makes no two settings different.
    fn eq(&self, _other: &Warn) -> bool {
        true
    }
}

impl Eq for Warn {}

/// Why prefixes are not kept.
#[derive(Debug, thiserror::Error)]
#[error("{path}: computed prefixes cannot be kept there", path = path.display())]
pub struct PrefixProblem {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The folder of one engine, and who writes into it.
pub(crate) struct Disk {
    cache: PrefixCache,
    /// What all prefixes have in common: the model and its arithmetic.
    common: Identity,
    shape: KvShape,
    /// Prefixes that are there, or on their way.
    known: HashSet<Identity>,
    writer: Option<Writer>,
}

impl Disk {
    /// `model` names the weights and the arithmetic.
    pub(crate) fn new(cache: PrefixCache, model: &str, shape: KvShape) -> Disk {
        let common = Sha256::digest(model).into();
        Disk { cache, common, shape, known: HashSet::new(), writer: None }
    }

    /// Brings the prefix `tokens` into memory, if it is not there and a file has it.
    pub(crate) fn load(&mut self, memory: &mut KvCache, tokens: &[u32]) {
        let tokens = whole_blocks(tokens);
        let n_blocks = tokens.len() / BLOCK_LEN;
        let is_too_large = self.shape.prefix_bytes(n_blocks) > memory.available_bytes();
        if is_too_large || memory.has_prefix(tokens) {
            return;
        }
        let identity = self.identity(tokens);
        let Ok(mut input) = File::open(self.cache.path(&identity)) else { return };
        let mut view = View::behind(tokens.len());
        if view.lend_blocks(memory, n_blocks)
            && matches!(file::read(&mut input, &identity, tokens, view.own_cells()), Ok(true))
        {
            view.publish(memory, tokens);
            self.known.insert(identity);
            // For the order in which files go; where the clock cannot be set, the order is by writing.
            let _ = input.set_modified(SystemTime::now());
        }
        view.release(memory);
    }

    /// Keeps the prefix `tokens`, whose whole blocks the view shares, unless it is kept already or cannot be had whole.
    pub(crate) fn keep(&mut self, memory: &KvCache, view: &View, tokens: &[u32]) {
        let tokens = whole_blocks(tokens);
        let identity = self.identity(tokens);
        let fits = file::n_bytes(tokens, &self.shape) <= self.cache.max_bytes;
        if tokens.is_empty() || !fits || self.known.contains(&identity) {
            return;
        }
        let Some(parts) = view.prefix(memory, tokens.len() / BLOCK_LEN) else { return };
        self.known.insert(identity);
        let prefix = Prefix { identity, tokens: tokens.to_vec(), parts };
        if let Some(writer) = self.writer() {
            writer.begin(prefix);
        }
    }

    /// Waits until one more prefix is written and its memory free; returns whether there was any to wait for.
    pub(crate) fn wait_for_write(&mut self) -> bool {
        self.writer.as_mut().is_some_and(Writer::wait)
    }

    fn identity(&self, tokens: &[u32]) -> Identity {
        let mut hash = Sha256::new_with_prefix(self.common);
        tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        hash.finalize().into()
    }

    /// The thread that writes, started when there is first something to write.
    fn writer(&mut self) -> Option<&mut Writer> {
        if self.writer.is_none() {
            self.writer = Writer::start(self.cache.clone());
        }
        self.writer.as_mut()
    }
}

impl Drop for Disk {
    /// What was begun is written: a process that judges one item leaves its policy behind.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
    }
}

fn whole_blocks(tokens: &[u32]) -> &[u32] {
    &tokens[..tokens.len() / BLOCK_LEN * BLOCK_LEN]
}
