//! The measurements: requests to the real engine, timed by what it reports.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use engine::{Engine, Finish, PrefixCache, Reply, Request, Warn};
use model::Work;

use super::Sizes;
use super::limits::{Bound, Limits};
use super::measure::{Measure, What};
use super::subject::Prompts;
use crate::output::report_note;

/// An engine with what it is given.
pub(super) struct Bench<'a> {
    pub(super) engine: Engine,
    pub(super) prompts: &'a Prompts,
    pub(super) work: &'a Work,
    pub(super) limits: &'a Limits,
}

/// Tokens by which the streams of a decode measurement differ.
const OWN_TOKENS: usize = 4;

impl Bench<'_> {
    /// Tokens a second of a prompt that nothing is known of; afterwards the prefix is known.
    pub(super) fn prefill(&self) -> Result<Measure> {
        let n_tokens = self.prompts.prefix.len();
        let request = Request::new(self.prompts.prefix.clone(), 1);
        let replies = self.run(vec![Request { n_prefix: n_tokens, ..request }])?;
        let seconds = replies[0].usage.prefill_seconds;
        let (least, bound) = self.limits.step(self.work, n_tokens, 1, n_tokens / 2);
        Ok(Measure {
            what: What::Prefill(n_tokens),
            value: n_tokens as f64 / seconds,
            limit: n_tokens as f64 / least,
            bound,
            peak: None,
        })
    }

    /// Seconds until a prefix that another engine left on disk is in memory, and until the first token behind it.
    pub(super) fn known(&self) -> Result<[Measure; 2]> {
        let n_prefix = self.prompts.prefix.len();
        let request = Request::new(self.prompts.with_item(1 << 48, OWN_TOKENS), 1);
        let replies = self.run(vec![Request { n_prefix, ..request }])?;
        let (step, bound) = self.limits.step(self.work, OWN_TOKENS, 1, n_prefix);
        let reading = self.work.prefix_bytes(n_prefix) as f64 / self.limits.read;
        let usage = replies[0].usage;
        Ok([
            Measure {
                what: What::Load,
                value: usage.load_seconds,
                limit: reading,
                bound: Bound::Memory,
                peak: None,
            },
            Measure {
                what: What::FirstToken,
                value: usage.prefill_seconds,
                limit: reading + step,
                bound,
                peak: None,
            },
        ])
    }

    /// Tokens a second of `n_streams` in all that share the prefix, once all are under way.
    pub(super) fn decode(&self, n_streams: usize, n_tokens: usize) -> Result<Measure> {
        let numbers = 0..n_streams as u64;
        let prompts = numbers.map(|number| self.prompts.with_item(number << 32, OWN_TOKENS));
        // The first token of each comes out of its prompt; it starts the clock.
        let requests = prompts.map(|prompt| Request::new(prompt, n_tokens + 1)).collect();
        let replies = self.run(requests)?;
        let seconds = replies.iter().map(|reply| reply.usage.decode_seconds).fold(0.0, f64::max);
        let context = self.prompts.prefix.len() + OWN_TOKENS + n_tokens / 2;
        let (least, bound) = self.limits.step(self.work, n_streams, n_streams, context);
        Ok(Measure {
            what: What::Decode(n_streams),
            value: (n_streams * n_tokens) as f64 / seconds,
            limit: n_streams as f64 / least,
            bound,
            peak: None,
        })
    }

    /// Items a minute of the classification workload, the policy being known.
    pub(super) fn workload(&self, sizes: &Sizes) -> Result<Measure> {
        let Sizes { n_items, item_tokens, n_generate, .. } = *sizes;
        let requests = (0..n_items as u64)
            .map(|number| Request::new(self.prompts.with_item(number, item_tokens), n_generate))
            .collect();
        let start = Instant::now();
        self.run(requests)?;
        let seconds = start.elapsed().as_secs_f64();
        let n_prompt = self.prompts.prefix.len() + item_tokens;
        let (reading, _) = self.limits.step(self.work, n_items * item_tokens, n_items, n_prompt);
        let context = n_prompt + n_generate / 2;
        let (writing, bound) = self.limits.step(self.work, n_items, n_items, context);
        let least = reading + writing * (n_generate - 1) as f64;
        Ok(Measure {
            what: What::Workload(n_items),
            value: n_items as f64 / seconds * 60.0,
            limit: n_items as f64 / least * 60.0,
            bound,
            peak: None,
        })
    }

    /// Submits all, then reads all.
    fn run(&self, requests: Vec<Request>) -> Result<Vec<Reply>> {
        let generations = requests.into_iter().map(|request| self.engine.submit(request));
        let generations = generations.collect::<Result<Vec<_>, _>>()?;
        let replies: Vec<Reply> = generations.into_iter().map(engine::Generation::wait).collect();
        for reply in &replies {
            match &reply.finish {
                Finish::MaxTokens => {}
                Finish::Failed(error) => return Err(error.clone().into()),
                other => bail!("a request ended early: {other:?}"),
            }
        }
        Ok(replies)
    }
}

/// A folder for prefixes that is gone when the measurement is done.
pub(super) struct OwnFolder(PathBuf);

impl OwnFolder {
    pub(super) fn new() -> OwnFolder {
        OwnFolder(std::env::temp_dir().join(format!("safeguard-bench-{}", std::process::id())))
    }

    pub(super) fn prefix_cache(&self) -> PrefixCache {
        let warn = Warn(|problem| report_note(&format!("{problem}: {}", problem.source)));
        PrefixCache { dir: self.0.clone(), max_bytes: u64::MAX, warn }
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        // Where nothing could be written there is nothing to remove.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
