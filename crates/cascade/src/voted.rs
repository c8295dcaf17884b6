//! The judge that asks several times where several votes are wanted.

use std::time::Instant;

use policy::{Content, Judge, JudgeSettings, Majority, Observer, Policy, Usage, Verdict};

use crate::held::{HeldObserver, tell};

/// A judge asked as often as [`JudgeSettings::votes`] says, each time with a seed of its own; more than half of all
/// votes decide.
#[derive(Debug)]
pub struct VotedJudge<J> {
    next: J,
}

impl<J: Judge> VotedJudge<J> {
    /// Votes come from `next`.
    pub fn new(next: J) -> VotedJudge<J> {
        VotedJudge { next }
    }
}

impl<J: Judge> Judge for VotedJudge<J> {
    /// One vote is the word of the judge behind; more are told by the settings.
    fn identity(&self) -> String {
        self.next.identity()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let started = Instant::now();
        let n_votes = settings.votes.max(1);
        if n_votes == 1 {
            return self.next.judge(policy, content, settings, observer);
        }
        let (mut votes, mut heard) = (Vec::new(), Vec::new());
        for round in 0..n_votes {
            let seed = settings.seed.unwrap_or(0).wrapping_add(round.into());
            // All votes together have the time that is allowed.
            let left = settings.after(started.elapsed());
            let one = JudgeSettings { seed: Some(seed), votes: 1, ..left };
            let mut held = HeldObserver::new(observer);
            votes.push(self.next.judge(policy, content, &one, &mut held));
            heard.push(held.into_heard());
        }
        let majority = Majority::of(&votes);
        tell(&heard[majority.telling], observer);
        combined(votes, majority)
    }
}

/// The vote to show, with what all of them say and took.
fn combined(mut votes: Vec<Verdict>, majority: Majority) -> Verdict {
    let Majority { outcome, label, score, probability, telling, votes: counts } = majority;
    let mut usage = Usage::default();
    votes.iter().for_each(|vote| usage += vote.usage);
    let shown = votes.swap_remove(telling);
    let is_decided = outcome.is_violation().is_some();
    Verdict {
        outcome,
        label,
        rule_ids: if is_decided { shown.rule_ids } else { Vec::new() },
        score,
        probability,
        usage,
        votes: Some(counts),
        ..shown
    }
}
