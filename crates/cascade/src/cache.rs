//! A verdict cache in memory: what was judged before, letter for letter or in its normalised form, is not judged
//! again.
//!
//! Keys are hashes; no content is kept. Memory is bounded, and what was not asked for the longest goes first.
//! Contents with metadata are not answered from here unless it is said that metadata decides nothing, and undetermined
//! verdicts are never kept, since the next try may succeed. On disk there is `reasoner::CachedJudge`, which knows exact
//! repetitions only: wrapped around the reasoner it stands behind this cache, and what was forgotten here may
//! still be found there.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use policy::{Content, JudgeSettings, Outcome, PolicyId, VERDICT_FORM, Verdict, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes counted for an entry beside its verdict: two keys, twice each, and the maps around them.
const ENTRY_BYTES: usize = 256;

type Key = [u8; 32];

/// A verdict with what it is found by, to be kept outside of the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    exact: String,
    form: String,
    verdict: Verdict,
}

/// What is asked: everything that a verdict depends on.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The policy's hash.
    pub policy: &'a PolicyId,
    /// [`policy::Judge::identity`] of who would judge.
    pub judge: &'a str,
    /// How; the time allowed does not matter.
    pub settings: &'a JudgeSettings,
    /// What.
    pub content: &'a Content,
}

/// A remembered verdict; its name for the policy and its usage are those of the first time.
#[derive(Clone, Debug)]
pub enum Hit {
    /// The same content, letter for letter.
    Exact(Arc<Verdict>),
    /// A content with the same normalised form.
    Normalised(Arc<Verdict>),
}

/// What the cache did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Answered letter for letter.
    pub exact: u64,
    /// Answered by the normalised form.
    pub normalised: u64,
    /// Not known.
    pub missed: u64,
    /// Not looked up: contents with metadata.
    pub bypassed: u64,
    /// Forgotten for lack of room.
    pub evicted: u64,
}

/// Verdicts up to a number of bytes. `N` turns a text into its normalised form.
#[derive(Debug)]
pub struct VerdictCache<N> {
    normalised: N,
    ignores_metadata: bool,
    max_bytes: usize,
    n_bytes: usize,
    /// By exact key.
    entries: HashMap<Key, Entry>,
    /// Normalised key to the exact key of the entry made last.
    forms: HashMap<Key, Key>,
    /// Exact keys by when they were last used.
    by_use: BTreeMap<u64, Key>,
    clock: u64,
    counts: CacheCounts,
}

#[derive(Debug)]
struct Entry {
    verdict: Arc<Verdict>,
    form: Key,
    n_bytes: usize,
    used: u64,
}

impl<N: Fn(&str) -> String> VerdictCache<N> {
    /// An empty cache that holds at most about `max_bytes`.
    pub fn new(max_bytes: usize, normalised: N) -> VerdictCache<N> {
        VerdictCache {
            normalised,
            ignores_metadata: false,
            max_bytes,
            n_bytes: 0,
            entries: HashMap::new(),
            forms: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            counts: CacheCounts::default(),
        }
    }

    /// The same, where metadata decides nothing: it is looked over, and contents that have some are kept too.
    pub fn ignoring_metadata(self) -> VerdictCache<N> {
        VerdictCache { ignores_metadata: true, ..self }
    }

    /// What is held, used longest ago first.
    pub fn remembered(&self) -> impl Iterator<Item = Remembered> {
        self.by_use.values().filter_map(|exact| {
            let entry = self.entries.get(exact)?;
            let verdict = (*entry.verdict).clone();
            Some(Remembered { exact: hex(exact), form: hex(&entry.form), verdict })
        })
    }

    /// Takes in what an earlier cache held, as if it was remembered now. Says whether it is kept: not what no
    /// cache would have kept, nor what is too large.
    pub fn restore(&mut self, remembered: Remembered) -> bool {
        let (Some(exact), Some(form)) = (key(&remembered.exact), key(&remembered.form)) else {
            return false;
        };
        self.insert(exact, form, &remembered.verdict)
    }

    /// The verdict on this content or on one with the same normalised form.
    pub fn look_up(&mut self, question: &Question<'_>) -> Option<Hit> {
        let Some(content) = self.subject(question.content) else {
            self.counts.bypassed += 1;
            return None;
        };
        let question = &Question { content: &content, ..*question };
        let exact = self.exact_key(question);
        if let Some(verdict) = self.touch(exact) {
            self.counts.exact += 1;
            return Some(Hit::Exact(verdict));
        }
        let form = self.form_key(question);
        let like = self.forms.get(&form).copied();
        if let Some(verdict) = like.and_then(|key| self.touch(key)) {
            self.counts.normalised += 1;
            return Some(Hit::Normalised(verdict));
        }
        self.counts.missed += 1;
        None
    }

