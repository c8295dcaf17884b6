//! Prefixes on disk: what a policy cost once, the next process need not pay again.
//!
//! A file holds the keys and values of one prefix under one model and one arithmetic. It appears by renaming, so
//! nobody reads half of one; what is damaged or foreign counts as absent and is written anew. Nothing here can fail a
//! request: where a folder cannot be written, the caller is told once and prefixes stay in memory.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use model::kv::{BLOCK_LEN, KvBlock};
use sha2::{Digest, Sha256};

use super::file::{self, Identity};
use super::{KvCache, View};

/// Ending of a prefix's file.
const ENDING: &str = "kv";
/// Ending of one that is being written.
const UNFINISHED: &str = "kv-unfinished";

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

/// The folder of one engine, and the thread that writes into it.
pub(crate) struct Disk {
    cache: PrefixCache,
    /// What all prefixes have in common: the model and its arithmetic.
    common: Identity,
    block_bytes: usize,
    /// Prefixes that are there, or on their way.
    known: HashSet<Identity>,
    writer: Option<(Sender<Prefix>, JoinHandle<()>)>,
}

/// A prefix to be written.
struct Prefix {
    identity: Identity,
    tokens: Vec<u32>,
    blocks: Vec<Arc<KvBlock>>,
}

impl Disk {
    /// `model` names the weights and the arithmetic.
    pub(crate) fn new(cache: PrefixCache, model: &str, block_bytes: usize) -> Disk {
        let common = Sha256::digest(model).into();
        Disk { cache, common, block_bytes, known: HashSet::new(), writer: None }
    }

    /// Brings the blocks of the prefix `tokens` into memory, if they are not there and a file has them.
    pub(crate) fn load(&mut self, memory: &mut KvCache, tokens: &[u32]) {
        let tokens = whole_blocks(tokens);
        let (n_cached, _) = memory.n_cached(tokens);
        let n_blocks = tokens.len() / BLOCK_LEN;
        if n_cached == n_blocks || n_blocks > memory.n_available() {
            return;
        }
        let identity = self.identity(tokens);
        let path = self.path(&identity);
        let Ok(mut input) = File::open(&path) else { return };
        let mut view = View::new();
        if view.reserve(memory, tokens.len()) < tokens.len() {
            view.release(memory);
            return;
        }
        let blocks = view.table.blocks.iter_mut().filter_map(Arc::get_mut);
        if matches!(file::read(&mut input, &identity, tokens, blocks), Ok(true)) {
            view.table.len = tokens.len();
            view.publish(memory, tokens);
            self.known.insert(identity);
            // For the order in which files go; where the clock cannot be set, the order is by writing.
            let _ = input.set_modified(SystemTime::now());
        }
        view.release(memory);
    }

    /// Keeps the prefix `tokens`, whose blocks the view begins with, unless it is kept already.
    /// Returns whether that is done with; otherwise its blocks are not all computed yet.
    pub(crate) fn keep(&mut self, view: &View, tokens: &[u32]) -> bool {
        let tokens = whole_blocks(tokens);
        let n_blocks = tokens.len() / BLOCK_LEN;
        if view.n_shared() < n_blocks {
            return false;
        }
        let identity = self.identity(tokens);
        let fits = file::n_bytes(tokens, self.block_bytes) <= self.cache.max_bytes;
        if n_blocks == 0 || !fits || !self.known.insert(identity) {
            return true;
        }
        let blocks = view.table.blocks[..n_blocks].to_vec();
        let prefix = Prefix { identity, tokens: tokens.to_vec(), blocks };
        if let Some((prefixes, _)) = self.writer() {
            // A writer that has given up does not want to know.
            let _ = prefixes.send(prefix);
        }
        true
    }

    fn identity(&self, tokens: &[u32]) -> Identity {
        let mut hash = Sha256::new_with_prefix(self.common);
        tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        hash.finalize().into()
    }

    fn path(&self, identity: &Identity) -> PathBuf {
        let name: String = identity.iter().map(|byte| format!("{byte:02x}")).collect();
        self.cache.dir.join(name).with_extension(ENDING)
    }

    /// The thread that writes, started when there is first something to write.
    fn writer(&mut self) -> Option<&(Sender<Prefix>, JoinHandle<()>)> {
        if self.writer.is_none() {
            let (sender, prefixes) = channel::<Prefix>();
            let cache = self.cache.clone();
            let write_all = move || {
                for prefix in prefixes {
                    if let Err(problem) = cache.write(&prefix) {
                        (cache.warn.0)(&problem);
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name("prefixes".to_owned()).spawn(write_all);
            self.writer = Some((sender, thread.ok()?));
        }
        self.writer.as_ref()
    }
}

impl Drop for Disk {
    /// What was begun is written: a process that judges one item leaves its policy behind.
    fn drop(&mut self) {
        if let Some((prefixes, thread)) = self.writer.take() {
            drop(prefixes);
            let _ = thread.join();
        }
    }
}

impl PrefixCache {
    fn write(&self, prefix: &Prefix) -> Result<(), PrefixProblem> {
        let name: String = prefix.identity.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.dir.join(name).with_extension(ENDING);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| PrefixProblem { path, source }
        };
        fs::create_dir_all(&self.dir).map_err(at(&self.dir))?;
        let unfinished = path.with_extension(format!("{}.{UNFINISHED}", std::process::id()));
        let written = write_file(&unfinished, prefix).and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            // Half a file is of use to nobody; what cannot be removed goes with a later cleaning.
            let _ = fs::remove_file(&unfinished);
        }
        written.map_err(at(&path))?;
        self.make_room().map_err(at(&self.dir))
    }

    /// Removes the files not used for longest until the rest is within bounds, and what a killed process left.
    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            // Another process may have been faster.
            let Ok(about) = fs::metadata(&path) else { continue };
            let age = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(ENDING) => files.push((age, about.len(), path)),
                Some(UNFINISHED) if is_old(age) => drop(fs::remove_file(&path)),
                _ => {}
            }
        }
        files.sort();
        let mut n_bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if n_bytes <= self.max_bytes {
                break;
            }
            let _ = fs::remove_file(path);
            n_bytes -= len;
        }
        Ok(())
    }
}

/// No write takes a day.
fn is_old(age: SystemTime) -> bool {
    age.elapsed().is_ok_and(|age| age.as_secs() > 24 * 3600)
}

fn write_file(path: &Path, prefix: &Prefix) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let blocks = prefix.blocks.iter().map(|block| &**block);
    file::write(&mut out, &prefix.identity, &prefix.tokens, blocks)?;
    out.flush()
}

fn whole_blocks(tokens: &[u32]) -> &[u32] {
    &tokens[..tokens.len() / BLOCK_LEN * BLOCK_LEN]
}
