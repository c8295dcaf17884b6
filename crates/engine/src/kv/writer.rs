//! The thread that writes prefixes to disk, and what it leaves in the folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use model::kv::KvCells;

use super::disk::{PrefixCache, PrefixProblem};
use super::file::{self, Identity};

/// Ending of a prefix's file.
const ENDING: &str = "kv";
/// Ending of one that is being written.
const UNFINISHED: &str = "kv-unfinished";

/// The thread that writes prefixes.
pub(super) struct Writer {
    prefixes: Sender<Prefix>,
    /// Says of each prefix that it is done with, and its memory free.
    done: Receiver<()>,
    n_under_way: usize,
    thread: JoinHandle<()>,
}

/// A prefix to be written.
pub(super) struct Prefix {
    pub(super) identity: Identity,
    pub(super) tokens: Vec<u32>,
    /// In the order of the file.
    pub(super) parts: Vec<Arc<KvCells>>,
}

impl Writer {
    /// `None` where the system has no thread to give.
    pub(super) fn start(cache: PrefixCache) -> Option<Writer> {
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

    pub(super) fn begin(&mut self, prefix: Prefix) {
        self.count_done();
        // A writer that has given up does not want to know.
        self.n_under_way += usize::from(self.prefixes.send(prefix).is_ok());
    }

    /// Waits until one more prefix is done with; returns whether there was any to wait for.
    pub(super) fn wait(&mut self) -> bool {
        let was_under_way = self.n_under_way > 0;
        if was_under_way {
            // A writer that gave up holds nothing of any prefix.
            self.n_under_way = self.done.recv().map_or(0, |()| self.n_under_way - 1);
            self.count_done();
        }
        was_under_way
    }

    /// Ends it behind what was begun.
    pub(super) fn finish(self) {
        drop(self.prefixes);
        // Its listener may have panicked, which is the listener's affair.
        let _ = self.thread.join();
    }

    /// What was over long ago is nothing to wait for.
    fn count_done(&mut self) {
        self.n_under_way -= self.done.try_iter().count();
    }
}

impl PrefixCache {
    pub(super) fn path(&self, identity: &Identity) -> PathBuf {
        let name: String = identity.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name).with_extension(ENDING)
    }

    fn write(&self, prefix: &Prefix) -> Result<(), PrefixProblem> {
        let path = self.path(&prefix.identity);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_for_one_prefix_at_a_time() {
        let (prefixes, to_write) = channel();
        let (say_done, done) = channel();
        let mut writer =
            Writer { prefixes, done, n_under_way: 0, thread: std::thread::spawn(|| ()) };
        let prefix = || Prefix { identity: [0; 32], tokens: Vec::new(), parts: Vec::new() };
        assert!(!writer.wait());
        (0..5).for_each(|_| writer.begin(prefix()));
        say_done.send(()).expect("heard");
        // The other four are not waited for.
        assert!(writer.wait());
        assert_eq!(writer.n_under_way, 4);
        // Of two that are done, the second is no reason to come back.
        (0..2).for_each(|_| say_done.send(()).expect("heard"));
        assert!(writer.wait());
        assert_eq!(writer.n_under_way, 2);
        say_done.send(()).expect("heard");
        writer.begin(prefix());
        assert_eq!(writer.n_under_way, 2);
        // A writer that gives up.
        drop((to_write, say_done));
        assert!(writer.wait());
        assert!(!writer.wait());
        writer.begin(prefix());
        assert!(!writer.wait());
    }
}