    /// Remembers a verdict, and forgets others where room is short. Says whether it is kept: not where it is
    /// undetermined, where metadata may have decided, or where it alone is too large.
    pub fn remember(&mut self, question: &Question<'_>, verdict: &Verdict) -> bool {
        let Some(content) = self.subject(question.content) else { return false };
        let question = &Question { content: &content, ..*question };
        self.insert(self.exact_key(question), self.form_key(question), verdict)
    }

    /// What a verdict rests on; `None` where metadata may have decided.
    fn subject<'a>(&self, content: &'a Content) -> Option<Cow<'a, Content>> {
        if content.metadata().is_empty() {
            return Some(Cow::Borrowed(content));
        }
        let mut bare = content.clone();
        let (Content::Text { metadata, .. }
        | Content::Exchange { metadata, .. }
        | Content::Conversation { metadata, .. }) = &mut bare;
        metadata.clear();
        self.ignores_metadata.then_some(Cow::Owned(bare))
    }

    fn insert(&mut self, exact: Key, form: Key, verdict: &Verdict) -> bool {
        let n_bytes = bytes_of(verdict);
        let is_undetermined = matches!(verdict.outcome, Outcome::Undetermined(_));
        if is_undetermined || n_bytes > self.max_bytes {
            return false;
        }
        self.forget(exact);
        while self.n_bytes + n_bytes > self.max_bytes {
            let (_, oldest) = self.by_use.first_key_value().expect("what takes room has an entry");
            self.forget(*oldest);
            self.counts.evicted += 1;
        }
        self.clock += 1;
        self.by_use.insert(self.clock, exact);
        self.forms.insert(form, exact);
        self.n_bytes += n_bytes;
        let verdict = Arc::new(verdict.clone());
        self.entries.insert(exact, Entry { verdict, form, n_bytes, used: self.clock });
        true
    }

    /// What it did so far.
    pub fn counts(&self) -> CacheCounts {
        self.counts
    }

    /// Bytes held, about.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Verdicts held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry's verdict, which is now the one used last.
    fn touch(&mut self, exact: Key) -> Option<Arc<Verdict>> {
        let entry = self.entries.get_mut(&exact)?;
        self.by_use.remove(&entry.used);
        self.clock += 1;
        entry.used = self.clock;
        self.by_use.insert(self.clock, exact);
        Some(Arc::clone(&entry.verdict))
    }

    fn forget(&mut self, exact: Key) {
        let Some(entry) = self.entries.remove(&exact) else { return };
        self.by_use.remove(&entry.used);
        self.n_bytes -= entry.n_bytes;
        // Another content may have taken the form over.
        if self.forms.get(&entry.form) == Some(&exact) {
            self.forms.remove(&entry.form);
        }
    }

    fn exact_key(&self, question: &Question<'_>) -> Key {
        let content = serde_json::to_vec(question.content).expect("a content is plain data");
        // The time allowed decides whether there is a verdict, not which.
        let settings = question.settings.deciding();
        let mut hash = Sha256::new();
        hash.update(VERDICT_FORM);
        // What was judged with metadata answers only those for whom metadata decide nothing.
        hash.update([u8::from(self.ignores_metadata)]);
        for part in [question.judge, &question.policy.0, &format!("{settings:?}")] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(content);
        hash.finalize().into()
    }

    fn form_key(&self, question: &Question<'_>) -> Key {
        let mut content = question.content.clone();
        match &mut content {
            Content::Text { text, .. } => *text = (self.normalised)(text),
            Content::Exchange { prompt, reply, .. } => {
                *prompt = (self.normalised)(prompt);
                *reply = (self.normalised)(reply);
            }
            Content::Conversation { messages, .. } => {
                for turn in messages {
                    turn.text = (self.normalised)(&turn.text);
                }
            }
        }
        self.exact_key(&Question { content: &content, ..*question })
    }
}

/// The key behind 64 hexadecimal digits.
fn key(digits: &str) -> Option<Key> {
    let mut key = Key::default();
    if digits.len() != 2 * key.len() || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(key)
}

/// Memory of a verdict and its entry, about.
fn bytes_of(verdict: &Verdict) -> usize {
    let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let rules: usize = verdict.rule_ids.iter().map(|rule| rule.len() + size_of::<String>()).sum();
    let options = [&verdict.label, &verdict.rationale, &verdict.detail, &verdict.marker];
    let texts = verdict.reasoning.len() + verdict.model.len() + verdict.policy.name.len();
    let id = verdict.policy.id.0.len();
    ENTRY_BYTES + size_of::<Verdict>() + rules + options.map(len).iter().sum::<usize>() + texts + id
}
