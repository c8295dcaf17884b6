//! Many pairs of policy and content at once: as many in flight as the judge takes, results as they come.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use policy::{Content, Judge, JudgeSettings, Policy, Silent, Verdict};

/// One judgement wanted.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The caller's name for it; comes back with the verdict.
    pub number: usize,
    /// Judge by this.
    pub policy: &'a Policy,
    /// What is judged.
    pub content: Arc<Content>,
    /// How.
    pub settings: &'a JudgeSettings,
}

/// Judges every job, at most `n_in_flight` at a time, and calls `each` on this thread with the number and the
/// verdict of each as it comes. Jobs are taken from the iterator when there is room for them, in order.
///
/// The verdicts do not depend on `n_in_flight`. When `each` returns `false`, no further job is begun and the
/// verdicts still under way are dropped.
pub fn judge_many<'a>(
    judge: &dyn Judge,
    jobs: impl Iterator<Item = Job<'a>> + Send,
    n_in_flight: usize,
    mut each: impl FnMut(usize, Verdict) -> bool,
) {
    let jobs = Mutex::new(jobs);
    let n_in_flight = n_in_flight.max(1);
    // A slow reader holds the judges up rather than filling memory.
    let (sender, verdicts) = sync_channel(n_in_flight);
    std::thread::scope(|scope| {
        for _ in 0..n_in_flight {
            let (sender, jobs) = (sender.clone(), &jobs);
            scope.spawn(move || {
                work(judge, jobs, |number, verdict| sender.send((number, verdict)).is_ok())
            });
        }
        drop(sender);
        for (number, verdict) in &verdicts {
            if !each(number, verdict) {
                break;
            }
        }
        // Workers that still have something to say find nobody listening, and stop.
        drop(verdicts);
    });
}

/// Judges jobs one after the other until there are none or nobody listens.
fn work<'a>(
    judge: &dyn Judge,
    jobs: &Mutex<impl Iterator<Item = Job<'a>>>,
    tell: impl Fn(usize, Verdict) -> bool,
) {
    loop {
        let next = jobs.lock().map_or(None, |mut jobs| jobs.next());
        let Some(job) = next else { return };
        let verdict = judge.judge(job.policy, &job.content, job.settings, &mut Silent);
        if !tell(job.number, verdict) {
            return;
        }
    }
}
