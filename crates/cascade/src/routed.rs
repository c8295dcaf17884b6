//! The judge that asks at the cheapest effort first, and at a dearer one where the answer is in doubt.

use std::sync::atomic::{AtomicU64, Ordering};

use policy::{
    Cause, Content, Effort, Judge, JudgeSettings, Observer, Outcome, Policy, Stage, Usage, Verdict,
};

use crate::error::CascadeError;
use crate::route::{Answer, Doubt, Next, Routes};

/// The tiers of a routed judge, cheapest first.
pub const EFFORTS: [Effort; 3] = [Effort::Low, Effort::Medium, Effort::High];

/// A judge asked at low, medium and high effort, as far as it takes.
#[derive(Debug)]
pub struct RoutedJudge<J> {
    next: J,
    routes: Routes,
    identity: String,
    counts: [AtomicU64; EFFORTS.len() + 1],
}

/// Where items ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// With the answer of each effort.
    pub ended: [u64; EFFORTS.len()],
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
        Ok(RoutedJudge { next, routes, identity, counts: Default::default() })
    }

    /// Where items ended so far.
    pub fn counts(&self) -> RouteCounts {
        let at = |place: usize| self.counts[place].load(Ordering::Relaxed);
        RouteCounts { ended: [at(0), at(1), at(2)], person: at(EFFORTS.len()) }
    }

    fn ended(&self, tier: usize, doubts: &[Doubt], verdict: Verdict) -> Verdict {
        self.counts[tier].fetch_add(1, Ordering::Relaxed);
        if !doubts.is_empty() {
            self.counts[EFFORTS.len()].fetch_add(1, Ordering::Relaxed);
        }
        Verdict { doubts: doubts.iter().map(Doubt::to_string).collect(), ..verdict }
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
        let mut spent = Usage::default();
        let mut given_up = Vec::new();
        let mut before: Option<(usize, Verdict, Vec<Doubt>)> = None;
        let mut tier = self.routes.start;
        loop {
            let asked = JudgeSettings { effort: Some(EFFORTS[tier]), ..settings.clone() };
            let mut verdict = self.next.judge(policy, content, &asked, observer);
            spent += verdict.usage;
            given_up.append(&mut verdict.given_up);
            // Where nothing is left for a dearer answer, the one in doubt is what there is; but a doubtful `clear`
            // is none.
            if verdict.outcome == Outcome::Undetermined(Cause::OverBudget)
                && let Some((tier, earlier, doubts)) = before
            {
                let stands = match earlier.outcome {
                    Outcome::Clear => Verdict {
                        outcome: verdict.outcome,
                        label: None,
                        rule_ids: Vec::new(),
                        ..earlier
                    },
                    _ => earlier,
                };
                let verdict = Verdict { usage: spent, given_up, ..stands };
                return self.ended(tier, &doubts, verdict);
            }
            // A budget that took the filter's word is short of compute, and more effort would be refused as well.
            if verdict.stage == Stage::Filter {
                return self.ended(tier, &[], Verdict { usage: spent, given_up, ..verdict });
            }
            let answer = Answer::of(std::slice::from_ref(&verdict)).expect("one vote is there");
            let verdict = Verdict { usage: spent, given_up: given_up.clone(), ..verdict };
            match self.routes.next(tier, &answer) {
                Next::Done => return self.ended(tier, &[], verdict),
                Next::Person(doubts) => return self.ended(tier, &doubts, verdict),
                Next::Tier(next, doubts) => {
                    before = Some((tier, verdict, doubts));
                    tier = next;
                }
            }
        }
    }
}
