//! A judge that remembers: what was judged before by the same model, policy and settings is not judged again.
//!
//! One small file a verdict, named by the hash of everything that it depends on, so that programs may share a
//! folder without locks. A file that cannot be read is as if it were not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use policy::{
    Content, Judge, JudgeSettings, Observer, Outcome, Policy, VERDICT_FORM, Verdict, hex,
};
use sha2::{Digest, Sha256};

/// Wraps a judge; verdicts are kept in a folder. Undetermined ones are not kept: the next try may succeed.
pub struct CachedJudge<J> {
    judge: J,
    dir: PathBuf,
    identity: String,
    n_hits: AtomicUsize,
}

impl<J: Judge> CachedJudge<J> {
    /// Keeps the verdicts of `judge` in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(judge: J, dir: &Path) -> io::Result<CachedJudge<J>> {
        fs::create_dir_all(dir)?;
        let identity = judge.identity();
        Ok(CachedJudge { judge, dir: dir.to_owned(), identity, n_hits: AtomicUsize::new(0) })
    }

    /// How many verdicts were remembered so far.
    pub fn n_hits(&self) -> usize {
        self.n_hits.load(Ordering::Relaxed)
    }

    fn path(&self, policy: &Policy, content: &Content, settings: &JudgeSettings) -> PathBuf {
        let content = serde_json::to_vec(content).expect("a content is plain data");
        // The time allowed decides whether there is a verdict, not which.
        let settings = settings.deciding();
        let mut hash = Sha256::new();
        for part in [VERDICT_FORM, &self.identity, &policy.id.0, &format!("{settings:?}")] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(content);
        let name = hex(&hash.finalize());
        self.dir.join(&name[..2]).join(&name[2..])
    }
}

impl<J: Judge> Judge for CachedJudge<J> {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let path = self.path(policy, content, settings);
        if let Some(verdict) = read(&path) {
            self.n_hits.fetch_add(1, Ordering::Relaxed);
            observer.reasoning(&verdict.reasoning);
            // The same text may have been judged under another name.
            return Verdict { policy: policy.reference(), ..verdict };
        }
        let verdict = self.judge.judge(policy, content, settings, observer);
        if !matches!(verdict.outcome, Outcome::Undetermined(_)) {
            // A full disk costs the memory, not the verdict.
            let _ = write(&path, &verdict);
        }
        verdict
    }
}

fn read(path: &Path) -> Option<Verdict> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Written beside and renamed, so that no reader sees half a verdict.
fn write(path: &Path, verdict: &Verdict) -> io::Result<()> {
    let dir = path.parent().expect("a verdict lies in a folder");
    fs::create_dir_all(dir)?;
    let part = path.with_extension(format!(
        "{}-{:?}.part",
        std::process::id(),
        std::thread::current().id()
    ));
    fs::write(&part, serde_json::to_vec(verdict)?)?;
    fs::rename(&part, path).inspect_err(|_| drop(fs::remove_file(&part)))
}
