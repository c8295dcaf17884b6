//! The judge that asks at the cheapest effort first, and at a dearer one, or a bigger model, where the answer is in
//! doubt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use policy::{
    Cause, Content, Effort, Heard, Judge, JudgeSettings, Observer, Outcome, Policy, Stage, Usage,
    Verdict,
};

use crate::error::CascadeError;
use crate::held::{HeldObserver, tell};
use crate::route::{Answer, Doubt, Next, Routes};

/// The tiers of a routed judge that its routes know, cheapest first.
pub const EFFORTS: [Effort; 3] = [Effort::Low, Effort::Medium, Effort::High];
/// The tier after them, where there is one.
const BIGGER: usize = EFFORTS.len();

/// A judge asked at low, medium and high effort, as far as it takes, and a bigger one after it.
#[derive(Debug)]
pub struct RoutedJudge<J> {
    next: J,
    bigger: Option<J>,
    routes: Routes,
    identity: String,
    ended: [AtomicU64; BIGGER + 1],
    person: AtomicU64,
}

/// Where items ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// With the answer of each effort.
    pub ended: [u64; EFFORTS.len()],
    /// With the bigger model's.
    pub bigger: u64,
    /// Of all, those that a person should look at.
    pub person: u64,
}

impl<J: Judge> RoutedJudge<J> {
    /// # Errors
    /// [`CascadeError::Routes`] unless the routes are for three tiers.
    pub fn new(next: J, routes: Routes) -> Result<RoutedJudge<J>, CascadeError> {
        let is_margin = |margin: &f64| margin.is_finite() && *margin >= 0.0;
        if routes.margins.len() != EFFORTS.len() || routes.start >= EFFORTS.len() {
            let problem = format!("routes must be for {} efforts", EFFORTS.len());
            return Err(CascadeError::Routes { problem });
        }
        if !routes.margins.iter().all(is_margin) {
            return Err(CascadeError::Routes { problem: "a margin is below 0".to_owned() });
        }
        let identity =
            format!("{} from effort {} by {:?}", next.identity(), routes.start, routes.margins);
        let (ended, person) = Default::default();
        Ok(RoutedJudge { next, bigger: None, routes, identity, ended, person })
    }

    /// What is in doubt at high effort goes to a bigger judge, at the effort that the settings ask for, before it goes
    /// to a person. The routes have learned nothing about its scores, so those raise no doubt.
    pub fn then_bigger(self, bigger: J) -> RoutedJudge<J> {
        let identity = format!("{}, then {}", self.identity, bigger.identity());
        RoutedJudge { bigger: Some(bigger), identity, ..self }
    }

    /// Where items ended so far.
    pub fn counts(&self) -> RouteCounts {
        let at = |tier: usize| self.ended[tier].load(Ordering::Relaxed);
        let person = self.person.load(Ordering::Relaxed);
        RouteCounts { ended: [at(0), at(1), at(2)], bigger: at(BIGGER), person }
    }

    /// One tier's answer, and what was heard of it: held back as long as another may count.
    fn ask(
        &self,
        tier: usize,
        (policy, content): (&Policy, &Content),
        settings: JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Attempt {
        let (judge, settings) = match (EFFORTS.get(tier), &self.bigger) {
            (None, Some(bigger)) => (bigger, settings),
            (effort, _) => (&self.next, JudgeSettings { effort: effort.copied(), ..settings }),
        };
        if self.is_only_tier(tier) {
            let verdict = judge.judge(policy, content, &settings, observer);
            return Attempt { tier, verdict, heard: Vec::new(), doubts: Vec::new() };
        }
        let mut held = HeldObserver::new(observer);
        let verdict = judge.judge(policy, content, &settings, &mut held);
        Attempt { tier, verdict, heard: held.into_heard(), doubts: Vec::new() }
    }

    /// Whether no other tier comes before or after.
    fn is_only_tier(&self, tier: usize) -> bool {
        tier == self.routes.start && tier + 1 == EFFORTS.len() && self.bigger.is_none()
    }

    /// Where to go after a tier's answer.
    fn after(&self, tier: usize, answer: &Answer) -> Next {
        match self.routes.next(tier, answer) {
            Next::Person(doubts) if tier < BIGGER && self.bigger.is_some() => {
                Next::Tier(BIGGER, doubts)
            }
            next => next,
        }
    }

    /// The attempt that counts.
    fn end(&self, attempt: Attempt, observer: &mut dyn Observer) -> Verdict {
        self.ended[attempt.tier].fetch_add(1, Ordering::Relaxed);
        if !attempt.doubts.is_empty() {
            self.person.fetch_add(1, Ordering::Relaxed);
        }
        tell(&attempt.heard, observer);
        let doubts = attempt.doubts.iter().map(Doubt::to_string).collect();
        Verdict { doubts, ..attempt.verdict }
    }
}

/// One tier's answer.
struct Attempt {
    tier: usize,
    verdict: Verdict,
    heard: Vec<Heard>,
    /// Why it does not stand.
    doubts: Vec<Doubt>,
}

impl Attempt {
    /// Why a dearer tier has no say of its own: nothing was left for it, its word is the filter's, or it failed.
    fn missing(&self) -> Option<Cause> {
        match self.verdict.outcome {
            _ if self.verdict.stage == Stage::Filter => Some(Cause::OverBudget),
            Outcome::Undetermined(
                cause @ (Cause::OverBudget
                | Cause::Timeout
                | Cause::BackendError
                | Cause::Cancelled),
            ) => Some(cause),
            _ => None,
        }
    }

    /// Without a dearer answer, the one in doubt is what there is; but a doubtful `clear` is none.
    fn without_second_look(self, cause: Cause) -> Attempt {
        if self.verdict.outcome != Outcome::Clear {
            return self;
        }
        let outcome = Outcome::Undetermined(cause);
        let verdict = Verdict { outcome, label: None, rule_ids: Vec::new(), ..self.verdict };
        Attempt { verdict, ..self }
    }
}

impl<J: Judge> Judge for RoutedJudge<J> {
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
        // Routes choose how long to reason.
        if settings.direct {
            return self.next.judge(policy, content, settings, observer);
        }
        let started = Instant::now();
        let mut usage = Usage::default();
        let mut given_up = Vec::new();
        let mut before: Option<Attempt> = None;
        let mut tier = self.routes.start;
        let counted = loop {
            // All tiers together have the time that is allowed.
            let left = settings.after(started.elapsed());
            let mut attempt = self.ask(tier, (policy, content), left, observer);
            usage += attempt.verdict.usage;
            given_up.append(&mut attempt.verdict.given_up);
            if let (Some(cause), Some(earlier)) = (attempt.missing(), before.take()) {
                break earlier.without_second_look(cause);
            }
            // A budget that took the filter's word is short of compute, and more effort would be refused as well.
            if attempt.verdict.stage == Stage::Filter {
                break attempt;
            }
            let votes = std::slice::from_ref(&attempt.verdict);
            match self.after(tier, &Answer::of(votes).expect("one vote is there")) {
                Next::Done => break attempt,
                Next::Person(doubts) => break Attempt { doubts, ..attempt },
                Next::Tier(next, doubts) => {
                    before = Some(Attempt { doubts, ..attempt });
                    tier = next;
                }
            }
        };
        Verdict { usage, given_up, ..self.end(counted, observer) }
    }
}
