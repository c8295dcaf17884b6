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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use model::kv::{BLOCK_LEN, KvCells, KvShape};
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
    shape: KvShape,
    /// Prefixes that are there, or on their way.
    known: HashSet<Identity>,
    writer: Option<Writer>,
}

/// The thread that writes prefixes.
struct Writer {
    prefixes: Sender<Prefix>,
    /// Says of each prefix that it is done with, and its memory free.
    done: Receiver<()>,
    n_under_way: usize,
    thread: JoinHandle<()>,
}

/// A prefix to be written.
struct Prefix {
    identity: Identity,
    tokens: Vec<u32>,
    /// In the order of the file.
    parts: Vec<Arc<KvCells>>,
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
        let Ok(mut input) = File::open(self.path(&identity)) else { return };
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
        // A writer that has given up does not want to know.
        if let Some(writer) = self.writer()
            && writer.prefixes.send(prefix).is_ok()
        {
            writer.n_under_way += 1;
        }
    }

    /// Waits until no memory is held by what is to be written; returns whether any was.
    pub(crate) fn settle(&mut self) -> bool {
        let Some(writer) = &mut self.writer else { return false };
        let was_under_way = writer.n_under_way > 0;
        for _ in 0..std::mem::take(&mut writer.n_under_way) {
            // A writer that gave up holds nothing either.
            let _ = writer.done.recv();
        }
        was_under_way
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
    fn writer(&mut self) -> Option<&mut Writer> {
        if self.writer.is_none() {
            self.writer = Writer::start(self.cache.clone());
        }
        self.writer.as_mut()
    }
}

impl Writer {
    fn start(cache: PrefixCache) -> Option<Writer> {
        let (prefixes, to_write) = channel::<Prefix>();
        let (say_done, done) = channel();
        let write_all = move || {
            for prefix in to_write {
                let written = cache.write(&prefix);
                drop(prefix);
                if let Err(problem) = written {
                    (cache.warn.0)(&problem);
                    return;
                }
                // Nobody waits any more when the engine ends.
                let _ = say_done.send(());
            }
        };
        let thread = std::thread::Builder::new().name("prefixes".to_owned()).spawn(write_all);
        Some(Writer { prefixes, done, n_under_way: 0, thread: thread.ok()? })
    }
}

impl Drop for Disk {
    /// What was begun is written: a process that judges one item leaves its policy behind.
    fn drop(&mut self) {
        if let Some(Writer { prefixes, thread, .. }) = self.writer.take() {
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
    let parts = prefix.parts.iter().map(|cells| &**cells);
    file::write(&mut out, &prefix.identity, &prefix.tokens, parts)?;
    out.flush()
}

fn whole_blocks(tokens: &[u32]) -> &[u32] {
    &tokens[..tokens.len() / BLOCK_LEN * BLOCK_LEN]
}
