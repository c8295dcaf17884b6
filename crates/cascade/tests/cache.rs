//! The verdict cache against a naive model: a list in order of use.

use cascade::{CacheCounts, Hit, Question, VerdictCache};
use policy::{Cause, Content, JudgeSettings, Outcome, PolicyId, PolicyRef, Verdict};
use proptest::prelude::*;

fn verdict(outcome: Outcome, reasoning: String) -> Verdict {
    let policy = PolicyRef { name: "p".to_owned(), id: PolicyId("0".to_owned()) };
    let verdict = Verdict::undetermined(Cause::Timeout, "", policy, "m");
    Verdict { outcome, reasoning, ..verdict }
}

fn normalised(text: &str) -> String {
    text.to_lowercase().replace(' ', "")
}

/// Bytes that the cache counts for a verdict with this much reasoning.
fn cost(n_reasoning: usize) -> usize {
    let policy = PolicyId("0".to_owned());
    let (content, settings) = (Content::text("x"), JudgeSettings::default());
    let question = Question { policy: &policy, judge: "j", settings: &settings, content: &content };
    let mut cache = VerdictCache::new(usize::MAX, normalised);
    cache.remember(&question, &verdict(Outcome::Clear, "r".repeat(n_reasoning)));
    cache.n_bytes()
}

/// Least recently used first: policy, text, verdict.
struct Model {
    entries: Vec<(u8, String, Verdict)>,
    /// Which text was judged last under each form.
    forms: Vec<(u8, String, String)>,
    counts: CacheCounts,
    max_bytes: usize,
}

impl Model {
    fn look_up(&mut self, policy: u8, text: &str) -> Option<Verdict> {
        let place = |entries: &[(u8, String, Verdict)], text: &str| {
            entries.iter().position(|entry| entry.0 == policy && entry.1 == text)
        };
        let form = normalised(text);
        let like = self.forms.iter().find(|f| f.0 == policy && f.1 == form).map(|f| f.2.clone());
        let exact = place(&self.entries, text);
        let found = exact.or_else(|| like.and_then(|text| place(&self.entries, &text)));
        match (exact, found) {
            (Some(_), _) => self.counts.exact += 1,
            (None, Some(_)) => self.counts.normalised += 1,
            _ => self.counts.missed += 1,
        }
        let entry = self.entries.remove(found?);
        self.entries.push(entry.clone());
        Some(entry.2)
    }

    fn remember(&mut self, policy: u8, text: &str, verdict: Verdict) {
        if matches!(verdict.outcome, Outcome::Undetermined(_))
            || cost(verdict.reasoning.len()) > self.max_bytes
        {
            return;
        }
        self.forget(|entry| entry.0 == policy && entry.1 == text);
        self.entries.push((policy, text.to_owned(), verdict));
        self.forms.retain(|f| !(f.0 == policy && f.1 == normalised(text)));
        self.forms.push((policy, normalised(text), text.to_owned()));
        while self.entries.iter().map(|e| cost(e.2.reasoning.len())).sum::<usize>() > self.max_bytes
        {
            let oldest = self.entries[0].clone();
            self.forget(|entry| *entry == oldest);
            self.counts.evicted += 1;
        }
    }

    fn forget(&mut self, is_it: impl Fn(&(u8, String, Verdict)) -> bool) {
        let Some(place) = self.entries.iter().position(is_it) else { return };
        let (policy, text, _) = self.entries.remove(place);
        self.forms.retain(|f| !(f.0 == policy && f.2 == text));
    }
}

#[derive(Clone, Debug)]
enum Op {
    LookUp(u8, String),
    Remember(u8, String, Outcome, usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let text = || "[aAbB ]{1,3}";
    let outcome = prop_oneof![
        Just(Outcome::Clear),
        Just(Outcome::Violation),
        Just(Outcome::Undetermined(Cause::Timeout))
    ];
    let op = prop_oneof![
        (0..2_u8, text()).prop_map(|(policy, text)| Op::LookUp(policy, text)),
        (0..2_u8, text(), outcome, 0..3000_usize)
            .prop_map(|(policy, text, outcome, n)| Op::Remember(policy, text, outcome, n)),
    ];
    prop::collection::vec(op, 1..80)
}

proptest! {
    #[test]
    fn it_does_what_a_list_does(ops in ops(), max_bytes in 0..12_000_usize) {
        let mut cache = VerdictCache::new(max_bytes, normalised);
        let counts = CacheCounts::default();
        let mut model = Model { entries: Vec::new(), forms: Vec::new(), counts, max_bytes };
        let settings = JudgeSettings::default();
        for op in ops {
            let (Op::LookUp(policy, text) | Op::Remember(policy, text, ..)) = &op;
            let id = PolicyId(policy.to_string());
            let content = Content::text(text.clone());
            let question =
                Question { policy: &id, judge: "j", settings: &settings, content: &content };
            match &op {
                Op::LookUp(..) => {
                    let hit = cache.look_up(&question).map(|hit| match hit {
                        Hit::Exact(verdict) | Hit::Normalised(verdict) => (*verdict).clone(),
                    });
                    prop_assert_eq!(hit, model.look_up(*policy, text));
                }
                Op::Remember(_, _, outcome, n) => {
                    let verdict = verdict(*outcome, "r".repeat(*n));
                    cache.remember(&question, &verdict);
                    model.remember(*policy, text, verdict);
                }
            }
            prop_assert!(cache.n_bytes() <= max_bytes);
            prop_assert_eq!(cache.len(), model.entries.len());
            prop_assert_eq!(cache.counts(), model.counts);
        }
    }
}

#[test]
fn metadata_judge_and_settings_keep_verdicts_apart() {
    let id = PolicyId("0".to_owned());
    let (settings, content) = (JudgeSettings::default(), Content::text("hello"));
    let question = Question { policy: &id, judge: "j", settings: &settings, content: &content };
    let mut cache = VerdictCache::new(1 << 20, normalised);
    assert!(cache.remember(&question, &verdict(Outcome::Clear, String::new())));
    assert!(cache.look_up(&Question { judge: "k", ..question }).is_none());
    let seeded = JudgeSettings { seed: Some(1), ..JudgeSettings::default() };
    assert!(cache.look_up(&Question { settings: &seeded, ..question }).is_none());
    let timeout = Some(std::time::Duration::from_secs(1));
    let hasty = JudgeSettings { timeout, ..JudgeSettings::default() };
    assert!(cache.look_up(&Question { settings: &hasty, ..question }).is_some());
    let metadata = vec![("age".to_owned(), "12".to_owned())];
    let known = Content::Text { text: "hello".to_owned(), metadata };
    let known = Question { content: &known, ..question };
    assert!(cache.look_up(&known).is_none());
    assert!(!cache.remember(&known, &verdict(Outcome::Clear, String::new())));
    let counts = CacheCounts { exact: 1, missed: 2, bypassed: 1, ..CacheCounts::default() };
    assert_eq!(cache.counts(), counts);
    assert!(!cache.is_empty());
}
